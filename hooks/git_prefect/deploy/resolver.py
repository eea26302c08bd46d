"""Ref update → deployment, or the reason why it has none. Everything further down is handed the result."""

from __future__ import annotations

from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment, NotDeployed, Reason, Resolution
from ..core.errors import UnusableCommit
from ..core.model import GitStorage, RefUpdate
from ..core.settings import Settings, Source, Target, with_project
from ..core.targets import pattern_like, project_of, reserved_project, target_of
from ..git.clone_url import storage_of
from ..git.remotes import fetch_url
from .commit_settings import settings_at, uncommitted_settings


def resolve(repository: git.Repository, update: RefUpdate, project: str | None = None) -> Resolution:
    """The deployment of a ref update: its settings, target, project, storage and default branch.

    `project` is the one that a person named in place of the target's.

    Raises:
        UnusableCommit, UsageError: its settings, or those of this machine, cannot be read.
    """
    return resolve_by(repository, update, settings_at(repository, update.commit, update.remote), project)


def resolve_by(
    repository: git.Repository, update: RefUpdate, source: Source, project: str | None = None
) -> Resolution:
    """As `resolve`, by settings that are known already."""
    settings = source.settings
    url = fetch_url(repository, update)
    storage = storage_at(url, settings)
    default = settings.default_branch or _default_branch(repository, update)
    target = target_for(settings, update, project)
    if target is None:
        reason = Reason(
            f"{update.name}: no target takes this {update.kind}, so it is not registered [no-target]",
            add_target(repository, update),
            refuses_push=False,
        )
        return NotDeployed(update=update, source=source, url=url, storage=storage, default_branch=default, reason=reason)
    release = _as_it_is_registered(settings, update)
    name = project_of(target, release, user_of(repository), storage.repo)
    taken = reserved_project(settings.target, release, name)
    if taken:
        reason = Reason(*taken, refuses_push=True)
        return NotDeployed(update=update, source=source, url=url, storage=storage, default_branch=default, reason=reason)
    return Deployment(
        update=update, source=source, url=url, storage=storage, default_branch=default, target=target, project=name,
        project_by_hand=project,
    )  # fmt: skip


def _default_branch(repository: git.Repository, update: RefUpdate) -> str | None:
    """The default branch by the remote's own word, unless another branch is to be compared with it and it is not here."""
    head = update.remote_head
    if head and (head == update.name or git.commit_of(repository, f"refs/remotes/{update.remote}/{head}")):
        return head
    return git.default_branch(repository, update.remote)


def deployed(resolution: Resolution) -> Deployment:
    """The deployment, for those who cannot go on without one.

    Raises:
        UnusableCommit: there is none; it says why.
    """
    if isinstance(resolution, NotDeployed):
        raise UnusableCommit(resolution.reason.message, resolution.reason.hint)
    return resolution


def storage_for(repository: git.Repository, update: RefUpdate, settings: Settings) -> GitStorage:
    """The repository part of the storage that flows of this ref are registered with."""
    return storage_at(fetch_url(repository, update), settings)


def storage_at(url: str, settings: Settings) -> GitStorage:
    """As `storage_for`, of a remote whose URL is known."""
    return storage_of(
        url,
        settings.token_secret,
        settings.token_username,
        settings.clone_url_secret,
        settings.ssh,
    )


def target_for(settings: Settings, update: RefUpdate, project: str | None = None) -> Target | None:
    """The target that takes a ref, with the project that was named by hand in place of its own."""
    found = target_of(settings.target, _as_it_is_registered(settings, update))
    if project is None:
        return found
    if found is None:
        branch, tag = (update.name, None) if update.kind == "branch" else (None, update.name)
        return Target(project=project, branch=branch, tag=tag)
    return with_project(found, project)


def add_target(repository: git.Repository, update: RefUpdate) -> str:
    """What to do where no target takes a ref, whichever file the settings are in."""
    here: Source | None = uncommitted_settings(repository, update)
    if here and target_for(here.settings, update):
        return f"commit and push {here.origin}: as it is here it has a target for {update.name}"
    return f'add a target with {update.kind} = "{pattern_like(update)}" and a project to the settings'


def target_to_paste(ref: NotDeployed) -> list[str]:
    """The lines of a target for a tag that no target takes, as the file of the settings has to have them."""
    update = ref.update
    if update.kind != "tag" or not ref.reason.remedy.startswith("add "):
        return []
    # A commit without settings has those of the default branch: `pyproject.toml of origin/main`.
    file = ref.source.origin.partition(" of ")[0]
    table = "[[tool.git-prefect.target]]" if file.endswith("pyproject.toml") else "[[target]]"
    return [table, f'tag = "{pattern_like(update)}"', 'project = "production"']


def user_of(repository: git.Repository) -> str:
    """Who is meant by `{user}` in a target's project: the local part of git's email address, else git's user name."""
    email = git.setting(repository, "user.email") or ""
    return email.partition("@")[0] or git.setting(repository, "user.name") or "nobody"


def _as_it_is_registered(settings: Settings, update: RefUpdate) -> RefUpdate:
    """A lightweight tag that stands beside an annotated one goes where that goes; a review where its branch goes."""
    if update.kind == "review":
        return replace(update, ref=f"refs/heads/{update.review_of}", review_of="")
    beside = (settings.companion_tag or "").removesuffix("{tag}")
    if beside and update.kind == "tag" and update.name.startswith(beside):
        return replace(update, ref=f"refs/tags/{update.name[len(beside) :]}")
    return update
