"""How what Prefect holds of this repository stands against what the remote has now: one query, one `ls-remote`.

Loads go through the verdicts: what was validated by a push is not loaded again.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment, NotDeployed, Resolution
from ..core.errors import GitPrefectError, UnusableCommit
from ..core.findings import finding
from ..core.model import ERROR, CheckedFile, Finding, GitStorage, LoadedFlow, RefUpdate
from ..core.results import FlowStatus
from ..core.settings import Settings
from ..flows.checker import CheckOptions
from ..flows.storage_findings import quoted
from ..git import remotes
from ..git.ls_remote import RemoteRefs, ask_remote, fetch_commits
from ..prefect_api.ownership import ref_of
from ..prefect_api.queries import Api
from ..prefect_api.registered import ActiveFlow, active_flows
from ..prefect_api.run_configs import of_runtimes, run_config_of
from ..prefect_api.storage import git_storage
from ..prefect_api.structure import differences, has_its_tasks, slugs
from ..report import text
from ..report.invocation import git_prefect
from . import active_twice
from .annotated_tags import cannot_run
from .commit_settings import settings_at
from .resolver import resolve, storage_for
from .selection import no_longer_defined
from .source_tree import check, tree_of_commit


class Answers(msgspec.Struct, frozen=True):
    """What the API and the remote said, or why they said nothing."""

    flows: list[ActiveFlow]
    remote: RemoteRefs | None
    api_trouble: GitPrefectError | None
    """Why the API could not be asked."""
    remote_trouble: GitPrefectError | None
    """Why the remote could not be asked."""

    @property
    def troubles(self) -> list[GitPrefectError]:
        """Why either could not be asked."""
        return [trouble for trouble in (self.api_trouble, self.remote_trouble) if trouble]


def ask(repository: git.Repository, remote: str, name: str | None = None) -> Answers:
    """Ask the API for the active flows of this repository (only those called `name`), and the remote for its refs."""
    where = repository_at(repository, remote)
    found = Answers([], None, None, None)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask_remote, repository, remote)
        try:
            found = replace(found, flows=active_flows(Api(), where, None if name is None else [name]))
        except GitPrefectError as error:
            found = replace(found, api_trouble=error)
        try:
            return replace(found, remote=answer.result())
        except GitPrefectError as error:
            return replace(found, remote_trouble=error)


def repository_at(repository: git.Repository, remote: str) -> GitStorage:
    """The repository as storages name it, by the URL that others fetch from."""
    return storage_for(
        repository, RefUpdate(remote, "", "", None, None, None, "remote"), _settings_here(repository, remote)
    )


def _settings_here(repository: git.Repository, remote: str) -> Settings:
    default = git.default_branch(repository, remote)
    commit = default and git.commit_of(repository, f"refs/remotes/{remote}/{default}")
    try:
        return settings_at(repository, commit or None, remote).settings
    except UnusableCommit:
        return Settings()


def default_branch_of(repository: git.Repository, remote: str, answer: RemoteRefs | None) -> str | None:
    """The branch that agents run for a storage that names none: the remote's own word, else what this clone knows."""
    return (answer and answer.head) or git.default_branch(repository, remote)


def full_ref(flow: ActiveFlow, default: str | None) -> str:
    """The full name of the ref that a flow's runs are loaded from; empty when nobody can tell."""
    branch, tag = ref_of(flow.flow.storage, default)
    return f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else ""


def flow_statuses(repository: git.Repository, remote: str, asked: Answers) -> list[FlowStatus]:
    """Every flow with its drift, in the order of refs and projects; without a remote to compare with there is none.

    Raises:
        OutOfReach, NotAuthorised: a ref of the remote could not be fetched.
    """
    default = default_branch_of(repository, remote, asked.remote)
    by_ref: dict[str, list[ActiveFlow]] = {}
    for one in asked.flows:
        by_ref.setdefault(full_ref(one, default), []).append(one)
    drift: dict[str, list[Finding]] = {one.flow.id: [] for one in asked.flows}
    if asked.remote is not None:
        here = commits_here(repository, remote, asked.remote, [ref for ref in by_ref if ref])
        for ref, flows in by_ref.items():
            if ref:
                update = ref_update(repository, remote, ref, here.get(ref), asked.remote)
                if update.commit is None:
                    renamed = on_default_branch(repository, remote, asked.remote, default, flows)
                    for one in flows:
                        drift[one.flow.id].append(_gone(one, update, (default or "", renamed[one.flow.id]) if one.flow.id in renamed else None))
                    continue
                for flow_id, found in of_ref(repository, update, flows).items():
                    drift[flow_id] += found
    for flow_id, found in _active_twice(asked.flows, default).items():
        drift[flow_id] += found
    rank = {ref: number for number, ref in enumerate(sorted(by_ref, key=lambda ref: _place_of(ref, default)))}
    ordered = sorted(asked.flows, key=lambda one: (rank[full_ref(one, default)], one.flow.project, one.flow.name))
    return [_flow_status(one, full_ref(one, default), tuple(drift[one.flow.id])) for one in ordered]


def _place_of(ref: str, default: str | None) -> tuple[int, str]:
    """The default branch first, then tags, then branches."""
    return (0 if ref == f"refs/heads/{default}" else 1 if ref.startswith("refs/tags/") else 2, ref)


def _flow_status(one: ActiveFlow, ref: str, drift: tuple[Finding, ...]) -> FlowStatus:
    flow = one.flow
    return FlowStatus(
        ref, one.path, flow.name, flow.project, flow.version, one.schedule, flow.schedule_active, one.runtime,
        one.last_run, one.last_run_at, one.page, flow.id, drift,
    )  # fmt: skip


def commits_here(repository: git.Repository, remote: str, answer: RemoteRefs, wanted: Sequence[str]) -> dict[str, str]:
    """The commits of refs as the remote has them, fetched where this clone lacks them; refs that are gone are left out.

    Raises:
        OutOfReach, NotAuthorised: one could not be fetched.
    """
    found = {ref: commit for ref in wanted if (commit := answer.commit(ref))}
    known = git.commits_of(repository, *found.values()) if found else []
    lacking = {ref: found[ref] for ref, commit in zip(found, known) if commit is None}
    if not git.has_whole(repository, [commit for commit in known if commit]):
        lacking = found
    if lacking:
        fetch_commits(repository, remote, lacking)
    return found


def ref_update(repository: git.Repository, remote: str, ref: str, commit: str | None, answer: RemoteRefs) -> RefUpdate:
    """A ref as the remote has it; without a commit: it is gone."""
    return RefUpdate(remote, remotes.remote_url(repository, remote), ref, commit, answer.refs.get(ref), commit, "remote")


def of_ref(repository: git.Repository, update: RefUpdate, flows: Sequence[ActiveFlow]) -> dict[str, list[Finding]]:
    """What is wrong with the flows of one ref, against what the remote has there now: flow id → findings."""
    if update.commit is None:
        return {one.flow.id: [_gone(one, update, None)] for one in flows}
    broken = cannot_run(update)
    if broken:
        return {one.flow.id: [replace(found, path=one.path, flow=one.flow.name) for found in broken] for one in flows}
    try:
        now = _at_head(repository, update, flows)
    except UnusableCommit as error:
        said = f"{_head(update)} cannot be registered: {error.message}"
        return {one.flow.id: [_about(one, update, "settings-drift", said, error.hint)] for one in flows}
    return {one.flow.id: _against(one, now) for one in flows}


def _gone(one: ActiveFlow, update: RefUpdate, moved_to: tuple[str, str | None] | None) -> Finding:
    """That the ref of a flow is gone; `moved_to` is the branch that has the flow now, and the project it registers in."""
    said = f"{text.place(update)} is gone: every run fails, since no agent finds it"
    if moved_to:
        branch, project = moved_to
        register = git_prefect("register", "--ref", branch)
        if project in (None, one.flow.project):
            hint = f"{branch} has it: {register}"
        else:
            hint = (
                f"{branch} has it, and registers in project {project}: write branch = {quoted(branch)} into the target of "
                f"{update.name} and push it, then {register}"
            )
    else:
        hint = f"archive it with {git_prefect('prune')}, or push the {update.kind} again"
    return _about(one, update, "ref-gone", said, hint)


def on_default_branch(
    repository: git.Repository, remote: str, answer: RemoteRefs, default: str | None, gone: Sequence[ActiveFlow]
) -> dict[str, str | None]:
    """Those flows of a ref that is gone which live on the default branch: it was renamed, and registers them anew.

    By id the project that the default branch registers in; None where no target matches it. They are in that project, or the
    ref that is gone was the default branch: as far as its name or this clone shows, or a target that names it alone.

    Raises:
        OutOfReach, NotAuthorised: the default branch could not be fetched.
    """
    ref = f"refs/heads/{default}"
    commit = commits_here(repository, remote, answer, [ref]).get(ref) if default else None
    if commit is None:
        return {}
    names = {"main", "master", noted_head(repository, remote)}
    try:
        resolution = resolve(repository, replace(ref_update(repository, remote, ref, commit, answer), remote_head=default or ""))
    except UnusableCommit:
        return {one.flow.id: None for one in gone if _branch(one, default) in names}
    names |= {target.branch for target in resolution.settings.target}
    project = resolution.project if isinstance(resolution, Deployment) else None
    gone = [one for one in gone if _branch(one, default) in names or one.flow.project == project]
    if not gone:
        return {}
    why_not = no_longer_defined(repository, commit, check(repository, tree_of_commit(repository, commit), resolution.settings))
    return {one.flow.id: project for one in gone if why_not(one.path, one.loads or one.flow.name) is None}


def _branch(one: ActiveFlow, default: str | None) -> str:
    return full_ref(one, default).removeprefix("refs/heads/")


def noted_head(repository: git.Repository, remote: str) -> str | None:
    """The default branch that this clone has noted, which may be gone since."""
    head = git.ask(repository, "symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD")
    return head and head.removeprefix(f"refs/remotes/{remote}/")


class AtHead(msgspec.Struct, frozen=True):
    """One ref as the remote has it now, to hold registered flows against."""

    ref: Resolution
    paths: set[str]
    files: dict[str, CheckedFile]
    """The files that the flows are registered from, loaded."""
    run_configs: Sequence[dict[str, Any]]


def _at_head(repository: git.Repository, update: RefUpdate, flows: Sequence[ActiveFlow]) -> AtHead:
    commit = update.commit or ""
    ref = resolve(repository, update)
    if isinstance(ref, NotDeployed) and ref.reason.refuses_push:
        raise UnusableCommit(ref.reason.message, ref.reason.hint)
    tree = tree_of_commit(repository, commit)
    # An agent loads what is registered, also a file that the patterns of the settings leave out by now.
    paths = {one.path for one in flows}
    patterns = replace(ref.settings, flows=[_as_pattern(path) for path in sorted(paths)], exclude=[])
    files = check(repository, tree, patterns, CheckOptions(only=paths, with_flows=True))
    return AtHead(
        ref,
        {entry.path for entry in tree.entries},
        {file.path: file for file in files},
        of_runtimes(ref.settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path)),
    )


def _as_pattern(path: str) -> str:
    return "/" + "".join(f"\\{letter}" if letter in "\\*?[]!# " else letter for letter in path.lstrip("/"))


def _head(update: RefUpdate) -> str:
    name = f"tag {update.name}" if update.kind == "tag" else "HEAD"
    return f"{name} ({text.short(update.commit)})"


def _again(update: RefUpdate) -> str:
    return git_prefect("register", "--ref", update.name)


def _about(one: ActiveFlow, update: RefUpdate, code: str, said: str, hint: str, detail: str = "") -> Finding:
    return finding(code, said, hint, path=one.path, flow=one.flow.name, ref=update.ref, detail=detail)


def _against(one: ActiveFlow, now: AtHead) -> list[Finding]:
    """What is wrong with a registered flow, against the ref that it is registered from."""
    update, name = now.ref.update, one.flow.name
    if one.path not in now.paths:
        if posixpath.normpath(one.path.lstrip("/")) in now.paths:
            said = f"is registered as {one.path!r}: agents join that to their clone and find no such file"
            # What the code declares is a warning; what is registered fails each run.
            return [replace(_about(one, update, "wrong-flow-path", said, _again(update)), severity=ERROR)]
        hint = f"archive it with {git_prefect('prune')}; if it has moved: {_again(update)}"
        return [_about(one, update, "file-gone", f"is gone from {_head(update)}: every run of {name} fails", hint)]
    file = now.files[one.path]
    kept = [found for found in file.findings if found.flow in (None, name) and _keeps_from_judging(found)]
    if file.unchecked or kept:
        return [replace(found, flow=name, ref=update.ref) for found in kept]
    flow = next((flow for flow in (*file.flows, *file.imported) if one.loads in (None, flow.name)), None)
    if flow is None:
        others = ", ".join(other.name for other in file.flows)
        missing = one.loads or "a flow"
        said = f"does not define {missing} at {_head(update)}{f', but {others}' if others else ''}: every run fails"
        hint = f"archive it with {git_prefect('prune')}, or give the flow its name back"
        return [_about(one, update, "flow-gone", said, hint)]
    return _structure(one, flow, now)


def _keeps_from_judging(found: Finding) -> bool:
    return found.severity == ERROR or found.code == "environment-broken"


def _structure(one: ActiveFlow, flow: LoadedFlow, now: AtHead) -> list[Finding]:
    held, ours = one.flow.serialized, _as_registered_now(one, flow, now)
    old, new = slugs(held), slugs(ours)
    if old != new and has_its_tasks(held):
        said = f"{_head(now.ref.update)} has {_tasks(sorted(new - old), sorted(old - new))}; the next run fails"
        return [_about(one, now.ref.update, "structure-drift", said, _again(now.ref.update))]
    lines = differences(held, ours)
    if not lines:
        return []
    said = f"{_head(now.ref.update)} differs from what is registered, and runs start as it is registered"
    return [_about(one, now.ref.update, "settings-drift", said, _again(now.ref.update), "\n".join(lines))]


def _as_registered_now(one: ActiveFlow, flow: LoadedFlow, now: AtHead) -> dict[str, Any]:
    """What a registration would send; storage and run config only where it would send them for this very flow."""
    ref = now.ref
    if not isinstance(ref, Deployment) or ref.project != one.flow.project or flow.name != one.flow.name:
        held = one.flow.serialized
        return {**flow.serialized, "storage": held.get("storage"), "run_config": held.get("run_config")}
    storage = git_storage(ref.storage, ref.update, one.path, flow.name)
    run_config = run_config_of(flow, one.path, ref.settings.runtime, now.run_configs, ref.target.labels)
    return {**flow.serialized, "storage": json.loads(json.dumps(storage)), "run_config": run_config}


def _tasks(added: Sequence[str], gone: Sequence[str]) -> str:
    parts = []
    if added:
        count = "a task that is" if len(added) == 1 else f"{len(added)} tasks that are"
        parts.append(f"{count} not registered: {_some(added)}")
    if gone:
        parts.append(f"no longer {_some(gone)}, which {'is' if len(gone) == 1 else 'are'} registered")
    return " and ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _active_twice(flows: Sequence[ActiveFlow], default: str | None) -> dict[str, list[Finding]]:
    """Flows that start runs twice: several versions in one project, or a schedule that is active from several refs.

    Told once, of the last of them: branches come after tags, and those after the default branch.
    """
    alike: dict[tuple[str, ...], list[ActiveFlow]] = {}
    for one in sorted(flows, key=lambda one: (*_place_of(full_ref(one, default), default), one.flow.version)):
        alike.setdefault(("project", one.flow.project, one.flow.name), []).append(one)
        if one.schedule and one.flow.schedule_active:
            alike.setdefault(("scheduled", one.path, one.flow.name), []).append(one)
    found: dict[str, list[Finding]] = {}
    for (kind, *_), (*others, last) in alike.items():
        elsewhere = [one for one in others if _where(one, default) != _where(last, default)]
        if kind == "project" and others:
            versions = " and ".join(str(one.flow.version) for one in others)
            said = f"active in {last.flow.project} as version {versions} as well: the work is done twice"
            hint = "pause or archive one of them in Prefect's UI"
        elif kind == "scheduled" and elsewhere:
            said, hint = active_twice.described(last.flow.storage, elsewhere, default)
        else:
            continue
        twice = finding("active-twice", said, hint, path=last.path, flow=last.flow.name, ref=full_ref(last, default))
        found.setdefault(last.flow.id, []).append(twice)
    return found


def _where(one: ActiveFlow, default: str | None) -> tuple[str, str]:
    return full_ref(one, default), one.flow.project
