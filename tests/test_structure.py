"""The layers of the design: wings do not import each other, and imports point downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hooks" / "git_prefect"
WINGS = ("push", "flows", "registration")
SHARED = ("model", "results", "settings", "findings", "errors", "shapes", "private", "")
HOOKS = (
    "validate", "check_pushed", "register", "trees", "registering", "settle", "pre_push", "queue", "scope", "recall", "said", "watcher", "arrived",
    "clone_check", "clone_failures", "drift", "annotated", "unseen", "left_behind",
)  # fmt: skip


def imported(path: Path) -> set[str]:
    """The first-level modules of the package that a file imports, wherever in it; empty name: the package itself."""
    found: set[str] = set()
    inside = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = (
                    *inside[: len(inside) - node.level + 1],
                    *filter(None, (node.module or "").split(".")),
                )
            elif (node.module or "").startswith("git_prefect"):
                base = tuple((node.module or "").split(".")[1:])
            else:
                continue
            found |= (
                {base[0]}
                if base
                else {
                    alias.name if (PACKAGE / f"{alias.name}.py").exists() or (PACKAGE / alias.name).is_dir() else ""
                    for alias in node.names
                }
            )
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("git_prefect.")}
    return found


def files(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


def test_wings_do_not_import_each_other() -> None:
    for wing in WINGS:
        for path in files(wing):
            assert imported(path) <= {wing, *SHARED}, path


def test_shared_modules_import_only_each_other() -> None:
    for name in SHARED[:-1]:
        assert imported(PACKAGE / f"{name}.py") <= {*SHARED}, name


def test_reports_know_only_results() -> None:
    for path in files("report"):
        assert imported(path) <= {"report", "model", "results", "findings", "errors"}, path


def test_hooks_do_not_import_the_command_line() -> None:
    for name in HOOKS:
        assert "cli" not in imported(PACKAGE / f"{name}.py"), name


def test_nothing_imports_the_development_api() -> None:
    for path in files(""):
        if "devserver" not in path.parts:
            assert "devserver" not in imported(path), path


def test_what_a_push_needs_does_not_import_the_doctor() -> None:
    for path in files(""):
        if path.relative_to(PACKAGE).parts[0] not in ("doctor", "commands"):
            assert "doctor" not in imported(path), path
