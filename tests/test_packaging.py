"""The manual page and the help: made from the command line itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from git_prefect.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)


def test_the_manual_page_is_that_of_the_command_line(tmp_path: Path) -> None:
    made = run(tmp_path, str(ROOT / "docs" / "manual.py"))
    assert made.stderr == ""
    assert (ROOT / "docs" / "git-prefect.1").read_text() == made.stdout, "run `make docs`"


def test_the_help_lists_every_command(tmp_path: Path) -> None:
    for flag in ("-h", "--help", "help"):
        shown = run(tmp_path, "-m", "git_prefect", flag)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert [line.split()[2] for line in shown.stdout.splitlines() if line.startswith("  git")] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help_even_outside_of_a_repository(tmp_path: Path, command: str) -> None:
    shown = run(tmp_path, "-m", "git_prefect", command, "-h")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"usage: git prefect {command}")


def test_the_oldest_dependencies_are_those_of_setup_cfg() -> None:
    import configparser

    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lines = (
        settings["options"]["install_requires"]
        + settings["options.extras_require"]["demo"]
        + settings["options.extras_require"]["test"]
    ).split("\n")
    allowed = {
        line.partition(">=")[0]: line.partition(">=")[2].partition(",")[0].partition(";")[0]
        for line in lines
        if ">=" in line and not line.startswith("pytest")
    }
    pinned = dict(line.split("==") for line in (ROOT / "tests" / "oldest.txt").read_text().splitlines() if "==" in line)
    assert {name: version.split(".")[: len(allowed[name].split("."))] for name, version in pinned.items()} == {
        name: version.split(".") for name, version in allowed.items()
    }
