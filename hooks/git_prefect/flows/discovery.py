"""Which files may define a flow: the patterns of the settings, then the syntax tree. Prefect is not imported."""

from __future__ import annotations

import ast
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from pathspec import GitIgnoreSpec

from ..core.model import TreeEntry
from ..core.settings import Settings

SYMLINK, SUBMODULE = "120000", "160000"
"""Modes of tree entries that are no regular files."""

MOST_LINKS = 40
"""As many symlinks as Linux follows (path_resolution(7))."""

BUILDS, MENTIONS, NOTHING = "flow", "mentions", "none"
"""What a source tells: its top level builds a flow; it does not parse, but names prefect and Flow; neither."""


class Tree(msgspec.Struct, frozen=True):
    """What is to be checked: the files of a commit, of the index or of the work tree."""

    id: str
    """Object name of the tree; empty for a work tree, of which nothing that depends on the tree is kept."""
    entries: Sequence[TreeEntry]
    """Every file of it, as `git ls-tree -r` lists them."""
    read: Callable[[Sequence[str]], dict[str, bytes]]
    """Contents by their object names, in one batch."""
    root: Callable[[], AbstractContextManager[Path]]
    """The folder with its files, written when it is entered and locked until it is left."""


class FlowFile(msgspec.Struct, frozen=True):
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


def flow_files(
    tree: Tree, settings: Settings, memory: Memory, expected: Callable[[], object] = lambda: None
) -> list[FlowFile]:
    """The flow files of a tree, sorted by path; what is learnt of their contents is added to `memory`.

    `expected` is called when a source that is not known may build a flow, before it is parsed.
    """
    by_path = {entry.path: entry for entry in tree.entries}
    sources = _sources(tree, by_path)
    if settings.flows:
        sources = _matching(sources, settings.flows)
    if settings.exclude:
        excluded = {path for path, _ in _matching(sources, settings.exclude)}
        sources = [(path, blob) for path, blob in sources if path not in excluded]
    unknown = {blob for _, blob in sources if blob not in memory}
    if unknown:
        contents = tree.read(sorted(unknown))
        if any(map(mentions_flow, contents.values())):
            expected()
        for blob, content in contents.items():
            memory[blob] = what_it_tells(content)
    explicit = bool(settings.flows)
    return [
        FlowFile(path, blob, memory[blob], explicit)
        for path, blob in sorted(sources)
        if explicit or memory[blob] != NOTHING
    ]


def _sources(tree: Tree, by_path: dict[str, TreeEntry]) -> list[tuple[str, str]]:
    found, links = [], []
    for entry in tree.entries:
        if entry.path.endswith(".py"):
            if entry.mode == SYMLINK:
                links.append(entry)
            elif entry.mode != SUBMODULE:
                found.append((entry.path, entry.blob))
    if links:
        targets = tree.read([entry.blob for entry in tree.entries if entry.mode == SYMLINK])
        for link in links:
            target: TreeEntry | None = link
            for _ in range(MOST_LINKS):
                if target is not None and target.mode == SYMLINK:
                    target = by_path.get(_target(target.path, targets[target.blob]))
            if target is not None and target.mode not in (SYMLINK, SUBMODULE):
                found.append((link.path, target.blob))
    return found


def _target(path: str, content: bytes) -> str:
    # A work tree reads through the link and gives the file itself, whose text is no path that exists.
    return os.path.normpath(os.path.join(os.path.dirname(path), content.decode("utf-8", "surrogateescape")))


def _matching(sources: Iterable[tuple[str, str]], patterns: Sequence[str]) -> list[tuple[str, str]]:
    spec = GitIgnoreSpec.from_lines(patterns)
    return [(path, blob) for path, blob in sources if spec.match_file(path)]


def what_it_tells(content: bytes) -> str:
    """`BUILDS` when executing the source builds a prefect Flow, `MENTIONS` when it does not parse but might."""
    if not mentions_flow(content):
        return NOTHING
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return MENTIONS
    return BUILDS if _builds_flow(tree) else NOTHING


def mentions_flow(content: bytes) -> bool:
    """Whether a source may build a flow at all, as far as its words tell."""
    return b"Flow" in content and b"prefect" in content


def _builds_flow(tree: ast.Module) -> bool:
    """Whether the module's top level calls Flow, directly or through functions and classes of the same file.

    A function that nobody calls is a helper of other files, or a test.
    """
    # Most say so at once; the rest of the tree is long.
    executed = list(_executed(tree))
    names, modules = _prefect_names(executed)
    if any(isinstance(node, ast.Call) and _is_flow(_dotted(node.func), names, modules) for node in executed):
        return True
    names, modules = _prefect_names(ast.walk(tree))
    makers, aliases = _makers_and_aliases(tree)
    waiting: list[Iterable[ast.AST]] = [executed]
    while waiting:
        for called in _called(waiting.pop()):
            if isinstance(called, ast.Lambda):
                waiting.append(ast.walk(called.body))
                continue
            dotted = _dotted(called)
            while dotted in aliases:
                dotted = aliases.pop(dotted)
            if _is_flow(dotted, names, modules):
                return True
            for maker in makers.pop((dotted or "").split(".")[0], ()):
                if isinstance(maker, ast.ClassDef) and any(_is_flow(_dotted(base), names, modules) for base in maker.bases):
                    return True
                waiting.append(ast.walk(maker))
    return False


def _makers_and_aliases(tree: ast.Module) -> tuple[dict[str, list[ast.AST]], dict[str, str]]:
    """The functions and classes of a file by their names, and what else is called by another name: `F = prefect.Flow`."""
    makers: dict[str, list[ast.AST]] = {}
    aliases: dict[str, str] = {}
    methods = {id(one) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if id(node) not in methods:
                makers.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign):
            value = node.value
            if isinstance(value, ast.Call) and value.args and (_dotted(value.func) or "").split(".")[-1] == "partial":
                value = value.args[0]
            for target in node.targets:
                if isinstance(target, ast.Name) and isinstance(value, ast.Lambda):
                    makers.setdefault(target.id, []).append(value)
                elif isinstance(target, ast.Name) and isinstance(value, (ast.Name, ast.Attribute)):
                    aliases[target.id] = _dotted(value) or ""
    return makers, aliases


def _called(nodes: Iterable[ast.AST]) -> Iterable[ast.AST]:
    """What is called when these nodes run, decorators too."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node.func
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from node.decorator_list


def _prefect_names(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """Names that are prefect's Flow, and names that are prefect's modules."""
    names, modules = set(), set()
    for node in nodes:
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


def _is_flow(dotted: str | None, names: set[str], modules: set[str]) -> bool:
    return dotted is not None and (dotted in names or (dotted.endswith(".Flow") and dotted.split(".")[0] in modules))


def _dotted(node: ast.AST) -> str | None:
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


_PLACE = frozenset(
    b"inspect traceback globals locals vars eval exec compile ctypes cffi gc runpy pkgutil pkg_resources resources importlib "
    b"__import__ f_back f_globals currentframe __dict__".split()
)
_PROCESS = frozenset(
    b"subprocess Popen popen multiprocessing posix_spawn posix_spawnp spawn spawnl spawnle spawnlp spawnlpe spawnv spawnve "
    b"spawnvp spawnvpe execl execle execlp execlpe execv execve execvp execvpe fork forkpty pty sh plumbum pexpect GitPython".split()
)
_PHRASES = re.compile(rb"\b(?:sys\s*\.\s*path|from\s+sys|os\s*\.\s*system|from\s+os|import\s+git|from\s+git)\b")


def looks_around(content: bytes) -> bool:
    """Whether a source could learn where its repository is, or start a process that does.

    What such a load finds may depend on any file of the tree: audit events tell of opened files, but not of
    `os.path.exists`, `stat`, `find_spec`, ctypes, or what a subprocess reads.
    """
    if not content.isascii():
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
    if b"__file__" in content or b"_getframe" in content or b"_current_frames" in content:
        return True
    words = set(re.findall(rb"\w+", content))
    return not (words.isdisjoint(_PLACE) and words.isdisjoint(_PROCESS)) or bool(_PHRASES.search(content))


_REST = re.compile(rb"^(?:@|(?:def|class|with|if|for|while|try|async)\b|\w[\w.]*\s*[=(\[:])", re.MULTILINE)
"""A line that begins what is no import, unless it is one of a docstring."""


def leading_imports(content: bytes) -> list[str]:
    """The modules that a file imports before it does anything else, in order."""
    # What parses by itself begins the file: nine tenths of it need not be read.
    rest = _REST.search(content)
    for source in (content[: rest.start()], content) if rest else (content,):
        try:
            tree = ast.parse(source)
            break
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    else:
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
