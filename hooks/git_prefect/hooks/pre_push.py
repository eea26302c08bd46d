"""The native pre-push hook: every ref of a push as git tells it, checked, and left to when the push has arrived.

git gives the remote's name and URL as arguments and a line for each ref on stdin (githooks(5)).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import git
from ..core.errors import ExitCode, UsageError
from ..core.model import RefUpdate
from ..deploy import annotated_tags
from ..deploy.queue import newest_tags, queue, resume
from ..git import refs
from ..report import text
from ..report.invocation import git_prefect
from .check_pushed import refuse, what_it_does
from .validate import check_push


def main(argv: Sequence[str]) -> int:
    """Exit code 1 when something of the push is refused: the whole push then, as git has it.

    Raises:
        UsageError: it was not called as git calls a pre-push hook.
    """
    if len(argv) != 2:
        raise UsageError(
            "pre-push is called by git, with a remote's name and URL and the refs on stdin",
            "put it in place with `git prefect install`",
        )
    # A ref may have bytes that are no text, and what Python takes for line ends.
    content = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    repository = git.open_repository()
    if not content.strip():
        # "Everything up-to-date": of an earlier push, which may still wait.
        resume(repository)
        return ExitCode.OK
    updates = refs.from_stdin(repository, content.split("\n"), *argv)
    for update in updates:
        if update.commit is None:
            print(text.fitted(what_it_does(repository, update)))
    pushed = [update for update in updates if update.commit is not None and update.kind != "other"]
    registered, older = newest_tags(repository, pushed)
    for update in older:
        again = git_prefect("register", "--ref", update.name)
        print(text.fitted(f"{text.place(update)}: not registered, this push has a newer tag; {again}"))
    skipped = os.environ.get("SKIP", "").split(",")
    code = max([_check(repository, update, skipped) for update in registered], default=ExitCode.OK)
    if code != ExitCode.OK or "prefect-register" in skipped:
        return code
    return queue(repository, registered, None, inside_push=argv[0] != argv[1])


def _check(repository: git.Repository, update: RefUpdate, skipped: Sequence[str]) -> int:
    found = [] if "prefect-check-pushed" in skipped else annotated_tags.refused(repository, update)
    if found:
        refuse(repository, update, found)
    code = ExitCode.OK if "prefect-validate" in skipped else check_push(repository, update, brief=True)
    return ExitCode.FINDINGS if found else code
