"""Which files may define a flow: the patterns of the settings, then the syntax tree. Prefect is not imported."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from pathspec import GitIgnoreSpec

from ..core.model import TreeEntry
from ..core.settings import Settings
from .calls import BUILDS, NOTHING, Calls
from .definitions import Definitions
from .modules import InstalledModules, TreeModules
from .source_memory import Memory, Source, glance

SYMLINK, SUBMODULE = "120000", "160000"
"""Modes of tree entries that are no regular files."""

MOST_LINKS = 40
"""As many symlinks as Linux follows (path_resolution(7))."""

MOST_LINKED = 100_000
"""Paths below symlinks to folders that are looked at, about: each link has those of its whole folder."""

MENTIONS, OPAQUE, NAMED = "mentions", "opaque", "named"
"""Beside what `Calls` tells of a source: it cannot be parsed, but names prefect and Flow; it is encrypted, or a pointer, so that
nobody can tell; a person named it."""


class Tree(msgspec.Struct, frozen=True):
    """What is to be checked: the files of a commit, of the index or of the work tree."""

    id: str
    """Object name of the tree; empty for a work tree, of which nothing that depends on the whole tree is kept."""
    entries: Sequence[TreeEntry]
    """Every file of it, as `git ls-tree -r` lists them."""
    read: Callable[[Sequence[str]], dict[str, bytes]]
    """Contents by their object names, in one batch."""
    root: Callable[[], AbstractContextManager[Path]]
    """The folder with its files, written when it is entered and locked until it is left."""
    filtered: Callable[[Collection[str]], Mapping[str, tuple[str, bytes]]] = lambda paths: {}
    """Which of some files of a work tree a filter of git changes on their way into a commit: the filter's name, and what git
    has of the file; empty where it is not added yet."""
    work_tree: Path | None = None
    """The folder of a work tree, which has ignored files beside the entries."""
    beside: Path | None = None
    """Of a commit: the work tree of its clone, from which an editable install may import."""
    folder_links: Mapping[str, str] = {}
    """Of a work tree: its symlinks to folders, each with where it leads; a commit has them as entries."""


class FlowFile(msgspec.Struct, frozen=True):
    """A file that may define a flow."""

    path: str
    blob: str
    """Object name of the content; of a symlink, that of the file which it leads to."""
    builds: str
    """`BUILDS`, `MAKES` or `NOTHING` (see calls.py), `MENTIONS`, `OPAQUE` or `NAMED`."""
    explicit: bool
    """True when a pattern of the setting `flows` takes it, or a person named it, whatever its content."""


class Packages(msgspec.Struct, frozen=True):
    """What is installed for the flows."""

    folders: Sequence[str] = ()
    """The folders of the interpreter's `sys.path`; none: only the tree is searched."""
    fingerprint: str = ""
    """Changes when a package is installed, upgraded or removed."""


def flow_paths(tree: Tree, settings: Settings, packages: Packages = Packages()) -> list[str]:  # noqa: B008
    """Paths of the flow files of a tree, sorted."""
    return [file.path for file in flow_files(tree, settings, Memory(), packages)]


def flow_files(
    tree: Tree,
    settings: Settings,
    memory: Memory,
    packages: Packages = Packages(),  # noqa: B008
    expected: Callable[[], object] = lambda: None,
) -> list[FlowFile]:
    """The flow files of a tree, sorted by path; what is learnt of their contents is added to `memory`.

    `expected` is called when a source that is not known may build a flow, before it is parsed.
    """
    sources = _sources(tree, {entry.path: entry for entry in tree.entries})
    chosen = _matching(sources, settings.flows) if settings.flows else sources
    if settings.exclude:
        excluded = {path for path, _ in _matching(chosen, settings.exclude)}
        chosen = [(path, blob) for path, blob in chosen if path not in excluded]
    blobs = dict(sources)
    linked = {path: blobs[source] for path, source in linked_sources(tree, blobs).items() if path not in blobs}
    found = memory.discovered(
        [*sources, *linked.items()], settings, packages.fingerprint,
        lambda: _Search(tree, {**blobs, **linked}, memory, settings.import_roots, packages.folders).kinds(chosen, expected),
    )  # fmt: skip
    explicit = bool(settings.flows)
    return [
        FlowFile(path, blob, found.get(path, NOTHING), explicit)
        for path, blob in sorted(chosen)
        if explicit or path in found
    ]


def source_blobs(tree: Tree) -> dict[str, str]:
    """Object names of all Python sources of a tree by their paths; those of virtual environments are left out."""
    return dict(_sources(tree, {entry.path: entry for entry in tree.entries}))


def linked_sources(tree: Tree, sources: Collection[str]) -> dict[str, str]:
    """Paths over a symlink, to a source or to a folder above it, each with the path of the source itself.

    What is below a link is imported by its path, and changed by its own. A link below a link is not followed.
    """
    links = [entry for entry in tree.entries if entry.mode == SYMLINK]
    if not links and not tree.folder_links:
        return {}
    contents = tree.read(sorted({entry.blob for entry in links})) if links else {}
    leads = {entry.path: _target(entry.path, contents[entry.blob]) for entry in links}
    leads.update((path, _target(path, os.fsencode(target))) for path, target in tree.folder_links.items())
    ordered = sorted(sources)
    found: dict[str, str] = {}
    for path, target in leads.items():
        for _ in range(MOST_LINKS):
            target = leads.get(target, target)
        if target in sources:
            found[path] = target
            continue
        below = "" if target == "." else f"{target}/"
        inside = itertools.takewhile(lambda one, below=below: one.startswith(below), ordered[bisect_left(ordered, below) :])  # type: ignore[misc]
        found.update((f"{path}/{one[len(below) :]}", one) for one in inside)
        if len(found) > MOST_LINKED:
            break
    return found


def named_files(tree: Tree, paths: Collection[str]) -> list[FlowFile]:
    """The sources of a tree that a person named: they are flow files, whatever is in them."""
    return [FlowFile(path, blob, NAMED, True) for path, blob in sorted(source_blobs(tree).items()) if path in paths]


def closest_to_flow_files(tree: Tree) -> list[str]:
    """Paths of sources that name Prefect, those first whose name or whose words say most of flows."""
    sources = source_blobs(tree)
    contents = tree.read(sorted(set(sources.values()))) if sources else {}
    ranked = [
        (b"Flow" not in contents[blob], "flow" not in path.lower(), path)
        for path, blob in sources.items()
        if b"prefect" in contents[blob] and not _is_no_flow_file(path)
    ]
    return [path for *_, path in sorted(ranked)]


class _Search:
    """Looks for the flow files among the sources of a tree."""

    def __init__(
        self, tree: Tree, blobs: dict[str, str], memory: Memory, import_roots: Sequence[str], folders: Sequence[str]
    ) -> None:
        self._tree = tree
        self._blobs = blobs
        self._memory = memory
        self._installed = InstalledModules(folders)
        self._calls = Calls(self._definitions, TreeModules(blobs, import_roots), self._installed, self._is_opaque)

    def kinds(self, chosen: Sequence[tuple[str, str]], expected: Callable[[], object]) -> dict[str, str]:
        """The kinds of the sources (see `FlowFile.builds`) by path; those that build nothing are left out."""
        unknown = sorted({blob for blob in self._blobs.values() if blob not in self._memory.sources})
        for blob, content in self._tree.read(unknown).items() if unknown else ():
            self._memory.sources[blob] = glance(content)
        if any(self._memory.sources[blob].mentions for blob in unknown):
            expected()
        leading = self._leading()
        self._read([blob for path, blob in chosen if path in leading and not self._memory.sources[blob].builds])
        found = {}
        for path, blob in chosen:
            source = self._memory.sources[blob]
            kind = self._kind(path, source) if path in leading else NOTHING
            if kind != NOTHING or source.opaque:
                found[path] = kind if kind != NOTHING else OPAQUE
        return found

    def _kind(self, path: str, source: Source) -> str:
        if source.builds:
            return BUILDS
        kind = self._calls.kind_of(path)
        if kind == NOTHING and source.mentions and not (source.definitions and source.definitions.is_whole):
            return MENTIONS
        return NOTHING if kind != NOTHING and _is_no_flow_file(path) else kind

    def _leading(self) -> set[str]:
        """Paths from which imports may lead to a Flow, as far as the words of their import lines tell."""
        importers: dict[str, list[str]] = {}
        for path, blob in self._blobs.items():
            for word in self._memory.sources[blob].words:
                importers.setdefault(word, []).append(path)
        sources = self._memory.sources
        leading = {path for path, blob in self._blobs.items() if sources[blob].mentions or sources[blob].opaque}
        installed = [path for word in self._installed.names & importers.keys() for path in importers[word]]
        waiting = [*leading, *installed]
        leading.update(installed)
        while waiting:
            for path in importers.pop(_module_word(waiting.pop()), ()):
                if path not in leading:
                    leading.add(path)
                    waiting.append(path)
        return leading

    def _read(self, blobs: Iterable[str]) -> None:
        """Parse sources that were not parsed yet."""
        unread = sorted({blob for blob in blobs if not self._memory.sources[blob].parsed})
        if unread:
            for blob, content in self._tree.read(unread).items():
                self._memory.parse(blob, content)

    def _is_opaque(self, path: str) -> bool:
        return not path.startswith("/") and self._memory.sources[self._blobs[path]].opaque

    def _definitions(self, path: str) -> Definitions | None:
        """The definitions of a source of the tree, or of one that is installed."""
        if path.startswith("/"):
            return self._memory.of_file(path)
        self._read([self._blobs[path]])
        return self._memory.sources[self._blobs[path]].definitions


def _module_word(path: str) -> str:
    """The word by which an import line names the module of a path."""
    folder, name = os.path.split(path)
    return os.path.basename(folder) if name == "__init__.py" else name[:-3]


def _is_no_flow_file(path: str) -> bool:
    """Whether a file is one that pytest or setuptools run: such a file may import what makes flows."""
    folders, name = path.split("/")[:-1], path.split("/")[-1]
    is_test = name.startswith("test_") or name.endswith("_test.py") or not {"test", "tests"}.isdisjoint(folders)
    return is_test or name in ("conftest.py", "setup.py")


def _sources(tree: Tree, by_path: dict[str, TreeEntry]) -> list[tuple[str, str]]:
    """Path and object name of every Python source, outside of virtual environments."""
    environments = tuple(one.path[: -len("pyvenv.cfg")] for one in tree.entries if one.path.endswith("pyvenv.cfg"))
    found, links = [], []
    for entry in tree.entries:
        if entry.path.endswith(".py") and not (environments and entry.path.startswith(environments)):
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


_PLACE = frozenset(
    b"__file__ __path__ __spec__ __cached__ _getframe _current_frames currentframe f_back f_code f_globals co_filename "
    b"getfile getsourcefile getabsfile getframeinfo extract_stack extract_tb walk_stack find_spec module_from_spec "
    b"importlib runpy pkgutil pkg_resources exec eval compile __import__".split()
)
_PHRASES = re.compile(rb"\bsys\s*\.\s*path\b|\bfrom\s+(?:sys|inspect)\b|\binspect\s*\.\s*(?:stack|trace)\b")
_PUTS_ON_SYS_PATH = re.compile(rb"^sys\.path\.(?:insert|append)\(.*\)[ \t]*(?:#.*)?$", re.MULTILINE)
_UNSEEN = frozenset(b"ctypes _ctypes cffi _cffi_backend _posixsubprocess forkserver get_context set_start_method".split())


def knows_its_place(content: bytes) -> bool:
    """Whether a source may learn where its repository is: what it gives an extension module to open is seen by nobody.

    To put the place on `sys.path` counts as nothing: what is imported from there is seen.
    """
    rest = _PUTS_ON_SYS_PATH.sub(b"", content)
    words = _words(rest)
    return words is None or not words.isdisjoint(_PLACE) or bool(_PHRASES.search(rest))


def imports_from_its_place(content: bytes) -> bool:
    """Whether a source may import from its own repository, by its place."""
    return bool(_PUTS_ON_SYS_PATH.search(content)) or knows_its_place(content)


def looks_unseen(content: bytes) -> bool:
    """Whether a source could look at files by what the worker cannot watch: foreign functions, or a text that is not read."""
    words = _words(content)
    return words is None or not words.isdisjoint(_UNSEEN)


def _words(content: bytes) -> set[bytes] | None:
    """The words of a source; None where its encoding hides them."""
    if not content.isascii():
        # Identifiers are compared in NFKC: `__ﬁle__` with a ligature is `__file__`.
        try:
            content = unicodedata.normalize("NFKC", content.decode("utf-8-sig")).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None
    coding = re.match(rb"(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", content)
    if coding and coding[1].lower().replace(b"_", b"-") not in (b"utf-8", b"utf8", b"latin-1", b"iso-8859-1", b"ascii"):
        return None
    return set(re.findall(rb"\w+", content))
