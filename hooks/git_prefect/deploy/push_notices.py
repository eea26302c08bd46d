"""What a push has been told already: git's own hook and pre-commit's see the same push, and the first says it.

pre-commit hides what a hook that passed has said. So only what is seen counts: of git's own hook, of the hook that
queues (it is `verbose`), and of one that refuses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress

from .. import git
from ..core import state_files
from ..core.json_input import decode
from ..core.model import RefUpdate
from ..git import process

VALIDATE, CHECK_PUSHED = "prefect-validate", "prefect-check-pushed"
"""The hooks that may refuse a push."""


def news(repository: git.Repository, lines: Sequence[str]) -> list[str]:
    """Those of the lines that this push has not been told; from now on it has. All, where the push cannot be seen."""
    pusher = process.pushing_process() if lines else None
    if pusher is None:
        return list(lines)
    said = _said(repository, pusher)
    fresh = [line for line in lines if line not in said]
    if fresh:
        # Where it cannot be written it is said again.
        with suppress(OSError):
            state_files.replace(_file(repository), json.dumps([str(pusher.pid), pusher.started, *said, *fresh]))
    return fresh


def unsaid(repository: git.Repository, lines: Sequence[str]) -> list[str]:
    """Those of the lines that this push has not been told, without telling them."""
    pusher = process.pushing_process() if lines else None
    said = _said(repository, pusher) if pusher else []
    return [line for line in lines if line not in said]


def note_refusal(repository: git.Repository, update: RefUpdate, hook: str) -> None:
    """Keep that a hook has refused a ref, and has said why."""
    news(repository, [_refusal(update, hook)])


def is_refused(repository: git.Repository, update: RefUpdate, *hooks: str) -> bool:
    """Whether one of these hooks, git's own or pre-commit's, has refused this ref of this push, and said why."""
    pusher = process.pushing_process()
    kept = _said(repository, pusher) if pusher else []
    return any(_refusal(update, hook) in kept for hook in hooks)


def _refusal(update: RefUpdate, hook: str) -> str:
    return f"{hook} refuses {update.remote} {update.ref} {update.commit}"


def _file(repository: git.Repository) -> str:
    return os.path.join(repository.state_dir, "said.json")


def _said(repository: git.Repository, pusher: process.Process) -> list[str]:
    try:
        with open(_file(repository), "rb") as file:
            kept = decode(file.read(), list[str]) or []
    except OSError:
        return []
    return kept[2:] if kept[:2] == [str(pusher.pid), pusher.started] else []
