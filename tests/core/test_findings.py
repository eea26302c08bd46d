"""Codes, docs/findings.md and what the code raises agree."""

from __future__ import annotations

import re
from pathlib import Path

from git_prefect.core.findings import CODES, finding, markdown

TOP = Path(__file__).resolve().parents[2]


def test_the_document_is_the_table() -> None:
    assert (TOP / "docs" / "findings.md").read_text() == markdown(), "python -m git_prefect.core.findings > docs/findings.md"


def test_every_code_is_raised_and_every_raised_code_is_explained() -> None:
    raised = set()
    for path in (TOP / "hooks" / "git_prefect").rglob("*.py"):
        if path.name != "findings.py":
            raised |= {code for code in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', path.read_text()) if code in CODES}
            raised |= set(re.findall(r'\bfinding\(\s*"([^"]+)"', path.read_text()))
    # Those that look at the remote and at Prefect are raised by `doctor` and the registration.
    assert raised <= set(CODES)
    assert set(CODES) - raised <= {"token-missing", "clone-fails", "no-target"}


def test_severity_has_one_home() -> None:
    assert {code: finding(code, "m", "h").severity for code in CODES} == {
        code: about.severity for code, about in CODES.items()
    }
    assert all(
        about.meaning.endswith(".") and about.reason.endswith(".") and about.remedy.endswith(".")
        for about in CODES.values()
    )
