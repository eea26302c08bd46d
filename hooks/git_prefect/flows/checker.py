"""Checks the flow files of a tree: finds them, loads what is not known, and says what is wrong."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.model import CheckedFile, Finding, GitStorage, LoadedFlow
from .discovery import SUBMODULE, FlowFile, Tree, flow_files
from .verdicts import KnownFlow, Store, Verdict, context_of, is_clean

if TYPE_CHECKING:
    from ..core.model import Watch
    from ..core.settings import Settings
    from .interpreter import Interpreter
    from .loader import Loader

__all__ = ["Tree", "check_flow_files"]


class Known(NamedTuple):
    """A flow file with its verdict."""

    file: FlowFile
    verdict: Verdict
    flows: tuple[LoadedFlow, ...]
    cached: bool


def check_flow_files(
    tree: Tree,
    settings: Settings,
    interpreter: Interpreter,
    state: Path,
    *,
    only: Collection[str] | None = None,
    repository: GitStorage | None = None,
    no_cache: bool = False,
    no_preload: bool = False,
    with_flows: bool = False,
    same_push: bool = False,
    watch: Watch | None = None,
) -> list[CheckedFile]:
    """The flow files of a tree, sorted by path, each with its flows and with what is wrong with it.

    Files whose verdict is known are not loaded again; when all are, no interpreter is started and the
    tree's folder is not written. `only` are the paths to check; `repository` is what declared Git storages
    are compared with. Without `with_flows` the flows have their names and number of tasks only. Within
    the `same_push` a time-out or the like is not waited for a second time.
    """
    context = context_of(tree.entries, interpreter.fingerprint, settings.env, settings.import_roots, settings.timeout)
    store = Store(state, context)
    with ExitStack() as until_loaded:

        @functools.cache
        def loader() -> Loader:
            from .loader import Loader

            return until_loaded.enter_context(Loader(interpreter.path, state / "library-cache", settings.env))

        # Prefect is imported on one core while the sources are parsed on another.
        files = flow_files(tree, settings, store.sources, (lambda: None) if interpreter.problem else loader)
        chosen = files if only is None else [file for file in files if file.path in only]
        if interpreter.problem:
            store.save()
            return _none_checked(chosen, interpreter.problem, interpreter)
        known = {
            file.path: found
            for file in chosen
            if not no_cache and (found := _known(store, file, tree.id, with_flows, same_push))
        }
        unknown = [file for file in chosen if file.path not in known]
        if unknown:
            from .loader import EnvironmentBroken

            try:
                loaded = _load(tree, settings, interpreter, loader(), store, unknown, no_preload, watch)
            except EnvironmentBroken as error:
                return _none_checked(chosen, _last_line(str(error)), interpreter, str(error))
            known.update({one.file.path: one for one in loaded})
    store.save()
    return _report([known[file.path] for file in chosen], tree, settings, interpreter, repository)


def _known(store: Store, file: FlowFile, tree: str, with_flows: bool, same_push: bool) -> Known | None:
    verdict = store.get(file.path, file.blob, tree, same_push)
    if verdict is None:
        return None
    if not with_flows:
        return Known(
            file,
            verdict,
            tuple(LoadedFlow(one.name, one.tasks, {}, one.storage, None) for one in verdict.flows),
            True,
        )
    flows = store.flows(verdict)
    return None if flows is None else Known(file, verdict, flows, True)


def _load(
    tree: Tree, settings: Settings, interpreter: Interpreter, loader: Loader, store: Store, files: Sequence[FlowFile],
    no_preload: bool, watch: Watch | None,
) -> list[Known]:  # fmt: skip
    from .discovery import leading_imports, looks_around
    from .load_findings import Repository
    from .loader import Job

    contents = tree.read(sorted({file.blob for file in files}))
    looks = {file.path: looks_around(contents[file.blob]) for file in files}
    jobs = [Job(file.path, tuple(leading_imports(contents[file.blob])), looks[file.path]) for file in files]
    paths = [entry.path for entry in tree.entries]
    where = Repository(
        frozenset(paths), [entry.path for entry in tree.entries if entry.mode == SUBMODULE], settings.import_roots,
        interpreter.describe(), interpreter.own,
    )  # fmt: skip
    blobs = {entry.path: entry.blob for entry in tree.entries}
    by_path = {file.path: file for file in files}
    now = time.time()
    with tree.root() as root:
        return [
            _judged(
                by_path[path],
                contents[by_path[path].blob],
                {**answer, "seconds": settings.timeout},
                looks[path],
                where,
                tree,
                blobs,
                store,
                now,
            )
            for path, answer in loader.load(
                root, jobs, paths, settings.import_roots, settings.timeout, preload=not no_preload, watch=watch
            )
        ]


def _judged(
    file: FlowFile, content: bytes, answer: dict[str, Any], looks: bool, where: Any, tree: Tree, blobs: dict[str, str],
    store: Store, now: float,
) -> Known:  # fmt: skip
    from .load_findings import judge, lfs_pointers

    judged = judge(file.path, content, answer, where)
    opened = [path for path in answer.get("touched", ()) if blobs.get(path)]
    findings = judged.findings
    if opened:
        read = tree.read([blobs[path] for path in opened])
        findings += tuple(lfs_pointers(file.path, [(path, read[blobs[path]]) for path in opened]))
    flows = tuple(
        LoadedFlow(one["name"], one["tasks"], one.get("serialized") or {}, one["storage"], one["run_config"])
        for one in answer.get("flows", ())
    )
    depends = looks or _misses_something(answer) or _depends_on_tree(answer, tree, blobs)
    verdict = Verdict(
        file.blob, tree.id if depends else "", now, tuple(KnownFlow(one.name, one.tasks, one.declared_storage) for one in flows),
        findings, judged.missing, "", answer.get("outside", {}), not judged.lasting,
    )  # fmt: skip
    if tree.id or not depends:
        store.put(file.path, verdict, flows)
    return Known(file, verdict, flows, False)


def _misses_something(answer: dict[str, Any]) -> bool:
    """Whether a load failed for a module or a file that another tree may have: what is said of that goes by the tree."""
    error = answer.get("error") or {"missing_module": None, "missing_file": None, "causes": ()}
    return any(one["missing_module"] or one["missing_file"] for one in [error, *error["causes"]])


def _depends_on_tree(answer: dict[str, Any], tree: Tree, blobs: dict[str, str]) -> bool:
    from .discovery import looks_around

    if answer.get("touched") or answer.get("starts_process"):
        return True
    sources = [blobs[path] for path in answer.get("sources", ()) if path in blobs]
    return any(looks_around(source) for source in tree.read(sources).values()) if sources else False


def _report(
    known: Sequence[Known],
    tree: Tree,
    settings: Settings,
    interpreter: Interpreter,
    repository: GitStorage | None,
) -> list[CheckedFile]:
    from .load_findings import broken_environment, no_flow
    from .storage_findings import Declared, same_names, storage_findings

    declared = {
        one.file.path: [Declared(one.file.path, flow.name, flow.declared_storage) for flow in one.flows]
        for one in known
    }
    twice = same_names((flow for flows in declared.values() for flow in flows), settings.storage == "replace")
    unchecked = [one for one in known if one.verdict.missing]
    checked = []
    for one in known:
        path = one.file.path
        findings: list[Finding] = [*one.verdict.findings, *twice.get(path, ())]
        for flow in declared[path]:
            findings += storage_findings(flow, repository, settings.storage == "replace")
        if not one.flows and is_clean(findings) and not one.verdict.missing:
            builds = one.file.builds == "flow"
            if not builds and not one.file.explicit:
                continue
            findings.append(no_flow(path, builds))
        if unchecked and one is unchecked[0]:
            modules = ", ".join(sorted({repr(each.verdict.missing.split(".")[0]) for each in unchecked}))
            problem = (
                f"{modules} is not installed in the hook's own environment"
                if "," not in modules
                else (f"{modules} are not installed in the hook's own environment")
            )
            findings.append(broken_environment(problem, interpreter.describe(), len(unchecked)))
        checked.append(
            CheckedFile(
                path,
                one.file.blob,
                one.flows,
                tuple(findings),
                one.cached,
                bool(one.verdict.missing),
                lasting=not (one.verdict.tree or one.verdict.outside or one.verdict.missing),
            )  # fmt: skip
        )
    return checked


def _none_checked(
    files: Sequence[FlowFile], problem: str, interpreter: Interpreter, detail: str = ""
) -> list[CheckedFile]:
    from .load_findings import broken_environment

    one = broken_environment(problem, interpreter.describe(), len(files))._replace(detail=detail)
    return [
        CheckedFile(file.path, file.blob, (), (one,) if number == 0 else (), False, True)
        for number, file in enumerate(files)
    ]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "Prefect cannot be imported there"
    # Of an interpreter that gives up, the lines below tell in which state it was.
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return f"Prefect cannot be imported there ({(fatal or lines[-1:])[0]})"
