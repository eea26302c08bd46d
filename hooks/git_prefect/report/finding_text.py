"""Findings as a person reads them: problems first, each with its place and its remedy; of many with one cause, the cause once."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..core.model import ERROR, NOTE, WARNING, Finding
from . import causes
from .invocation import git_prefect, typed_here
from .style import SEVERITIES, Look, padded, whole

RANK = {ERROR: 0, WARNING: 1}


MOST_CAUSES = 8
"""Of one code, so many causes are told; what is beyond is counted."""


def findings(found: Sequence[Finding], look: Look, root: str = "") -> str:
    """Findings one below the other, those of one file together, files with errors first.

    Where more than a few have one cause, it is told once, and a table of the codes follows; with `verbose`, each is told.
    """
    if look.verbose:
        return "\n".join(finding(one, look, root) for one in ordered(found))
    grouped = [same for same in causes.by_cause(found) if len(same) > causes.MOST_ALONE]
    grouped.sort(key=lambda same: (RANK.get(same[0].severity, 2), -len(same)))
    alone = [one for one in ordered(found) if not any(one in same for same in grouped)]
    told, beyond = _limited(alone)
    errors = [same for same in grouped if same[0].severity == ERROR]
    parts = [_cause(same, look) for same in errors]
    parts += [finding(one, look, root) for one in told]
    parts += [_cause(same, look) for same in grouped[len(errors) :]]
    parts += [f"and {count} more [{code}]" for code, count in beyond.items()]
    if grouped or beyond:
        parts += [*_codes(found, look), f"each by itself: {git_prefect('validate', '-v')}"]
    return "\n".join(parts)


def _limited(found: Sequence[Finding]) -> tuple[list[Finding], dict[str, int]]:
    """The first findings of each code, and how many there are beyond them."""
    told: list[Finding] = []
    beyond: dict[str, int] = {}
    for one in found:
        if sum(other.code == one.code for other in told) < MOST_CAUSES:
            told.append(one)
        else:
            beyond[one.code] = beyond.get(one.code, 0) + 1
    return told, beyond


def _cause(same: Sequence[Finding], look: Look) -> str:
    """One paragraph for findings with one cause; one line for notes."""
    first, hint = same[0], causes.hint(same)
    head = look.paint(SEVERITIES.get(first.severity, "cyan"), f"{first.severity}:")
    code = look.paint("dim", f"[{first.code}]")
    if first.severity == NOTE:
        return look.wrap(whole(f"{head} {causes.count(same)}: {causes.sentence(same)} {code}; {typed_here(hint)}"))
    lines = [look.wrap(f"{head} {whole(causes.sentence(same))} {code}")]
    lines += ["    " + look.paint("dim", line) for line in causes.shared_detail(same)]
    lines.append(look.wrap(f"{causes.count(same)}: {causes.places(same)}", 4))
    if hint:
        lines.append(look.wrap(f"{look.paint('green', 'hint:')} {whole(typed_here(hint))}", 2, 6))
    return "\n".join(lines)


def _codes(found: Sequence[Finding], look: Look) -> list[str]:
    rows = sorted(causes.table(found), key=lambda row: RANK.get(row[1], 2))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [
        f"  {padded(code, first)}  {look.paint(SEVERITIES.get(severity, 'cyan'), padded(severity, second))}  {count}"
        for code, severity, count in rows
    ]


def ordered(found: Sequence[Finding]) -> list[Finding]:
    """Findings of one file together, files with errors first."""
    worst: dict[str, int] = {}
    for one in found:
        rank = RANK.get(one.severity, 2)
        worst[one.path or ""] = min(rank, worst.get(one.path or "", rank))
    return sorted(
        found,
        key=lambda one: (worst[one.path or ""], one.path or "", RANK.get(one.severity, 2), one.line or 0),
    )


def finding(one: Finding, look: Look, root: str = "", indent: int = 0) -> str:
    """A finding: place, severity unless it is an error in a file, sentence and code; then details and the hint.

    The place is `file:line`, from where one stands when `root` is the repository's, so that terminals can open it.
    """
    path = os.path.relpath(os.path.join(root, one.path)) if one.path and root else one.path
    where = f"{path}:{one.line}:" if path and one.line else f"{path}:" if path else ""
    style = SEVERITIES.get(one.severity, "cyan")
    head = [
        look.paint("bad" if one.severity == ERROR else "bold", where),
        "" if one.severity == ERROR and where else look.paint(style, f"{one.severity}:"),
        whole(one.message),
        look.paint("dim", f"[{one.code}]"),
    ]
    lines = [look.wrap(" ".join(part for part in head if part), indent)]
    detail = one.detail.splitlines()
    # The frame that the finding's own place has told already.
    detail = detail[1:] if detail[:1] == [f"{one.path}:{one.line}"] else detail
    lines += [" " * (indent + 4) + look.paint("dim", line) for line in detail]
    if one.hint:
        lines.append(look.wrap(f"{look.paint('green', 'hint:')} {whole(typed_here(one.hint))}", indent + 2, 6))
    return "\n".join(lines)
