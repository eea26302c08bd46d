"""git prefect status: what waits, what became of the pushes, and what Prefect holds of this repository."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from .. import git
from ..core.errors import ExitCode, GitPrefectError
from ..core.model import ERROR, Finding
from ..core.results import Report
from ..deploy import delivery, drift
from ..deploy.push_report import report_of_pushes
from ..git import remotes
from ..report.options import Parser, reporting, show


def main(argv: Sequence[str]) -> int:
    """Settle what waits, also before it is due where the API answers, then tell how pushes and registered flows stand; exit code 1 when something is wrong.

    Without the API or the remote, what can be told without them is told, and the exit code is 3 or 4.
    """
    parser = Parser(
        prog="git prefect status",
        description="What waits, what became of the pushes from this clone, and every flow that Prefect holds of this "
        "repository: ref, project, version, schedule, last run, and how it differs from what the remote has now.",
        epilog="Exit codes: 0 well, 1 a push could not be registered, or registered flows whose next run fails, 2 usage, "
        "3 not authorised, 4 the API or the remote is out of reach (the queue is told all the same).",
    )
    parser.add_argument("--remote", help="default: the one that git push would use")
    options = reporting(parser).parse_args(argv)
    repository = git.open_repository()
    delivery.deliver_at_once(repository, wait=False)
    remote = remotes.chosen_remote(repository, options.remote)
    return show(report(repository, remote), options)


def report(repository: git.Repository, remote: str) -> Report:
    """Pushes and registered flows, with what is wrong with either."""
    asked = drift.ask(repository, remote)
    troubles = list(asked.troubles)
    try:
        registered = drift.flow_statuses(repository, remote, asked)
    except GitPrefectError as error:
        troubles.append(error)
        registered = drift.flow_statuses(repository, remote, replace(asked, remote=None))
    found = [one for flow in registered for one in flow.drift]
    gone = None
    if asked.remote and not troubles:
        living = asked.remote.refs
        gone = lambda other, ref: other == remote and ref not in living  # noqa: E731
    pushes = report_of_pushes(repository, gone, told=[error.sentence for error in troubles])
    wrong = pushes.exit or any(one.severity == ERROR for one in found)
    return replace(pushes,
        exit=max((error.exit_code for error in troubles), default=ExitCode.FINDINGS if wrong else ExitCode.OK),
        findings=(*map(_trouble, troubles), *found),
        registered=tuple(registered),
        summary=() if registered or asked.api_trouble else ("Prefect holds no flow of this repository",),
    )


def _trouble(error: GitPrefectError) -> Finding:
    return Finding(ExitCode(error.exit_code).word, ERROR, error.message, error.hint)
