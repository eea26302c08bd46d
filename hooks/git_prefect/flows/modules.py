"""Where the source of a module is: in the tree, or among the packages of an interpreter. Nothing is imported."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Callable

MOST_SCANNED = 300
"""Sources of a package without metadata that are searched for Prefect's name."""


class TreeModules:
    """The modules of a tree, by the folders that may be on `sys.path`."""

    def __init__(self, paths: Iterable[str], import_roots: Sequence[str] = ()) -> None:
        self._sources = {path for path in paths if path.endswith(".py")}
        self._roots = [_normal(root) for root in import_roots]

    def sources(self, name: str, importer: str) -> Iterator[tuple[str, str]]:
        """Paths of a module's source and of the packages above it, the innermost first, each with the rest of the name.

        `name` may go on below a module: of `a.b.Flow`, `("a/b.py", "Flow")` comes first. A relative name is looked for
        from the importer's package; another one below the import roots, then below each folder above the importer, the
        nearest first, since a file may put any of them on `sys.path`. Nothing when the tree has no such module.
        """
        level = len(name) - len(name.lstrip("."))
        parts = [part for part in name[level:].split(".") if part]
        if level:
            yield from _below(_parent(importer, level), parts, self._sources.__contains__)
            return
        for base in [*self._roots, *folders_above(importer)]:
            found = list(_below(base, parts, self._sources.__contains__))
            if found:
                yield from found
                return


class InstalledModules:
    """The modules of an interpreter's folders that may lead to a Flow: of packages that need Prefect."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = [folder for folder in folders if os.path.isdir(folder) and not _is_standard_library(folder)]

    @cached_property
    def names(self) -> frozenset[str]:
        """Top-level names of the packages that require Prefect, or whose sources name it where no metadata tell."""
        requires: dict[str, set[str]] = {}
        provides: dict[str, set[str]] = {}
        present: dict[str, Path] = {}
        for folder in map(Path, self._folders):
            for entry in sorted(folder.iterdir()):
                if entry.name.endswith((".dist-info", ".egg-info")) and entry.is_dir():
                    name, needed = _metadata(entry)
                    requires[name], provides[name] = needed, _provided(entry)
                elif entry.suffix in ("", ".py"):
                    present.setdefault(entry.stem, entry)
        leading = {"prefect"}
        while more := {name for name, needed in requires.items() if needed & leading} - leading:
            leading |= more
        claimed = {top for tops in provides.values() for top in tops}
        names = {top for name in leading - {"prefect"} for top in provides.get(name, ())}
        names |= {top for top, place in present.items() if top not in claimed and _names_prefect(place)}
        return frozenset(names - {"prefect"})

    def sources(self, name: str, importer: str) -> Iterator[tuple[str, str]]:
        """As `TreeModules.sources`; paths are absolute. `importer` counts for a relative name only."""
        level = len(name) - len(name.lstrip("."))
        parts = [part for part in name[level:].split(".") if part]
        if level:
            yield from _below(_parent(importer, level), parts, os.path.isfile)
            return
        if parts and parts[0] in self.names:
            for folder in self._folders:
                found = list(_below(folder, parts, os.path.isfile))
                if found:
                    yield from found
                    return


def joined(module: str, name: str) -> str:
    """A name in a module, which may be relative: `a.b`, `.b`."""
    return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def folders_above(path: str) -> list[str]:
    """The folders above a path, the nearest first; the last is the top, `""`."""
    found = []
    folder = posixpath.dirname(path)
    while folder:
        found.append(folder)
        folder = posixpath.dirname(folder)
    return [*found, ""]


def _below(base: str, parts: Sequence[str], exists: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    for length in range(len(parts), -1, -1):
        place = "/".join([*filter(None, [base]), *parts[:length]])
        rest = ".".join(parts[length:])
        # That the top of a tree is a package says nothing of a name of which it has no part.
        if (length or not parts) and exists(f"{place}/__init__.py" if place else "__init__.py"):
            yield f"{place}/__init__.py", rest
        elif length and exists(f"{place}.py"):
            yield f"{place}.py", rest


def _parent(importer: str, level: int) -> str:
    for _ in range(level):
        importer = posixpath.dirname(importer)
    return importer


def _normal(folder: str) -> str:
    place = posixpath.normpath(folder)
    return "" if place == "." else place


def _is_standard_library(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "os.py")) or os.path.basename(folder) == "lib-dynload"


def _metadata(folder: Path) -> tuple[str, set[str]]:
    """Name of an installed distribution, and of those that it requires (the core metadata, PEP 566)."""
    text = ""
    for file in ("METADATA", "PKG-INFO", "requires.txt"):
        with suppress(OSError):
            text += (folder / file).read_text("utf-8", "replace") + "\n"
    name = re.search(r"^Name: *(\S+)", text, re.MULTILINE)
    required = re.findall(r"^(?:Requires-Dist: *)?([A-Za-z0-9][\w.-]*)(?=[ ;<>=!~(\[]|$)", text, re.MULTILINE)
    return _canonical(name[1] if name else folder.stem), set(map(_canonical, required))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _provided(folder: Path) -> set[str]:
    """Top-level names of an installed distribution."""
    with suppress(OSError):
        return set((folder / "top_level.txt").read_text("utf-8", "replace").split())
    with suppress(OSError):
        files = re.findall(r"^([^,\n/]+)", (folder / "RECORD").read_text("utf-8", "replace"), re.MULTILINE)
        return {file.partition(".")[0] for file in files}
    return set()


def _names_prefect(place: Path) -> bool:
    sources = [place] if place.is_file() else sorted(place.rglob("*.py"))[:MOST_SCANNED]
    for source in sources:
        with suppress(OSError):
            if b"prefect" in source.read_bytes():
                return True
    return False
