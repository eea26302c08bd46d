"""An upgrade finds flows that were there all along: a push of something else does not set them going."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import Team, flow_file, until

OLDER = """
import sys
from git_prefect import cli
from git_prefect.flows import checker
from git_prefect.prefect_api import descriptions
found = checker.flow_files
checker.flow_files = lambda *arguments: [file for file in found(*arguments) if "late" not in file.path]
descriptions._TOOL = "git-prefect 0.0.1"
sys.exit(cli.main(["register", "--ref", "feature/x"]))
"""
"""A release that registers, and does not find every flow."""

SCHEDULED = "\nfrom prefect.schedules import CronSchedule\nflow.schedule = CronSchedule('0 3 * * *')\n"
PAUSE = """
import sys
from prefect import Client
where = '{archived: {_eq: false}, name: {_eq: "late"}, project: {name: {_eq: "%s"}}}' % sys.argv[1]
(flow,) = Client().graphql("query { flow(where: %s) { id } }" % where).data.flow
Client().graphql('mutation { set_schedule_inactive(input: {flow_id: "%s"}) { success } }' % flow.id)
"""
WHY = "schedule off: it was there before git-prefect found it; a commit that changes it switches it on, or `git prefect register`"


def schedules(team: Team) -> dict[str, bool]:
    told = json.loads(team.prefect("status", "--format", "json", check=False))
    return {one["flow"]: one["schedule_active"] for one in told["registered"]}


@pytest.fixture
def upgraded(native: Team) -> Team:
    """A team whose older release has registered one flow of two."""
    native.clone.commit({f"flows/{name}.py": flow_file(name) + SCHEDULED for name in ("etl", "late")})
    native.push("origin", "feature/x", GIT_PREFECT_SKIP="1")
    subprocess.run([sys.executable, "-c", OLDER], cwd=native.clone.path, check=True, capture_output=True)
    assert schedules(native) == {"etl": True}
    return native


def pushed(team: Team, files: dict[str, str]) -> str:
    team.clone.commit(files)
    printed = team.push("origin", "feature/x")
    team.settled()
    return printed


def test_a_flow_that_an_upgrade_finds_waits_for_a_commit_that_changes_it(upgraded: Team) -> None:
    printed = pushed(upgraded, {"README.md": "one"})
    assert f"registered: late → {upgraded.project}-feature--x, version 1\n    {WHY}" in printed
    assert schedules(upgraded) == {"etl": True, "late": False}
    pushed(upgraded, {"README.md": "two"})
    assert schedules(upgraded) == {"etl": True, "late": False}
    pushed(upgraded, {"flows/late.py": flow_file("late") + SCHEDULED + "# changed\n"})
    until(lambda: schedules(upgraded) == {"etl": True, "late": True})
    # Whoever pauses it from now on finds it paused.
    subprocess.run([sys.executable, "-c", PAUSE, f"{upgraded.project}-feature--x"], check=True)
    pushed(upgraded, {"flows/late.py": flow_file("late") + SCHEDULED + "# changed again\n"})
    assert schedules(upgraded) == {"etl": True, "late": False}


def test_somebody_registers_it(upgraded: Team) -> None:
    pushed(upgraded, {"README.md": "one"})
    upgraded.prefect("register", "--ref", "feature/x")
    assert schedules(upgraded) == {"etl": True, "late": True}


def test_who_registers_at_once_after_the_upgrade_gets_it_as_it_is(upgraded: Team) -> None:
    upgraded.prefect("register", "--ref", "feature/x")
    assert schedules(upgraded) == {"etl": True, "late": True}


def test_what_was_pushed_without_the_hooks_is_no_upgrade(native: Team) -> None:
    pushed(native, {"flows/etl.py": flow_file("etl") + SCHEDULED})
    native.clone.commit({"flows/late.py": flow_file("late") + SCHEDULED})
    native.push("--no-verify", "origin", "feature/x")
    printed = pushed(native, {"README.md": "one"})
    assert "schedule off" not in printed
    assert schedules(native) == {"etl": True, "late": True}
