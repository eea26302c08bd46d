"""The flows that a source names, told from its syntax tree: nothing is executed, and Prefect is not imported."""

from __future__ import annotations

import ast
import warnings


def literal_names(content: bytes) -> set[str]:
    """Names that the source gives to flows as literals: `Flow("etl")`, `Flow(name="etl")`, also of classes like it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func).endswith("Flow"):
            given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
            found |= {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def _called(node: object) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))
