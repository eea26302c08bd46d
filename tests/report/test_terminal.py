"""`--format text`: whole reports as a person reads them, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from msgspec.structs import replace

from git_prefect.core.model import Finding
from git_prefect.core.results import Registration, Report, ReportedFlow, ReportedRef
from git_prefect.report import style
from git_prefect.report.style import Look, columns
from git_prefect.report.terminal import render

PLAIN, NARROW, COLORED = Look(), Look(width=80), Look(color=True)

SIBLING = Finding(
    "import-not-on-agent", "error",
    "imports 'lib.io', which is in this repository but not where agents look: every run would fail with ModuleNotFoundError",
    "move the code into the flow file, or name its folder in `import-roots` when the image has it; see docs/findings.md",
    "flows/etl.py", 3, detail="flows/etl.py:3\n    from lib import io",
)  # fmt: skip
LABELS = Finding("string-labels", "warning", "flow 'etl': labels are letters", 'labels=["x"]', "flows/etl.py")
OTHER = Finding("other-storage", "note", "flow 'a' declares Docker storage", "leave it so", "flows/a.py")
TAG = Finding(
    "annotated-tag", "error", "tag v1 is annotated", "make it one: git tag -f v1 'v1^{}' && git push -f origin v1"
)


def row(flow: str, action: str = "created", version: int | None = 1, **more: object) -> Registration:
    made = Registration("refs/heads/main", flow, f"flows/{flow}.py", "dev", action, version, (), "")
    return replace(made, **more)  # type: ignore[arg-type]


def registered(*rows: Registration, command: str = "register") -> Report:
    ref = ReportedRef("main", "branch", None, "--ref", "dev", "origin/main at 1234567")
    return Report(command, 0, (ref,), registrations=rows, summary=("the end",))


def test_files_with_errors_come_first_and_findings_of_a_file_stay_together() -> None:
    found = (OTHER, LABELS, SIBLING)
    assert render(Report("validate", 1, findings=found, summary=("2 flows",)), PLAIN) == (
        f"flows/etl.py:3: {SIBLING.message} [import-not-on-agent]\n"
        "        from lib import io\n"
        f"  hint: {SIBLING.hint}\n"
        "flows/etl.py: warning: flow 'etl': labels are letters [string-labels]\n"
        '  hint: labels=["x"]\n'
        "flows/a.py: note: flow 'a' declares Docker storage [other-storage]\n"
        "  hint: leave it so\n"
        "2 flows"
    )


def test_long_lines_are_wrapped_on_a_terminal_only_and_further_in() -> None:
    shown = render(Report("validate", 1, findings=(SIBLING,)), NARROW)
    assert shown == (
        "flows/etl.py:3: imports 'lib.io', which is in this repository but not where\n"
        "    agents look: every run would fail with ModuleNotFoundError\n"
        "    [import-not-on-agent]\n"
        "        from lib import io\n"
        "  hint: move the code into the flow file, or name its folder in `import-roots`\n"
        "        when the image has it; see docs/findings.md"
    )


def test_a_command_is_never_broken() -> None:
    shown = render(Report("check-pushed", 1, findings=(TAG,)), Look(width=60))
    assert shown == (
        "error: tag v1 is annotated [annotated-tag]\n"
        "  hint: make it one:\n"
        "        git tag -f v1 'v1^{}' && git push -f origin v1"
    )


def test_colours_change_no_word_and_no_line() -> None:
    report = Report("validate", 1, findings=(SIBLING, LABELS, OTHER, TAG), summary=("2 flows",))
    wide = render(report, NARROW)
    colored = render(report, replace(NARROW, color=True))
    assert "\x1b[1;31mflows/etl.py:3:\x1b[0m imports" in colored
    assert [columns(line) for line in colored.splitlines()] == [len(line) for line in wide.splitlines()]


def test_paths_are_told_from_where_one_stands(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path_factory.mktemp("repository").resolve()
    (top / "flows").mkdir()
    monkeypatch.chdir(top / "flows")
    report = Report("validate", 1, findings=(LABELS,), root=str(top))
    assert render(report, PLAIN).startswith("etl.py: warning: ")


def test_fifty_flows_of_which_the_same_is_said_are_one_line() -> None:
    rows = [row(f"flow-{number}") for number in range(50)]
    assert render(registered(*rows), PLAIN) == ("origin/main at 1234567\n  registered: 50 flows → dev\nthe end")
    shown = render(registered(*rows), replace(PLAIN, verbose=True)).splitlines()
    assert len(shown) == 52
    assert shown[1] == "  registered: flow-0 → dev, version 1"


def test_what_became_of_each_flow() -> None:
    rows = (
        row("same", "unchanged", 4, reason="the branch's HEAD is what runs"),
        row("etl", url="http://localhost:8080/default/flow/1"),
        row("wide", "updated", 2, changes=("task added: tax", "schedule paused")),
        row("held", "failed", 7, reason="branch 'x' is what runs"),
        row("other", "skipped"),
    )
    assert render(registered(*rows), PLAIN) == (
        "origin/main at 1234567\n"
        "  failed: held → dev, version 7: branch 'x' is what runs\n"
        "  registered: etl → dev, version 1\n"
        "    http://localhost:8080/default/flow/1\n"
        "  registered: wide → dev, version 2\n"
        "    task added: tax\n"
        "    schedule paused\n"
        "  unchanged: same → dev, version 4: the branch's HEAD is what runs\n"
        "  left alone: 1 flow that this branch does not change\n"
        "the end"
    )


def test_a_plan_says_what_would_be() -> None:
    rows = (row("etl"), row("held", "failed", 7, reason="no"))
    assert render(registered(*rows, command="register --dry-run"), PLAIN) == (
        "origin/main at 1234567\n  refused: held → dev, version 7: no\n  create: etl → dev, version 1\nthe end"
    )


def test_verbose_names_the_flows_that_load_in_columns() -> None:
    flows = (
        ReportedFlow(None, "flows/a.py", "größe 数", "ok", 1, True),
        ReportedFlow(None, "flows/longer.py", "b", "ok", 12, True),
        ReportedFlow(None, "flows/bad.py", None, "failed", None, True),
    )
    assert render(Report("validate", 0, flows=flows), replace(PLAIN, verbose=True)) == (
        "flows/a.py       größe 数  1 task\nflows/longer.py  b         12 tasks"
    )


def test_nothing_is_said_when_there_is_nothing_to_say() -> None:
    assert render(Report("validate", 0), COLORED) == ""


@pytest.mark.parametrize(
    ("terminal", "color", "environ", "colored"),
    [
        (True, "auto", {}, True),
        (False, "auto", {}, False),
        (True, "never", {"FORCE_COLOR": "1"}, False),
        (False, "always", {"NO_COLOR": "1"}, True),
        (True, "auto", {"NO_COLOR": "1"}, False),
        (True, "auto", {"NO_COLOR": ""}, True),
        (False, "auto", {"FORCE_COLOR": "1"}, True),
        (False, "auto", {"FORCE_COLOR": ""}, False),
        (True, "auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (True, "auto", {"TERM": "dumb"}, False),
        (True, "auto", {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_is_as_asked_for(terminal: bool, color: str, environ: dict[str, str], colored: bool) -> None:
    if not terminal:
        assert style.of(color, stream=io.StringIO(), environ=environ) == Look(colored, None)
        return
    master, slave = os.openpty()
    with open(slave, "w") as stream:
        assert style.of(color, stream=stream, environ=environ) == Look(colored, 80)
        assert style.of(color, stream=stream, environ={**environ, "COLUMNS": "120"}).width == 120
    os.close(master)


def test_what_a_hook_prints_fits_the_terminal_that_pre_commit_gives_it() -> None:
    long = "push refused: 1 error in what this push changes or breaks; nothing was sent to origin. To push: SKIP=x git push"
    script = f"from git_prefect.report.text import fitted\nprint(fitted({long!r}))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == f"{long}\n"
    leader, follower = os.openpty()
    subprocess.run([sys.executable, "-c", script], stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 4096).decode()
    os.close(leader)
    assert shown.splitlines() == [
        "push refused: 1 error in what this push changes or breaks; nothing was sent to",
        "    origin. To push: SKIP=x git push",
    ]
