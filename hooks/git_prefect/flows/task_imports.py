"""Imports that run only when a task does: of modules that the clone has and that are not loaded yet, they fail.

An agent deletes its clone before the first task runs (prefect/utilities/git.py). Beside the worker and child; Python 3.8
syntax, standard library only.
"""

from __future__ import annotations

import ast
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

    Each is `{"task", "module", "file", "line", "helper"}`: `file` is from the root, None for the flow file; `helper` is
    whether a function that the task calls has it.
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
            for module, line in sources.imports(function.__code__):
                if sources.only_in_clone(module):
                    file = sources.path(function.__code__)
                    found.append({"task": task.name, "module": module, "file": file, "line": line, "helper": helper})
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

    def imports(self, code: CodeType) -> Iterator[tuple[str, int]]:
        """Modules that a function imports when it runs, each with its line; what is in a `try` is left out."""
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
                    yield from _outside_of_try(node)
                    return

    def only_in_clone(self, module: str) -> bool:
        """Whether a module is not loaded, and comes from the clone if it comes from anywhere."""
        top = module.partition(".")[0]
        if module in sys.modules:
            return False
        try:
            spec = importlib.util.find_spec(module if top in sys.modules else top)
        except Exception:
            return False
        if spec is None:
            # The repository may have it where nobody looks: whoever knows its files tells.
            return True
        places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
        inside = [os.path.normpath(place) for place in places if place]
        return bool(inside) and all(place.startswith(self._root) and not place.startswith(self._image) for place in inside)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _outside_of_try(function: ast.AST) -> Iterator[tuple[str, int]]:
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield node.module, node.lineno
        elif isinstance(node, ast.Try):
            # What a `finally` or an `else` imports is not caught.
            waiting += [*node.finalbody, *node.orelse, *(node.body if not node.handlers else ())]
        else:
            waiting += ast.iter_child_nodes(node)
