"""A ref update on its way to one Prefect project: resolved once, then passed on."""

from __future__ import annotations

from typing import Union

import msgspec

from .model import GitStorage, RefUpdate
from .settings import Settings, Source, Target


class ResolvedRef(msgspec.Struct, frozen=True, kw_only=True):
    """A ref update with all that follows from its commit, its remote and this machine."""

    update: RefUpdate
    source: Source
    """The settings of its commit, and where they come from."""
    url: str
    """The URL that others fetch from what is pushed here, without credentials."""
    storage: GitStorage
    """Where agents clone from, as Prefect is told it."""
    default_branch: str | None
    """Short name of the remote's default branch; None when neither the settings nor this clone tell."""

    @property
    def settings(self) -> Settings:
        """The settings that count for this ref."""
        return self.source.settings


class Deployment(ResolvedRef, frozen=True, kw_only=True):
    """A ref update that is registered in one project."""

    target: Target
    project: str
    """The target's project with its placeholders filled in, or the one that was named by hand."""
    project_by_hand: str | None = None
    """What `--project` named; None when the target decided."""


class NotDeployed(ResolvedRef, frozen=True, kw_only=True):
    """A ref update that is not registered, and why."""

    reason: Reason

    @property
    def matches_none_of_its_targets(self) -> bool:
        """Whether there are targets, and none of them matches: the ref is left alone. Without any it may get one yet."""
        return bool(self.settings.target) and not self.reason.refuses_push


class Reason(msgspec.Struct, frozen=True):
    """Why a ref update has no deployment."""

    message: str
    remedy: str
    """What to change in the settings."""
    refuses_push: bool
    """True: the settings lead the ref where it may not go. False: no target matches it."""

    @property
    def hint(self) -> str:
        """The remedy, for a command that could also be told the project."""
        return self.remedy if self.refuses_push else f"{self.remedy}, or use --project"


Resolution = Union[Deployment, NotDeployed]
"""What resolving a ref update answers."""
