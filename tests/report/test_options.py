"""What a command line asks of a report, also where it is wrong elsewhere."""

from __future__ import annotations

import io

import pytest

from git_prefect.cli import main
from git_prefect.core.errors import ExitCode, OutOfReach
from git_prefect.core.results import Report
from git_prefect.report.options import asked_for, ended, show


@pytest.mark.parametrize(
    ("line", "format", "color"),
    [
        ("status", "text", "auto"),
        ("status --format json --nonsense", "json", "auto"),
        ("--color=never status --format=markdown", "markdown", "never"),
        ("--format", "text", "auto"),
        ("--format yaml --color blue", "text", "auto"),
    ],
)
def test_what_is_asked_for(line: str, format: str, color: str) -> None:
    found = asked_for(line.split())
    assert (found.format, found.color) == (format, color)


def test_an_error_without_a_hint_is_one_line() -> None:
    options = asked_for(["--color", "never"])
    assert ended(OutOfReach("no connection"), options) == "git-prefect: no connection"
    assert ended(OutOfReach("no connection", "plug it in"), options) == "git-prefect: no connection\nhint: plug it in"


def test_an_error_is_told_once_where_text_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", "--format", "text", "--colour"]) == ExitCode.USAGE
    said = "git-prefect: unrecognized arguments: --colour\nhint: git prefect register -h\n"
    assert capsys.readouterr() == ("", said)


def test_a_report_without_anything_to_say_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(Report("validate", ExitCode.OK), asked_for([])) == 0
    assert capsys.readouterr().out == ""


def test_json_goes_to_an_output_that_has_no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    assert show(Report("validate", ExitCode.FINDINGS), asked_for(["--format", "json"])) == 1
    assert written.getvalue().startswith('{\n  "version": 1,\n  "command": "validate",')
