"""Imports that run only when a task does: of modules that the clone has and that are not loaded yet, they fail.

An agent deletes its clone before the first task runs (prefect/utilities/git.py). Beside the worker and child; Python 3.8
syntax, standard library only.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import opcode
import os
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

IMPORT_NAME = opcode.opmap["IMPORT_NAME"]


def of_flow(flow: Any, sources: Sources) -> list[dict[str, Any]]:
    """Imports in the code of a flow's tasks, and in functions of the repository that it calls, of modules only the clone has.

    Each is `{"task", "module", "or", "file", "line", "helper"}`: `file` is from the root, None for the flow file; `helper` is
    whether a function that the task calls has it. `or` is None where the module comes from the clone; else nothing finds it, and the
    clone may have it, or one of the modules in `or`.
    """
    found = []
    seen: set[Any] = set()
    for task in flow.tasks:
        run = getattr(task, "run", None)
        waiting = [(getattr(run, "__func__", run), False)]
        while waiting:
            function, helper = waiting.pop()
            if not isinstance(function, FunctionType) or not sources.has(function.__code__) or (function, helper) in seen:
                continue
            seen.add((function, helper))
            package = function.__globals__.get("__package__") or ""
            for module, names, line in sources.imports(function.__code__, package):
                late = sources.late(module, names)
                if late is not None:
                    file = sources.path(function.__code__)
                    found.append({
                        "task": task.name, "module": late[0], "or": late[1], "file": file, "line": line, "helper": helper,
                    })  # fmt: skip
            called = {name for code in _nested(function.__code__) for name in code.co_names}
            waiting += [(function.__globals__.get(name), True) for name in called]
    return found


class Sources:
    """The flow file, whose code is `<string>`, and the files of the repository."""

    def __init__(self, flow_file: str, root: str, import_roots: list[str]) -> None:
        self._flow_file = flow_file
        self._root = root
        self._image = tuple(one + os.sep for one in import_roots)

    def has(self, code: CodeType) -> bool:
        """Whether a function is one of the flow file's or the repository's."""
        return code.co_filename == "<string>" or os.path.normpath(code.co_filename).startswith(self._root)

    def path(self, code: CodeType) -> str | None:
        """Where a function is, from the root; None for the flow file."""
        name = code.co_filename
        return None if name == "<string>" else os.path.normpath(name)[len(self._root) :]

    def imports(self, code: CodeType, package: str) -> Iterator[tuple[str, list[str], int]]:
        """Modules that a function of a package imports when it runs, what it imports from each, and the line.

        What is in a `try` is left out.
        """
        if not any(IMPORT_NAME in one.co_code[::2] for one in _nested(code)):
            return
        file = self._flow_file if code.co_filename == "<string>" else code.co_filename
        try:
            with open(file, "rb") as source:
                tree = ast.parse(source.read())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
                first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
                if code.co_firstlineno in (first, node.lineno):
                    yield from _outside_of_try(node, package)
                    return

    def late(self, module: str, names: list[str]) -> tuple[str, list[str] | None] | None:
        """The module that `from module import names` (or `import module`) takes from the clone when a task runs; None: none.

        With it, None; or where nothing finds the module, the other modules that may be meant.
        """
        inner = [f"{module}.{name}" for name in names if name != "*"]
        if module in sys.modules:
            # A name that it has is taken from there, whatever else there is (importlib's _handle_fromlist).
            has = getattr(sys.modules[module], "__dict__", {})
            inner = [] if "__getattr__" in has else [one for one in inner if one.rpartition(".")[2] not in has]
        else:
            spec = _spec_of(module)
            if spec is None:
                # The repository may have it where nobody looks: whoever knows its files tells.
                return module, inner
            if spec.has_location or spec.origin:
                return (module, None) if self._is_in_clone(spec) else None
        # A package without `__init__.py` has no names but its modules.
        for one in inner:
            spec = _spec_of(one)
            if one not in sys.modules and spec is not None and self._is_in_clone(spec):
                return one, None
        if module not in sys.modules and not inner and self._is_in_clone(_spec_of(module)):
            return module, None
        return None

    def _is_in_clone(self, spec: Any) -> bool:
        places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
        inside = [os.path.normpath(place) for place in places if place]
        return bool(inside) and all(place.startswith(self._root) and not place.startswith(self._image) for place in inside)


def _spec_of(module: str) -> Any:
    """How the import system would find a module, or None; no package above it is imported."""
    folders: Any = None
    spec: Any = None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        loaded = sys.modules.get(name)
        try:
            if length == 1 and loaded is None:
                spec = importlib.util.find_spec(name)
            elif loaded is not None:
                spec = getattr(loaded, "__spec__", None)
            else:
                spec = importlib.machinery.PathFinder.find_spec(name, folders)
        except Exception:
            return None
        if spec is None and loaded is None:
            return None
        folders = getattr(loaded, "__path__", None) if loaded is not None else spec.submodule_search_locations
        if folders is None and length < len(parts):
            return None
    return spec


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _outside_of_try(function: ast.AST, package: str) -> Iterator[tuple[str, list[str], int]]:
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, [], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            if module:
                yield module, [alias.name for alias in node.names], node.lineno
        elif isinstance(node, ast.Try):
            # What a `finally` or an `else` imports is not caught.
            waiting += [*node.finalbody, *node.orelse, *(node.body if not node.handlers else ())]
        else:
            waiting += ast.iter_child_nodes(node)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from` names; empty for a relative one outside of a package."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
    return ".".join([*above, node.module] if node.module and above else above)
