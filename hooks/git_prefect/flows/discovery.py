"""Which files may define a flow: the patterns of the settings, then the syntax tree. Prefect is not imported."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..model import TreeEntry

if TYPE_CHECKING:
    import ast

    from ..settings import Settings

SYMLINK, SUBMODULE = "120000", "160000"
"""Modes of tree entries that are no regular files."""

BUILDS, MENTIONS, NOTHING = "flow", "mentions", "none"
"""What a source tells: its top level builds a flow; it does not parse, but names prefect and Flow; neither."""


class Tree(NamedTuple):
    """What is to be checked: the files of a commit, of the index or of the work tree."""

    id: str
    """Object name of the tree; empty for a work tree, of which nothing that depends on the tree is kept."""
    entries: Sequence[TreeEntry]
    """Every file of it, as `git ls-tree -r` lists them."""
    read: Callable[[Sequence[str]], dict[str, bytes]]
    """Contents by their object names, in one batch."""
    root: Callable[[], AbstractContextManager[Path]]
    """The folder with its files, written when it is entered and locked until it is left."""


class FlowFile(NamedTuple):
    """A file that may define a flow."""

    path: str
    blob: str
    """Object name of the content; of a symlink, that of the file which it leads to."""
    builds: str
    """`BUILDS`, `MENTIONS` or `NOTHING`."""
    explicit: bool
    """True when a pattern of the setting `flows` takes it, whatever its content."""


Memory = dict[str, str]
"""What is known of sources: object name → `BUILDS`, `MENTIONS` or `NOTHING`."""


def flow_paths(tree: Tree, settings: Settings) -> list[str]:
    """Paths of the flow files of a tree, sorted."""
    return [file.path for file in flow_files(tree, settings, {})]


def flow_files(tree: Tree, settings: Settings, memory: Memory) -> list[FlowFile]:
    """The flow files of a tree, sorted by path; what is learnt of their contents is added to `memory`."""
    by_path = {entry.path: entry for entry in tree.entries}
    sources = _sources(tree, by_path)
    if settings.flows:
        sources = _matching(sources, settings.flows)
    if settings.exclude:
        excluded = {path for path, _ in _matching(sources, settings.exclude)}
        sources = [(path, blob) for path, blob in sources if path not in excluded]
    unknown = {blob for _, blob in sources if blob not in memory}
    if unknown:
        for blob, content in tree.read(sorted(unknown)).items():
            memory[blob] = what_it_tells(content)
    explicit = bool(settings.flows)
    return sorted(
        FlowFile(path, blob, memory[blob], explicit) for path, blob in sources if explicit or memory[blob] != NOTHING
    )


def _sources(tree: Tree, by_path: dict[str, TreeEntry]) -> list[tuple[str, str]]:
    found, links = [], []
    for entry in tree.entries:
        if entry.path.endswith(".py"):
            if entry.mode == SYMLINK:
                links.append(entry)
            elif entry.mode != SUBMODULE:
                found.append((entry.path, entry.blob))
    if links:
        targets = tree.read([link.blob for link in links])
        for link in links:
            target = by_path.get(_target(link.path, targets[link.blob]))
            if target is not None and target.mode not in (SYMLINK, SUBMODULE):
                found.append((link.path, target.blob))
    return found


def _target(path: str, content: bytes) -> str:
    # A work tree reads through the link and gives the file itself, whose text is no path that exists.
    return os.path.normpath(os.path.join(os.path.dirname(path), content.decode("utf-8", "surrogateescape")))


def _matching(sources: Iterable[tuple[str, str]], patterns: Sequence[str]) -> list[tuple[str, str]]:
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)
    return [(path, blob) for path, blob in sources if spec.match_file(path)]


def what_it_tells(content: bytes) -> str:
    """`BUILDS` when executing the source builds a prefect Flow, `MENTIONS` when it does not parse but might."""
    if b"Flow" not in content or b"prefect" not in content:
        return NOTHING
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return MENTIONS
    return BUILDS if _builds_flow(tree) else NOTHING


def _builds_flow(tree: ast.Module) -> bool:
    """Whether the module's top level calls Flow, directly or through functions of the same file.

    A function that nobody calls is a helper of other files, or a test.
    """
    import ast

    names, modules = _prefect_names(tree)
    builders: set[str] = set(names)

    def makes(node: ast.AST) -> bool:
        for child in _executed(node):
            if isinstance(child, ast.Call):
                dotted = _dotted(child.func)
                if dotted in builders or _is_flow_of(dotted, modules):
                    return True
                if dotted is not None and dotted.rpartition(".")[2] in functions:
                    wanted.add(dotted.rpartition(".")[2])
        return False

    functions: dict[str, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            if any(_dotted(base) in builders or _is_flow_of(_dotted(base), modules) for base in node.bases):
                builders.add(node.name)
            else:
                functions[node.name] = node
    wanted: set[str] = set()
    if makes(tree):
        return True
    done: set[str] = set()
    while wanted - done:
        name = (wanted - done).pop()
        done.add(name)
        node = functions[name]
        inside = getattr(node, "body", [])
        if isinstance(node, ast.ClassDef):
            inside = [inner for method in inside for inner in getattr(method, "body", [])]
        if any(makes(statement) for statement in inside):
            return True
    return False


def _prefect_names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that are prefect's Flow, and names that are prefect's modules."""
    import ast

    names, modules = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "prefect":
            for alias in node.names:
                if alias.name == "Flow":
                    names.add(alias.asname or "Flow")
                elif alias.name == "*":
                    names.add("Flow")
                elif alias.name in ("core", "flow"):
                    modules.add(alias.asname or alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "prefect":
                    modules.add(alias.asname or "prefect")
    return names, modules


def _is_flow_of(dotted: str | None, modules: set[str]) -> bool:
    return dotted is not None and dotted.endswith(".Flow") and dotted.split(".")[0] in modules


def _dotted(node: ast.AST) -> str | None:
    import ast

    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
        return ".".join(reversed(parts))
    # `make().build()`: only the last name is of use.
    return "." + parts[0] if parts else None


def _executed(node: ast.AST) -> Iterable[ast.AST]:
    """The nodes that run when `node` does: not the bodies of functions, but their decorators and defaults."""
    import ast

    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += [*current.decorator_list, *current.args.defaults]
        elif isinstance(current, ast.Lambda):
            waiting += current.args.defaults
        else:
            waiting += ast.iter_child_nodes(current)


_PLACE = re.compile(
    rb"__file__|_getframe|_current_frames|\binspect\b|\btraceback\b|\bglobals\b|\blocals\b|\bvars\b|\beval\b|\bexec\b"
    rb"|\bcompile\b|\bctypes\b|\bcffi\b|\bgc\b|\brunpy\b|\bpkgutil\b|\bpkg_resources\b|\bresources\b|\bimportlib\b"
    rb"|\b__import__\b|\bf_back\b|\bf_globals\b|\bcurrentframe\b|\bsys\s*\.\s*path\b|\bfrom\s+sys\b|\b__dict__\b"
)
_PROCESS = re.compile(
    rb"\bsubprocess\b|\bPopen\b|\bpopen\b|\bmultiprocessing\b|\bposix_spawnp?\b|\bspawn\w*\b|\bexec[lv]\w*\b|\bforkp?t?y?\b"
    rb"|\bos\s*\.\s*system\b|\bfrom\s+os\b|\bpty\b|\bsh\b|\bplumbum\b|\bpexpect\b|\bGitPython\b|\bimport\s+git\b|\bfrom\s+git\b"
)


def looks_around(content: bytes) -> bool:
    """Whether a source could learn where its repository is, or start a process that does.

    What such a load finds may depend on any file of the tree: audit events tell of opened files, but not of
    `os.path.exists`, `stat`, `find_spec`, ctypes, or what a subprocess reads.
    """
    if not content.isascii():
        import unicodedata

        # Identifiers are compared in NFKC: `__ﬁle__` with a ligature is `__file__`.
        try:
            content = unicodedata.normalize("NFKC", content.decode("utf-8-sig")).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return True
    coding = re.match(rb"(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", content)
    if coding and coding[1].lower().replace(b"_", b"-") not in (
        b"utf-8",
        b"utf8",
        b"latin-1",
        b"iso-8859-1",
        b"ascii",
    ):
        return True
    return bool(_PLACE.search(content) or _PROCESS.search(content))


def leading_imports(content: bytes) -> list[str]:
    """The modules that a file imports before it does anything else, in order."""
    import ast

    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            if statement.level or not statement.module:
                break
            if statement.module != "__future__":
                found.append(statement.module)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            break
    return list(dict.fromkeys(found))
