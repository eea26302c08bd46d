"""`--format gitlab`: a code quality report, whose fingerprints tell what a merge request adds."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from git_prefect.core.model import Finding
from git_prefect.core.results import Registration, Report
from git_prefect.report.gitlab import render
from git_prefect.report.style import Look

from .conftest import FLOW, Desk

BROKEN = FLOW.format(name="etl") + "flow.nothing()\n"


def violations(*found: Finding, rows: tuple[Registration, ...] = ()) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads(render(Report("validate", 1, findings=found, registrations=rows), Look()))
    return read


def test_validate(desk: Desk) -> None:
    desk.clone.write({"flows/etl.py": BROKEN})
    result = desk.run("validate", "--format", "gitlab")
    (found,) = json.loads(result.stdout)
    assert result.returncode == 1
    assert len(found.pop("fingerprint")) == 64
    assert found == {
        "description": "does not load: AttributeError: 'Flow' object has no attribute 'nothing'; every run would fail "
        "before its first task; mend it; `git prefect explain does-not-load` tells how agents load a file",
        "check_name": "does-not-load",
        "severity": "critical",
        "location": {"path": "flows/etl.py", "lines": {"begin": 11}},
    }


def test_a_fingerprint_stays_when_the_line_moves(desk: Desk) -> None:
    desk.clone.write({"flows/etl.py": BROKEN})
    (before,) = json.loads(desk.run("validate", "--format", "gitlab").stdout)
    desk.clone.write({"flows/etl.py": f"# one\n# two\n{BROKEN}"})
    (after,) = json.loads(desk.run("validate", "--format", "gitlab").stdout)
    assert [one["location"]["lines"]["begin"] for one in (before, after)] == [11, 13]
    assert before["fingerprint"] == after["fingerprint"]


def test_fingerprints_are_of_one_violation_each() -> None:
    one = Finding("string-labels", "warning", "m", "", "a.py", 1)
    found = violations(one, replace(one, line=9), replace(one, path="b.py"), replace(one, code="lfs-pointer"))
    assert len({each["fingerprint"] for each in found}) == 4


def test_severities_and_what_no_file_is_to_blame_for() -> None:
    found = violations(
        Finding("remote-differs", "error", "origin/main is behind", "git push"),
        Finding("other-storage", "note", "declares Docker storage", "", "a.py"),
        rows=(Registration("refs/heads/main", "etl", "b.py", "dev", "failed", None, (), "no"),),
    )
    assert [(one["severity"], one["check_name"], one["location"]["path"]) for one in found] == [
        ("critical", "remote-differs", "."),
        ("info", "other-storage", "a.py"),
        ("critical", "registration-failed", "b.py"),
    ]


def test_nothing_found_is_an_empty_list() -> None:
    assert violations() == []
