"""Which flows a ref registers, and where to."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Callable

from .. import git
from ..core.errors import NotAuthorised, OutOfReach, UnusableCommit
from ..core.model import CheckedFile, Finding, GitStorage, RefUpdate
from ..git import remotes
from .source_tree import uncommitted_settings

if TYPE_CHECKING:
    from ..core.results import ReportedRef
    from ..core.settings import Settings, Target

CLONE_URL = "GIT_CLONE_URL"
"""What we call the Prefect secret with the whole clone URL, as long as the settings give it no name."""


def storage_for(repository: git.Repository, update: RefUpdate, settings: Settings) -> GitStorage:
    """The repository part of the storage that flows of this ref are registered with."""
    from ..git.clone_url import storage_of

    return storage_of(
        remotes.fetch_url(repository, update),
        settings.token_secret,
        settings.token_username,
        settings.clone_url_secret,
        settings.ssh,
    )


def project_for(repository: git.Repository, update: RefUpdate, target: Target, settings: Settings) -> str:
    """The Prefect project that a target leads a ref's flows to.

    Raises:
        UnusableCommit: it is one that another target names.
    """
    from ..core.targets import project_of, refuse_by_accident

    update = _as_its_tag(settings, update)
    project = project_of(target, update, _user(repository), storage_for(repository, update, settings).repo)
    refuse_by_accident(settings.target, update, project)
    return project


def destination(
    repository: git.Repository, update: RefUpdate, settings: Settings, project: str | None
) -> tuple[Target, str]:
    """The target that takes a ref, and the project that it leads to.

    Raises:
        UnusableCommit: no target takes it, or it leads where it may not.
    """
    target = target_for(settings, update, project)
    if target is None:
        raise UnusableCommit(
            f"{update.name}: no target takes this {update.kind}, so it is not registered [no-target]",
            f"{add_target(repository, update)}, or use --project",
        )
    return target, project_for(repository, update, target, settings)


def add_target(repository: git.Repository, update: RefUpdate) -> str:
    """What to do where no target takes a ref, whichever file the settings are in."""
    here = uncommitted_settings(repository, update)
    if here and target_for(here.settings, update, None):
        return f"commit and push {here.origin}: as it is here it has a target for {update.name}"
    return f'add a target with {update.kind} = "{update.name}" and a project to the settings'


def explain(repository: git.Repository, update: RefUpdate, settings: Settings) -> tuple[str | None, list[str]]:
    """The project that a ref leads to, None when no target takes it, and each target in turn with why or why not.

    Nothing is asked of the API or the remote.

    Raises:
        UnusableCommit: it leads to a project that another target names.
    """
    from ..core import targets

    if not settings.target:
        return None, ["there is no target, so no ref is registered [no-target]", f"  hint: {add_target(repository, update)}"]
    repo = storage_for(repository, update, settings).repo
    lines = targets.explain(settings.target, update, _user(repository), repo)
    target = targets.target_of(settings.target, update)
    if target is None:
        untaken = f"no target takes {update.name}, so it is not registered [no-target]"
        return None, [*lines, untaken, f"  hint: {add_target(repository, update)}"]
    lines.append(f"flows: {_flows_in_words(repository, update, settings)}")
    return project_for(repository, update, target, settings), lines


def _flows_in_words(repository: git.Repository, update: RefUpdate, settings: Settings) -> str:
    default = default_branch(repository, update, settings)
    concerned = concerned_paths(repository, update, default)
    if concerned is not None:
        files = sum(path.endswith(".py") for path in concerned)
        return f"those in files changed since {update.remote}/{default} ({files} .py), and those registered from this branch"
    if update.kind == "tag":
        return "all, since it is a tag"
    return "all, since it is the default branch" if update.name == default else "all: where it left is not known here"


def _user(repository: git.Repository) -> str:
    email = git.setting(repository, "user.email") or ""
    return email.partition("@")[0] or git.setting(repository, "user.name") or "nobody"


def who_registers(repository: git.Repository, environ: Mapping[str, str]) -> str:
    """Who registers, for people to read: git's identity here, else what CI says, else the login name."""
    name, email = git.setting(repository, "user.name"), git.setting(repository, "user.email")
    if name or email:
        return f"{name} <{email}>" if name and email else name or email or ""
    for variable in ("GITLAB_USER_NAME", "GITHUB_ACTOR", "BUILD_USER", "CHANGE_AUTHOR", "LOGNAME", "USER"):
        if environ.get(variable):
            return environ[variable]
    return f"user {os.getuid()}"


def no_longer_defined(
    repository: git.Repository, commit: str, files: Sequence[CheckedFile]
) -> Callable[[str, str], str | None]:
    """A function that tells why a commit defines a flow of a path no longer; None when it may do so still.

    A file that could not be loaded may define its own flows, any flow whose name it mentions, and any flow at all where
    it computes a name. So may one that the settings leave out, and one in whose text we see no flow, as long as it names
    Prefect's: nothing brings back what is archived.
    """
    blobs = {entry.path: entry.blob for entry in git.tree_entries(repository, commit)}
    by_path = {file.path: file for file in files}
    names = {flow.name for file in files for flow in file.flows}
    untold = git.read_blobs(repository, [blobs[file.path] for file in files if file.failed or file.unchecked])
    computed = any(_computes_names(source) for source in untold.values())

    def why(path: str, flow: str) -> str | None:
        from ..flows.discovery import mentions_flow

        path = posixpath.normpath(path.lstrip("/"))
        if computed or flow in names or any(flow.encode("utf-8", "replace") in source for source in untold.values()):
            return None
        if path not in blobs:
            return f"{path} is gone"
        file = by_path.get(path)
        if file is None:
            content = git.read_blobs(repository, [blobs[path]]).get(blobs[path], b"")
            return None if mentions_flow(content) else f"{path} builds no flow any more"
        if file.failed or file.unchecked:
            return None
        now = ", ".join(sorted(flow.name for flow in file.flows))
        return f"{path} defines it no longer" + (f", but {now}" if now else "")

    return why


def _computes_names(source: bytes) -> bool:
    """Whether a source makes a flow whose name is no plain text in it, or does not show how it makes any."""
    literal = [call[1] is not None for call in re.finditer(_FLOW_CALL, source)]
    return not all(literal) or not literal


_FLOW_CALL = re.compile(rb"\bFlow\s*\(\s*(?:(?:name\s*=\s*)?((?:'[^'\n]*'|\"[^\"\n]*\")\s*[,)]))?")


def branch_point(repository: git.Repository, update: RefUpdate, default: str | None) -> str | None:
    """Where a branch left the remote's default branch, as this clone knows it; None: unknown or unrelated."""
    tracking = default and git.commit_of(repository, f"refs/remotes/{update.remote}/{default}")
    return git.merge_base(repository, tracking, update.commit) if tracking and update.commit else None


def default_branch(repository: git.Repository, update: RefUpdate, settings: Settings) -> str | None:
    """Short name of the remote's default branch: the setting, else what this clone knows; None: neither tells."""
    return settings.default_branch or git.default_branch(repository, update.remote)


def concerned_paths(repository: git.Repository, update: RefUpdate, default: str | None) -> set[str] | None:
    """Paths that a branch changes since it left the default branch; None: tags and the default branch have all."""
    if update.kind == "tag" or default is None or update.name == default:
        return None
    assert update.commit
    base = branch_point(repository, update, default)
    return git.changed_paths(repository, base, update.commit) if base else None


def unknown_base(repository: git.Repository, update: RefUpdate, default: str | None) -> Finding | None:
    """That a branch registers all flows, since this clone is too shallow to tell which of them it changes.

    It is asked where no paths of the branch's own are known (`concerned_paths`).
    """
    if update.kind != "branch" or update.name == default:
        return None
    if git.ask(repository, "rev-parse", "--is-shallow-repository") != "true":
        return None
    from ..core.findings import finding
    from ..git.ls_remote import ask_remote

    if default is None:
        try:
            default = ask_remote(repository, update.remote, "HEAD").head
        except (NotAuthorised, OutOfReach):
            return None
        if update.name == default:
            return None
    left = f"where {update.name} left {default or 'the default branch'} is not known in this shallow clone"
    refspec = f"'+refs/heads/*:refs/remotes/{update.remote}/*'"
    return finding(
        "base-unknown", f"{left}: all flows are registered, not only those that it changes",
        f"in CI, fetch-depth: 0 (GitHub) or GIT_DEPTH: 0 (GitLab); here: git fetch --unshallow {update.remote} {refspec}",
        ref=update.ref,
    )  # fmt: skip


def registrable(files: Sequence[CheckedFile], settings: Settings) -> list[CheckedFile]:
    """The files whose flows can be registered: they load, and their flows may move to git storage."""
    return [
        file._replace(flows=tuple(flow for flow in file.flows if not _stays_elsewhere(file, flow.name, settings)))
        for file in files
        if not file.failed and not file.unchecked
    ]


def _stays_elsewhere(file: CheckedFile, flow: str, settings: Settings) -> bool:
    return settings.storage == "keep" and any(one.code == "other-storage" and one.flow == flow for one in file.findings)


def count_flows(repository: git.Repository, update: RefUpdate, settings: Settings, files: Sequence[CheckedFile]) -> int:
    """How many flows a ref registers, beside those that are registered from it already."""
    concerned = concerned_paths(repository, update, default_branch(repository, update, settings))
    found = registrable(files, settings)
    return sum(len(file.flows) for file in found if concerned is None or file.path in concerned)


def target_for(settings: Settings, update: RefUpdate, project: str | None) -> Target | None:
    """The target that takes a ref, with the project given by hand in place of its own."""
    from ..core import settings as tables
    from ..core.targets import target_of

    found = target_of(settings.target, _as_its_tag(settings, update))
    if project is None:
        return found
    if found is None:
        branch, tag = (update.name, None) if update.kind == "branch" else (None, update.name)
        return tables.Target(project=project, branch=branch, tag=tag)
    return tables.with_project(found, project)


def _as_its_tag(settings: Settings, update: RefUpdate) -> RefUpdate:
    """A lightweight tag that stands beside an annotated one goes where that goes."""
    beside = (settings.companion_tag or "").removesuffix("{tag}")
    if beside and update.kind == "tag" and update.name.startswith(beside):
        return update._replace(ref=f"refs/tags/{update.name[len(beside) :]}")
    return update


def reported_ref(repository: git.Repository, update: RefUpdate, settings: Settings) -> ReportedRef:
    """A ref as a report has it, with the project that its target leads to."""
    from ..core.results import ReportedRef

    target = target_for(settings, update, None)
    project = project_for(repository, update, target, settings) if target else None
    return ReportedRef(update.name, update.kind, update.commit, update.source, project)


def refuse_unclonable(repository: git.Repository, update: RefUpdate, where: GitStorage, settings: Settings) -> None:
    """See that an agent can clone the remote as it is set.

    Raises:
        UnusableCommit: Prefect's URL forms cannot express where it is, and no secret holds the clone URL.
    """
    from ..git.clone_url import why_not_clonable

    url = remotes.fetch_url(repository, update)
    obstacle = why_not_clonable(url, where)
    if obstacle:
        raise UnusableCommit(
            f"{url}: Prefect's Git storage cannot say where this remote is: {obstacle}",
            how_to_clone(repository, url, settings),
        )


def how_to_clone(repository: git.Repository, url: str, settings: Settings) -> str:
    """What to set, on our side and on the agents', where Prefect's URL forms do not reach."""
    from ..git.clone_url import secret_value
    from ..prefect_api.secrets import how_to_set

    ssh = False if settings.token_secret else settings.ssh
    value = secret_value(url, repository.top or repository.git_dir, settings.token_username, ssh)
    own = (
        "\n    or leave these flows to a storage of their own: prefect.storage.CodeCommit reads them through the API of AWS"
        if "codecommit" in url
        else ""
    )
    if value is None:
        return f"agents clone with dulwich, which has no such helper: give the remote an https or ssh URL{own}"
    return f'set `clone-url-secret = "{CLONE_URL}"`, and give agents that secret:\n{how_to_set(CLONE_URL, value)}{own}'


def stay_elsewhere(files: Sequence[CheckedFile], settings: Settings) -> list[str]:
    """A line for each flow that its own storage keeps out of the registration."""
    if settings.storage == "replace":
        return []
    return [
        f'left out: {one.flow} ({file.path}) has a storage of its own; `storage = "replace"` moves it to git [other-storage]'
        for file in files
        for one in file.findings
        if one.code == "other-storage"
    ]
