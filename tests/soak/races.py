"""Races: two clones, two terminals and a CI job push and register the same and other flows at once.

In half of the worlds all are one user on one machine, so that the locks keep them apart; in the others each has a
machine of its own, and only what is read back does.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from git_prefect.deploy import pending

from .world import Broken, World, repository_at

PATIENCE = 120.0
"""Seconds until everything has settled."""


class Act(NamedTuple):
    """Something that one of them does, so many seconds after the round has begun."""

    who: str
    what: str
    after: float


class Race(NamedTuple):
    """What came of a round."""

    commands: int
    """Commands of users that were run at once."""
    waited: int
    """Pushes whose registration failed beside another one, and was done by `git prefect register --pending`."""


ACTS = {
    "ada": ("push main", "push main", "register main", "status"),
    "ada, second terminal": ("push feature", "push feature", "register feature", "register main", "pending"),
    "bob": ("push main", "push feature", "push both", "register main"),
    "ci": ("register main", "register feature"),
}


class Team:
    """A world in which Bob has the hook too, Ada a second work tree, and CI a clone of its own."""

    def __init__(self, world: World, one_machine: bool) -> None:
        self.world = world
        self.second, self.ci = world.folder / "second", world.folder / "ci"
        world.call("git", "worktree", "add", "--quiet", str(self.second), "feature/x")
        world.call("git", "clone", "--quiet", str(world.remote), str(self.ci), at=world.folder)
        world.call("git", "prefect", "install", at=world.bob)
        world.clones += [world.bob, self.ci]
        self.places = {"ada": world.ada, "ada, second terminal": self.second, "bob": world.bob, "ci": self.ci}
        self.environ = {who: dict(world.environ) for who in self.places}
        self.environ["ci"]["CI"] = "true"
        if not one_machine:
            for who in ("bob", "ci"):
                self.environ[who]["XDG_STATE_HOME"] = str(world.folder / f"state-{who}")
        self.numbers = iter(range(1_000_000, 9_000_000))

    def race(self, chance: random.Random) -> Race:
        """One round.

        Raises:
            Broken: something did not hold; the text says what everybody did and saw.
        """
        acts = [Act(who, chance.choice(ACTS[who]), chance.uniform(0, 1.5)) for who in _some(list(ACTS), chance)]
        chosen = {act.who: tuple(sorted(chance.sample(("etl", "report"), chance.choice((1, 2))))) for act in acts}
        with ThreadPoolExecutor(len(acts)) as pool:
            told = list(pool.map(lambda act: self._do(act, chosen[act.who]), acts))
        waited = 0
        try:
            self._quiet()
            for clone in (self.world.ada, self.world.bob):
                entries = pending.entries(repository_at(clone))
                waited += len(entries)
                if entries:
                    command = ("git", "prefect", "register", "--pending")
                    told.append(f"$ {command} in {clone.name}: {[one.error for one in entries]}")
                    told.append(self.world.call(*command, at=clone, check=False))
            self._quiet()
            self.world.check_settled()
        except Broken as error:
            raise Broken("\n".join([str(error), *told])) from error
        return Race(len(acts), waited)

    def _do(self, act: Act, flows: tuple[str, ...]) -> str:
        time.sleep(act.after)
        verb, _, what = act.what.partition(" ")
        told = [f"--- {act}"]
        if verb == "push":
            refs = {"main": ("main",), "feature": ("feature/x",), "both": ("main", "feature/x")}[what]
            for _ in range(3):
                for ref in refs:
                    self._change(act.who, ref, flows)
                told.append(self._call(act.who, "git", "push", "origin", *(self._source(act.who, ref) for ref in refs)))
                if "rejected]" not in told[-1]:
                    break
        elif verb == "register":
            ref = "main" if what == "main" else "feature/x"
            if act.who == "ci":
                self._call(act.who, "git", "fetch", "--quiet")
                self._call(act.who, "git", "checkout", "--quiet", "--detach", f"origin/{ref}")
            told.append(self._call(act.who, "git", "prefect", "register", "--ref", ref))
        elif verb == "pending":
            told.append(self._call(act.who, "git", "prefect", "register", "--pending"))
        else:
            told.append(self._call(act.who, "git", "prefect", "status"))
        if any(word in line for line in told for word in ("Traceback", "bug of")):
            raise Broken("\n".join(told))
        return "\n".join(told)

    def _source(self, who: str, ref: str) -> str:
        return f"{_local(who, ref)}:{ref}"

    def _change(self, who: str, ref: str, flows: tuple[str, ...]) -> None:
        """Go on from what the remote has, with another structure of some flows."""
        # Where both have changed a flow, whoever comes later wins: what is raced for is the registration.
        self._call(who, "git", "fetch", "--quiet", "origin")
        self._call(who, "git", "checkout", "--quiet", "-B", _local(who, ref), f"origin/{ref}", "--no-track")
        self.world.write(self.places[who], flows, next(self.numbers))
        self._call(who, "git", "commit", "--quiet", "--all", "-m", f"{who} changes {ref}")

    def _call(self, who: str, *command: str) -> str:
        result = subprocess.run(
            command, cwd=self.places[who], env=self.environ[who], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return f"$ {' '.join(command)}: exit {result.returncode}\n{result.stdout}"

    def _quiet(self) -> None:
        """Wait until none of our processes is left."""
        deadline = time.monotonic() + PATIENCE
        while left := _processes(self.world.folder):
            if time.monotonic() > deadline:
                raise Broken(f"still there after {PATIENCE:.0f} s: {left}")
            time.sleep(0.1)


def _some(who: list[str], chance: random.Random) -> list[str]:
    return chance.sample(who, chance.choice((2, 3, 3, 4)))


def _local(who: str, ref: str) -> str:
    """The second terminal shares its branches with the first one: a branch can be checked out in one of them only."""
    return f"second-{ref}" if who == "ada, second terminal" else f"own-{ref}"


def _processes(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != os.getpid() and os.fsencode(folder) in (path / "environ").read_bytes():
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


def fresh_team(folder: Path, api: str, name: str, number: int) -> Team:
    """A new team; every other one is spread over machines."""
    world = World(folder / f"{name}-{number}", api, f"{name}-{number}")
    return Team(world, one_machine=number % 2 == 0)
