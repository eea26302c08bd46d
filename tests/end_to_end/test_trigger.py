"""Registration inside `git push`: what is told at its end, how long it is held, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from git_prefect.deploy import pending
from git_prefect.hooks.reference_transaction import HOLD

from ..repository import Clone
from .conftest import Team, flow_file, until
from .test_push import watchers


def hooks(clone: Clone) -> dict[str, str]:
    folder = clone.path / clone.git("rev-parse", "--git-path", "hooks")
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".sample"}


def told(printed: str) -> list[str]:
    """What the push prints after git's own lines, without the flows' pages."""
    lines = printed.splitlines()
    last = max(number for number, line in enumerate(lines) if " -> " in line)
    return [line for line in lines[last + 1 :] if "/flow/" not in line]


def test_the_push_ends_with_what_was_registered(native: Team, remote: Path) -> None:
    before = hooks(native.clone)
    head = native.clone.commit({"flows/etl.py": flow_file()})
    printed = native.push("origin", "feature/x")
    project = f"{native.project}-feature--x"
    assert [line for line in printed.splitlines() if "/flow/" not in line] == [
        f"origin/feature/x: 1 flow → project {project}, once origin has {head[:7]}.",
        f"To {remote}",
        " * [new branch]      feature/x -> feature/x",
        f"origin/feature/x at {head[:7]}: registering",
        f"  registered: etl → {project}, version 1",
    ]
    # At the end of the push all is done: nothing waits, and the idle repository has no trigger.
    assert [line["result"] for line in native.log()] == ["registered"]
    assert pending.entries(native.clone.repository) == []
    assert hooks(native.clone) == before


def test_a_push_that_changes_nothing_registered_is_not_held(native: Team, remote: Path) -> None:
    before = native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    head = native.clone.commit({"README": "more"})
    assert native.push("origin", "feature/x") == f"To {remote}\n   {before[:7]}..{head[:7]}  feature/x -> feature/x"
    native.settled()
    assert [line["commit"] for line in native.log()][-1] == head


def test_branches_and_tags_of_one_push_are_told_together(native: Team) -> None:
    head = native.clone.commit({"flows/etl.py": flow_file()})[:7]
    native.clone.git("tag", "v1")
    native.clone.git("branch", "feature/y")
    native.clone.git("branch", "elsewhere")
    printed = native.push("origin", "feature/x", "feature/y", "elsewhere", "v1")
    assert sorted(told(printed)) == sorted(
        line
        for place, project in (
            ("origin/feature/x", "feature--x"),
            ("origin/feature/y", "feature--y"),
            ("tag v1 on origin", "production"),
        )
        for line in (
            f"{place} at {head}: registering",
            f"  registered: etl → {native.project}-{project}, version 1",
        )
    )
    assert "origin/elsewhere: not registered, no target takes it [no-target]" in printed
    assert pending.entries(native.clone.repository) == []


def test_a_branch_that_the_remote_refuses_is_not_told_as_registered(native: Team, remote: Path) -> None:
    hook = remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/feature/no ]\n')
    hook.chmod(0o755)
    native.clone.commit({"flows/etl.py": flow_file()})
    native.clone.git("branch", "feature/no")
    printed = native.push("origin", "feature/x", "feature/no", check=False)
    assert "! [remote rejected] feature/no -> feature/no (hook declined)" in printed
    assert "\n  registered: etl → " in printed
    assert "origin/feature/no at" not in printed
    native.settled()
    assert sorted((line["ref"], line["result"]) for line in native.log()) == [
        ("refs/heads/feature/no", "not arrived"),
        ("refs/heads/feature/x", "registered"),
    ]


def test_what_goes_wrong_is_told_at_once(native: Team) -> None:
    head = native.clone.commit({"flows/etl.py": flow_file()})
    printed = native.push("origin", "feature/x", PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9")
    registering, failure, hint = told(printed)
    assert registering == f"origin/feature/x at {head[:7]}: registering"
    assert failure.startswith("  not registered yet: the Prefect API at http://127.0.0.1:9")
    assert hint == "  hint: it is tried again; now: git prefect register --pending"
    until(lambda: not watchers(native))
    assert [entry.attempts for entry in pending.entries(native.clone.repository)] == [1]
    assert "registered: etl" in native.prefect("register", "--pending")


def test_a_push_is_held_for_ten_seconds_at_most(native: Team) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        head = native.clone.commit({"flows/etl.py": flow_file()})
        native.clone.git("branch", "feature/y")
        began = time.monotonic()
        printed = native.push("origin", "feature/x", "feature/y", PREFECT__SERVER__ENDPOINT=endpoint)
        took = time.monotonic() - began
    assert told(printed) == [
        f"origin/feature/x at {head[:7]}: registering",
        "git-prefect: it goes on in the background; what became of it: git prefect status",
    ]
    assert HOLD < took < 2 * HOLD
    until(lambda: not watchers(native))
    assert "reference-transaction" not in hooks(native.clone)
    native.prefect("register", "--pending")
    assert [line["result"] for line in native.log()] == ["registered", "registered"]


def test_what_failed_before_is_news_also_where_nothing_has_changed(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    native.clone.commit({"README": "1"})
    native.push("origin", "feature/x", PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9")
    until(lambda: [entry.error for entry in pending.entries(native.clone.repository)] not in ([], [""]))
    native.clone.commit({"README": "2"})
    assert told(native.push("origin", "feature/x"))[1].startswith("  unchanged: etl → ")


def test_where_the_trigger_cannot_stand_the_watcher_serves(native: Team) -> None:
    (native.clone.path / ".git" / "git-prefect").mkdir(exist_ok=True)
    (native.clone.path / ".git" / "git-prefect" / "live").write_text("no folder, so no socket")
    native.clone.commit({"flows/etl.py": flow_file()})
    assert told(native.push("origin", "feature/x")) == []
    native.settled()
    assert [line["result"] for line in native.log()] == ["registered"]


def test_who_has_no_patience_may_end_the_push(native: Team) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        head = native.clone.commit({"flows/etl.py": flow_file()})
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            ["git", "push", "origin", "feature/x"], cwd=native.clone.path, start_new_session=True, text=True,
            env={**os.environ, "PREFECT__SERVER__ENDPOINT": endpoint},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as push:  # fmt: skip
            assert push.stdout
            for line in push.stdout:
                if line.endswith("registering\n"):
                    break
            # What is taken away after the push may be what the next git has just looked up.
            assert "reference-transaction" not in hooks(native.clone)
            os.killpg(push.pid, signal.SIGINT)
            rest = push.stdout.read()
        assert push.returncode == -signal.SIGINT
        assert rest in ("", "git-prefect: it goes on in the background; what became of it: git prefect status\n")
        assert watchers(native)
    until(lambda: not watchers(native))
    assert "reference-transaction" not in hooks(native.clone)
    native.prefect("register", "--pending")
    assert [(line["result"], line["commit"]) for line in native.log()] == [("registered", head)]


def test_a_watcher_that_is_killed_holds_no_push_and_leaves_a_harmless_trigger(native: Team, remote: Path) -> None:
    gate = native.clone.path.parent / "gate"
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nwhile ! [ -e {gate} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    head = native.clone.commit({"flows/etl.py": flow_file()})
    with subprocess.Popen(
        ["git", "push", "origin", "feature/x"],
        cwd=native.clone.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as push:  # fmt: skip
        until(lambda: watchers(native))
        for watcher in watchers(native):
            os.kill(watcher, signal.SIGKILL)
        gate.touch()
        printed, _ = push.communicate()
    assert push.returncode == 0
    assert told(printed) == []
    assert "reference-transaction" in hooks(native.clone)
    native.clone.commit({"README": "a transaction"})
    assert "reference-transaction" not in hooks(native.clone)
    assert f"origin/feature/x at {head[:7]}: registered" in native.prefect("status")


def test_the_hook_of_others_sees_every_transaction_and_is_put_back(native: Team, tmp_path: Path) -> None:
    place = native.clone.path / ".git" / "hooks" / "reference-transaction"
    place.write_text(f"#!/bin/sh\nsed 's/^/'$1' /' >>{tmp_path}/theirs\n")
    place.chmod(0o755)
    before = hooks(native.clone)
    head = native.clone.commit({"flows/etl.py": flow_file()})
    printed = native.push("origin", "feature/x")
    assert "\n  registered: etl → " in printed
    assert f"committed {'0' * 40} {head} refs/remotes/origin/feature/x" in (tmp_path / "theirs").read_text()
    assert hooks(native.clone) == before


def test_where_the_hooks_belong_to_another_tool_the_watcher_serves(native: Team, tmp_path: Path) -> None:
    native.clone.git("config", "core.hooksPath", ".husky")
    (line,) = re.findall(r"git prefect pre-push \S+", native.prefect("install", check=False))
    husky = native.clone.path / ".husky" / "pre-push"
    husky.parent.mkdir()
    husky.write_text(f"#!/bin/sh\n{line}\n")
    husky.chmod(0o755)
    native.clone.commit({"flows/etl.py": flow_file()})
    gate, waits = tmp_path / "gate", native.remote / "hooks" / "pre-receive"
    waits.write_text(f"#!/bin/sh\nwhile ! [ -e {gate} ]; do sleep 0.05; done\n")
    waits.chmod(0o755)
    command = ["git", "push", "origin", "feature/x"]
    with subprocess.Popen(command, cwd=native.clone.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as push:
        until(lambda: pending.entries(native.clone.repository))
        pushers = [entry.pusher and entry.pusher.pid for entry in pending.entries(native.clone.repository)]
        gate.touch()
        printed, _ = push.communicate()
    # Not the `git prefect pre-push` between them, which ends before the push does.
    assert pushers == [push.pid]
    assert "What became of it: git prefect status" in printed
    assert told(printed) == []
    native.settled()
    assert [line["result"] for line in native.log()] == ["registered"]
    assert sorted(path.name for path in husky.parent.iterdir()) == ["pre-push"]


def test_a_linked_work_tree_and_a_submodule_have_it_too(native: Team, remote: Path, tmp_path: Path) -> None:
    linked = Clone(tmp_path / "linked")
    native.clone.git("worktree", "add", "--quiet", "-b", "feature/linked", str(linked.path))
    linked.commit({"flows/etl.py": flow_file()})
    assert told(linked.git("push", "origin", "feature/linked"))[1].endswith(", version 1")
    parent = Clone(tmp_path / "parent")
    subprocess.run(["git", "init", "--quiet", str(parent.path)], check=True)
    parent.git("submodule", "--quiet", "add", str(remote), "etl")
    inside = Clone(parent.path / "etl")
    assert inside.git("prefect", "install") == f"write {parent.path}/.git/modules/etl/hooks/pre-push"
    before = hooks(inside)
    inside.git("switch", "--quiet", "--create", "feature/inside")
    inside.commit({"flows/etl.py": flow_file()})
    assert told(inside.git("push", "origin", "feature/inside"))[1].endswith(", version 1")
    assert hooks(inside) == before
    assert "reference-transaction" not in hooks(native.clone)


@pytest.mark.parametrize("ours_first", [False, True])
def test_beside_pre_commit_it_is_told_in_the_push_too(team: Team, ours_first: bool) -> None:
    if ours_first:
        (team.clone.path / ".git" / "hooks" / "pre-push").unlink()
        team.prefect("install")
        team.clone.git("-c", "alias.pc=!pre-commit", "pc", "install", "--hook-type", "pre-push")
    else:
        team.prefect("install")
    before = hooks(team.clone)
    head = team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("origin", "feature/x")
    project = f"{team.project}-feature--x"
    assert told(printed) == [
        f"origin/feature/x at {head[:7]}: registering",
        f"  registered: etl → {project}, version 1",
    ]
    assert printed.count("1 flow → project") == 1
    assert hooks(team.clone) == before
    assert [line["result"] for line in team.log()] == ["registered"]
