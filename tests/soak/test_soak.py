"""A short soak: what `make soak` does at length; and that the harness itself sees, kills and notices."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_prefect.devserver.process import running

from . import kills, races, tracer
from .tracer import Fault, Step
from .world import Broken, World

needs_tracing = pytest.mark.skipif(not tracer.AVAILABLE, reason="kills at a system call need Linux on x86-64")

PUSH, WATCHER, HOOK = "git push", "watcher", "git prefect pre-push"
ROUNDS = [
    # Before anything is written; with a half-written entry; with an entry and no watcher; before the remote has it.
    [("push main", "SIGKILL", "self", HOOK, "mkdir ~/ada/.git/git-prefect/pending"), "push again"],
    [("push main", "SIGKILL", "all", HOOK, "fsync ~/ada/.git/git-prefect/pending/.N-N.json.N"), "push more"],
    [("push main", "SIGKILL", "top", HOOK, "rename ~/ada/.git/git-prefect/pending/N-N.json"), "status"],
    [("push main", "SIGINT", "group", HOOK, "rename ~/ada/.git/hooks/reference-transaction"), "push again"],
    [("push all", "SIGKILL", "all", "remote", "rename ~/remote.git/./refs/heads/main"), "status"],
    # The remote has it, and this clone does not know.
    [("push main", "SIGKILL", "top", PUSH, "open ~/ada/.git/refs/remotes/origin/main.lock"), "pending"],
    # While it is registered, or just was.
    [("push main", "SIGKILL", "self", WATCHER, "send socket:[N]"), "push again"],
    [("push feature", "SIGTERM", "self", WATCHER, "write ~/ada/.git/git-prefect/log.jsonl"), "status"],
    [("push main", "SIGKILL", "all", WATCHER, "unlink ~/ada/.git/git-prefect/pending/N-N.json"), "status"],
    [("register", "SIGINT", "self", "git prefect register", "send socket:[N]"), "register main"],
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running() as api:
        yield World(tmp_path_factory.mktemp("soak"), api, "short", with_hook_of_others=True)


@needs_tracing
@pytest.mark.parametrize("planned", ROUNDS, ids=lambda planned: "-".join(planned[0][i] for i in (3, 1, 2)))
def test_killed_at_a_step_and_all_is_well_after_the_next_command(world: World, planned: list[tuple[str, ...]]) -> None:
    (command, number, aim, role, what), last = planned
    fault = Fault(Step(role, what, 1), aim, signal.Signals[number])
    played = kills.play(world, kills.Round((kills.Turn(command, fault),), False, str(last)))
    assert played.kills == 1, f"{fault.step} is no step any more; there are {sorted(set(map(str, _steps(played))))}"


def _steps(played: kills.Played) -> list[Step]:
    return [step for steps in played.steps.values() for step in steps if " > " not in step.role]


@needs_tracing
def test_kills_at_random(world: World) -> None:
    choice, survived = kills.Choice("short"), 0
    choice.learn({"push main": world.run("git", "push", "origin", "main").steps})
    for name in ("push main", "push feature"):
        choice.learn(kills.play(world, kills.Round((kills.Turn(name),), False, "pending")).steps)
    while survived < 4:
        turns = tuple(kills.Turn(name, choice.fault(name)) for name in ("push main", "push feature"))
        survived += kills.play(world, kills.Round(turns, False, "status")).kills


def test_two_clones_two_terminals_and_ci_at_once(tmp_path: Path) -> None:
    with running() as api:
        team = races.fresh_team(tmp_path, api, "short", 0)
        for number in range(2):
            team.race(random.Random(f"short-{number}"))


@needs_tracing
def test_the_harness_kills_right_before_a_step_and_finds_what_is_left(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    # It says so only once what it leaves behind is there.
    script = "echo one >first; echo two >second; sleep 60 & until grep -q sleep /proc/$!/comm; do :; done; echo done"
    for limit in (2, 10, 60):
        whole = tracer.run(("sh", "-c", script), place, os.environ, limit=limit)
        if whole.output:
            break
    assert (whole.status, whole.output) == (0, "done\n")
    assert [one.rpartition(" (")[2] for one in whole.left] == ["sleep 60)"]
    (place / "first").unlink()
    (place / "second").unlink()
    (step,) = (one for one in whole.steps if one.what == "open second")
    fault = Fault(step, "self", signal.SIGKILL)
    assert Fault.parse(str(fault)) == fault
    assert tracer.run(("sh", "-c", script), place, os.environ, fault)[:2] == (-signal.SIGKILL, "")
    assert [one.name for one in place.iterdir()] == ["first"]


def test_a_round_is_repeated_by_what_is_printed_of_it() -> None:
    fault = Fault(Step("watcher", "send socket:[N]", 3), "all", signal.SIGKILL)
    played = kills.Round((kills.Turn("push main", fault), kills.Turn("status")), True, "push more")
    assert kills.Round.parse(str(played)) == played


def test_the_harness_notices_what_it_is_there_for(world: World) -> None:
    world.check_settled()
    # A push that nobody registers.
    world.overtake()
    with pytest.raises(Broken, match="refs/heads/main of the remote has etl with"):
        world.check_settled()
    world.call("git", "prefect", "register", "--ref", "main")
    world.check_settled()
    entry = world.ada / ".git" / "git-prefect" / "pending" / "1-1.json"
    entry.parent.mkdir(exist_ok=True)
    entry.write_text(json.dumps({"format": 1})[:5])
    with pytest.raises(Broken, match="pending entries that cannot be read"):
        world.check_settled()
    entry.unlink()
    trigger = world.ada / ".git" / "hooks" / "reference-transaction"
    theirs = trigger.read_text()
    trigger.write_text("#!/bin/sh\n")
    with pytest.raises(Broken, match="is left in place"):
        world.check_settled()
    trigger.write_text(theirs)
