"""Which modules of the repository a flow file imports, directly or not: read from the sources, nothing is executed."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from .discovery import Tree, linked_sources, source_blobs
from .modules import TreeModules, folders_above
from .source_memory import Memory


class Imports:
    """The import graph of a tree: every import that may run, those in functions too."""

    def __init__(self, tree: Tree, import_roots: Sequence[str], state: Path | None = None) -> None:
        """`state` is the folder of the verdicts, where what is known of sources is kept; None: it is not kept."""
        self._tree = tree
        self._blobs = source_blobs(tree)
        self._linked = linked_sources(tree, self._blobs)
        self._blobs.update({path: self._blobs[source] for path, source in self._linked.items()})
        self._memory = Memory(state / "verdicts" if state else None)
        self._modules = TreeModules(self._blobs, import_roots)
        self._direct: dict[str, set[str]] = {}

    def closure(self, path: str) -> set[str]:
        """Paths of the sources that executing a source may import, and their imports; itself where it is in a cycle."""
        found: set[str] = set()
        waiting = [path]
        while waiting:
            for imported in self._imported_by(waiting.pop()):
                if imported not in found:
                    found.add(imported)
                    waiting.append(imported)
        return found

    def importers(self, changed: Collection[str], among: Sequence[str]) -> dict[str, list[str]]:
        """Those of the sources `among` that import a changed one, directly or not, with the changed ones that they import."""
        sources = {path for path in self._blobs if self._linked.get(path, path) in changed}
        if not sources:
            return {}
        imported = {path: self.closure(path) & sources - {path} for path in among}
        found = {path: sorted({self._linked.get(one, one) for one in modules}) for path, modules in imported.items()}
        self._memory.save()
        return {path: modules for path, modules in found.items() if modules}

    def _imported_by(self, path: str) -> set[str]:
        if path not in self._direct:
            self._direct[path] = set(self._read_imports(path))
        return self._direct[path]

    def _read_imports(self, path: str) -> Iterator[str]:
        blob = self._blobs.get(path)
        if blob is None:
            return
        definitions = self._memory.definitions(blob, lambda: self._tree.read([blob])[blob])
        if definitions is None:
            return
        for name in definitions.imports:
            yield from (found for found, _ in self._modules.sources(name, path))
        for package in definitions.computed:
            yield from self._all_below(package, path)

    def _all_below(self, package: str, importer: str) -> Iterator[str]:
        """Every source of a package in which a name is computed; of no package that shows, those beside the importer."""
        folder = package.lstrip(".").replace(".", "/")
        here = posixpath.dirname(importer)
        bases = [posixpath.join(base, folder) if base else folder for base in folders_above(importer)] if folder else [here]
        for base in bases:
            below = [path for path in self._blobs if not base or path.startswith(base + "/")]
            if below:
                yield from below
                return
