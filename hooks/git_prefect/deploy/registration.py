"""How a ref is registered: confirmed on the remote, planned, applied, and looked at once more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, NamedTuple

from .. import git
from ..core.errors import NotAuthorised, OutOfReach, UsageError
from ..core.findings import finding
from ..core.model import ERROR, CheckedFile, Finding, GitStorage, RefUpdate
from ..report import invocation, text
from .selection import (
    concerned_paths,
    default_branch,
    destination,
    no_longer_defined,
    refuse_unclonable,
    registrable,
    stay_elsewhere,
    storage_for,
    unknown_base,
    who_registers,
)
from .source_tree import check, settings_at, tree_of_commit

if TYPE_CHECKING:
    from ..core.results import PlannedFlow, Registration
    from ..core.settings import Settings, Source, Target
    from ..prefect_api.plan import Circumstances, Wanted
    from ..prefect_api.queries import Api, Registered


class Planned(NamedTuple):
    """What registering a ref would do, and all that carrying it out needs."""

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
    parallel: int
    """Flows that are registered at once."""


class Done(NamedTuple):
    """What became of a ref's registration, and the settings that it was done by."""

    planned: Planned
    rows: list[Registration]
    source: Source


def register_ref(
    repository: git.Repository,
    update: RefUpdate,
    api: Api,
    project: str | None = None,
    look_again: bool = True,
    announce: Callable[[Planned, str], None] = lambda planned, settings: None,
) -> Done:
    """Register a ref whose commit the remote has; a branch that moves on meanwhile is registered as it is then.

    Somebody else may push, and register that, between our look at the remote and our registration, which would put
    the older commit in its place: so the remote is asked again once another process was waited for, and after
    something was changed. Without `look_again` the latter is left to `settle.look_again`.

    Raises:
        UsageError, OutOfReach, NotAuthorised: as `plan_ref`; or the ref is gone by now.
    """
    while True:
        source = settings_at(repository, update.commit, update.remote)
        with one_at_a_time(repository, update, source, api, project) as waited:
            now = _by_now(repository, update) if waited else update
            if now.commit == update.commit:
                planned = plan_ref(repository, update, source, api, project)
                announce(planned, source.origin)
                rows = apply_plan(api, planned)
                if look_again and any(one.changes_something for one in planned.plan):
                    now = _by_now(repository, update)
                if now.commit == update.commit:
                    return Done(planned, rows, source)
        update = now


def _by_now(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """A branch as the remote has it now; as it was when nobody can tell, or it is gone. Tags do not move."""
    if update.kind != "branch":
        return update
    try:
        return confirmed(repository, update)
    except (NotAuthorised, OutOfReach, UsageError):
        return update


@contextmanager
def one_at_a_time(
    repository: git.Repository, update: RefUpdate, source: Source, api: Api, project: str | None = None
) -> Iterator[bool]:
    """While it is entered, no other process of this user plans or registers anything in the ref's project.

    Whether another process had to be waited for.

    Raises:
        UnusableCommit: no target takes the ref.
        StillRegistering: another process holds the project for too long.
    """
    from ..prefect_api import locks

    _, name = destination(repository, update, source.settings, project)
    with locks.held(api.address, name, f"{text.place(update)} at {text.short(update.commit)}") as waited:
        yield waited


def confirmed(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """The ref as the remote has it now: that is what agents run, and what is registered.

    Raises:
        UsageError: the remote lacks it.
        OutOfReach, NotAuthorised: the remote does not answer, or refuses the login.
    """
    from ..git.ls_remote import ask_remote, fetch_commits

    answer = ask_remote(repository, update.remote, update.ref)
    theirs = answer.commit(update.ref)
    if theirs is None:
        raise UsageError(
            f"{text.place(update)} does not exist, and agents clone from there [not-on-remote]",
            f"push it first: {invocation.git('push', update.remote, update.name)}",
        )
    found = update._replace(commit=theirs, pushed_object=answer.refs[update.ref])
    if not git.has_whole(repository, [theirs]):
        fetch_commits(repository, update.remote, {update.ref: theirs})
    return found


def plan_ref(
    repository: git.Repository, update: RefUpdate, source: Source, api: Api, project: str | None = None
) -> Planned:
    """Plan the registration of a ref whose commit the remote has. Changes nothing.

    Raises:
        UsageError: no target takes the ref, its project does not exist, or no agent can clone this remote as it is set.
        OutOfReach, NotAuthorised: the API or the remote.
    """
    from ..git.ls_remote import ask_remote
    from ..prefect_api.apply import check_project
    from ..prefect_api.plan import Circumstances, plan, storages_of

    assert update.commit, "a deletion registers nothing"
    settings = source.settings
    target, name = destination(repository, update, settings, project)
    where = storage_for(repository, update, settings)
    refuse_unclonable(repository, update, where, settings)
    files = check(
        repository, tree_of_commit(repository, update.commit), settings, where=where, with_flows=True, same_push=True
    )
    default = default_branch(repository, update, settings)
    concerned = concerned_paths(repository, update, default)
    wanted = _wanted(repository, update, source, target, where, files, concerned)
    registered = api.registered([name], [one.flow for one in wanted], storages_of(update, where, default))
    lost = no_longer_defined(repository, update.commit, files)
    given = Circumstances(update, target, name, default, None, where, lost)
    planned = plan(wanted, registered, given)
    if any(one.action == "failed" for one in planned):
        # Whether the branch that holds a name is gone is worth a question only when one is held.
        given = given._replace(living_refs=ask_remote(repository, update.remote).refs)
        planned = plan(wanted, registered, given)
    if planned:
        check_project(api, registered, target, name)
    own = [file for file in files if concerned is None or file.path in concerned]
    left_out = [one for file in own for one in file.findings if one.severity == ERROR]
    if any(file.unchecked for file in own):
        # What an interpreter lacks is one finding, at whichever file comes first.
        left_out += [one for file in files for one in file.findings if one.code == "environment-broken"]
    shallow = unknown_base(repository, update, default) if planned and concerned is None else None
    remarks = [*([shallow] if shallow else []), *_lose_their_image(own, wanted)]
    notes = stay_elsewhere(own, settings)
    return Planned(given, own, planned, registered, left_out, remarks, notes, settings.parallel)


def _wanted(
    repository: git.Repository, update: RefUpdate, source: Source, target: Target, where: GitStorage,
    files: Sequence[CheckedFile], concerned: Collection[str] | None,
) -> list[Wanted]:  # fmt: skip
    """The flows of the checked files, as they would be registered."""
    from ..prefect_api import run_configs, storage
    from ..prefect_api.descriptions import provenance
    from ..prefect_api.plan import Wanted

    settings, commit = source.settings, update.commit or ""
    place, who = f"{where.repo_host}/{where.repo}", who_registers(repository, os.environ)
    configs = run_configs.run_configs(settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    return [
        Wanted(
            file.path, flow.name,
            storage.with_storage(
                flow, storage.git_storage(where, update, file.path, flow.name),
                run_configs.run_config_of(flow, file.path, settings.runtime, configs, target.labels),
            ),
            concerned is None or file.path in concerned,
            provenance(update, place, file.path, who),
        )
        for file in registrable(files, settings) for flow in sorted(file.flows, key=lambda flow: flow.name)
    ]  # fmt: skip


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


def apply_plan(api: Api, planned: Planned) -> list[Registration]:
    """Carry a plan out; what became of each flow, as the API holds it afterwards."""
    from ..prefect_api.apply import apply
    from ..report import progress

    return apply(api, planned.plan, planned.registered, planned.given, planned.parallel, progress.watch())


def verified(repository: git.Repository, planned: Planned, settings: Settings) -> list[Finding]:
    """With the setting `verify-clone`: why an agent would not get what is registered now."""
    if not settings.verify_clone or not planned.plan:
        return []
    from .clone_check import check_clone

    found = check_clone(repository, planned.given.update, settings, planned.files).finding
    return [found] if found else []


def would_be(one: PlannedFlow, ref: str) -> Registration:
    """A planned flow as the row of a report, with the version that it would have."""
    from ..core.results import Registration

    version = (one.registered_version or 0) + one.new_version or None
    return Registration(
        ref, one.flow, one.path, one.project, one.action, version, one.changes, one.reason, overrides=one.overrides
    )
