"""prefect-register in a push: the ref is queued, and registered once the remote has its commit."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Sequence

from .. import git
from ..deploy import gate, hidden_refs, push_notices, queue, seen_pushes
from ..deploy.resolver import resolve
from ..git import refs
from ..report import text


def main(argv: Sequence[str]) -> int:
    """Queue what pre-commit shows of a push. Nothing is registered yet: the push has not arrived."""
    project = _arguments(argv)
    repository = git.open_repository()
    (update,) = refs.from_pre_commit(repository, os.environ)
    seen_pushes.note_update(repository.state_dir, "register", update)
    if update.commit is None or queue.is_queued(repository, update):
        return queue.enqueue(repository, [])
    ref = resolve(repository, update, project)
    skipped = os.environ.get("SKIP", "").split(",")
    decisions = [] if update.kind == "other" else [gate.admit(repository, ref, skipped)]
    is_announced = any(queue.announcement(repository, one) for one in decisions)
    code = queue.enqueue(repository, decisions)
    if not push_notices.is_refused(repository, update, push_notices.VALIDATE, push_notices.CHECK_PUSHED):
        hidden = hidden_refs.news(repository, ref, is_announced)
        if hidden:
            print(text.fitted("\n".join(hidden)))
    return code


def _arguments(argv: Sequence[str]) -> str | None:
    parser = ArgumentParser(prog="git-prefect register", add_help=False)
    parser.add_argument("--project")
    project: str | None = parser.parse_known_args(argv)[0].project
    return project
