"""The default branch is renamed on the host: flows of the one that is gone are registered anew, and never archived."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import SETTINGS, Desk, flow

MASTER = 'branch = "main"\n'


def host(remote: Path, *arguments: str) -> None:
    """What the host does in its repository."""
    subprocess.run(["git", "-C", str(remote), *arguments], check=True, capture_output=True)


@pytest.fixture(params=["both have a target", "only the old one has"])
def renamed(desk: Desk, remote: Path, request: pytest.FixtureRequest) -> Desk:
    """`master` has two flows, registered; the host has called it `main` since, and this clone was not told."""
    settings = SETTINGS.format(project=desk.project)
    old = 'branch = "master"\n' if request.param == "only the old one has" else 'branch = "ma*"\n'
    desk.clone.git("branch", "-m", "main", "master")
    desk.clone.commit({"pyproject.toml": settings.replace(MASTER, old)})
    desk.clone.git("push", "--quiet", "-u", "origin", "master")
    host(remote, "symbolic-ref", "HEAD", "refs/heads/master")
    host(remote, "branch", "-D", "main")
    desk.clone.git("fetch", "--quiet", "--prune")
    desk.clone.git("remote", "set-head", "origin", "master")
    desk.commit(etl=flow("etl"), more=flow("more"))
    desk.register("master")
    host(remote, "branch", "-m", "master", "main")
    return desk


def test_flows_that_live_on_the_default_branch_are_not_archived(renamed: Desk) -> None:
    code, out, _ = renamed("status")
    assert (code, out) == (
        1,
        f"""\
master → {renamed.project}
  etl   v1  no schedule  never ran
    flows/etl.py: origin/master is gone: every run fails, since no agent finds it [ref-gone]
      hint: main has it: git prefect register --ref main
  more  v1  no schedule  never ran
    flows/more.py: origin/master is gone: every run fails, since no agent finds it [ref-gone]
      hint: main has it: git prefect register --ref main
1 runtime serves 2 flows: UniversalRun (2)
""",
    )
    assert renamed("prune", "--yes") == (0, "nothing to archive: every flow's ref and file are there\n", "")
    assert renamed.active() == [("P", "etl"), ("P", "more")]


def test_a_flow_that_the_default_branch_lacks_is_archived(renamed: Desk) -> None:
    renamed.clone.git("branch", "-m", "master", "main")
    renamed.commit(more=None)
    assert "hint: archive it with git prefect prune, or push the branch again" in renamed("status")[1]
    code, out, _ = renamed("prune", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "1 archived")
    assert renamed.active() == [("P", "etl")]


@pytest.mark.parametrize("renamed", ["both have a target"], indirect=True)
def test_the_remote_says_which_branch_registers_all_flows(renamed: Desk) -> None:
    """By hand, from a clone that takes `master` for the default branch still."""
    renamed.clone.git("branch", "-m", "master", "main")
    renamed.commit(etl=flow("etl") + "    extract()\n")
    renamed.clone.git("fetch", "--quiet")
    assert renamed.clone.git("symbolic-ref", "refs/remotes/origin/HEAD") == "refs/remotes/origin/master"
    code, out, err = renamed("register", "--ref", "main")
    assert (code, out.splitlines()[-1]) == (0, "2 registered"), out + err
    code, out, _ = renamed("status")
    assert (code, out.splitlines()[0]) == (0, f"main → {renamed.project}")
    assert "[" not in out


@pytest.mark.parametrize("former", ["master", "develop"])
def test_a_target_that_names_the_former_branch_alone(desk: Desk, remote: Path, former: str) -> None:
    """As `init` proposes it: each other branch has a project of its own."""
    settings = SETTINGS.format(project=desk.project).replace("feature/**", "**").replace(MASTER, f'branch = "{former}"\n')
    desk.clone.git("branch", "-m", "main", former)
    desk.clone.commit({"pyproject.toml": settings})
    desk.clone.git("push", "--quiet", "-u", "origin", former)
    host(remote, "symbolic-ref", "HEAD", f"refs/heads/{former}")
    host(remote, "branch", "-D", "main")
    desk.commit(etl=flow("etl"))
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=flow("etl") + "    extract()\n")
    desk.register(former, "feature/x")
    host(remote, "branch", "-m", former, "trunk")
    host(remote, "branch", "-D", "feature/x")
    desk.clone.git("fetch", "--quiet", "--prune")
    desk.clone.git("remote", "set-head", "origin", "trunk")
    assert (
        f"      hint: trunk has it, and registers in project {desk.project}-trunk: write branch = \"trunk\" into the target of "
        f"{former} and push it, then git prefect register --ref trunk\n"
    ) in desk("status")[1]
    code, out, _ = desk("prune", "--yes")
    assert (code, out.splitlines()[0], out.splitlines()[-1]) == (0, "branch feature/x", "1 archived")
    assert desk.active() == [("P", "etl")]
