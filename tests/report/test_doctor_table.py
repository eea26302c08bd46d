"""The table of `git prefect doctor`: aligned, and right at any width."""

from __future__ import annotations

from git_prefect.core.results import Check
from git_prefect.report.doctor_table import table
from git_prefect.report.style import PLAIN, Look

FOUND = [
    Check("git", ("2.39.5",)),
    Check("interpreter", ("Python 3.11.7 with Prefect 1.4.1, .venv/bin/python (.venv of the repository)",)),
    Check(
        "agents",
        ("worker-1 (LocalAgent), label ml, seen 3 s ago",),
        "no agent has the label dev: runs would wait forever",
        "start one:\n    prefect agent local start --no-hostname-label --label dev --label another-label-to-be-copied",
    ),
]


def test_at_80_columns() -> None:
    assert table(FOUND, PLAIN) == table(FOUND, Look(width=80))
    assert table(FOUND, Look(width=80)) == [
        "  git          2.39.5",
        "  interpreter  Python 3.11.7 with Prefect 1.4.1, .venv/bin/python (.venv of the",
        "                 repository)",
        "! agents       worker-1 (LocalAgent), label ml, seen 3 s ago",
        "               no agent has the label dev: runs would wait forever",
        "               hint: start one:",
        "                   prefect agent local start --no-hostname-label --label dev --label another-label-to-be-copied",
    ]


def test_at_40_columns() -> None:
    lines = table(FOUND, Look(width=40))
    assert lines[:4] == [
        "  git          2.39.5",
        "  interpreter  Python 3.11.7 with",
        "                 Prefect 1.4.1,",
        "                 .venv/bin/python (.venv",
    ]
    # A command is one line, whatever the width: it is there to be copied.
    assert all(len(line) <= 40 for line in lines[:-1])
