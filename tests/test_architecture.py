"""The layers of ARCHITECTURE.md: a folder imports what is below it, and none beside it. Imports in functions count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hooks" / "git_prefect"

LAYERS = (
    ("cli",),
    ("hooks", "commands"),
    ("deploy",),
    ("git", "flows", "prefect_api", "report"),
    ("core",),
)
"""From the top down. A folder may import any layer below its own, and of its own layer only itself."""

APART = ("devserver",)
"""The development API: nothing imports it, and it imports nothing of the product."""

TOP_LEVEL = {"__init__.py", "__main__.py", "cli.py", "py.typed"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, without the package's own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The modules of the package that a module imports, wherever in it."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("git_prefect."):
                    yield alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
            elif (node.module or "").split(".")[0] == "git_prefect":
                base = (node.module or "").split(".")[1:]
            else:
                continue
            module = ".".join(filter(None, base))
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                yield inner if inner in MODULES else module


def layer_of(module: str) -> int | None:
    """Which layer a module is in, 0 the topmost; None for the package itself and what stands apart."""
    folder = module.split(".")[0]
    return next((number for number, layer in enumerate(LAYERS) if folder in layer), None)


def test_imports_point_downwards_and_never_to_a_sibling() -> None:
    wrong = []
    for name in MODULES:
        here = layer_of(name)
        for other in imports(name) if here is not None else ():
            there = layer_of(other)
            same_folder = name.split(".")[0] == other.split(".")[0]
            if there is not None and here is not None and not same_folder and there <= here:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_there_is_no_import_cycle() -> None:
    graph = {name: set(imports(name)) & MODULES.keys() - {name, ""} for name in MODULES}
    left = set(graph)
    while ready := {name for name in left if not graph[name] & left}:
        left -= ready
    assert {name: sorted(graph[name] & left) for name in sorted(left)} == {}


def test_every_folder_is_in_a_layer() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders | {"cli"} == {name for layer in LAYERS for name in layer} | set(APART)
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == TOP_LEVEL


def test_nothing_imports_what_stands_apart() -> None:
    inside = {name for name in MODULES if name.split(".")[0] in APART}
    assert [name for name in MODULES.keys() - inside if inside & set(imports(name))] == []
    assert {other for name in inside for other in imports(name)} <= {*inside, ""}


SITUATIONS = {"active_twice", "api_faults", "flow_owners", "flow_register", "init_repositories", "isolation", "json", "nothing_found", "pasted_target", "renamed_branch", "runtimes_page"}
"""Tests in a folder of the package that are about a situation or a page, and not about one module."""


def test_the_tests_mirror_the_package() -> None:
    tests = Path(__file__).parent
    for folder in (folder for layer in LAYERS[1:] for folder in layer):
        modules = {path.stem for path in (PACKAGE / folder).rglob("*.py")}
        named = {path.stem.removeprefix("test_") for path in (tests / folder).glob("test_*.py")}
        assert named and named <= modules | SITUATIONS, folder
