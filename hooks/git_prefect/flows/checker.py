"""Checks the flow files of a tree: finds them, loads what is not known, and says what is wrong."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import msgspec
from msgspec.structs import replace

from ..core.model import CheckedFile, Finding, GitStorage, LoadedFlow, Watch
from ..core.settings import Settings
from .calls import BUILDS, MAKES
from .discovery import (
    NAMED,
    OPAQUE,
    SUBMODULE,
    FlowFile,
    Packages,
    Tree,
    flow_files,
    imports_from_its_place,
    knows_its_place,
    looks_unseen,
    named_files,
    source_blobs,
)
from .environment import worker_environment
from .imports_ahead import ImportsAhead
from .interpreter import Interpreter
from .load_findings import (
    TreeFacts,
    broken_environment,
    editable_install,
    filtered_files,
    judge,
    lfs_pointers,
    no_flow,
    opaque_source,
)
from .modules import TreeModules
from .storage_findings import Declared, findings_of_storage, same_names
from .verdicts import (
    CONTENTS,
    NAMES,
    NO_LINKS,
    PATHS,
    UNKNOWN,
    Facts,
    KnownFlow,
    Store,
    Verdict,
    context_of,
    is_clean,
    known_findings,
)  # fmt: skip

if TYPE_CHECKING:
    # Where nothing has changed it is not needed, and its import is a tenth of such a check.
    from .loader import Loader


class Known(msgspec.Struct, frozen=True):
    """A flow file with its verdict."""

    file: FlowFile
    verdict: Verdict
    flows: tuple[LoadedFlow, ...]
    cached: bool
    rests_on: str = ""
    """See `CheckedFile`."""


class CheckOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which flow files are checked, and how."""

    only: Collection[str] | None = None
    """Paths to check; None: all flow files."""
    named: Collection[str] = ()
    """Those of them that a person named: they are checked whether or not they are found to be flow files."""
    storage: GitStorage | None = None
    """What declared Git storages are compared with; None: they are not."""
    with_flows: bool = False
    """Whether flows are told in full; else they have their names and number of tasks only."""
    same_push: bool = False
    """Whether an earlier hook of the same push has checked them: a time-out or the like is not waited for twice."""
    no_cache: bool = False
    """Whether everything is loaded, also what has a verdict."""
    no_preload: bool = False
    """Whether no installed module is imported ahead of the flow files."""
    announce: Callable[[int], None] = lambda count: None
    """Called with the number of files that have to be loaded, before they are."""
    hash_seed: str = ""
    """PYTHONHASHSEED of a second load, unless the setting `env` has one: no verdict is used, and none is kept."""


def check_flow_files(
    tree: Tree,
    settings: Settings,
    interpreter: Interpreter,
    state: Path,
    options: CheckOptions = CheckOptions(),  # noqa: B008
    watch: Watch | None = None,
) -> list[CheckedFile]:
    """The flow files of a tree, sorted by path, each with its flows and with what is wrong with it.

    Files whose verdict is known are not loaded again; when all are, no interpreter is started and the
    tree's folder is not written. `state` is the folder of the verdicts.
    """
    environment = worker_environment(os.environ, interpreter.path, Path("home"), Path("cache"), settings.env)
    context = context_of(interpreter.fingerprint, environment, settings.import_roots, settings.timeout, settings.folder)
    # Without a context it knows nothing and keeps nothing.
    store = Store(state, None if options.hash_seed else context)
    facts = Facts(tree.entries, tree.work_tree)
    with ExitStack() as until_loaded:

        @functools.cache
        def loader() -> Loader:
            from .loader import Loader

            env = {"PYTHONHASHSEED": options.hash_seed, **settings.env} if options.hash_seed else settings.env
            return until_loaded.enter_context(Loader(interpreter.path, state / "library-cache", env))

        # Prefect is imported on one core while the sources are parsed on another.
        packages = Packages(interpreter.folders, interpreter.fingerprint)
        files = flow_files(tree, settings, store.memory, packages, (lambda: None) if interpreter.problem else loader)
        if options.named:
            files += named_files(tree, set(options.named) - {file.path for file in files})
        chosen = files if options.only is None else [file for file in files if file.path in options.only]
        if interpreter.problem:
            store.save()
            return _none_checked(chosen, interpreter.problem, interpreter, settings)
        opaque = {file.path for file in chosen if file.builds == OPAQUE and not file.explicit}
        chosen = [file for file in chosen if file.path not in opaque]
        known = {
            file.path: found
            for file in chosen
            if not options.no_cache and (found := _known(store, file, tree.id, facts, options))
        }
        unknown = [file for file in chosen if file.path not in known]
        if unknown:
            options.announce(len(unknown))
            from .loader import EnvironmentBroken

            try:
                loading = _Loading(tree, settings, interpreter, store, facts)
                loaded = loading.load(loader(), unknown, not options.no_preload, watch)
            except EnvironmentBroken as error:
                return _none_checked(chosen, _last_line(str(error)), interpreter, settings, str(error))
            known.update({one.file.path: one for one in loaded})
    store.save()
    checked = _report(_attributed([known[file.path] for file in chosen], files), settings, interpreter, options.storage)
    checked += _opaque(tree, [file for file in files if file.path in opaque], settings)
    filtered = tree.filtered([file.path for file in checked])
    checked = [
        replace(one, findings=(*one.findings, *filtered_files(one.path, {one.path: filtered[one.path]}))) if one.path in filtered else one
        for one in checked
    ]
    return sorted(checked, key=lambda file: file.path)


def _opaque(tree: Tree, files: Sequence[FlowFile], settings: Settings) -> list[CheckedFile]:
    """Sources that are not loaded, since nobody can tell whether they define a flow."""
    contents = tree.read(sorted({file.blob for file in files})) if files else {}
    return [
        CheckedFile(file.path, file.blob, (), (opaque_source(file.path, contents[file.blob], settings),), False, lasting=True)
        for file in files
    ]


def _known(store: Store, file: FlowFile, tree: str, facts: Facts, options: CheckOptions) -> Known | None:
    verdict = store.get(file.path, file.blob, tree, facts, options.same_push)
    if verdict is None:
        return None
    if not options.with_flows:
        return Known(
            file,
            verdict,
            tuple(LoadedFlow(one.name, one.tasks, {}, one.storage, None, one.made_by) for one in verdict.flows),
            True,
        )
    flows = store.flows(verdict)
    return None if flows is None else Known(file, verdict, flows, True, store.name_of_all(file.path, verdict))


class _Loading:
    """The flow files of a tree that have no verdict, on their way to one."""

    def __init__(self, tree: Tree, settings: Settings, interpreter: Interpreter, store: Store, facts: Facts) -> None:
        self._tree = tree
        self._settings = settings
        self._store = store
        self._facts = facts
        self._places: dict[str, tuple[bool, bool]] = {}
        """Of a source's blob: whether it knows where it is, and whether it can look at files unseen."""
        self._now = time.time()
        self._blobs = {entry.path: entry.blob for entry in tree.entries}
        self._sources = source_blobs(tree)
        self._where = TreeFacts(
            frozenset(self._blobs), settings, interpreter.describe(), self._content,
            [entry.path for entry in tree.entries if entry.mode == SUBMODULE], interpreter.own,
        )  # fmt: skip

    def _content(self, path: str) -> bytes:
        blob = self._blobs[path]
        return self._tree.read([blob])[blob] if blob else b""

    def load(self, loader: Loader, files: Sequence[FlowFile], preload: bool, watch: Watch | None) -> list[Known]:
        """Load the files, each as an agent would, and judge what came of it.

        Raises:
            EnvironmentBroken: Prefect cannot be imported by the interpreter.
        """
        contents = self._tree.read(sorted({file.blob for file in files}))
        by_path = {file.path: file for file in files}
        self._note_places(contents)
        imports = {file.path: imports_from_its_place(contents[file.blob]) for file in files}
        with self._tree.root() as root:
            return [
                self._judged(by_path[path], contents[by_path[path].blob], answer)
                for path, answer in self._answers(loader, root, imports, preload, watch)
            ]

    def _answers(
        self, loader: Loader, root: Path, imports: Mapping[str, bool], preload: bool, watch: Watch | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the loader answers of each path; `imports` says of each whether it may import from its own place."""
        from .loader import Checkout, Job

        roots = self._settings.import_roots
        ahead = ImportsAhead(TreeModules(self._sources, roots), bool(roots), lambda path: (root / path).read_bytes())
        jobs = [Job(path, ahead.of(path), by_place) for path, by_place in imports.items()]
        checkout = Checkout(root, list(self._blobs), roots)
        again = []
        for path, answer in loader.load(checkout, jobs, self._settings.timeout, preload=preload, watch=watch):
            if preload and answer["status"] != "loaded" and ahead.followed(path) and not _hangs_by_itself(answer):
                again.append(path)
            else:
                yield path, answer
        if again:
            # What was imported ahead of its turn may be what failed.
            alone = [job for job in jobs if job.path in again]
            yield from loader.load(checkout, alone, self._settings.timeout, preload=False)

    def _judged(self, file: FlowFile, content: bytes, answer: dict[str, Any]) -> Known:
        judged = judge(file.path, content, {**answer, "seconds": self._settings.timeout}, self._where)
        opened = [path for path in answer.get("touched", ()) if self._blobs.get(path)]
        findings = judged.findings
        if opened:
            read = self._tree.read([self._blobs[path] for path in opened])
            findings += tuple(lfs_pointers(file.path, [(path, read[self._blobs[path]]) for path in opened]))
        if file.builds == MAKES and not file.explicit and answer.get("makes") and not answer["flows"]:
            findings += (no_flow(file.path, True),)
        read_too = {*answer.get("touched", ()), *answer.get("sources", ())} & self._blobs.keys() - {file.path}
        filtered = filtered_files(file.path, self._tree.filtered(read_too))
        findings += tuple(filtered)
        flows = tuple(
            LoadedFlow(
                one["name"], one["tasks"], one.get("serialized") or {}, one["storage"], one["run_config"], one["made_by"]
            )
            for one in answer.get("flows", ())
        )
        beside = self._from_work_tree(answer)
        if beside:
            findings += (editable_install(file.path, beside, self._where),)
        used = {**self._used(answer), **{path: self._facts.of(path) for path in beside}}
        depends = UNKNOWN in used.values() or self._looks_unseen(file, answer)
        verdict = Verdict(
            file.blob, self._tree.id if depends else "", self._now,
            tuple(KnownFlow(one.name, one.tasks, one.declared_storage, one.made_by) for one in flows),
            known_findings(findings), judged.missing, "", answer.get("outside", {}), not judged.lasting,
            {} if depends else used,
        )  # fmt: skip
        # What a filter does to a file of the work tree is nothing that the next tree has to share.
        lasts = not filtered and not answer.get("cut") and self._is_committed(beside)
        if not lasts or (depends and not self._tree.id):
            return Known(file, verdict, flows, False)
        self._store.put(file.path, verdict, flows)
        return Known(file, verdict, flows, False, self._store.name_of_all(file.path, verdict))

    def _from_work_tree(self, answer: dict[str, Any]) -> list[str]:
        """Sources of the repository that the load of a commit took from the clone's work tree, from its root."""
        if self._tree.beside is None:
            return []
        tops = {str(self._tree.beside) + os.sep, os.path.realpath(self._tree.beside) + os.sep}
        found = {path[len(top) :] for path in answer.get("outside", ()) for top in tops if path.startswith(top)}
        return sorted(path for path in found if path in self._blobs and path.endswith(".py"))

    def _is_committed(self, paths: Sequence[str]) -> bool:
        """Whether the work tree has at these paths what the tree has there."""
        contents = self._tree.read(sorted({self._blobs[path] for path in paths})) if paths else {}
        try:
            return all((Path(self._tree.beside or "") / path).read_bytes() == contents[self._blobs[path]] for path in paths)
        except OSError:
            return False

    def _note_places(self, contents: dict[str, bytes]) -> None:
        for blob, content in contents.items():
            self._places[blob] = (knows_its_place(content), looks_unseen(content))

    def _used(self, answer: dict[str, Any]) -> dict[str, str]:
        """What the tree says of the paths that a load used, and that what is said of the load rests on."""
        keys = [*answer.get("used", ()), *([NO_LINKS] if answer.get("climbs") else [])]
        keys += [PATHS] if _rests_on_paths(answer) else []
        keys += [path + (CONTENTS if deep else NAMES) for path, deep in answer.get("listed", {}).items()]
        return {key: self._facts.of(key) for key in keys}

    def _looks_unseen(self, file: FlowFile, answer: dict[str, Any]) -> bool:
        """Whether a load may have used more of the tree than was seen: by a process, foreign code, or an extension module."""
        if "used" not in answer or answer["starts_process"] or answer["unseen"]:
            return True
        paths = [path for path in answer["used"] if path.endswith(".py") and self._blobs.get(path)]
        blobs = {file.blob, *(self._blobs[path] for path in paths)}
        unread = sorted(blobs - self._places.keys())
        if unread:
            self._note_places(self._tree.read(unread))
        return any(
            unseen or (knows and answer["extensions"]) for knows, unseen in (self._places[blob] for blob in blobs)
        )


def _hangs_by_itself(answer: dict[str, Any]) -> bool:
    """Whether a load hangs in code of the repository, and not in a module that was imported ahead of its turn."""
    innermost = re.search(r'File "([^"]+)"', answer.get("trace", ""))
    return answer["status"] == "timeout" and innermost is not None and not innermost[1].startswith("/")


def _rests_on_paths(answer: dict[str, Any]) -> bool:
    """Whether what is said of a load depends on which files there are: of a missing module or file, of imports in tasks."""
    error = answer.get("error") or {"missing_module": None, "missing_file": None, "causes": ()}
    misses = any(one["missing_module"] or one["missing_file"] for one in [error, *error["causes"]])
    return misses or any(flow["late_imports"] for flow in answer.get("flows", ()))


class Attributed(msgspec.Struct, frozen=True):
    """A flow file, the flows that are its own, and those that are another flow file's, which it imports."""

    known: Known
    own: tuple[LoadedFlow, ...]
    imported: tuple[LoadedFlow, ...]

    @property
    def path(self) -> str:
        """Of the file."""
        return self.known.file.path


def _attributed(known: Sequence[Known], files: Sequence[FlowFile]) -> list[Attributed]:
    """Each flow for the file whose top level made it, where an agent finds it there; else for the one that imports it."""
    found_there = {(one.file.path, flow.name) for one in known for flow in one.flows if not flow.made_by}
    not_chosen = {file.path for file in files} - {one.file.path for one in known}
    attributed = []
    for one in known:
        others = [
            flow for flow in one.flows if flow.made_by in not_chosen or (flow.made_by, flow.name) in found_there
        ]
        attributed.append(Attributed(one, tuple(flow for flow in one.flows if flow not in others), tuple(others)))
    return attributed


def _report(
    attributed: Sequence[Attributed],
    settings: Settings,
    interpreter: Interpreter,
    repository: GitStorage | None,
) -> list[CheckedFile]:
    replaced = settings.storage == "replace"
    declared = {
        one.path: [Declared(one.path, flow.name, flow.declared_storage, flow.made_by) for flow in one.own]
        for one in attributed
    }
    twice = same_names((flow for flows in declared.values() for flow in flows), replaced)
    unchecked = [one for one in attributed if one.known.verdict.missing]
    checked = []
    for one in attributed:
        not_its_own = {flow.name for flow in one.imported}
        findings = [found for found in one.known.verdict.findings(one.path) if found.flow not in not_its_own]
        findings += twice.get(one.path, ())
        for flow in declared[one.path]:
            findings += findings_of_storage(flow, repository, replaced)
        if not one.known.flows and is_clean(findings) and not one.known.verdict.missing:
            builds = one.known.file.builds
            if builds != BUILDS and not one.known.file.explicit:
                continue
            findings.append(no_flow(one.path, builds == BUILDS, builds == NAMED))
        if unchecked and one is unchecked[0]:
            findings.append(_unchecked(unchecked, interpreter, settings))
        checked.append(_checked(one, findings))
    return checked


def _unchecked(files: Sequence[Attributed], interpreter: Interpreter, settings: Settings) -> Finding:
    modules = sorted({repr(one.known.verdict.missing) for one in files})
    verb = "is" if len(modules) == 1 else "are"
    problem = f"{', '.join(modules)} {verb} not installed in the hook's own environment"
    return broken_environment(problem, interpreter, len(files), settings)


def _checked(one: Attributed, findings: Sequence[Finding]) -> CheckedFile:
    verdict = one.known.verdict
    return CheckedFile(
        one.path, one.known.file.blob, one.own, tuple(findings), one.known.cached, bool(verdict.missing),
        lasting=not (verdict.tree or verdict.outside or verdict.missing), imported=one.imported,
        rests_on=one.known.rests_on,
        used=None if verdict.tree else verdict.used,
    )  # fmt: skip


def _none_checked(
    files: Sequence[FlowFile], problem: str, interpreter: Interpreter, settings: Settings, detail: str = ""
) -> list[CheckedFile]:
    one = replace(broken_environment(problem, interpreter, len(files), settings), detail=detail)
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
