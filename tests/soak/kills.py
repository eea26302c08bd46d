"""Kill it anywhere: rounds of commands of which some are killed at a step, then a command that runs to its end."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from git_prefect.deploy import pending

from .tracer import Fault, Step
from .world import Broken, World

PUSH = ("git", "push", "origin")
NOWHERE = {"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"}


class Command(NamedTuple):
    """Something that a user types: what it needs to have something to do, and the words."""

    prepare: Callable[[World], None]
    words: Callable[[World], tuple[str, ...]]


def _nothing(_: World) -> None:
    pass


def _change_main(world: World) -> None:
    world.catch_up()
    world.change(world.ada, "main")


def _change_feature(world: World) -> None:
    world.change(world.ada, "feature/x")


def _change_all(world: World) -> None:
    _change_feature(world)
    _change_main(world)
    _tag(world)


def _tag(world: World) -> None:
    world.tag += 1
    world.call("git", "tag", f"v{world.tag}", "main")


def _release(world: World) -> None:
    """A tag of what the remote's main has."""
    world.tag += 1
    world.call("git", "fetch", "--quiet")
    world.call("git", "tag", f"v{world.tag}", "origin/main")


def _change_no_flow(world: World) -> None:
    world.catch_up()
    world.number += 1
    (world.ada / "README").write_text(f"{world.number}\n")
    world.call("git", "add", "README")
    world.call("git", "commit", "--quiet", "-m", "no flow")


def _refused(world: World) -> None:
    _change_main(world)
    world.refuse(True)


def _overtaken(world: World) -> None:
    world.overtake()


def _let_it_wait(world: World) -> None:
    """A push that arrived while the API was away."""
    _change_main(world)
    world.run(*PUSH, "main", **NOWHERE)


def _both(world: World) -> None:
    _change_feature(world)
    _change_main(world)


VICTIMS = {
    "push main": Command(_change_main, lambda _: (*PUSH, "main")),
    "push feature": Command(_change_feature, lambda _: (*PUSH, "feature/x")),
    "push all": Command(_change_all, lambda world: (*PUSH, "main", "feature/x", f"v{world.tag}")),
    "push by url": Command(_change_main, lambda world: ("git", "push", str(world.remote), "main")),
    "push a tag": Command(_release, lambda world: (*PUSH, f"v{world.tag}")),
    "push no flow": Command(_change_no_flow, lambda _: (*PUSH, "main")),
    "push refused": Command(_refused, lambda _: (*PUSH, "main")),
    "register": Command(_overtaken, lambda _: ("git", "prefect", "register", "--ref", "main")),
    "register --pending": Command(_let_it_wait, lambda _: ("git", "prefect", "register", "--pending")),
}
RECOVERIES = {
    "status": Command(_nothing, lambda _: ("git", "prefect", "status")),
    "pending": Command(_nothing, lambda _: ("git", "prefect", "register", "--pending")),
    "push again": Command(_nothing, lambda _: (*PUSH, "main", "feature/x")),
    "push more": Command(_both, lambda _: (*PUSH, "main", "feature/x")),
    "register main": Command(_nothing, lambda _: ("git", "prefect", "register", "--ref", "main")),
}
COMMANDS = {**VICTIMS, **RECOVERIES}

ENDS = {
    # A terminal's Ctrl-C, and its window closed.
    "group": (signal.SIGINT, signal.SIGHUP),
    "top": (signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
    "self": (signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
    "all": (signal.SIGKILL,),
}


class Turn(NamedTuple):
    """One command of a round, and what befalls it."""

    command: str
    fault: Fault | None = None


class Round(NamedTuple):
    """Commands one after the other, then perhaps a push of somebody else's, then one that nothing befalls."""

    turns: tuple[Turn, ...]
    overtaken: bool
    last: str

    def __str__(self) -> str:
        turns = [[one.command, str(one.fault) if one.fault else None] for one in self.turns]
        return json.dumps([turns, self.overtaken, self.last])

    @classmethod
    def parse(cls, text: str) -> Round:
        """The round that `str` gave this text of."""
        turns, overtaken, last = json.loads(text)
        return cls(tuple(Turn(name, Fault.parse(fault) if fault else None) for name, fault in turns), overtaken, last)


class Played(NamedTuple):
    """What became of a round."""

    kills: int
    """Faults whose step was reached."""
    steps: dict[str, list[Step]]
    """The steps that each command took."""


def play(world: World, played: Round) -> Played:
    """Play a round in a world.

    Raises:
        Broken: something did not hold; the text says what, and after which turn.
    """
    kills, steps = 0, {}
    told: list[str] = []
    try:
        for turn in played.turns:
            COMMANDS[turn.command].prepare(world)
            made = world.run(*COMMANDS[turn.command].words(world), fault=turn.fault)
            told.append(f"$ {turn.command}  [{turn.fault}: {'hit' if made.hit else 'not reached'}]\n{made.output}")
            world.refuse(False)
            steps.setdefault(turn.command, []).extend(made.steps)
            kills += made.hit
            if made.hit:
                world.sweep_gits_own_locks()
            world.check()
        _come_back(world, played, told)
    except Broken as error:
        raise Broken("\n".join([str(error), *told])) from error
    return Played(kills, steps)


def _come_back(world: World, played: Round, told: list[str]) -> None:
    """What the user does next, and what then has to be so."""
    waiting = {one.ref for one in pending.entries(world.repository) if world.has(one.ref, one.commit)}
    # What somebody else pushed, without hooks, is nobody's to register, unless a push of ours waits that it goes on from.
    registers = any(turn.command == "register" for turn in played.turns)
    others = {"refs/heads/main"} if registers and "refs/heads/main" not in waiting else set()
    if played.overtaken:
        world.overtake()
        others |= {"refs/heads/main"} - waiting
    COMMANDS[played.last].prepare(world)
    made = world.run(*COMMANDS[played.last].words(world))
    told.append(f"$ {played.last}\n{made.output}")
    # Somebody else's push came before ours.
    rejected = "[rejected]" in made.output
    if made.status not in (0, 1) or (made.status and "push" in played.last and not rejected):
        raise Broken(f"{played.last}: exit {made.status}")
    if any(one.error for one in pending.entries(world.repository)):
        # It failed once and waits for its time; `status` has said how not to wait.
        made = world.run("git", "prefect", "register", "--pending")
        told.append(f"$ git prefect register --pending\n{made.output}")
    wrong = [line for line in world.behind() if not line.startswith(tuple(others) or "none")]
    if wrong:
        raise Broken("\n".join(wrong))
    if others:
        world.run("git", "prefect", "register", "--ref", "main")
    world.check_settled()


class Choice:
    """Chooses rounds so that every step that is known gets its turn; seeded."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.known: dict[str, dict[str, dict[str, Step]]] = {}
        """Command → role → what it does → one such step."""
        self.hit: set[tuple[str, str]] = set()
        self.kinds: set[str] = set()
        """What was hit: the steps of each command, and the kinds of steps, whichever command and how manieth."""

    def learn(self, steps: dict[str, list[Step]]) -> None:
        """The steps that commands took."""
        for command, taken in steps.items():
            for step in taken:
                if _is_ours(step):
                    self.known.setdefault(command, {}).setdefault(step.role, {}).setdefault(str(step), step)

    def all_kinds(self) -> set[str]:
        """Every kind of step that is known."""
        return {_kind(step) for roles in self.known.values() for steps in roles.values() for step in steps}

    def round(self) -> Round:
        """The next round."""
        first = self.random.choice(list(VICTIMS))
        turns = [Turn(first, self.fault(first))]
        while self.random.random() < 0.6:
            again = self.random.choice(list(RECOVERIES))
            turns.append(Turn(again, self.fault(again)))
        overtaken = self.random.random() < 0.15
        last = self.random.choices(list(RECOVERIES), [3, 3, 2, 1, 1])[0]
        return Round(tuple(turns), overtaken, last)

    def fault(self, command: str) -> Fault | None:
        """A step of a command, one that was not hit yet if there is one, and how it ends there."""
        roles = self.known.get(command)
        if not roles:
            return None
        # What is ours, git's push and the remote, before the many small programs that each of them starts.
        weights = [1 if " > " in role else 4 for role in sorted(roles)]
        role = self.random.choices(sorted(roles), weights)[0]
        steps = sorted(roles[role])
        fresh = [one for one in steps if _kind(one) not in self.kinds] or [
            one for one in steps if (command, one) not in self.hit
        ]
        chosen = self.random.choice(fresh or steps)
        self.kinds.add(_kind(chosen))
        self.hit.add((command, chosen))
        step = roles[role][chosen]
        aims = ["self", "self", "all"] if role.startswith("watcher") else ["self", "self", "top", "group", "all"]
        aim = self.random.choice(aims)
        return Fault(step, aim, self.random.choice(ENDS[aim]))


def _kind(step: str) -> str:
    return step.rpartition(" #")[0]


def _is_ours(step: Step) -> bool:
    """A step that is worth a kill: not one of a program that has not begun, nor of a flow's load, which has its own tests."""
    return not step.role.startswith(("start", "loads")) and step.role != ""


def learn(world: World, choice: Choice) -> None:
    """Run every command once with nothing that befalls it."""
    everything = Round(tuple(Turn(name) for name in COMMANDS), False, "register main")
    choice.learn(play(world, everything).steps)


def fresh_world(folder: Path, api: str, name: str, number: int) -> World:
    """A new world; every other one has a reference-transaction hook of somebody else's."""
    return World(folder / f"{name}-{number}", api, f"{name}-{number}", with_hook_of_others=number % 2 == 1)
