"""The console blocks of the docs, and what runs them.

A page says what its examples need in HTML comments, which nobody sees who reads it:

    <!-- world: adopted -->      a repository of `worlds.py`; what follows happens in it
    <!-- write: flows/etl.py --> the code block that follows is the content of this file
    <!-- run: COMMAND -->        done beforehand, not shown
    <!-- settled -->             wait until every push is registered
    <!-- agent -->               a Prefect agent with the token runs from here on; `<!-- agent: NAME=VALUE -->` with a variable
    <!-- answer: y -->           the console block that follows is run in a terminal, and its question answered
    <!-- fails: 1 -->            the last command of the console block that follows ends with this exit code
    <!-- not run: REASON -->     the console block that follows is not run

In a block a line that begins with `$ ` is a command (it goes on after a `\\`, and through a here-document), and what follows is
what it prints. A line `…` stands for any lines, or none. `python -m tests.docs [PAGE…]` runs the pages and puts in what is printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .world import World

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Step(NamedTuple):
    """A directive, or a code block with the directives that are about it."""

    kind: str
    """`world`, `run`, `settled`, `agent`, `write` or `console`."""
    text: str
    line: int
    """Number of the first line of its text, from 0."""
    code: int = 0
    answer: str = ""
    path: str = ""
    reason: str = ""
    """Why a console block is not run."""


class Command(NamedTuple):
    """A command of a console block and what it prints there."""

    command: str
    lines: list[str]
    """The command as it is written."""
    printed: list[str]


BEFORE = {"write": "path", "fails": "code", "answer": "answer", "not run": "reason"}


def steps(text: str) -> Iterator[Step]:
    """The steps of a page in its order."""
    lines = text.splitlines()
    waiting: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        directive = re.fullmatch(
            r"<!-- (world|run|settled|agent|write|fails|answer|not run)(?:: (.*))? -->", line.strip()
        )
        fence = re.match(r"^(`{3,})(\w*)$", line)
        number += 1
        if directive:
            kind, value = directive[1], directive[2] or ""
            if kind in BEFORE:
                waiting[BEFORE[kind]] = value
            else:
                yield Step(kind, value, number)
        elif fence:
            first = number
            while lines[number] != fence[1]:
                number += 1
            body = "\n".join(lines[first:number])
            number += 1
            if fence[2] == "console" or "path" in waiting:
                kind = "write" if "path" in waiting else "console"
                code = int(waiting.pop("code", "0"))
                yield Step(kind, body, first, code=code, **waiting)
                waiting = {}


def commands(block: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in block.splitlines():
        goes_on = found and not found[-1].printed and _is_open(found[-1].lines)
        if line.startswith("$ ") and not goes_on:
            found.append(Command(line[2:], [line], []))
        elif goes_on:
            last = found[-1]
            found[-1] = last._replace(command=f"{last.command}\n{line}", lines=[*last.lines, line])
        else:
            assert found, f"output without a command: {line}"
            found[-1].printed.append(line)
    return found


def _is_open(lines: list[str]) -> bool:
    """Whether a command goes on in the next line: a backslash, or a here-document that has not ended."""
    document = re.search(r"<<'?(\w+)'?$", lines[0])
    return lines[-1].endswith("\\") or (document is not None and lines[-1] != document[1])


CHANGES = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b", "COMMIT"),
    (r"\b\d+(\.\d+)? ?s\b", "N s"),
    (r"\bPython \d+\.\d+\.\d+", "Python X"),
    (r"\bPrefect 1\.\d+\.\d+", "Prefect X"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"Name: [a-z]+-[a-z]+", "Name: NAME"),
)
"""What differs from run to run, and what it is compared as."""


def comparable(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, same in CHANGES:
        line = re.sub(pattern, same, line)
    return line.rstrip()


def agree(written: list[str], printed: list[str]) -> bool:
    """Whether the page shows what was printed; a line `…` stands for any lines."""
    pattern = "".join(
        r"(?:\n.*)*?" if line.strip() == "…" else re.escape(f"\n{comparable(line)}") for line in _bare(written)
    )
    return bool(re.fullmatch(pattern, "".join(f"\n{comparable(line)}" for line in _bare(printed))))


def _bare(lines: list[str]) -> list[str]:
    """Without empty lines at the end: blocks are set apart by them."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def run(text: str, world: Callable[[str], World], differs: Callable[[Step, Command, list[str]], None]) -> str:
    """Run a page; the page with what was printed in place of what differed, which `differs` is told of."""
    here: World | None = None
    lines = text.splitlines()
    shift = 0
    for step in steps(text):
        if step.kind == "world":
            here = world(step.text)
            continue
        if step.kind == "console" and step.reason:
            continue
        assert here is not None, f"line {step.line}: no <!-- world: … --> before it"
        if step.kind == "run":
            here.run(step.text)
        elif step.kind == "settled":
            here.settled()
        elif step.kind == "agent":
            here.agent(**{name: value for name, _, value in [step.text.partition("=")] if name})
        elif step.kind == "write":
            here.write({step.path: f"{step.text}\n"})
        else:
            new: list[str] = []
            found = commands(step.text)
            for position, one in enumerate(found):
                last = position == len(found) - 1
                code = step.code if last else 0
                printed = (
                    here.run_in_terminal(one.command, step.answer, TERM="dumb")
                    if step.answer and last
                    else here.run(one.command, code)
                ).splitlines()
                printed = _bare(printed)
                shown = one.printed
                if not agree(one.printed, printed):
                    differs(step, one, printed)
                    shown = [*printed, *([] if last else [""] * bool(printed))]
                new += [*one.lines, *shown]
            old = len(step.text.splitlines())
            lines[step.line + shift : step.line + shift + old] = new
            shift += len(new) - old
    return "\n".join([*lines, ""])
