"""The findings: what the worker saw of a file, in words with place, fact, consequence and remedy."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ..core.findings import finding
from ..core.model import ERROR, Finding
from ..core.settings import Settings, giving, leaving_out, path_as_written
from .import_findings import (
    Sources,
    circular,
    failed_import,
    import_roots_with,
    in_image,
    not_on_agent,
    nowhere,
    relative_import,
    same_name,
)
from .interpreter import Interpreter
from .modules import TreeModules
from .prefect_config import MOST_NAMED, keys_here, missing_keys, variable
from .prefect_names import of_error
from .source_memory import LFS_HEADER, is_opaque
from .storage_findings import flow_findings, quoted

LASTING = frozenset({
    "SyntaxError", "IndentationError", "TabError", "ImportError", "ModuleNotFoundError", "NameError",
    "UnboundLocalError", "AttributeError", "TypeError", "ValueError", "KeyError", "IndexError", "AssertionError",
    "ZeroDivisionError", "FileNotFoundError", "RecursionError", "BoxKeyError",
})  # fmt: skip
"""Exceptions that the same code raises again. Others may be the network's, or this machine's: they are not kept."""


LONGEST_LINE = 160
"""Characters of a source line that are shown."""


class TreeFacts(Sources, frozen=True):
    """What the findings need to know of the tree."""

    submodules: Collection[str]
    own: bool
    """True for the hook's own interpreter, which need not have what flows import."""


class Judged(msgspec.Struct, frozen=True):
    """What a load says of a file by itself."""

    findings: tuple[Finding, ...]
    missing: str
    """The third-party module that the hook's own interpreter lacks: the file is unchecked. Else empty."""
    lasting: bool
    """True when loading the same again would say the same."""


def judge(path: str, content: bytes, answer: dict[str, Any], where: TreeFacts) -> Judged:
    """The findings of one load."""
    status = answer["status"]
    if content.startswith(LFS_HEADER):
        return Judged((_lfs_pointer(path, path), _pointer_fails(path)), "", True)
    if status == "failed" and is_opaque(content):
        return Judged((replace(opaque_source(path, content, where.settings), severity=ERROR),), "", False)
    if status == "loaded":
        late = (*_late_imports(path, answer, where), *_not_on_workers(path, answer, where))
        return Judged((*_calls(path, answer), *_lost(path, answer), *flow_findings(path, content, answer), *late), "", True)
    if status == "failed":
        return _failed(path, content, answer, where)
    if status == "timeout":
        return Judged((_timeout(path, content, answer, where),), "", False)
    return Judged((_crashed(path, content, answer, where),), "", status == "exited" and "error" in answer)


# The load -------------------------------------------------------------------------------------------


def _failed(path: str, content: bytes, answer: dict[str, Any], where: TreeFacts) -> Judged:
    error = answer["error"]
    line = _line(error)
    detail = _frames(path, content, error, where)
    for cause in [error, *error["causes"]]:
        found = _not_on_agent(path, content, cause, error, where)
        if found is not None:
            return Judged((replace(found, line=line, detail=detail), *_submodule(path, cause, where)), "", True)
    missing = error["missing_module"]
    # What Prefect or the repository does not have, no installation brings.
    lacks = missing and not (missing.startswith("prefect.") or _is_inside(error.get("parent")))
    if lacks and where.own:
        return Judged((), missing, True)
    text = error["message"].strip() or "no message"
    line_of_module = error["frames"][-1][1] if error.get("uncompiled") else None
    module = f" in {error['uncompiled']}{f':{line_of_module}' if line_of_module else ''}" if error.get("uncompiled") else ""
    said = f"{error['type']}{module}: {text.splitlines()[0].rstrip('.')}"
    failed = finding(
        "does-not-load",
        f"does not load: {said}; every run would fail before its first task",
        _remedy(path, content, answer, where),
        path=path, line=line, detail=detail,
    )  # fmt: skip
    others = [one for cause in [error, *error["causes"]] for one in _submodule(path, cause, where)]
    lasts = all(one["type"] in LASTING for one in [error, *error["causes"]])
    return Judged((failed, *others, *_calls(path, answer)), "", lasts)


def _is_inside(place: str | None) -> bool:
    """Whether a module comes from the repository, by its place as the child tells it."""
    return bool(place) and not os.path.isabs(place or "")


def _remedy(path: str, content: bytes, answer: dict[str, Any], where: TreeFacts) -> str:
    error = answer["error"]
    if error["missing_module"]:
        return nowhere(failed_import(path, content, error, error, where), where)
    named_twice = same_name(path, error, where)
    if named_twice or circular(path, error):
        return named_twice or circular(path, error)
    in_prefect_1 = of_error(error["type"], error["message"])
    if in_prefect_1:
        return in_prefect_1
    if answer.get("calls", {}).get("run") and error["type"] in ("AttributeError", "TypeError"):
        return 'under an agent flow.run() returns None: put the call, and what uses its state, under `if __name__ == "__main__":`'
    if error["type"] == "NameError" and "__main__" in error["message"]:
        return "an agent executes the file with `__name__` set to `builtins`"
    if "Local Secret" in error["message"]:
        name = re.search(r'Local Secret "(.+)" was not found', error["message"])
        variable = f"PREFECT__CONTEXT__SECRETS__{name[1]}" if name else "PREFECT__CONTEXT__SECRETS__NAME"
        return _or_give("read the secret inside a task", "give a dummy one for loading", [variable], where)
    line = _source_line(content, _line(error))
    missed = _missed_configuration(error, answer, line)
    if missed:
        return _configure(missed, line, content, where)
    if error["type"] == "KeyError" and (error.get("raised_in") or "").endswith(("os.py", "<frozen os>")):
        name = error["message"].strip("'\"")
        return _or_give("read it inside a task", "give what the runtime has at load time", [name], where)
    unreadable = _unreadable_source(error, content, where)
    if unreadable:
        return unreadable
    if error["type"] in ("SyntaxError", "IndentationError", "TabError"):
        return f"mend the line; the file is read by {where.python}, as the agent's Python would"
    return "mend it; `git prefect explain does-not-load` tells how agents load a file"


def _unreadable_source(error: dict[str, Any], content: bytes, where: TreeFacts) -> str:
    """What to do about a source, the file itself or a module, that Python cannot read as text; empty for other errors."""
    module, message = error.get("uncompiled") or "", error["message"]
    source = where.read(module) if module in where.paths else content
    if module and is_opaque(source) and not source.startswith(LFS_HEADER):
        how, remedy = _why_opaque(source)
        return f"{module} {how} in the commit: {remedy} and commit it again"
    if "null bytes" in message:
        return "remove the null bytes"
    if "unknown encoding" in message:
        return "name an encoding that Python has in the first line, such as # coding: utf-8"
    if "codec can't decode" in message or "Non-UTF-8 code" in message:
        return "save the file as UTF-8, or name its encoding in the first line, such as # coding: latin-1"
    return ""


def _missed_configuration(error: dict[str, Any], answer: dict[str, Any], line: str) -> str:
    """The key of Prefect's configuration whose absence fails a load, with dots between; empty when it is something else."""
    missed = answer.get("missed", "")
    if missed and (error["type"] == "BoxKeyError" or "NoneType" in error["message"]):
        return str(missed)
    # `[context]` of the configuration is where Prefect's context begins.
    name = re.fullmatch(r"'Context' object has no attribute '(\w+)'", error["message"])
    if error["type"] == "KeyError" and (error.get("raised_in") or "").endswith("prefect/utilities/collections.py"):
        name = re.fullmatch(r"'([^']+)'", error["message"])
    if name:
        return f"context.{name[1]}"
    secret = re.fullmatch(r"(?:'dict' object has no attribute )?'(\w+)'", error["message"])
    if secret and re.search(rf"\bcontext\W.*\bsecrets\W.*\b{secret[1]}\b", line):
        return f"context.secrets.{secret[1]}"
    return ""


def _or_give(remedy: str, other: str, variables: Sequence[str], where: TreeFacts) -> str:
    """A remedy, or as the other one variables in the setting `env`, unless that has them."""
    edit = giving(variables, where.settings)
    return f"{remedy}, or {other}: {edit}" if edit else remedy


def _configure(missed: str, line: str, content: bytes, where: TreeFacts) -> str:
    """How a load gets keys of Prefect's configuration that only this machine has."""
    here = keys_here(os.environ)
    lacking = missing_keys(missed, line, content.decode("utf-8", "replace"), here)
    keys = [key for key in lacking if variable(key) not in where.settings.env] or lacking
    named = ", ".join(f"`{key}`" for key in keys[:MOST_NAMED])
    fact = f"nothing sets {named} in Prefect's configuration"
    if keys[0] in here:
        fact = f"{named} {'is' if len(keys) == 1 else 'are'} set {here[keys[0]]}, which agents do not have"
    variables = {key: variable(key) for key in keys[:MOST_NAMED]}
    env = giving(filter(None, variables.values()), where.settings)
    remedy = f"set {'it' if len(keys) == 1 else 'them'} where the flow runs, and for loading: {env}" if env else ""
    if None in variables.values():
        upper = ", ".join(f"`{key}`" for key, name in variables.items() if not name)
        remedy += f"{'; ' if env else ''}write {upper} in lower case: variables (PREFECT__…) set no other keys"
    return f"{fact}; {remedy}"


def _not_on_agent(
    path: str, content: bytes, cause: dict[str, Any], error: dict[str, Any], where: TreeFacts
) -> Finding | None:
    if cause["missing_module"]:
        return not_on_agent(failed_import(path, content, cause, error, where), where)
    text = cause["message"]
    if "attempted relative import" in text or (cause["type"] == "KeyError" and "'__name__' not in globals" in text):
        return relative_import(path, error.get("place") or path, content, _line(error), where)
    file = cause["missing_file"]
    if file and not file.startswith("/"):
        there = _in_repository(file, path, where.paths)
        if there is not None:
            return finding(
                "file-not-on-agent",
                f"opens {file!r} by a relative path, and agents load the file from another folder: every run would fail",
                f"while the file loads, open it by its place: pathlib.Path(__file__).parent / {quoted(os.path.relpath(there, os.path.dirname(path) or '.'))}; "
                "tasks run after the clone is deleted, for them put it into the image or a bucket",
                path=path,
            )  # fmt: skip
    return None


def _in_repository(file: str, path: str, paths: Collection[str]) -> str | None:
    for candidate in (os.path.normpath(file), os.path.normpath(os.path.join(os.path.dirname(path), file))):
        if candidate in paths or any(one.startswith(candidate + "/") for one in paths):
            return candidate
    return None


def _submodule(path: str, cause: dict[str, Any], where: TreeFacts) -> list[Finding]:
    place = cause.get("inside")
    module = (cause["missing_module"] or "").split(".")[0]
    for submodule in where.submodules:
        if (place and (place + "/").startswith(submodule + "/")) or (module and module == submodule.split("/")[-1]):
            return [submodule_finding(path, submodule)]
    return []


def editable_install(path: str, modules: Sequence[str], where: TreeFacts) -> Finding:
    """`path` imports these sources of the clone's work tree, and not the commit's."""
    folder = os.path.dirname(modules[0])
    while folder and f"{folder}/__init__.py" in where.paths:
        folder = os.path.dirname(folder)
    more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
    return finding(
        "editable-install",
        f"imports {modules[0]!r}{more} from this clone's work tree, by an editable install: what the commit has there is not checked",
        f"say where the image has the package: {import_roots_with(folder, where.settings)}, or install it without -e",
        path=path,
    )  # fmt: skip


def submodule_finding(path: str, submodule: str) -> Finding:
    """`path` needs something of a submodule, or is in one."""
    return finding(
        "submodule",
        f"needs the submodule {submodule!r}, which is an empty folder in an agent's clone",
        "install what is in it in the image that runs the flow",
        path=path,
    )


def _timeout(path: str, content: bytes, answer: dict[str, Any], where: TreeFacts) -> Finding:
    error = {"frames": _traced_frames(answer), "message": ""}
    module = next((file for file, _, function in reversed(error["frames"]) if function == "<module>"), None)
    loading = f"waits for {module}, which was still loading" if module else "was still loading"
    return finding(
        "load-timeout",
        f"{loading} after {answer['seconds']:g} s: every run would wait as long before its first task",
        "move the work into a task, or raise `timeout` in the settings",
        path=path, line=_line(error), detail=_frames(path, content, error, where),
    )  # fmt: skip


def _crashed(path: str, content: bytes, answer: dict[str, Any], where: TreeFacts) -> Finding:
    error = answer.get("error") or {"frames": _traced_frames(answer), "message": ""}
    if answer["status"] == "died":
        number = answer["signal"]
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        how = f"its process was killed by signal {number} ({name})"
    else:
        how = f"it ended its process with exit code {answer['code']}"
    output = answer.get("output", "").strip().splitlines()[-5:]
    return finding(
        "load-crashed",
        f"while it loaded, {how}: a flow run would end there, without a word in Prefect",
        "agents execute the file's top level: keep `sys.exit`, `argparse` and native crashes out of it, under `if __name__ == \"__main__\":`",
        path=path, line=_line(error), detail="\n".join([*filter(None, [_frames(path, content, error, where)]), *output]),
    )  # fmt: skip


def _calls(path: str, answer: dict[str, Any]) -> list[Finding]:
    calls = answer.get("calls", {})
    found = []
    if calls.get("register"):
        found.append(finding(
            "registers-on-import",
            "calls flow.register() when it is executed; agents ignore it, by hand it registers the flow with another storage",
            "remove the call: a push registers the flow",
            path=path, line=calls["register"][0],
        ))  # fmt: skip
    if calls.get("run"):
        found.append(finding(
            "runs-on-import",
            "calls flow.run() when it is executed; under an agent it returns None",
            "put it under `if __name__ == \"__main__\":`",
            path=path, line=calls["run"][0],
        ))  # fmt: skip
    return found


def _lost(path: str, answer: dict[str, Any]) -> list[Finding]:
    """Flows that the file builds and an agent does not find; of a file with none that is found, `no_flow` tells."""
    if not answer["flows"] or not answer["lost"]:
        return []
    names = ", ".join(map(repr, answer["lost"]))
    return [finding(
        "no-flow",
        f"builds {names}, which no global variable holds: an agent does not find {'them' if len(answer['lost']) > 1 else 'it'}, "
        "so nothing of that is registered",
        'give each flow a variable of its own at the top level; in a loop: globals()[f"flow_{name}"] = flow',
        path=path,
    )]  # fmt: skip


def _late_imports(path: str, answer: dict[str, Any], where: TreeFacts) -> list[Finding]:
    """Imports inside tasks of modules that are not there any more when the task runs; each once in a flow."""
    found = []
    modules = TreeModules(where.paths, where.settings.import_roots)
    for flow in answer["flows"]:
        for one in {(one["module"], one["file"], one["line"]): one for one in flow.get("late_imports", ())}.values():
            module = one["module"] if one["or"] is None else _first_of_tree(modules, [one["module"], *one["or"]], path)
            if module is None:
                continue
            where_it_is = "" if one["file"] is None else f" (in {one['file']}:{one['line']})"
            who = f"calls a function that imports {module!r}" if one["helper"] else f"imports {module!r}"
            found.append(finding(
                "import-in-task",
                f"flow {flow['name']!r}: task {one['task']!r} {who}{where_it_is} when it runs; only the repository has it, and the "
                "clone is deleted by then: the task would fail",
                "import it at the top of the flow file, or install it in the image that runs the flow",
                path=path, line=one["line"] if one["file"] is None else None, flow=flow["name"],
                severity="warning" if one["helper"] else "error",
            ))  # fmt: skip
    return found


def _first_of_tree(modules: TreeModules, names: Sequence[str], path: str) -> str | None:
    """The first of some names that is a module of the repository."""
    return next((name for name in names if any(not rest for _, rest in modules.sources(name, path))), None)


def _not_on_workers(path: str, answer: dict[str, Any], where: TreeFacts) -> list[Finding]:
    """Modules that tasks in other processes look up by name, where the clone is gone."""
    found = []
    for flow in answer["flows"]:
        needed = flow["needed_by_name"]
        if not needed:
            continue
        modules, on_cluster = needed["modules"], needed["where"] == "cluster"
        names = ", ".join(map(repr, modules[:MOST_NAMED]))
        more = f" and {len(modules) - MOST_NAMED} more" if len(modules) > MOST_NAMED else ""
        processes = "on a Dask cluster, whose workers" if on_cluster else f"in other processes ({needed['executor']}), which"
        end = "runs fail unless the workers have it installed" if on_cluster else "every run would fail, or never end"
        found.append(finding(
            "module-not-on-workers",
            f"flow {flow['name']!r}: its tasks run {processes} import {names}{more} by name; only the repository has that, and "
            f"the clone is deleted by then: {end}",
            _for_workers(needed, on_cluster, where),
            path=path, flow=flow["name"], severity="warning" if on_cluster else "error",
            detail=f"tasks with it: {', '.join(needed['tasks'])}" if needed["tasks"] else "",
        ))  # fmt: skip
    return found


def _for_workers(needed: dict[str, Any], on_cluster: bool, where: TreeFacts) -> str:
    """The remedies, first what needs no image."""
    remedies = []
    if needed["by_value"]:
        calls = "; ".join(f"cloudpickle.register_pickle_by_value({name})" for name in needed["by_value"])
        remedies.append(f"add `import cloudpickle, {', '.join(needed['by_value'])}; {calls}` after the imports")
    if not on_cluster:
        remedies.append(f"{'or ' if remedies else ''}use LocalDaskExecutor(), whose threads have it in memory")
    image = in_image(needed["folders"][0], where)
    remedies.append(image if remedies else image[len("or ") :])
    return "; ".join(remedies) + (", and in that of the workers" if on_cluster else "")


def _line(error: dict[str, Any]) -> int | None:
    """The line of the flow file itself that failed."""
    return next((line for file, line, _ in reversed(error["frames"]) if file is None), None)


def _traced_frames(answer: dict[str, Any]) -> list[tuple[str | None, int, str]]:
    """The flow file's and the repository's frames in what faulthandler wrote, the innermost last; None: the flow file."""
    found = re.findall(r'File "(<string>|[^"/<][^"]*)", line (\d+) in (\S+)', answer.get("trace", ""))
    return [(None if file == "<string>" else file, int(line), function) for file, line, function in reversed(found)]


def _frames(path: str, content: bytes, error: dict[str, Any], where: TreeFacts) -> str:
    lines = []
    for file, line, function in error["frames"]:
        if file is None:
            lines.append(f"{path}:{line} in {function}".replace(" in <module>", ""))
            source = _source_line(content, line)
            if source:
                lines.append(f"    {source}")
        else:
            lines.append(f"{file}:{line} in {function}" if line else file)
    innermost, line, _ = error["frames"][-1] if error["frames"] else (None, None, "")
    if innermost is not None and innermost in where.paths and (source := _source_line(where.read(innermost), line)):
        lines.append(f"    {source}")
    text = error["message"].strip()
    if len(text.splitlines()) > 1:
        lines += [f"{error['type']}: {text}"]
    return "\n".join(lines)


def _source_line(content: bytes, line: int | None) -> str:
    # Python's own lines: `\f` and the like, which splitlines() takes for line ends, are none.
    lines = re.split(r"\r\n|\r|\n", content.decode("utf-8", "replace"))
    found = lines[line - 1].strip() if line and 0 < line <= len(lines) else ""
    return found if len(found) <= LONGEST_LINE else f"{found[:LONGEST_LINE]} …"


def _pointer_fails(path: str) -> Finding:
    return finding(
        "does-not-load",
        "does not load: agents clone without LFS, and execute the pointer in place of the code",
        f"git lfs untrack {shlex.quote(path)}, then add and commit it again",
        path=path,
    )


def opaque_source(path: str, content: bytes, settings: Settings) -> Finding:
    """A source of which nobody can tell whether it defines a flow."""
    if content.startswith(LFS_HEADER):
        return _lfs_pointer(path, path)
    how, remedy = _why_opaque(content)
    edit = leaving_out([path], settings)
    return finding(
        "binary-source",
        f"{how} in the commit: agents clone it as it is and cannot execute it, so no flow of it is registered",
        f"{remedy} and commit it again" + (f"; without a flow: {edit}" if edit else ""),
        path=path,
    )


def _why_opaque(content: bytes) -> tuple[str, str]:
    """Why nobody can read a source, and what to do about it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is UTF-16 text", "save it as UTF-8"
    if re.search(rb"^(?:import|from|def|class) ", content, re.MULTILINE):
        return "has null bytes", "remove them"
    how = "is encrypted by git-crypt" if content.startswith(b"\0GITCRYPT\0") else "is binary or encrypted"
    return how, "take it out of the filter (.gitattributes)"


def filtered_files(path: str, filtered: Mapping[str, tuple[str, bytes]]) -> list[Finding]:
    """A finding for each file of the work tree that the load of `path` used and that agents get otherwise than it is here."""
    return [_filtered_file(path, file, *facts) for file, facts in sorted(filtered.items())]


def _filtered_file(path: str, file: str, name: str, committed: bytes) -> Finding:
    if committed.startswith(LFS_HEADER) and file != path:
        return _lfs_pointer(path, file)
    what = "is" if file == path else f"needs {file!r}, which is"
    fails = file == path and is_opaque(committed)
    return finding(
        "filtered-file",
        f"{what} changed by the git filter {name!r} on its way into a commit: agents get what the commit has, not what is here",
        "take it out of the filter (.gitattributes) and commit it again"
        + ("" if file == path else "; or put it into the image or a bucket"),
        path=path, severity=ERROR if fails else None,
    )  # fmt: skip


def _lfs_pointer(path: str, file: str) -> Finding:
    return finding(
        "lfs-pointer",
        f"needs {file!r}, which is kept in Git LFS: agents clone without LFS and see a three-line pointer",
        f"git lfs untrack {shlex.quote(file)}, then add and commit it again; or put it into the image or a bucket",
        path=path,
    )


def lfs_pointers(path: str, files: Iterable[tuple[str, bytes]]) -> list[Finding]:
    """A finding for each file that the load opened and that is an LFS pointer."""
    return [_lfs_pointer(path, file) for file, content in files if content.startswith(LFS_HEADER) and file != path]


def no_flow(path: str, builds: bool, named: bool = False) -> Finding:
    """A file that loads, and in which an agent finds no flow; `named` by a person, not by the setting."""
    if builds:
        return finding(
            "no-flow",
            "builds a flow, but an agent finds none among the file's global variables: every run would fail",
            "assign it to a variable at the top level, not under `if __name__ == \"__main__\":`, in a function or in a list",
            path=path, severity="error",
        )  # fmt: skip
    if named:
        return finding("no-flow", "has no flow", "name flow files, or none to check all that are found", path=path)
    return finding(
        "no-flow",
        "matches the setting `flows`, but has no flow",
        "leave it out with the setting `exclude`",
        path=path,
    )


def broken_environment(problem: str, python: Interpreter, count: int, settings: Settings) -> Finding:
    """The one finding for all files that an interpreter cannot load."""
    files = "1 flow file is" if count == 1 else f"{count} flow files are"
    needs = "prefect<2, marshmallow<4 and what the flows import"
    if python.is_chosen:
        hint = f"install {needs} there, or let the setting `python` name another interpreter"
    else:
        hint = (
            "set `python` in the settings to the interpreter that has the flows' dependencies, such as "
            f'"{path_as_written(".venv/bin/python", settings.folder)}", with prefect<2 and marshmallow<4'
        )
    return finding("environment-broken", f"{python.describe()}: {problem}; {files} unchecked", hint)
