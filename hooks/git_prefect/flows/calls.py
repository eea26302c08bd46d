"""Whether executing a source makes a Flow: what it calls is followed to its definition, over files and packages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Callable

import msgspec

from .definitions import Definitions
from .modules import InstalledModules, TreeModules, joined

BUILDS, MAKES, NOTHING = "flow", "makes", "none"
"""The source builds a Flow, or a subclass of it; it calls a function of another file that may return one; neither."""


class Name(msgspec.Struct, frozen=True):
    """A dotted name in a source: called, or, for a copy, taken by its value."""

    path: str
    dotted: str
    called: bool


class Calls:
    """Follows names. `definitions` gives those of a path of the tree, or of an absolute one; None: they cannot be read."""

    def __init__(
        self,
        definitions: Callable[[str], Definitions | None],
        modules: TreeModules,
        installed: InstalledModules,
        opaque: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """`opaque` is whether a source is encrypted or the like, so that nobody can tell what it defines."""
        self._definitions = definitions
        self._modules = modules
        self._installed = installed
        self._opaque = opaque
        self._barren: set[Name] = set()
        """Names that lead to no Flow, whoever calls them."""

    def kind_of(self, path: str) -> str:
        """`BUILDS`, `MAKES` or `NOTHING` of a source of the tree."""
        defined = self._definitions(path)
        if defined is None:
            return NOTHING
        starts = [Name(path, edge.lstrip("="), edge[0] != "=") for edge in defined.executed]
        # The plain ways first: what is reached by the return of another file's function comes last.
        waiting = deque((name, False) for name in starts)
        seen = set(starts)
        while waiting:
            name, returned = waiting.popleft()
            if name.path == "":
                return MAKES if returned else BUILDS
            for further, by_return in self._next(name, path):
                if further not in seen and (further.path == path or further not in self._barren):
                    seen.add(further)
                    later = returned or by_return
                    (waiting.append if later else waiting.appendleft)((further, later))
        self._barren |= {name for name in seen if name.path != path}
        return NOTHING

    def _next(self, name: Name, start: str) -> Iterator[tuple[Name, bool]]:
        """What a name refers to, each with whether it is what a function of another file than `start` returns.

        A name without a path is Prefect's Flow. What an opaque source calls a flow may be one.
        """
        defined = self._definitions(name.path)
        if defined is None:
            return
        head, _, rest = name.dotted.partition(".")
        if head not in defined.names and "flow" in name.dotted.lower() and self._opaque(name.path):
            yield Name("", "Flow", True), True
            return
        method, _, after = rest.partition(".")
        if name.called and method and f"{head}.{method}" in defined.names:
            for edge in defined.names[f"{head}.{method}"]:
                yield from self._along(edge, name, after, start)
        for edge in defined.names.get(head, ()):
            # What the methods of a class do is not what another attribute of it does.
            if not (rest and edge[0] == "~"):
                yield from self._along(edge, name, rest, start)
        if head not in defined.names:
            for module in defined.stars:
                for found in self._absolute(joined(module, name.dotted), name):
                    yield found, False

    def _along(self, edge: str, name: Name, rest: str, start: str) -> Iterator[tuple[Name, bool]]:
        sign, target = edge[0], edge[1:]
        further = f"{target}.{rest}" if rest else target
        elsewhere = name.path != start
        if sign == ">":
            for found in self._absolute(further, name):
                yield found, False
        elif sign == "=":
            yield Name(name.path, further, name.called), False
        elif sign == "(":
            if rest or not name.called:
                yield Name(name.path, further, True), False
            else:
                yield Name(name.path, f"{target}.__call__", True), False
        elif name.called and sign == "^":
            yield Name(name.path, further, True), False
        elif name.called and sign == "<" or (name.called and sign == "~" and not elsewhere):
            copied = target.startswith("=")
            yield Name(name.path, further.lstrip("="), not copied), elsewhere

    def _absolute(self, dotted: str, importer: Name) -> Iterator[Name]:
        parts = dotted.split(".")
        if parts[0] == "prefect":
            if importer.called and parts[-1] == "Flow":
                yield Name("", "Flow", True)
            return
        inside = not importer.path.startswith("/")
        found = next(self._modules.sources(dotted, importer.path), None) if inside else None
        if found is None:
            found = next(self._installed.sources(dotted, importer.path), None)
        if found and found[1]:
            yield Name(found[0], found[1], importer.called)
