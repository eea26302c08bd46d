"""Did a push arrive, and what is registered then: real remotes and pushes, a real API, the queue as the hook writes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Client
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.model import RefUpdate
from git_prefect.deploy import delivery, pending, registration
from git_prefect.deploy.pending import Entry
from git_prefect.devserver.process import running
from git_prefect.git import configuration
from git_prefect.git.process import Process
from git_prefect.report.invocation import git_prefect

from ..repository import Clone, bare_remote, clone, known_checks
from ..test_cli import FLOW

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "feature/**"
project = "{project}-{{branch}}"
create-project = true
[[tool.git-prefect.target]]
branch = "main"
project = "{project}-absent"
[[tool.git-prefect.target]]
tag = "v*"
project = "{project}-releases"
"""


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def team(
    work: Clone, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Path
) -> Iterator[Clone]:
    """A clone on `feature/x` with settings, and this process set to the API."""
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    work.commit({"pyproject.toml": SETTINGS.format(project=tmp_path.name)})
    work.git("push", "--quiet")
    work.git("switch", "--quiet", "--create", "feature/x")
    configuration.cache_clear()
    settings = {"backend": "server", "home_dir": str(tmp_path), "server.endpoint": api_url, "cloud.api": api_url}
    with known_checks(work, checks), set_temporary_config(settings):
        yield work


def queue(team: Clone, branch: str = "feature/x", before: str | None = None) -> Entry:
    """What the hook writes down for a push of HEAD."""
    head = team.head()
    update = RefUpdate(
        "origin", str(team.path.parent / "remote.git"), f"refs/heads/{branch}", head, head, before, "push"
    )
    return pending.record(team.repository, update, before, None, None)


def log(team: Clone) -> list[tuple[Any, ...]]:
    """Result, commit, and what became of each flow or why there is none."""
    return [
        (
            line["result"],
            line["commit"],
            [(flow["flow"], flow["action"], flow.get("version")) for flow in line.get("flows", [])] or line["reason"],
        )
        for line in pending.log_lines(team.repository)
    ]


def test_the_tracking_ref_of_the_push_is_proof_enough(team: Clone) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    entry = queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    # Nothing is asked of the remote: it is gone.
    (team.path.parent / "remote.git").rename(team.path.parent / "away.git")
    assert delivery.deliver(team.repository, just_pushed=frozenset([entry.id]))
    assert log(team) == [("registered", head, [("etl", "created", 1)])]
    assert pending.entries(team.repository) == []


def test_a_tracking_ref_that_was_there_before_the_push_proves_nothing(team: Clone, remote: Path) -> None:
    """Somebody took the branch back; this clone does not know, pushes it again, and is rejected."""
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    team.git("push", "--quiet", "origin", "feature/x")
    entry = queue(team, before=head)
    team.git("--git-dir", str(remote), "update-ref", "-d", "refs/heads/feature/x")
    delivery.deliver(team.repository, just_pushed=frozenset([entry.id]))
    gone = "origin/feature/x does not exist: the push was a dry run, failed, or was undone"
    assert log(team) == [("not arrived", head, gone)]


def test_later_the_remote_is_asked_and_kept_waiting_for(team: Clone) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    (team.path.parent / "remote.git").rename(team.path.parent / "away.git")
    delivery.deliver(team.repository)
    (entry,) = pending.entries(team.repository)
    assert entry.attempts == 1
    assert entry.error.startswith("origin: the remote could not be asked (fatal: ")
    assert entry.error.endswith("; check that `git ls-remote origin` works without a password prompt")
    assert log(team) == []
    (team.path.parent / "away.git").rename(team.path.parent / "remote.git")
    delivery.deliver(team.repository)
    assert len(pending.entries(team.repository)) == 1, "it is not tried again before its time"
    delivery.deliver(team.repository, due_only=False)
    assert log(team) == [("registered", head, [("etl", "created", 1)])]


def test_a_branch_registers_what_its_remote_head_is(team: Clone, remote: Path, tmp_path: Path) -> None:
    team.commit({"etl.py": FLOW.format(name="etl")})
    entry = queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    other = clone(remote, tmp_path / "other")
    other.git("switch", "--quiet", "feature/x")
    newer = other.commit({"etl.py": FLOW.format(name="etl") + "    one()\n"})
    other.git("push", "--quiet", "origin", "feature/x")
    refs = team.git("for-each-ref")
    delivery.deliver(team.repository)
    assert log(team) == [("registered", newer, [("etl", "created", 1)])]
    assert team.git("for-each-ref") == refs
    assert entry.commit != newer


def test_a_commit_that_was_overwritten_is_not_registered(team: Clone) -> None:
    base = team.head()
    lost = team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    team.git("reset", "--quiet", "--hard", base)
    winner = team.commit({"README": "other"})
    team.git("push", "--quiet", "--force", "origin", "feature/x")
    delivery.deliver(team.repository)
    assert log(team) == [
        (
            "not arrived",
            lost,
            f"origin/feature/x is at {winner[:7]}: the push was rejected, or overwritten since",
        )
    ]


def test_the_newest_push_counts_and_the_older_one_is_superseded(team: Clone) -> None:
    first = team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    second = team.commit({"etl.py": FLOW.format(name="etl") + "    one()\n"})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    assert log(team) == [
        ("registered", second, [("etl", "created", 1)]),
        ("superseded", first, f"by the push of {second[:7]}"),
    ]


def test_an_older_push_counts_when_the_newest_did_not_arrive(team: Clone) -> None:
    first = team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    second = team.commit({"etl.py": FLOW.format(name="etl") + "    one()\n"})
    queue(team)
    delivery.deliver(team.repository)
    assert log(team) == [
        (
            "not arrived",
            second,
            f"origin/feature/x is at {first[:7]}: the push was rejected, or overwritten since",
        ),
        ("registered", first, [("etl", "created", 1)]),
    ]


def test_what_could_not_be_registered_waits_with_its_remedy(team: Clone, api_url: str, tmp_path: Path) -> None:
    team.git("switch", "--quiet", "main")
    team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team, "main")
    team.git("push", "--quiet", "origin", "main")
    delivery.deliver(team.repository)
    (entry,) = pending.entries(team.repository)
    project = f"{tmp_path.name}-absent"
    assert entry.error == (
        f"project '{project}' does not exist at {api_url}; create it with `prefect create project '{project}'`, "
        "or set `create-project = true` in its target"
    )


def test_files_with_errors_are_left_out_and_told(team: Clone) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl"), "old.py": "from prefect import Flow\nflow = Flow()\n"})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    assert log(team) == [("registered", head, [("etl", "created", 1)])]
    (line,) = pending.log_lines(team.repository)
    (left_out,) = line["left_out"]
    assert left_out.startswith("old.py:2: does not load: TypeError: ")


def test_a_file_that_could_not_be_checked_is_left_out_beside_what_is_registered(team: Clone) -> None:
    unchecked = "import no_such_module\n" + FLOW.format(name="other")
    head = team.commit({"etl.py": FLOW.format(name="etl"), "other.py": unchecked})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    assert (log(team), pending.entries(team.repository)) == ([("registered", head, [("etl", "created", 1)])], [])
    (line,) = pending.log_lines(team.repository)
    assert ["'no_such_module' is not installed" in one for one in line["left_out"]] == [True]


def test_a_release_that_waited_gives_way_to_a_newer_one(team: Clone, tmp_path: Path) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    for tag in ("v1.2", "v1.3"):
        team.git("tag", tag)
        team.git("push", "--quiet", "origin", tag)
        pending.record(team.repository, RefUpdate("origin", "", f"refs/tags/{tag}", head, head, None, "push"), None, None, None)
        if tag == "v1.2":
            delivery.deliver(team.repository)
            (entry,) = pending.entries(team.repository)
            assert "project" in entry.error
            Client().create_project(f"{tmp_path.name}-releases")
    delivery.deliver(team.repository, due_only=False)
    assert log(team)[-2:] == [
        ("registered", head, [("etl", "created", 1)]),
        ("nothing to register", head, f"v1.3 was registered while this waited; to go back to it: {git_prefect('register', '--ref', 'v1.2')}"),
    ]


def test_another_process_that_settles_is_left_alone(team: Clone) -> None:
    team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    with pending.delivery_lock(team.repository, wait=True):
        assert delivery.deliver(team.repository, wait=False) is False
    assert len(pending.entries(team.repository)) == 1


def test_a_bug_of_ours_loses_no_push(team: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    monkeypatch.setattr(registration, "plan", broken)
    delivery.deliver(team.repository)
    (entry,) = pending.entries(team.repository)
    path = Path(team.repository.state_dir, "crash.log")
    assert entry.error == f"a bug of git-prefect's; the traceback is in {path}"
    assert "ZeroDivisionError" in path.read_text()


def test_a_push_url_of_its_own_is_not_where_agents_clone_from(team: Clone, tmp_path: Path) -> None:
    bare_remote(tmp_path / "elsewhere.git")
    team.git("remote", "set-url", "--push", "origin", str(tmp_path / "elsewhere.git"))
    configuration.cache_clear()
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    update = RefUpdate("origin", str(tmp_path / "elsewhere.git"), "refs/heads/feature/x", head, head, None, "push")
    entry = pending.record(team.repository, update, None, None, None)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository, just_pushed=frozenset([entry.id]))
    (entry,) = pending.entries(team.repository)
    assert entry.error == (
        "origin/feature/x does not exist yet at the URL that is fetched from; the push went to "
        f"{tmp_path / 'elsewhere.git'}; agents clone from the fetch URL: see `git remote -v`"
    )
    assert log(team) == []


def test_a_refusal_of_the_plan_is_closed_and_told_once(team: Clone) -> None:
    team.commit(
        {"etl.py": FLOW.format(name="etl"), "pyproject.toml": SETTINGS.format(project="x").replace("-{branch}", "")}
    )
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    team.git("switch", "--quiet", "--create", "feature/y")
    queue(team, "feature/y")
    team.git("push", "--quiet", "origin", "feature/y")
    delivery.deliver(team.repository)
    assert [line[0] for line in log(team)] == ["registered", "refused"]
    assert pending.entries(team.repository) == []
    (told,) = pending.report_refusals(team.repository)
    assert told["flows"][0]["reason"].startswith(
        "branch 'feature/x' is what project 'x' runs under this name (version 1)"
    )
    assert pending.report_refusals(team.repository) == []


def test_a_ref_that_has_lost_its_target_is_refused(team: Clone) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl"), "pyproject.toml": "[tool.git-prefect]\n"})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    assert log(team) == [
        (
            "refused",
            head,
            "feature/x: no target takes this branch, so it is not registered [no-target]; add a target with "
            'branch = "feature/x" and a project to the settings, or use --project',
        )
    ]


def test_a_remote_that_is_gone_ends_the_wait(team: Clone) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("remote", "rename", "origin", "upstream")
    configuration.cache_clear()
    delivery.deliver(team.repository)
    assert log(team) == [("not arrived", head, "the remote 'origin' is no longer configured here")]


def test_a_file_that_could_not_be_checked_keeps_the_push_waiting(team: Clone) -> None:
    team.commit({"etl.py": "import no_such_module\n" + FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    (entry,) = pending.entries(team.repository)
    assert "'no_such_module' is not installed in the hook's own environment; 1 flow file is unchecked" in entry.error
    assert "or let the setting `python` name another interpreter" in entry.error
    assert [line["result"] for line in pending.log_lines(team.repository)] == ["failed"]


def test_while_the_newest_push_is_under_way_an_older_one_waits(team: Clone) -> None:
    team.commit({"etl.py": FLOW.format(name="etl")})
    older = queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    head = team.commit({"README": "newer"})
    update = RefUpdate("origin", older.url, "refs/heads/feature/x", head, head, older.commit, "push")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as push:
        started = Path(f"/proc/{push.pid}/stat").read_text().rpartition(")")[2].split()[19]
        newer = pending.record(team.repository, update, older.commit, Process(push.pid, started), None)
        delivery.deliver(team.repository)
        assert (pending.entries(team.repository), log(team)) == ([older, newer], [])
        push.communicate(b"\n")
    delivery.deliver(team.repository)
    assert log(team) == [
        (
            "not arrived",
            head,
            f"origin/feature/x is at {older.commit[:7]}: the push was rejected, or overwritten since",
        ),
        ("registered", older.commit, [("etl", "created", 1)]),
    ]


@pytest.mark.parametrize("inside_push", [False, True])
def test_a_branch_that_moves_on_while_it_is_registered_is_registered_as_it_is_then(
    team: Clone, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside_push: bool
) -> None:
    head = team.commit({"etl.py": FLOW.format(name="etl")})
    entry = queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    theirs: list[str] = []
    apply_plan = registration.apply_plan

    def bob_is_quicker(*arguments: Any) -> Any:
        # His push arrives between our look at the remote and our registration; his own registration we overwrite.
        if not theirs:
            bob = clone(remote, tmp_path / "bob")
            bob.git("switch", "--quiet", "feature/x")
            theirs.append(bob.commit({"etl.py": FLOW.format(name="etl").replace("one", "two")}))
            bob.git("push", "--quiet")
        return apply_plan(*arguments)

    monkeypatch.setattr(registration, "apply_plan", bob_is_quicker)
    if inside_push:
        # Who waits at the end of the push does not wait for another look at the remote.
        delivery.deliver(team.repository, just_pushed=frozenset([entry.id]), tell=lambda _, __: None)
        assert log(team) == [("registered", head, [("etl", "created", 1)])]
        delivery.look_again(team.repository, [entry])
    delivery.deliver(team.repository, just_pushed=frozenset([entry.id]))
    assert log(team)[-1] == ("registered", theirs[0], [("etl", "updated", 2)])


def test_what_an_update_changes_is_reported_once(team: Clone, tmp_path: Path) -> None:
    team.commit({"etl.py": FLOW.format(name="etl")})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    delivery.deliver(team.repository)
    head = team.commit({"etl.py": FLOW.format(name="etl") + "    one()\n"})
    queue(team)
    team.git("push", "--quiet", "origin", "feature/x")
    told: list[str] = []
    delivery.deliver(team.repository, tell=lambda lines, _: told.append(lines))
    project, place = f"{tmp_path.name}-feature--x", f"origin/feature/x at {head[:7]}"
    lines = [line for line in "\n".join(told).splitlines() if "/flow/" not in line]
    assert lines[:4] == [
        f"{place}: registering",
        f"  registered: etl → {project}, version 2",
        "    task added: one-2",
    ]
