"""A deployment whose commit the remote has: confirmed, planned, applied, and looked at once more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Callable

import msgspec
from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment
from ..core.errors import NotAuthorised, OutOfReach, UsageError
from ..core.findings import finding
from ..core.model import ERROR, CheckedFile, Finding, RefUpdate
from ..core.results import PlannedFlow, Registration
from ..flows.checker import CheckOptions
from ..git.ls_remote import ask_remote, fetch_commits
from ..git.refs import no_commit
from ..prefect_api import locks, run_configs, storage
from ..prefect_api.apply import apply_plan, check_project
from ..prefect_api.descriptions import describe_version, was_found_late
from ..prefect_api.plan import Circumstances, Wanted, plan_flows, storages_of
from ..prefect_api.queries import Api, Registered
from ..report import invocation, progress, text
from . import active_twice
from .annotated_tags import as_agents_clone_it
from .clonable import refuse_unclonable
from .clone_check import check_clone
from .commit_settings import has_settings
from .resolver import deployed, resolve
from .second_load import FirstLoad, newly_differing, with_errors
from .selection import concerned_paths, no_longer_defined, registrable, stay_elsewhere, unknown_base
from .shared_code import concerned_by_imports
from .source_tree import check, tree_of_commit


class Planned(msgspec.Struct, frozen=True):
    """What registering a deployment would do, and all that carrying it out needs."""

    given: Circumstances
    files: list[CheckedFile]
    """Those of the ref that its registration concerns."""
    plan: list[PlannedFlow]
    registered: Registered
    left_out: list[Finding]
    """Why flows are left out: errors of flow files, and an interpreter that could not check them."""
    remarks: list[Finding]
    """What else a person has to know before runs go wrong: images that are lost, a clone that is too shallow."""
    notes: list[str]
    """A line for each flow that stays in another storage."""

    @property
    def deployment(self) -> Deployment:
        """What is registered, as it was when the plan was made."""
        return self.given.deployment


class Done(msgspec.Struct, frozen=True):
    """A plan that was carried out, and what became of each of its flows."""

    planned: Planned
    rows: list[Registration]


def remote_deployment(
    repository: git.Repository, update: RefUpdate, project: str | None = None, push_companion: bool = True
) -> Deployment:
    """The deployment of a ref as the remote has it, under the name that agents clone.

    Raises:
        UnusableCommit: no target takes the ref, it leads where it may not, or no agent can run its annotated tag.
        OutOfReach, NotAuthorised: the tag that agents clone beside an annotated one could not be pushed.
    """
    resolution = resolve(repository, update, project)
    cloned = as_agents_clone_it(repository, resolution, push_companion)
    return msgspec.structs.replace(deployed(resolution), update=cloned)


def register(
    repository: git.Repository,
    deployment: Deployment,
    api: Api,
    *,
    look_again: bool = True,
    announce: Callable[[Planned], None] = lambda planned: None,
) -> Done:
    """Register a deployment whose commit the remote has; a branch that moves on meanwhile is registered as it is then.

    Somebody else may push, and register that, between our look at the remote and our registration, which would put
    the older commit in its place: so the remote is asked again once another process was waited for, and after
    something was changed. Without `look_again` the latter is left to `delivery.look_again`.

    Raises:
        UsageError, OutOfReach, NotAuthorised: as `plan`; or the ref is gone by now.
    """
    while True:
        update = deployment.update
        with one_at_a_time(api, deployment) as waited:
            now = _by_now(repository, update) if waited else update
            if now.commit == update.commit:
                planned = plan(repository, deployment, api)
                announce(planned)
                rows = apply_plan(api, planned.plan, planned.registered, planned.given, progress.watch())
                if look_again and any(one.changes_something for one in planned.plan):
                    now = _by_now(repository, update)
                if now.commit == update.commit:
                    return Done(planned, rows)
        deployment = deployed(resolve(repository, now, deployment.project_by_hand))


def _by_now(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """A branch as the remote has it now; as it was when nobody can tell, or it is gone. Tags do not move."""
    if update.kind != "branch":
        return update
    try:
        return confirmed(repository, update)
    except (NotAuthorised, OutOfReach, UsageError):
        return update


@contextmanager
def one_at_a_time(api: Api, deployment: Deployment) -> Iterator[bool]:
    """While it is entered, no other process of this user plans or registers anything in the deployment's project.

    Whether another process had to be waited for.

    Raises:
        StillRegistering: another process holds the project for too long.
    """
    update = deployment.update
    what = f"{text.place(update)} at {text.short(update.commit)}"
    with locks.project_lock(api.address, deployment.project, what) as waited:
        yield waited


def confirmed(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """The ref as the remote has it now: that is what agents run, and what is registered.

    Raises:
        UsageError: the remote lacks it, or has a tree or a blob there.
        OutOfReach, NotAuthorised: the remote does not answer, or refuses the login.
    """
    answer = ask_remote(repository, update.remote, update.ref)
    theirs = answer.commit(update.ref)
    if theirs is None:
        raise UsageError(
            f"{text.place(update)} does not exist, and agents clone from there [not-on-remote]",
            f"push it first: {invocation.git('push', update.remote, update.name)}",
        )
    found = replace(update, commit=theirs, pushed_object=answer.refs[update.ref], remote_head=answer.head or "")
    if not git.has_whole(repository, [theirs]):
        fetch_commits(repository, update.remote, {update.ref: theirs})
    if git.commit_of(repository, theirs) is None:
        raise no_commit(repository, update.remote, update.ref, theirs)
    return found


def plan(repository: git.Repository, deployment: Deployment, api: Api) -> Planned:
    """Plan the registration of a deployment whose commit the remote has. Changes nothing.

    Raises:
        UsageError: its project does not exist, or no agent can clone this remote as it is set.
        OutOfReach, NotAuthorised: the API or the remote.
    """
    update, settings = deployment.update, deployment.settings
    assert update.commit, "a deletion registers nothing"
    refuse_unclonable(repository, deployment)
    options = CheckOptions(storage=deployment.storage, with_flows=True, same_push=True)
    tree = tree_of_commit(repository, update.commit)
    files = check(repository, tree, settings, options)
    concerned = concerned_paths(repository, deployment, files)
    wanted = _wanted(repository, deployment, files, concerned)
    registered = api.registered([deployment.project], [one.flow for one in wanted], storages_of(deployment))
    given = Circumstances(deployment, lost=no_longer_defined(repository, update.commit, files))
    planned = plan_flows(wanted, registered, given)
    if any(one.action == "failed" for one in planned):
        # Whether the branch that owns a name is gone is worth a question only when one is owned.
        given = msgspec.structs.replace(given, living_refs=ask_remote(repository, update.remote).refs)
        planned = plan_flows(wanted, registered, given)
    late = any(one.action == "created" for one in planned) or any(was_found_late(one.description) for one in registered.flows)
    if late and (untouched := _untouched(repository, deployment, files)):
        given = msgspec.structs.replace(given, untouched=untouched)
        planned = plan_flows(wanted, registered, given)
    if planned:
        check_project(api, registered, deployment)
    first = FirstLoad(repository, tree, settings, options, files)
    differs = newly_differing(first, {one.path for one in planned if one.new_version})
    if differs:
        files = with_errors(files, differs)
        planned = plan_flows(_wanted(repository, deployment, files, concerned), registered, given)
    own = [file for file in files if concerned is None or file.path in concerned]
    left_out = [one for file in own for one in file.findings if one.severity == ERROR]
    if any(file.unchecked for file in own):
        # What an interpreter lacks is one finding, at whichever file comes first.
        left_out += [one for file in files for one in file.findings if one.code == "environment-broken"]
    shallow = unknown_base(repository, deployment) if planned and concerned is None else None
    remarks = [*([shallow] if shallow else []), *_lose_their_image(own, wanted)]
    remarks += [one for one in differs if one.severity != ERROR]
    remarks += active_twice.caused_by(planned, registered, deployment, api)
    return Planned(given, own, planned, registered, left_out, remarks, stay_elsewhere(own, settings))


def _untouched(repository: git.Repository, deployment: Deployment, files: Sequence[CheckedFile]) -> set[str]:
    """Flow files that a push does not change, where what the remote had before it had settings; by hand, none."""
    update = deployment.update
    base = update.remote_commit
    if update.source != "push" or not base or not git.commit_of(repository, base):
        return set()
    if not has_settings(repository, base, update.remote):
        return set()
    changed = git.changed_paths(repository, base, update.commit or "")
    return {file.path for file in files} - changed - concerned_by_imports(repository, deployment, base, files).keys()


def _wanted(
    repository: git.Repository, deployment: Deployment, files: Sequence[CheckedFile], concerned: Collection[str] | None
) -> list[Wanted]:
    """The flows of the checked files, as they would be registered."""
    update, settings, where = deployment.update, deployment.settings, deployment.storage
    commit = update.commit or ""
    place, who = f"{where.repo_host}/{where.repo}", who_registers(repository, os.environ)
    configs = run_configs.of_runtimes(settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    return [
        Wanted(
            file.path, flow.name,
            storage.with_storage(
                flow, storage.git_storage(where, update, file.path, flow.name),
                run_configs.run_config_of(flow, file.path, settings.runtime, configs, deployment.target.labels),
            ),
            concerned is None or file.path in concerned,
            describe_version(update, place, file.path, who),
        )
        for file in registrable(files, settings) for flow in sorted(file.flows, key=lambda flow: flow.name)
    ]  # fmt: skip


def who_registers(repository: git.Repository, environ: Mapping[str, str]) -> str:
    """Who registers, for people to read: git's identity here, else what CI says, else the login name."""
    name, email = git.setting(repository, "user.name"), git.setting(repository, "user.email")
    if name or email:
        return f"{name} <{email}>" if name and email else name or email or ""
    for variable in ("GITLAB_USER_NAME", "GITHUB_ACTOR", "BUILD_USER", "CHANGE_AUTHOR", "LOGNAME", "USER"):
        if environ.get(variable):
            return environ[variable]
    return f"user {os.getuid()}"


def _lose_their_image(files: Sequence[CheckedFile], wanted: Sequence[Wanted]) -> list[Finding]:
    """Flows whose Docker storage brought the image that they ran in, and that now have none."""
    docker = {
        flow.name for file in files for flow in file.flows if (flow.declared_storage or {}).get("type") == "Docker"
    }
    return [
        finding(
            "image-lost",
            f"flow {one.flow!r}: ran in the image of its Docker storage, and nothing names one now: what it imports may be "
            "missing where it runs",
            "give its files a [[tool.git-prefect.runtime]] with an image (in .git-prefect.toml: [[runtime]])",
            path=one.path,
            flow=one.flow,
        )
        for one in wanted
        if one.flow in docker and not one.serialized["run_config"].get("image")
    ]


def verified(repository: git.Repository, planned: Planned) -> list[Finding]:
    """With the setting `verify-clone`: why an agent would not get what is registered now."""
    if not planned.deployment.settings.verify_clone or not planned.plan:
        return []
    found = check_clone(repository, planned.deployment, planned.files).finding
    return [found] if found else []
