"""git prefect run: run the flow that is registered for this branch, and follow it to its end."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .. import git
from ..core.errors import ExitCode, OutOfReach, UsageError
from ..core.model import ERROR, WARNING, Finding, RefUpdate
from ..deploy import delivery, drift, pending
from ..deploy.annotated_tags import companion, is_annotated
from ..deploy.remote_state import against, uncommitted
from ..deploy.resolver import resolve
from ..git import refs, remotes
from ..prefect_api import agents
from ..prefect_api.registered import ActiveFlow
from ..report import finding_text, style, text
from ..report.invocation import git_prefect
from ..report.options import Parser
from . import register as register_command


def main(argv: Sequence[str]) -> int:
    """Say what an agent will not run of what is here, then hand over to `prefect run --watch`.

    Where the next run would fail by drift it stops, and at a terminal offers to register first.
    The exit code is 0 when the run succeeded, 1 when it failed, was cancelled, or would fail.
    """
    # argparse would take what follows two dashes only where no option stands between it and the flow.
    end = argv.index("--") if "--" in argv else len(argv)
    options = _parser().parse_args(argv[:end])
    repository = git.open_repository()
    remote = remotes.chosen_remote(repository, options.remote)
    update = refs.by_hand(repository, os.environ, options.ref, remote)
    delivery.deliver_at_once(repository)
    flow, fails = _looked_at(repository, update, options)
    register = ["--remote", remote, "--ref", update.name, *(["--project", options.project] if options.project else [])]
    if fails and not options.force and _is_agreed_to_register(update, fails):
        code = register_command.main(register)
        if code not in (ExitCode.OK, ExitCode.FINDINGS):
            return code
        flow, fails = _looked_at(repository, update, options)
    if fails and not options.force:
        first = f"register first: {git_prefect('register', *register)}" if _registering_settles(fails) else "see above"
        forced = git_prefect("run", "--force", *argv)
        print(f"git-prefect: not started: the next run would fail\nhint: {first}; to run it anyway: {forced}", file=sys.stderr)
        return ExitCode.FINDINGS
    command = ["run", "--id", flow.flow.id]
    command += [word for value in options.param for word in ("--param", value)]
    doctor = git_prefect("doctor", *(("--ref", options.ref) if options.ref else ()))
    return _prefect([*command, *argv[end + 1 :], *([] if options.no_watch else ["--watch"])], doctor)


def _parser() -> Any:
    parser = Parser(
        prog="git prefect run",
        usage="git prefect run FLOW [--param KEY=VALUE] [--ref REF] [--project PROJECT]\n"
        "                       [--force] [--no-watch] [-- OPTION OF prefect run …]",
        description="Run a flow as it is registered for this branch: `prefect run` of that very version, followed to its end.",
        epilog="Exit codes: 0 the run succeeded (or, with --no-watch, was created), 1 it failed, was cancelled, or would "
        "fail, so that it was not started, 2 usage, or no such flow is registered for this ref, 3 not authorised, 4 the API is out of reach, 130 interrupted.",
    )
    parser.add_argument("flow", metavar="FLOW", help="name of the flow")
    parser.add_argument(
        "--param", action="append", default=[], metavar="KEY=VALUE", help="a parameter, its value as JSON"
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("--project", help="the one of several Prefect projects that have the flow of this ref")
    parser.add_argument("--force", action="store_true", help="run it although the next run would fail")
    parser.add_argument("--no-watch", action="store_true", help="create the run and do not wait for it")
    return parser


def _chosen(
    repository: git.Repository,
    asked: drift.Answers,
    default: str | None,
    update: RefUpdate,
    name: str,
    project: str | None,
) -> ActiveFlow:
    """The flow that is registered from this ref.

    Raises:
        UsageError: there is none, or one in each of several projects.
        OutOfReach, NotAuthorised: the API.
    """
    if asked.api_trouble:
        raise asked.api_trouble
    names = {update.ref}
    if is_annotated(update):
        # Agents run the lightweight tag beside it.
        names.add(f"refs/tags/{companion(resolve(repository, update))}")
    found = [
        one for one in asked.flows if drift.full_ref(one, default) in names and project in (None, one.flow.project)
    ]
    projects = sorted({one.flow.project for one in found})
    if len(projects) > 1:
        raise UsageError(
            f"{name} is registered from {text.place(update)} in several projects: {', '.join(projects)}",
            f"choose one: {git_prefect('run', name, '--project', projects[0])}",
        )
    if found:
        return found[0]
    waiting = [one for one in pending.entries(repository) if (one.remote, one.ref) == (update.remote, update.ref)]
    why = f" (the last push is not registered yet: {waiting[-1].error or 'it is under way'})" if waiting else ""
    others = ", ".join(f"{drift.full_ref(one, default).split('/', 2)[-1]} ({one.flow.project})" for one in asked.flows)
    elsewhere = f"; it is from: {others}" if others else ""
    where = f" in project {project}" if project else ""
    register = git_prefect("register", "--ref", update.name)
    hint = f"register what the remote has: {register}; what there is: {git_prefect('status')}"
    if asked.flows and not waiting:
        there = drift.full_ref(asked.flows[0], default).split("/", 2)[-1]
        hint = f"{git_prefect('run', name, '--ref', there)}; a branch registers the flows whose files it changes"
    raise UsageError(f"{name} is not registered from {text.place(update)}{where}{why}{elsewhere}", hint)


def _looked_at(repository: git.Repository, update: RefUpdate, options: Any) -> tuple[ActiveFlow, list[Finding]]:
    """The flow that is to be run, and the drift that its next run would fail by; what is to be known before is printed."""
    asked = drift.ask(repository, update.remote, options.flow)
    default = drift.default_branch_of(repository, update.remote, asked.remote)
    flow = _chosen(repository, asked, default, update, options.flow, options.project)
    found, unpushed = _before_the_run(repository, asked, drift.full_ref(flow, default), update, flow)
    for one in (*found, *unpushed):
        print(f"before the run: {finding_text.finding(one, style.of(stream=sys.stderr))}", file=sys.stderr)
    return flow, [one for one in found if one.severity == ERROR]


SETTLED_BY_REGISTERING = ("structure-drift", "wrong-flow-path")
"""Codes of drift that a registration takes away; for the rest their own hints say what to do."""


def _registering_settles(fails: Sequence[Finding]) -> bool:
    return all(one.code in SETTLED_BY_REGISTERING for one in fails)


def _is_agreed_to_register(update: RefUpdate, fails: Sequence[Finding]) -> bool:
    """Whether a person at the terminal wants to register first, where that helps."""
    if not _registering_settles(fails) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"The next run would fail. Register {text.place(update)} first? [Y/n] ", end="", file=sys.stderr, flush=True)
    # An empty line agrees, the end of the input does not.
    return sys.stdin.readline().strip(" ").lower() in ("\n", "y\n", "yes\n")


def _before_the_run(
    repository: git.Repository, asked: drift.Answers, ref: str, update: RefUpdate, flow: ActiveFlow
) -> tuple[list[Finding], list[Finding]]:
    """What the run will not do as the code here says: drift; and changes that are not pushed or not even committed."""
    if asked.remote is None:
        trouble = asked.remote_trouble
        assert trouble, "a remote that has no answer has a reason"
        return [Finding(ExitCode(trouble.exit_code).word, WARNING, trouble.message, trouble.hint)], []
    here = drift.commits_here(repository, update.remote, asked.remote, [ref])
    there = drift.ref_update(repository, update.remote, ref, here.get(ref), asked.remote)
    found = drift.of_ref(repository, there, [flow])[flow.flow.id]
    unpushed: list[Finding] = []
    if there.commit and update.source == "active branch":
        unpushed += against(repository, update, asked.remote)
        unpushed += [one for one in uncommitted(repository) if one.path == flow.path]
    return found, unpushed


def _prefect(arguments: list[str], doctor: str) -> int:
    """Prefect's own command, in this process: our interpreter has it, and reads the same configuration.

    `prefect run` exits with 0 when an interrupted run was cancelled: whoever pressed Ctrl-C finds 130 here.
    """
    from prefect.cli import cli, run

    run.watch_flow_run = partial(followed, doctor=doctor)
    # Beside a clone-URL secret every look at a storage warns, in the middle of Prefect's own lines.
    logging.getLogger("prefect.Git").setLevel(logging.ERROR)
    interrupted = []

    def note(number: int, frame: Any) -> None:
        interrupted.append(number)
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        cli.main(args=arguments, prog_name="prefect")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Exception as error:
        # Prefect follows a run by asking the API again and again: an API that goes away ends that, not the run.
        raise OutOfReach(
            f"the run could not be followed to its end: {type(error).__name__}: {error}",
            "it goes on all the same: see it in Prefect's UI, or with `prefect get flow-runs`",
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    return ExitCode.INTERRUPTED if interrupted else code


NOT_LOADED = "Failed to load and execute flow run: "
"""How an agent's process begins its message where it could not clone the repository or load the flow (prefect/cli/execute.py)."""


def followed(flow_run_id: str, doctor: str = "git prefect doctor", **options: Any) -> Iterator[Any]:
    """What Prefect's `watch_flow_run` tells of a run, then the log lines that came after its last look.

    Of a run that no agent has taken yet it says so, and after a failed clone or load it names the command `doctor`.

    A run sends its log every five seconds, and the rest when its process ends (`LogManager`, prefect/utilities/logging.py):
    by then the API has its final state, at which Prefect stops to ask.
    """
    import pendulum
    from prefect.backend.flow_run import FlowRunLog, FlowRunView, watch_flow_run

    told = set()
    waits = False
    for line in watch_flow_run(flow_run_id, **options):
        told.add(line)
        yield line
        if not waits and line.message.startswith("Entered state <Scheduled>"):
            waits = True
            run = FlowRunView.from_flow_run_id(flow_run_id)
            if run.state.is_scheduled():
                yield line._replace(message=f"waiting for an agent that takes runs with {agents.describe(run.labels)}")
    if options.get("stream_logs"):
        # The clock of the machine that runs the flow may be ahead of ours.
        tomorrow = pendulum.now().add(days=1)
        logs = FlowRunView.from_flow_run_id(flow_run_id).get_logs(end_time=tomorrow)
        late = [line for line in logs if line not in told]
        yield from late
        told.update(late)
    if any(NOT_LOADED in line.message for line in told):
        hint = f"the agent could not clone or load the flow; {doctor} does as an agent does, and says what is wrong"
        yield FlowRunLog(pendulum.now(), logging.WARNING, hint)
