"""`--format github`: read back the way GitHub's runner reads a job's output."""

from __future__ import annotations

import re
import sys
from urllib.parse import unquote

import prefect
from hypothesis import given
from hypothesis import strategies as st

from git_prefect.core.model import Finding
from git_prefect.core.results import Registration, Report, ReportedRef
from git_prefect.report.github import annotation, render
from git_prefect.report.style import Look

from .conftest import FLOW, Desk


def read(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command's name, properties and message; `%0A` and the like are decoded, and nothing else is."""
    found = re.fullmatch(r"::(\w+) (.*?)::(.*)", line, re.DOTALL)
    assert found, line
    properties = dict(one.split("=", 1) for one in found[2].split(","))
    return found[1], {name: unquote(value) for name, value in properties.items()}, unquote(found[3])


def test_validate(desk: Desk) -> None:
    desk.clone.write(
        {"flows/etl.py": FLOW.format(name="etl") + "flow.nothing()\n", "flows/ok.py": FLOW.format(name="ok")}
    )
    result = desk.run("validate", "--format=github")
    message = (
        "does not load: AttributeError: 'Flow' object has no attribute 'nothing'; every run would fail before its first "
        "task%0Aflows/etl.py:11%0A    flow.nothing()%0Ahint: mend it; `git prefect explain does-not-load` tells how agents "
        "load a file"
    )
    assert (result.returncode, result.stdout) == (
        1,
        f"::error file=flows/etl.py,line=11,title=does-not-load::{message}\n"
        f"1 flow in 1 file loads as on an agent, 1 error (Prefect {prefect.__version__} in {sys.executable})\n",
    )


def test_a_registration_that_failed_is_an_error_of_its_file() -> None:
    row = Registration("refs/heads/main", "etl", "flows/etl.py", "dev", "failed", 3, (), "branch 'x' runs it")
    ref = ReportedRef("main", "branch", None, "--ref", "dev", "origin/main at 1234567")
    assert render(Report("register", 1, (ref,), registrations=(row,), summary=("0 registered, 1 failed",)), Look()) == (
        "::error file=flows/etl.py,title=registration-failed::etl: branch 'x' runs it\n"
        "origin/main at 1234567\n"
        "  failed: etl → dev, version 3: branch 'x' runs it\n"
        "0 registered, 1 failed"
    )


def test_what_no_file_is_to_blame_for_has_no_place() -> None:
    assert annotation(Finding("no-target", "note", "main: no target", "add one")) == (
        "::notice title=no-target::main: no target%0Ahint: add one"
    )


def test_no_name_is_taken_for_a_command() -> None:
    shown = render(Report("validate", 0, summary=("::stop-commands::x",)), Look())
    assert shown == " ::stop-commands::x"


@given(st.text(), st.text(min_size=1), st.integers(1))
def test_the_runner_reads_what_was_meant(message: str, path: str, line: int) -> None:
    written = annotation(Finding("string-labels", "warning", message, "", path, line))
    assert "\n" not in written and "\r" not in written
    if message:
        expected = {"file": path, "line": str(line), "title": "string-labels"}
        assert read(written) == ("warning", expected, message)
