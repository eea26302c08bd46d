"""git prefect doctor: all that a push, a registration and a run depend on, each with its remedy if it is wrong."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment, NotDeployed, Resolution
from ..core.errors import ExitCode, GitPrefectError, UnusableCommit
from ..core.model import ERROR, WARNING, CheckedFile, Finding, RefUpdate
from ..core.results import Check, Report, ReportedRef
from ..deploy.commit_settings import uncommitted_settings
from ..deploy.diagnosis import backend, machine, next_settings, pushes, remote, settings_origins
from ..deploy.resolver import resolve, resolve_by
from ..deploy.selection import registrable
from ..deploy.source_tree import check, how_to_name_flow_files, interpreter_for, tree_of_commit
from ..flows.checker import CheckOptions
from ..flows.interpreter import Interpreter
from ..git import refs, remotes
from ..prefect_api.queries import Api
from ..prefect_api.run_configs import of_runtimes, run_config_of
from ..report import text
from ..report.invocation import git_prefect
from ..report.options import Parser, reporting, show
from ..report.rows import reported_ref


def main(argv: Sequence[str]) -> int:
    """Look at everything and say what was found; exit code 1 when something is wrong. Nothing is changed but what was
    reported once, nobody asked."""
    options = _arguments(argv)
    repository = git.open_repository()
    subject: list[ReportedRef] = []
    checks = tuple(_checks(repository, options, subject))
    wrong = [one for one in checks if one.problem]
    report = Report(
        "doctor",
        ExitCode.FINDINGS if wrong else ExitCode.OK,
        tuple(subject),
        findings=tuple(Finding(one.code or one.name, WARNING, one.problem, one.remedy) for one in wrong),
        checks=checks,
        summary=(
            "",
            f"{len(wrong)} of {len(checks)} wrong: {', '.join(one.name for one in wrong)}" if wrong else "all is well",
        ),
    )
    return show(report, options)


def _arguments(argv: Sequence[str]) -> Namespace:
    parser = Parser(
        prog="git prefect doctor",
        description="What a push, a registration and an agent's run depend on: what was found, and the remedy if it is "
        "wrong. A flow is cloned and loaded as an agent does it, with the secrets of this environment.",
        epilog="Exit codes: 0 all is well, 1 something is wrong, 2 usage.",
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    return reporting(parser).parse_args(argv)


def _checks(repository: git.Repository, options: Namespace, told: list[ReportedRef]) -> Iterator[Check]:
    yield machine.ourselves()
    yield machine.git_version()
    yield machine.hooks(repository)
    yield from machine.kept(repository)
    yield from pushes.checks(repository)
    try:
        update = refs.by_hand(repository, os.environ, options.ref, remotes.chosen_remote(repository, options.remote))
    except GitPrefectError as error:
        # Without a ref there is nothing that the rest could be about.
        yield Check("ref", (), error.message, error.hint)
        yield backend.api()[0]
        return
    before = []
    for one in _by_commit(repository, update, told):
        before.append(one)
        yield one
    yield from _next_push(repository, update, before)


def _by_commit(repository: git.Repository, update: RefUpdate, told: list[ReportedRef]) -> Iterator[Check]:
    """What the ref's commit and its settings lead to."""
    try:
        subject = _usable(resolve(repository, update))
    except GitPrefectError as error:
        yield Check("ref", (), error.message, error.hint)
        yield backend.api()[0]
        return
    told.append(reported_ref(subject))
    found, files, load = _flows(repository, subject)
    yield machine.interpreter(found)
    yield settings_origins.settings(subject.source, git.machine_settings(repository), os.environ, uncommitted_settings(repository, update))
    yield load
    yield _ref(subject)
    reached, api = backend.api()
    yield reached
    if api is not None:
        standing, registered = backend.tenant_and_project(api, subject)
        yield from standing
    there, answer = remote.remote_has_ref(repository, update)
    yield there
    yield remote.storage(repository, subject)
    yield from remote.token_and_clone(repository, subject, files, answer)
    if api is not None and registered is not None and isinstance(subject, Deployment):
        yield _agents(repository, subject, files, api, registered.tenant_id)


def _next_push(repository: git.Repository, update: RefUpdate, before: Sequence[Check]) -> Iterator[Check]:
    """What settings that are not committed yet change of what was found `before`, by those of the commit."""
    committed = None
    with suppress(GitPrefectError):
        committed = _usable(resolve(repository, update))
    try:
        source = next_settings.next_settings(repository, update, committed.source if committed else None)
        if source is None:
            return
        subject = _usable(resolve_by(repository, update, source))
    except GitPrefectError as error:
        yield Check("next-settings", (), f"not committed yet, and a push with them is refused: {error.message}", error.hint)
        return
    yield next_settings.changes(source, committed.source if committed else None)
    known = {(one.name, one.facts, one.problem) for one in before}
    for one in _by_next_settings(repository, subject, committed):
        if (one.name, one.facts, one.problem) not in known:
            yield replace(one, name=f"next-{one.name}")


def _by_next_settings(repository: git.Repository, subject: Resolution, committed: Resolution | None) -> Iterator[Check]:
    found, files, load = _flows(repository, subject)
    yield machine.interpreter(found)
    yield load
    yield _ref(subject)
    _, api = backend.api()
    registered = None
    if api is not None:
        standing, registered = backend.tenant_and_project(api, subject)
        yield from standing
    yield remote.storage(repository, subject)
    if committed is None or (subject.storage, subject.settings.python) != (committed.storage, committed.settings.python):
        _, answer = remote.remote_has_ref(repository, subject.update)
        yield from remote.token_and_clone(repository, subject, files, answer)
    if registered is not None and api is not None and isinstance(subject, Deployment):
        before = committed.target if isinstance(committed, Deployment) else None
        if committed is None or (before, committed.settings.runtime) != (subject.target, subject.settings.runtime):
            yield _agents(repository, subject, files, api, registered.tenant_id)


def _usable(ref: Resolution) -> Resolution:
    """The same ref.

    Raises:
        UnusableCommit: its settings lead it where it may not go.
    """
    if isinstance(ref, NotDeployed) and ref.reason.refuses_push:
        raise UnusableCommit(ref.reason.message, ref.reason.hint)
    return ref


def _ref(subject: Resolution) -> Check:
    update = subject.update
    facts = [f"{update.kind} {update.name} at {text.short(update.commit)} (from {update.source})"]
    if isinstance(subject, Deployment):
        facts.append(f"target → project {subject.project}")
    else:
        facts.append("no target takes it, so it is never registered")
        facts.append(f"why: {git_prefect('register', '--explain')}")
    return Check("ref", tuple(facts))


def _flows(
    repository: git.Repository, subject: Resolution
) -> tuple[Interpreter | GitPrefectError, list[CheckedFile], Check]:
    """The interpreter, the ref's flow files, and whether they load with it."""
    update, settings = subject.update, subject.settings
    try:
        interpreter = interpreter_for(repository, settings)
    except GitPrefectError as error:
        return error, [], Check("flows", ("not loaded, for what is wrong with the interpreter",))
    if interpreter.problem or update.commit is None:
        return interpreter, [], Check("flows", ("not loaded",))
    options = CheckOptions(storage=subject.storage, with_flows=True)
    tree = tree_of_commit(repository, update.commit)
    files = check(repository, tree, settings, options)
    advice = "" if files else how_to_name_flow_files(tree, settings)
    if advice:
        return interpreter, files, Check("flows", (), "no flow files in this commit", advice)
    errors = [one for file in files for one in file.findings if one.severity == ERROR]
    count = sum(len(file.flows) for file in registrable(files, settings))
    unchecked = sum(file.unchecked for file in files)
    facts = [f"{text.plural(count, 'flow')} in {text.plural(len(files), 'file')} can be registered"]
    facts += [f"{text.plural(unchecked, 'file')} unchecked: the interpreter lacks what they import"] * bool(unchecked)
    if errors:
        problem = f"{text.plural(len(errors), 'error')}, first of all {text.headline(errors[0])}"
        return interpreter, files, Check("flows", tuple(facts), problem, git_prefect("validate", "--ref", update.name))
    return interpreter, files, Check("flows", tuple(facts))


def _agents(
    repository: git.Repository, subject: Deployment, files: Sequence[CheckedFile], api: Api, tenant_id: str
) -> Check:
    try:
        runs = _runs(repository, subject, files)
    except GitPrefectError as error:
        return Check("agents", (), error.message, error.hint)
    return backend.agents_for(api, tenant_id, runs)


def _runs(
    repository: git.Repository, subject: Deployment, files: Sequence[CheckedFile]
) -> list[tuple[str, tuple[str, ...]]]:
    """Type of run config and labels of the runs that the ref's flows would have, each once; those of the target if none."""
    settings, commit, target = subject.settings, subject.update.commit or "", subject.target
    configs = of_runtimes(settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    found = [
        run_config_of(flow, file.path, settings.runtime, configs, target.labels)
        for file in registrable(files, settings)
        for flow in file.flows
    ]
    runs = [(str(one["type"]), tuple(one["labels"])) for one in found] or [("UniversalRun", tuple(target.labels))]
    return list(dict.fromkeys(runs))
