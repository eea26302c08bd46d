"""What is said of an import that failed: where the repository has the module, if it does, and how it gets to agents."""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Collection, Iterator
from typing import Any, Callable, Optional

import msgspec

from ..core.findings import finding
from ..core.model import Finding
from ..core.settings import Settings, path_as_written
from .modules import folders_above
from .prefect_names import replacement
from .storage_findings import quoted


class Sources(msgspec.Struct, frozen=True):
    """The sources of a tree, as far as a failed import asks for them."""

    paths: Collection[str]
    """Every file of the tree."""
    settings: Settings
    python: str
    """The interpreter, as messages name it."""
    read: Callable[[str], bytes]
    """Content of a path."""


class Wanted(msgspec.Struct, frozen=True):
    """The module that a statement could not import."""

    module: str
    """Its full name: `a.b` of `import a.b`, even where `a` is what is missing."""
    names: tuple[str, ...]
    """What is imported from it: in a package without `__init__.py` these are modules."""
    importer: Optional[str]
    """The source with the statement; None where none of the repository has it."""
    line: Optional[int]


class FailedImport(msgspec.Struct, frozen=True):
    """A module that could not be imported while a flow file was loaded."""

    path: str
    """Of the flow file."""
    wanted: Wanted
    missing: str
    """The part of the module's name that Python did not find: `a` or `a.b`."""
    parent: str
    """Where the package above it comes from, from the root of the repository where it is below; empty: not known."""
    is_early: bool
    """Whether Prefect has loaded that package before the flow file, so that no folder on `sys.path` comes before it."""
    hides: bool
    """Whether the standard library's package of that name is not found for it."""
    place: str
    """Of the flow file, symlinks resolved: what `Path(__file__).resolve()` is, from the root."""
    exception: str


def failed_import(
    path: str, content: bytes, cause: dict[str, Any], error: dict[str, Any], sources: Sources
) -> FailedImport:
    """The import behind a ModuleNotFoundError, which is `error` or one of its causes."""
    missing = cause["missing_module"]
    file, line, _ = error["frames"][-1] if error["frames"] else (None, None, "")
    importer = path if file is None else file
    found = None
    if importer in sources.paths:
        found = wanted_module(content if importer == path else sources.read(importer), line, missing)
    wanted = Wanted(*found, importer=importer, line=line) if found else Wanted(missing, (), None, None)
    parent, early, hides = cause.get("parent") or "", cause.get("early", False), cause.get("hides", False)
    return FailedImport(path, wanted, missing, parent, early, hides, error.get("place") or path, cause["type"])


def wanted_module(source: bytes, line: int | None, missing: str) -> tuple[str, tuple[str, ...]] | None:
    """Module and names of the import that needs `missing`: of the one at a line, else of the first in the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    found = [(node, one) for node in nodes for one in _imported(node) if f"{one[0]}.".startswith(f"{missing}.")]
    at_line = [one for node, one in found if line and node.lineno <= line <= (node.end_lineno or node.lineno)]
    return next(iter(at_line or [one for _, one in found]), None)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, ()) for alias in node.names)
    elif node.module and not node.level:
        names = tuple(alias.name for alias in node.names)
        yield node.module, names
        # `from a import b` may fail for the module `a.b`.
        yield from ((f"{node.module}.{name}", ()) for name in names)


# In the repository ----------------------------------------------------------------------------------


def not_on_agent(failed: FailedImport, sources: Sources) -> Finding | None:
    """The finding where the repository has the module; None where it does not."""
    wanted = failed.wanted
    folder = folder_of_module(wanted, failed.path, sources.paths)
    if folder is None:
        return None
    who = f"imports {wanted.module!r}" if wanted.importer == failed.path else f"needs {wanted.module!r}{_imported_by(wanted)}"
    first = _found_first(failed, folder)
    if first is not None:
        here, there = folder or "the root of the repository", first
        return finding(
            "import-not-on-agent",
            f"{who}, which is in {here}, but {failed.missing.rpartition('.')[0]!r} is found in {there} first: "
            f"every run would fail with {failed.exception}",
            "give the package of this repository another name"
            if failed.is_early
            else "give one of the two packages another name, or move the module into the first one",
            path=failed.path,
        )  # fmt: skip
    return finding(
        "import-not-on-agent",
        f"{who}, which is in this repository but not where agents look: every run would fail with {failed.exception}",
        f"put the clone on sys.path before this import: {on_sys_path(failed.place, folder)}; {in_image(folder, sources)}",
        path=failed.path,
    )


def _imported_by(wanted: Wanted) -> str:
    return f" ({wanted.importer}:{wanted.line} imports it)" if wanted.importer else ""


def _found_first(failed: FailedImport, folder: str) -> str | None:
    """The folder of the repository that has another package of that name, and comes first on `sys.path`.

    Or what is installed, where Prefect has loaded it before.
    """
    package = failed.missing.rpartition(".")[0].replace(".", "/")
    if package and failed.is_early and failed.parent.startswith("/"):
        return _installed_in(failed.parent)
    if not package or not failed.parent or failed.parent.startswith("/"):
        return None
    found = failed.parent[: -len(package)].rstrip("/") if failed.parent.endswith(package) else failed.parent
    return (found or "the root of the repository") if found != folder else None


def _installed_in(place: str) -> str:
    return "the installed packages" if "/site-packages/" in place or "/dist-packages/" in place else "the standard library"


def same_name(path: str, cause: dict[str, Any], sources: Sources) -> str:
    """What to do where a module lacks a name, and another module of its name was meant; empty where there is none."""
    module, place = cause.get("module") or "", cause.get("parent") or ""
    top = module.partition(".")[0]
    if cause.get("hides"):
        return hiding(place, top)
    if not (cause.get("early") and place.startswith("/")):
        return ""
    folder = folder_of_module(Wanted(module, (), None, None), path, sources.paths)
    if folder is None:
        return ""
    here = posixpath.join(folder, module.replace(".", "/"))
    ours = f"{here}.py" if f"{here}.py" in sources.paths else here
    return f"{top!r} is found in {_installed_in(place)} first, and not in {ours} of this repository: give that another name"


def hiding(place: str, module: str) -> str:
    """What to do about a module of the repository that has the name of one of the standard library."""
    return f"{place} of this repository is found before {module!r} of the standard library: give it another name"


def circular(path: str, error: dict[str, Any]) -> str:
    """What to do about modules that import each other; empty for another exception."""
    found = re.search(r"partially initialized module '([^']+)'", error["message"])
    if not found:
        return ""
    part = found[1].replace(".", "/")
    places = [(file or path, line) for file, line, _ in error["frames"]]
    # A flow file is executed once by itself, and a second time where another module imports it.
    starts = [at for at, (file, _) in enumerate(places) if error["frames"][at][0] and f"/{file}".endswith((f"/{part}.py", f"/{part}/__init__.py"))]
    way = [f"{file}:{line}" for file, line in places[starts[0] :]] + [places[starts[0]][0]] if starts else []
    cycle = f" ({' → '.join(way)})" if way else ""
    if len(way) == 2:
        return f"the module imports itself{cycle}: correct the import, or give the module another name"
    return f"modules import each other{cycle}: move what both need into a third one"


def folder_of_module(wanted: Wanted, path: str, paths: Collection[str]) -> str | None:
    """The folder that would have to be on `sys.path` for a module of the repository; None when it has no such module.

    Of several the one nearest above the flow file, `""` being the top of the repository.
    """
    found = set(_folders(wanted.module, path, paths))
    above = folders_above(path)
    if not found and wanted.names:
        # A package without `__init__.py` has modules, and no other names.
        found = {folder for name in wanted.names for folder in _folders(f"{wanted.module}.{name}", path, paths)}
    if not found and not wanted.names:
        part = wanted.module.replace(".", "/")
        places = {folder: posixpath.join(folder, part) + "/" for folder in above}
        found = {folder for folder in above if any(one.startswith(places[folder]) and one.endswith(".py") for one in paths)}
    near = next((folder for folder in above if folder in found), None)
    return near if near is not None else min(found, key=lambda folder: (folder.count("/"), folder), default=None)


def _folders(module: str, path: str, paths: Collection[str]) -> Iterator[str]:
    """Folders below which a module is: a source, a package, or a compiled module such as `name.cpython-311.so`."""
    part = module.replace(".", "/")
    is_module = re.compile(rf"(?:^|(.*)/){re.escape(part)}(?:\.py|/__init__\.py|(?:\.[^/.]+)?\.so)")
    for one in paths:
        found = is_module.fullmatch(one) if part in one and one != path else None
        if found:
            yield found[1] or ""


# The two remedies -----------------------------------------------------------------------------------


def on_sys_path(place: str, folder: str) -> str:
    """The line by which a flow file puts a folder of the clone on `sys.path`; `place` is its path, symlinks resolved."""
    above = folders_above(place)
    base = next(one for one in above if not one or folder == one or folder.startswith(one + "/"))
    below = posixpath.relpath(folder, base) if folder != base else ""
    where = f"Path(__file__).resolve().parents[{above.index(base)}]" + (f" / {quoted(below)}" if below else "")
    return f"sys.path.insert(0, str({where}))"


def in_image(folder: str, sources: Sources) -> str:
    """The other remedy; the setting is named as it has to be, unless it has the folder."""
    installed = "or install it in the image that runs the flow"
    if (folder or ".") in map(posixpath.normpath, sources.settings.import_roots):
        return installed
    return f"{installed}, and set {import_roots_with(folder, sources.settings)}"


def import_roots_with(folder: str, settings: Settings) -> str:
    """The setting `import-roots` with one more folder of the repository."""
    roots = [path_as_written(root, settings.folder) for root in [*settings.import_roots, folder or "."]]
    return f"import-roots = [{', '.join(map(quoted, roots))}]"


def relative_import(path: str, place: str, content: bytes, line: int | None, sources: Sources) -> Finding:
    """The finding of a flow file that imports relative to a package, in which agents do not execute it."""
    level, module = _relative(content, line)
    top = place
    for _ in range(level):
        top = posixpath.dirname(top)
    folder = top
    while folder and f"{folder}/__init__.py" in sources.paths:
        folder = posixpath.dirname(folder)
    package = posixpath.relpath(top, folder or ".").replace("/", ".") if top != folder else ""
    name = ".".join(filter(None, [package, module]))
    absolute = f"from {name} import …" if name else "import …"
    return finding(
        "import-not-on-agent",
        "uses a relative import, and agents execute the file outside of any package: every run would fail",
        f"put the clone on sys.path and write `{absolute}`: {on_sys_path(place, folder)}; {in_image(folder, sources)}",
        path=path,
    )


def _relative(content: bytes, line: int | None) -> tuple[int, str]:
    """Level and module of the relative import at a line, else of the first one."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 1, ""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    at_line = [node for node in found if line and node.lineno <= line <= (node.end_lineno or node.lineno)]
    node = next(iter(at_line or found), None)
    return (node.level, node.module or "") if node else (1, "")


# Nowhere in the repository --------------------------------------------------------------------------


def nowhere(failed: FailedImport, sources: Sources) -> str:
    """What to do about a module that the repository does not have."""
    above, _, name = failed.missing.rpartition(".")
    if failed.missing.partition(".")[0] == "prefect":
        wanted = [".".join([failed.wanted.module, one]) for one in failed.wanted.names] or [failed.wanted.module]
        known = dict.fromkeys(filter(None, map(replacement, wanted)))
        return "; ".join(known) or f"{sources.python} has no {failed.missing}: correct the import"
    if failed.hides:
        return hiding(failed.parent, above.partition(".")[0])
    if above and failed.parent and not failed.parent.startswith("/"):
        return f"{failed.parent} of this repository has no module {name!r}: correct the import, or add and commit the module"
    if above:
        return (
            f"{above!r} is installed and has no module {name!r}: correct the import, or install the version that has it in "
            f"{sources.python} and in the image that runs the flow"
        )
    top = Wanted(failed.missing, (), None, None)
    folder = folder_of_module(top, failed.path, sources.paths) if failed.wanted.module != failed.missing else None
    if folder is not None:
        package = posixpath.join(folder, failed.missing)
        return f"{package} of this repository has no {failed.wanted.module!r}: correct the import, or add and commit the module"
    return f"install {failed.missing!r} in {sources.python} and in the image that runs the flow"
