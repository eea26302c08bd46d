"""What is remembered of sources, by the object names of their contents, and which files of a tree were flow files."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Callable, Optional, TypeVar

import msgspec
from msgspec.structs import replace

from ..core import state_files
from ..core.settings import Settings
from .definitions import Definitions, imported_words, plainly_builds, read_definitions

Kept = TypeVar("Kept", "_KeptSources", "_KeptTrees")

LFS_HEADER = b"version https://git-lfs.github.com/spec/"
"""How a pointer of Git LFS begins."""

MOST_SOURCES = 50_000
MOST_TREES = 32
"""Sets of sources of which the flow files are remembered: those of branches that are switched between."""


class Source(msgspec.Struct, frozen=True, array_like=True):
    """What is known of the content of a source."""

    mentions: bool
    """Whether it names both Prefect and Flow, in UTF-16 too."""
    opaque: bool
    """Whether it is encrypted, binary or a pointer: what it defines cannot be seen."""
    words: tuple[str, ...]
    """The words of its import lines."""
    builds: bool = False
    """Whether it plainly builds a flow, so that it need not be parsed to know."""
    parsed: bool = False
    definitions: Optional[Definitions] = None
    """None when it was not parsed yet, or cannot be."""


def mentions_flow(content: bytes) -> bool:
    """Whether a source may build a flow by itself, as far as its words tell."""
    return b"Flow" in content and b"prefect" in content


def is_opaque(content: bytes) -> bool:
    """Whether a source is binary, as git tells it, encrypted, or a pointer of Git LFS: what it defines cannot be seen."""
    return b"\0" in content[:8000] or content.startswith((LFS_HEADER, b"U2FsdGVkX1"))


def glance(content: bytes) -> Source:
    """What a source tells without being parsed."""
    text = content.replace(b"\0", b"")
    mentions = mentions_flow(text)
    builds = mentions and plainly_builds(text)
    return Source(mentions, is_opaque(content), tuple(imported_words(text)), builds)


class _KeptSources(msgspec.Struct, frozen=True):
    reader: str
    sources: dict[str, Source]


class _KeptTrees(msgspec.Struct, frozen=True):
    reader: str
    trees: dict[str, list[tuple[bytes, str]]]
    """Paths as git has them, which need not be UTF-8, and the kinds of their sources."""


class Memory:
    """What is known of sources under a state folder; of none, it is forgotten with the object."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known_sources = 0
        self._trees: dict[str, dict[str, str]] | None = None
        self._new_tree = False
        self._rests_on_more = False
        """Whether a source was read whose changes no fingerprint tells: of an editable install, or a folder on PYTHONPATH."""

    @functools.cached_property
    def sources(self) -> dict[str, Source]:
        """What is known of contents: object name → `Source`. Read when it is first asked for."""
        kept = self._read("sources", _KeptSources)
        found = kept.sources if kept else {}
        self._known_sources = sum(1 + source.parsed for source in found.values())
        return found

    def parse(self, object_name: str, content: bytes) -> Source:
        """Read the definitions of a content."""
        source = self.sources.get(object_name) or glance(content)
        self.sources[object_name] = replace(source, parsed=True, definitions=read_definitions(content))
        return self.sources[object_name]

    def definitions(self, object_name: str, content: Callable[[], bytes]) -> Definitions | None:
        """The definitions of a content, which is read when they are not known; None when they cannot be read."""
        known = self.sources.get(object_name)
        return (known if known and known.parsed else self.parse(object_name, content())).definitions

    def of_file(self, path: str) -> Definitions | None:
        """The definitions of an installed source; None when they cannot be read."""
        if "/site-packages/" not in path and "/dist-packages/" not in path:
            self._rests_on_more = True
        try:
            stat = os.stat(path)
            name = f"{path}:{stat.st_mtime_ns}:{stat.st_size}"
            return self.definitions(name, Path(path).read_bytes)
        except OSError:
            return None

    def discovered(
        self,
        sources: Sequence[tuple[str, str]],
        settings: Settings,
        interpreter: str,
        search: Callable[[], dict[str, str]],
    ) -> dict[str, str]:
        """What `search` finds of the flow files among these sources, or has found before: path → kind.

        `interpreter` is the fingerprint of what is installed.
        """
        digest = hashlib.sha256()
        for part in (interpreter, *settings.flows, "\\0", *settings.exclude, "\\0", *settings.import_roots, "\\0"):
            digest.update(f"{part}\\0".encode("utf-8", "surrogateescape"))
        for path, blob in sources:
            digest.update(f"{path}\\0{blob}\\0".encode("utf-8", "surrogateescape"))
        key = digest.hexdigest()
        if self._trees is None:
            kept = self._read("flow-files", _KeptTrees)
            trees = kept.trees if kept else {}
            self._trees = {key: {os.fsdecode(path): kind for path, kind in tree} for key, tree in trees.items()}
        if key in self._trees:
            return self._trees[key]
        found = search()
        if not self._rests_on_more:
            self._trees[key] = found
            self._new_tree = True
        return found

    def save(self) -> None:
        """Write what is new, beside others that do so at the same time; what cannot be written is only learnt again."""
        if self._folder is not None:
            # A source may have names that no UTF-8 has.
            with suppress(OSError, UnicodeEncodeError):
                self._write_what_is_new()

    def _write_what_is_new(self) -> None:
        if self._new_tree and self._trees is not None:
            newest = list(self._trees.items())[-MOST_TREES:]
            trees = {key: [(os.fsencode(path), kind) for path, kind in tree.items()] for key, tree in newest}
            self._write("flow-files", _KeptTrees(_reader(), trees))
        if "sources" in self.__dict__ and self._known_sources < sum(1 + one.parsed for one in self.sources.values()):
            kept = self._read("sources", _KeptSources)
            sources = {**(kept.sources if kept else {}), **self.sources}
            self._write("sources", _KeptSources(_reader(), dict(list(sources.items())[-MOST_SOURCES:])))

    def _read(self, name: str, kind: type[Kept]) -> Kept | None:
        if self._folder is None:
            return None
        with suppress(OSError, msgspec.DecodeError):
            kept = msgspec.msgpack.decode((self._folder / name).read_bytes(), type=kind)
            return kept if kept.reader == _reader() else None
        return None

    def _write(self, name: str, kept: msgspec.Struct) -> None:
        assert self._folder is not None
        state_files.replace(self._folder / name, msgspec.msgpack.encode(kept))


@functools.cache
def _reader() -> str:
    """What is known is known to this very code only: another finds flows in other forms."""
    content = hashlib.sha256()
    for name in ("discovery.py", "definitions.py", "modules.py", "calls.py", "source_memory.py"):
        content.update(Path(__file__).with_name(name).read_bytes())
    return content.hexdigest()[:32]
