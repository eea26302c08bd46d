"""The `git push` that runs us: which process it is, and when it has ended."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

POLL = 0.1
"""Seconds between two looks at a process, where the system cannot wake us at its end."""


class Process(msgspec.Struct, frozen=True):
    """A process for good: numbers are reused, a number with its start time is not."""

    pid: int
    started: str


class _Seen(msgspec.Struct, frozen=True):
    parent: int
    started: str
    arguments: list[str]


def _look(pid: int) -> _Seen | None:
    """Parent, start time and arguments of a process; None when it is gone."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                # The name in parentheses may hold anything; the fields count from behind the last one.
                fields = stat.read().rpartition(b")")[2].split()
                arguments = cmdline.read().decode("utf-8", "replace").split("\0")[:-1]
        except OSError:
            return None
        # A zombie has ended; only its parent has not looked yet.
        return None if fields[0] in (b"Z", b"X") else _Seen(int(fields[1]), fields[19].decode(), arguments)
    command = ["ps", "-o", "ppid=,lstart=,command=", "-p", str(pid)]
    words = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return _Seen(int(words[0]), " ".join(words[1:6]), words[6:]) if len(words) > 6 else None


def ancestors() -> list[tuple[Process, list[str]]]:
    """The processes above this one, nearest first, each with its arguments."""
    found: list[tuple[Process, list[str]]] = []
    pid = os.getppid()
    while pid > 1:
        seen = _look(pid)
        if seen is None:
            break
        found.append((Process(pid, seen.started), seen.arguments))
        pid = seen.parent
    return found


def _is_git(arguments: list[str]) -> bool:
    """Whether a command line is git's, other than the `git prefect pre-push` of a hook, which ends before the push does."""
    ours = ("prefect", "pre-push") in zip(arguments, arguments[1:])
    return bool(arguments) and os.path.basename(arguments[0]) in ("git", "git.exe") and not ours


def pushing_process() -> Process | None:
    """The `git push` that this hook runs under: the nearest ancestor that is git; None when there is none."""
    return next((process for process, arguments in ancestors() if _is_git(arguments)), None)


def pushing_arguments() -> list[str]:
    """Its command line; empty when there is none."""
    return next((arguments for _, arguments in ancestors() if _is_git(arguments)), [])


def arguments_of(process: Process) -> list[str]:
    """The command line of a process; empty when it has ended."""
    seen = _look(process.pid)
    return seen.arguments if seen is not None and seen.started == process.started else []


WITH_VALUE = ("-o", "--push-option", "--repo", "--receive-pack", "--exec")
"""Options of `git push` whose value is an argument of its own."""


def is_quiet(arguments: Sequence[str]) -> bool:
    """Whether the command line of a `git push` asks for no output but errors; of `--quiet` and `--verbose` the last counts.

    git passes this on to its hooks in no other way, and pre-commit neither.
    """
    quiet = False
    words = iter(arguments[arguments.index("push") + 1 :] if "push" in arguments else ())
    for word in words:
        if word == "--":
            break
        if word in WITH_VALUE:
            next(words, None)
        elif word.startswith("--"):
            # git takes the beginning of an option for the option.
            if word in ("--no-quiet", "--no-verbose") or (len(word) > 5 and "--verbose".startswith(word)):
                quiet = False
            elif "--quiet".startswith(word):
                quiet = True
        elif word.startswith("-"):
            # `-uq`; what follows an `o` is its value.
            for letter in word[1:].partition("o")[0]:
                quiet = letter == "q" or (quiet and letter != "v")
            if word.endswith("o"):
                next(words, None)
    return quiet


def asked_for_stage(stage: str) -> bool:
    """Whether the `pre-commit run` above us was asked for this `--hook-stage`.

    pre-commit gives a hook no other way to tell its manual stage from a rehearsal of a push.
    """
    for _, arguments in ancestors():
        for position, argument in enumerate(arguments):
            if argument == f"--hook-stage={stage}":
                return True
            if argument in ("--hook-stage", "--stage") and arguments[position + 1 : position + 2] == [stage]:
                return True
    return False


def is_running(process: Process) -> bool:
    """Whether this very process is still there."""
    seen = _look(process.pid)
    return seen is not None and seen.started == process.started


def wait_for_end(process: Process, seconds: float) -> bool:
    """Wait until the process has ended, `seconds` at most; whether it has."""
    deadline = time.monotonic() + seconds
    try:
        descriptor = os.pidfd_open(process.pid) if sys.platform == "linux" else None
    except (OSError, AttributeError):
        descriptor = None
    try:
        while is_running(process):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if descriptor is not None:
                select.select([descriptor], [], [], left)
            else:
                time.sleep(min(POLL, left))
        return True
    finally:
        if descriptor is not None:
            os.close(descriptor)
