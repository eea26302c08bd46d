"""Every command of the docs runs, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from .pages import PAGES, ROOT, Command, Step, agree, commands, run, steps
from .world import World

WITH_EXAMPLES = [page for page in PAGES if any(step.kind == "console" for step in steps(page.read_text()))]


LONG = {"from-docker-storage.md", "reports.md", "shared-code.md"}
"""Pages with a world of their own, of which other tests see the parts: `make test-all` runs them, and `make docs`."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.name in LONG), id=str(page.relative_to(ROOT))) for page in WITH_EXAMPLES],
)
def test_the_examples_of_a_page(page: Path, make_world: Callable[[str], World]) -> None:
    wrong: list[str] = []

    def differs(step: Step, one: Command, printed: list[str]) -> None:
        wrong.append("\n".join([f"line {step.line + 1}: $ {one.command}", *printed]))

    run(page.read_text(), make_world, differs)
    assert wrong == [], f"`python -m tests.docs {page.name}` puts in what is printed"


def test_what_is_not_run_says_why() -> None:
    told = {step.reason for page in PAGES for step in steps(page.read_text()) if step.reason}
    assert told <= NOT_RUN, "a reason that nobody has agreed to"


NOT_RUN = {
    "tests/end_to_end/test_ecosystem.py runs it",
    "tests/end_to_end/test_demo.py runs it",
    "needs a Docker daemon",
    "needs Poetry, conda or Pipenv",
    "what CI runs",
}


def test_what_differs_between_runs_is_no_difference() -> None:
    assert agree(["at c29dcbe: 4 s ago", "…", "end"], ["at 1234567: 12 s ago", "a", "b", "end", ""])
    assert agree(["…"], ["a", "b"])
    assert agree(["a", "…"], ["a"])
    assert not agree(["a", "…", "c"], ["a", "b"])
    assert not agree(["at c29dcbe"], ["from c29dcbe"])
    assert not agree([], ["something"])


def test_a_page_is_read_in_its_order() -> None:
    page = (
        "<!-- world: flows -->\n```console\n$ one \\\n    more\nprinted\n\n$ two\n```\n<!-- fails: 1 -->\n```console\n$ three\n```\n"
        "<!-- write: a.py -->\n```python\nx\n```\n<!-- not run: what CI runs -->\n```console\n$ four\n```\n"
    )
    found = list(steps(page))
    assert [(one.kind, one.code, one.path, one.reason) for one in found] == [
        ("world", 0, "", ""),
        ("console", 0, "", ""),
        ("console", 1, "", ""),
        ("write", 0, "a.py", ""),
        ("console", 0, "", "what CI runs"),
    ]
    assert [(one.command, one.printed) for one in commands(found[1].text)] == [
        ("one \\\n    more", ["printed", ""]),
        ("two", []),
    ]
