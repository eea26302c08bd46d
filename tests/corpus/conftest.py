"""Prints on how many cases validate and the agent agreed."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The count that the agreement test is about."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    said = [value for report in reports for key, value in report.user_properties if key == "agreement"]
    if said:
        terminalreporter.write_line(f"validate and the agent agree on {sum(said)} of {len(said)} cases")
