"""Findings as a person reads them: problems first, grouped by file, each with its place and its remedy."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..core.model import ERROR, WARNING, Finding
from .invocation import typed_here
from .style import SEVERITIES, Look, whole

RANK = {ERROR: 0, WARNING: 1}


def findings(found: Sequence[Finding], look: Look, root: str = "") -> str:
    """Findings one below the other, those of one file together, files with errors first."""
    return "\n".join(finding(one, look, root) for one in ordered(found))


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
