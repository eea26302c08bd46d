"""Modules of the user's on PYTHONPATH, and in the folder that `python -m` runs in, take the place of none that is needed here."""

from __future__ import annotations

import sys
from pathlib import Path

from ..repository import Clone
from .conftest import Team, flow_file
from .test_told_once import ours

MODULES = ("git", "yaml", "msgspec", "prefect", "requests", "pathspec", "json", "hashlib", "marshmallow", "dulwich", "select")


def test_a_push_and_every_command_work(native: Team, tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    for name in MODULES:
        Clone(folder).write({f"{name}.py": "raise RuntimeError('of the user')\n"})
        # `python -m` puts the folder first that it runs in.
        native.clone.write({f"{name}.py": "raise RuntimeError('of the repository')\n"})
    path = {"PYTHONPATH": f"{folder}:{native.clone.path}"}
    native.clone.commit({"flows/etl.py": flow_file()})
    printed = ours(native, native.push("origin", "feature/x", **path))
    assert printed == [
        "origin/feature/x: 1 flow → project P-feature--x, once origin has @.", "origin/feature/x at @: registering",
        "  registered: etl → P-feature--x, version 1",
    ]  # fmt: skip
    native.settled()
    for command in ("validate", "status", "register", "check-pushed", "doctor", "init --dry-run"):
        said = native.prefect(*command.split(), check=False, **path)
        assert "bug of ours" not in said and "Traceback" not in said, said
        assert "of the user" not in said and "of the repository'" not in said, said
    as_module = native.clone.git("-c", f"alias.m=!{sys.executable} -m git_prefect", "m", "status", **path)
    assert "origin/feature/x at" in as_module and "registered" in as_module
