"""`make soak`: kills, then races, in as many worlds at a time as there are cores; prints the figures and what broke."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from git_prefect.devserver.process import running

from . import kills, races, tracer


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many at least (Linux on x86-64 only)")
    parser.add_argument("--rounds", type=int, default=200, help="of races")
    parser.add_argument("--seed", default=str(random.randrange(1_000_000)))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeat", metavar="ROUND", help="play one round of kills, as a failure prints it")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {options.seed}, {options.workers} workers, worlds in {folder}", flush=True)
    if options.repeat:
        return _repeat(folder, options.repeat)
    failures: list[str] = []
    if tracer.AVAILABLE and options.kills:
        failures += _side_by_side(kill, folder, options.seed, options.kills, options.workers)
    if options.rounds:
        failures += _side_by_side(race, folder, options.seed, options.rounds, options.workers)
    return 1 if failures else 0


Work = Callable[[Path, str, int], dict[str, Any]]


def _side_by_side(work: Work, folder: Path, seed: str, wanted: int, workers: int) -> list[str]:
    """Let every worker do its share; what broke. The figures are printed."""
    began = time.monotonic()
    share = -(-wanted // workers)
    with multiprocessing.Pool(workers) as pool:
        jobs = [pool.apply_async(work, (folder, f"{seed}-{number}", share)) for number in range(workers)]
        results = [job.get() for job in jobs]
    failures = [line for one in results for line in one["failures"]]
    figures = {name: sum(one[name] for one in results) for name in results[0] if isinstance(results[0][name], int)}
    seen = {name: len(set().union(*(one[name] for one in results))) for name in results[0] if name.endswith("steps")}
    told = ", ".join(f"{value} {name}" for name, value in {**figures, **seen}.items())
    print(f"{work.__name__}: {told}; {len(failures)} failures; {time.monotonic() - began:.0f} s", flush=True)
    return failures


def kill(folder: Path, seed: str, wanted: int) -> dict[str, Any]:
    """One worker's share of kills: in one world, until that is broken, since what broke one says nothing of the next."""
    choice = kills.Choice(seed)
    done: dict[str, Any] = {"kills survived": 0, "kills": 0, "rounds": 0, "failures": []}
    worlds = 0
    with running() as api:
        world = kills.fresh_world(folder, api, f"kills{seed.split('-')[-1]}", worlds)
        kills.learn(world, choice)
        while done["kills"] < wanted:
            _so_far(folder, seed, done)
            chosen = choice.round()
            done["rounds"] += 1
            try:
                played = kills.play(world, chosen)
                done["kills"] += played.kills
                done["kills survived"] += played.kills
                choice.learn(played.steps)
            except Exception as error:
                done["kills"] += 1
                again = f"to repeat: python -m tests.soak --repeat '{chosen}'"
                _tell(done["failures"], seed, world.folder, error, again)
                worlds += 1
                world = kills.fresh_world(folder, api, f"kills{seed.split('-')[-1]}", worlds)
    done["kinds of steps"] = choice.all_kinds()
    done["of them killed at, kinds of steps"] = choice.kinds
    return done


def race(folder: Path, seed: str, wanted: int) -> dict[str, Any]:
    """One worker's share of races."""
    done: dict[str, Any] = {"rounds held": 0, "rounds": 0, "commands": 0, "registered at the next command": 0, "failures": []}
    name = f"races{seed.split('-')[-1]}"
    teams = int(seed.split("-")[-1])
    with running() as api:
        team = races.fresh_team(folder, api, name, teams)
        for number in range(wanted):
            _so_far(folder, seed, done)
            done["rounds"] += 1
            try:
                raced = team.race(random.Random(f"{seed}-{number}"))
                done["rounds held"] += 1
                done["commands"] += raced.commands
                done["registered at the next command"] += raced.waited
            except Exception as error:
                _tell(done["failures"], seed, team.world.folder, error, f"round {number}, team {teams}")
                teams += 2
                team = races.fresh_team(folder, api, name, teams)
    return done


def _so_far(folder: Path, seed: str, done: dict[str, Any]) -> None:
    """Figures for who looks before the end, or when there was none."""
    figures = ", ".join(f"{value} {name}" for name, value in done.items() if isinstance(value, int))
    (folder / f"so-far-{seed}").write_text(f"{figures}\n")


def _tell(failures: list[str], seed: str, world: Path, error: Exception, again: str) -> None:
    said = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
    failures.append(f"FAILED (seed {seed}) in {world}\n{said}\n{again}\n")
    print(failures[-1], flush=True)


def _repeat(folder: Path, text: str) -> int:
    with running() as api:
        world = kills.fresh_world(folder, api, "repeat", 0)
        try:
            print(kills.play(world, kills.Round.parse(text)).kills, "kills survived")
        except AssertionError as error:
            print(f"{world.folder}\n{error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
