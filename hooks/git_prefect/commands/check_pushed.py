"""git prefect check-pushed: is this ref on the remote, and is it the code that is here."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence

from .. import git
from ..core.errors import ExitCode
from ..core.model import ERROR
from ..core.results import Report, ReportedRef
from ..deploy.queue import resume
from ..deploy.remote_state import against_remote, uncommitted
from ..git import refs
from ..git.remotes import chosen_remote
from ..report import text
from ..report.options import Parser, reporting, show


def main(argv: Sequence[str]) -> int:
    """Ask the remote; exit code 1 when agents would run other code than what is here."""
    options = _arguments(argv)
    repository = git.open_repository()
    resume(repository)
    update = refs.by_hand(repository, os.environ, options.ref, chosen_remote(repository, options.remote))
    found = (*against_remote(repository, update), *uncommitted(repository))
    code = ExitCode.FINDINGS if any(one.severity == ERROR for one in found) else ExitCode.OK
    same = f"{text.place(update)} is at {text.short(update.commit)}, as here: agents run this code"
    ref = ReportedRef(update.name, update.kind, update.commit, update.source, None)
    return show(
        Report(
            "check-pushed", code, (ref,), findings=found, summary=() if found else (same,), root=repository.top or ""
        ),
        options,
    )


def _arguments(argv: Sequence[str]) -> Namespace:
    parser = Parser(
        prog="git prefect check-pushed",
        description="Ask the remote whether it has this branch or tag, and whether it is the code that is here.",
        epilog="Exit codes: 0 the same code, 1 findings, 2 usage, 3 the remote refuses the login, 4 it is out of reach.",
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("files", nargs="*", help="ignored: pre-commit names files")
    return reporting(parser).parse_args(argv)
