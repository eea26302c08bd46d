"""Findings with one cause: of many, the cause is told once, with the number of files and some of the places."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ..core.model import ERROR, Finding
from .text import headline, listed, plural

MOST_ALONE = 3
"""So many findings with one cause are told one by one, and so many places are named of more."""


def by_cause(found: Iterable[Finding]) -> list[list[Finding]]:
    """Findings with the same cause together, in the order of the first of each: code, sentence, hint and innermost frame."""
    causes: dict[tuple[str, ...], list[Finding]] = {}
    for one in found:
        key = (one.code, one.severity, without_names(one, one.message), without_names(one, one.hint), _frame(one))
        causes.setdefault(key, []).append(one)
    return list(causes.values())


def without_names(one: Finding, sentence: str) -> str:
    """A sentence of a finding as it is said of others, too: `…` for its flow in quotes, and for its file."""
    if one.flow:
        sentence = sentence.replace(repr(one.flow), "'…'")
    return re.sub(rf"(?<![\w/.-]){re.escape(one.path)}(?![\w/-])", "…", sentence) if one.path else sentence


def sentence(same: Sequence[Finding]) -> str:
    """What is said of findings with one cause; with the names in it if they are all of one flow or file."""
    said = {one.message for one in same}
    return said.pop() if len(said) == 1 else without_names(same[0], same[0].message)


def hint(same: Sequence[Finding]) -> str:
    """The remedy of findings with one cause."""
    said = {one.hint for one in same}
    return said.pop() if len(said) == 1 else without_names(same[0], same[0].hint)


def shared_detail(same: Sequence[Finding]) -> list[str]:
    """The lines that all details end with: the frames below the flow files."""
    shared: list[str] = []
    for lines in zip(*(reversed(one.detail.splitlines()) for one in same)):
        if len(set(lines)) > 1:
            break
        shared.insert(0, lines[0])
    return shared


def count(same: Sequence[Finding]) -> str:
    """`112 flows in 40 files`, `37 files`."""
    files = plural(len({one.path for one in same}), "file")
    flows = {(one.path, one.flow) for one in same if one.flow}
    return f"{plural(len(flows), 'flow')} in {files}" if flows else files


def places(same: Sequence[Finding]) -> str:
    """Where the first of them are."""
    where = [f"{one.path}:{one.line}" if one.line else one.path or "" for one in same]
    return listed(list(dict.fromkeys(where)), MOST_ALONE)


def headlines(found: Iterable[Finding]) -> list[str]:
    """A line for each finding; of many with one cause, one line for all."""
    lines = []
    for same in by_cause(found):
        if len(same) > MOST_ALONE:
            severity = "" if same[0].severity == ERROR else f"{same[0].severity}: "
            lines.append(f"{severity}{count(same)}: {sentence(same)} [{same[0].code}] ({places(same)})")
        else:
            lines += map(headline, same)
    return lines


def remarks(found: Iterable[Finding]) -> list[str]:
    """`headlines`, each with its hint on a line below."""
    lines = []
    for same in by_cause(found):
        for some in [same] if len(same) > MOST_ALONE else [[one] for one in same]:
            lines.append(f"{headlines(some)[0]}\n    hint: {hint(some)}")
    return lines


def table(found: Iterable[Finding]) -> list[list[str]]:
    """A row for each code: the code, how severe it is, and of how many flows and files; the most frequent first."""
    codes: Counter[tuple[str, str]] = Counter((one.code, one.severity) for one in found)
    found = list(found)
    return [
        [code, severity, count([one for one in found if (one.code, one.severity) == (code, severity)])]
        for (code, severity), _ in codes.most_common()
    ]


def _frame(one: Finding) -> str:
    """The innermost frame outside of the flow file; empty where it is the file's own, whose lines differ."""
    frames = [line for line in one.detail.splitlines() if re.match(r"\S+:\d+ in ", line)]
    last = frames[-1] if frames else ""
    if one.code == "load-timeout":
        # A loop is seen at any of its lines.
        last = last.partition(":")[0]
    return "" if last.partition(":")[0] == one.path else last
