"""The frozen data that passes between the layers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Optional

import msgspec

Watch = Callable[[str, Callable[[], int], int], AbstractContextManager[None]]
"""Shows progress while it is open: what is done, a function that counts what is done so far, and of how many."""

ERROR, WARNING, NOTE = "error", "warning", "note"
"""Severities of a finding."""


class RefUpdate(msgspec.Struct, frozen=True):
    """One ref that is pushed (or asked for by hand), by its name on the remote."""

    remote: str
    """Name of the remote; its URL without credentials when pushed by URL."""
    url: str
    """URL of the remote, without credentials."""
    ref: str
    """Full name on the remote: `refs/heads/…`, `refs/tags/…`, or another such as `refs/for/…`."""
    commit: str | None
    """The commit that is pushed, tags peeled; None when the ref is deleted."""
    pushed_object: str | None
    """What the ref will point at: the commit, or the tag object of an annotated tag."""
    remote_commit: str | None
    """What the remote had, as far as this clone knows without asking; None when unknown or new. For a review, the commit
    where it left its branch."""
    source: str
    """Who says so: `push`, `--ref`, `BUILD_TAG`, `GIT_BRANCH`, `active branch`, …"""
    companion: str = ""
    """Short name of the lightweight tag that agents clone in place of an annotated one; empty: the ref's own."""
    review_of: str = ""
    """Short name of the branch that a review is for (Gerrit's `refs/for/…`); empty: this is no review."""
    remote_head: str = ""
    """Short name of the remote's default branch, where the remote was asked; empty: it was not, or did not tell."""

    @property
    def kind(self) -> str:
        """`branch`, `tag`, `review` or `other` (notes, changes, …), from the ref's full name."""
        if self.review_of:
            return "review"
        if self.ref.startswith("refs/heads/"):
            return "branch"
        return "tag" if self.ref.startswith("refs/tags/") else "other"

    @property
    def name(self) -> str:
        """The short name, as the storage of a flow has it: `feature/x`, `v1.0`; of a review, its branch's."""
        if self.review_of:
            return self.review_of
        return self.ref.split("/", 2)[2] if self.ref.count("/") >= 2 else self.ref

    @property
    def cloned_name(self) -> str:
        """The short name of what agents clone."""
        return self.companion or self.name


class TreeEntry(msgspec.Struct, frozen=True):
    """A file of the pushed commit's tree, as `git ls-tree -r` tells it."""

    path: str
    """From the root of the repository, with forward slashes."""
    blob: str
    """Object name of its content."""
    mode: str
    """`100644`, `100755`, `120000` (symlink) or `160000` (submodule)."""


class LoadedFlow(msgspec.Struct, frozen=True, array_like=True):
    """A flow as the agent would find it in a flow file."""

    name: str
    tasks: int
    serialized: dict[str, Any]
    """What `Flow.serialize()` gives, without storage: the shape that the API stores."""
    declared_storage: Optional[dict[str, Any]]
    """The storage that the code sets, serialized by Prefect; None when it sets none."""
    declared_run_config: Optional[dict[str, Any]]
    """The run config that the code sets, serialized by Prefect; None when it sets none."""
    made_by: str = ""
    """The file whose top level made it, when that is not the flow file itself but one that it imports."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong, in words that a person can act on."""

    code: str
    severity: str
    message: str
    hint: str
    path: str | None = None
    line: int | None = None
    flow: str | None = None
    ref: str | None = None
    detail: str = ""
    """Further lines, such as the frames of a traceback; may be empty."""


class CheckedFile(msgspec.Struct, frozen=True):
    """A flow file, the flows that an agent would find in it, and what is wrong with it."""

    path: str
    blob: str
    flows: tuple[LoadedFlow, ...]
    findings: tuple[Finding, ...]
    cached: bool
    """True when an earlier verdict was reused and the file was not loaded again."""
    unchecked: bool = False
    """True when the interpreter could not tell (a third-party module is missing there)."""
    lasting: bool = False
    """True when nothing but the file itself, the settings and the interpreter's packages decided."""
    imported: tuple[LoadedFlow, ...] = ()
    """Flows that an agent finds in it as well, and that belong to another flow file, which makes them."""
    rests_on: str = ""
    """Names all that its load rests on; empty where that is not known, or flows are not reported in full."""
    used: Optional[dict[str, str]] = None
    """Paths of the tree that its load used, and what the tree has there; None where it may have used any."""

    @property
    def failed(self) -> bool:
        """True when an agent could not load the file."""
        return any(finding.severity == ERROR and finding.flow is None for finding in self.findings)

    @property
    def has_errors(self) -> bool:
        """True when the file, or one of its flows, cannot be registered."""
        return any(finding.severity == ERROR for finding in self.findings)

    @property
    def sound_flows(self) -> tuple[LoadedFlow, ...]:
        """The flows with which nothing is wrong that keeps them from a registration."""
        if self.failed or self.unchecked:
            return ()
        wrong = {finding.flow for finding in self.findings if finding.severity == ERROR}
        return tuple(flow for flow in self.flows if flow.name not in wrong)


class GitStorage(msgspec.Struct, frozen=True):
    """Where an agent clones from: the arguments of `prefect.storage.Git` that name the repository."""

    repo_host: str
    repo: str
    use_ssh: bool
    git_token_secret_name: str | None
    git_token_username: str | None
    git_clone_url_secret_name: str | None
