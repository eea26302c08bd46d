"""Remotes that are pushed to elsewhere than they are fetched from: registered is what agents can clone, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_prefect.deploy import pending

from ..repository import bare_remote
from .conftest import Team, flow_file, until

REFUSES = "#!/bin/sh\necho 'not today' >&2\nexit 1\n"


def refuse(remote: Path) -> None:
    """Have a remote take nothing any more."""
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(REFUSES)
    hook.chmod(0o755)


def results(team: Team) -> list[tuple[object, object]]:
    """How each push ended, and what was registered by it."""
    return [
        (line["result"], [(flow["flow"], flow["action"]) for flow in line.get("flows", ())])  # type: ignore[union-attr, attr-defined]
        for line in team.log()
    ]


def push_to(team: Team, *remotes: Path) -> None:
    """Have `origin` pushed to these, one after the other."""
    for remote in remotes:
        team.clone.git("remote", "set-url", "--add", "--push", "origin", str(remote))


@pytest.mark.parametrize("known", [False, True], ids=["a new branch", "a branch that is there"])
def test_what_the_fetch_url_refuses_is_not_registered(native: Team, tmp_path: Path, known: bool) -> None:
    other = bare_remote(tmp_path / "other.git")
    if known:
        native.clone.commit({"README": "first\n"})
        native.push("origin", "feature/x")
        native.settled()
    before = len(native.log())
    push_to(native, native.remote, other)
    refuse(native.remote)
    head = native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x", check=False)
    native.settled()
    assert native.clone.git("--git-dir", str(other), "rev-parse", "feature/x") == head
    assert results(native)[before:] == [("not arrived", [])]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["fetch URL first", "fetch URL last"])
def test_what_all_push_urls_accept_is_registered_once(native: Team, tmp_path: Path, order: tuple[int, int]) -> None:
    both = (native.remote, bare_remote(tmp_path / "other.git"))
    push_to(native, *(both[number] for number in order))
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    native.settled()
    assert results(native) == [("registered", [("etl", "created")])]


def lags(team: Team, hub: Path, setting: str) -> None:
    """Have `origin` fetched from a mirror of the hub that is pushed to."""
    team.clone.git("push", "--quiet", "--no-verify", str(hub), "feature/x")
    if setting == "pushurl":
        team.clone.git("remote", "set-url", "--push", "origin", str(hub))
    else:
        team.clone.git("config", f"url.{hub}.pushInsteadOf", str(team.remote))


@pytest.mark.parametrize("setting", ["pushurl", "pushInsteadOf"])
def test_a_mirror_that_lags_behind_is_waited_for(native: Team, tmp_path: Path, setting: str) -> None:
    hub = bare_remote(tmp_path / "hub.git")
    native.clone.commit({"README": "first\n"})
    native.push("origin", "feature/x")
    native.settled()
    before = len(native.log())
    lags(native, hub, setting)
    first = native.clone.head()[:7]
    head = native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    until(lambda: any(entry.error for entry in pending.entries(native.clone.repository)))
    (entry,) = pending.entries(native.clone.repository)
    assert entry.error == (
        f"origin/feature/x is at {first} at the URL that is fetched from; the push went to {hub}; "
        "agents clone from the fetch URL: see `git remote -v`"
    )
    assert results(native)[before:] == []
    # The mirror catches up.
    native.clone.git("--git-dir", str(hub), "push", "--quiet", str(native.remote), f"{head}:refs/heads/feature/x")
    native.prefect("register", "--pending")
    assert results(native)[before:] == [("registered", [("etl", "created")])]


def test_in_a_triangle_the_flow_is_registered_from_where_it_was_pushed(native: Team, tmp_path: Path) -> None:
    fork = bare_remote(tmp_path / "fork.git")
    native.clone.git("remote", "add", "fork", str(fork))
    native.clone.git("config", "remote.pushDefault", "fork")
    native.clone.git("config", "push.default", "current")
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push()
    native.settled()
    (line,) = native.log()
    assert (line["result"], line["remote"]) == ("registered", "fork")
    (flow,) = line["flows"]  # type: ignore[misc]
    assert flow["storage"] == f"localhost/{str(fork)[1:-4]} flows/etl.py@feature/x"
