"""Which flows a ref registers: those that it changes, that load, and that may move to Git storage."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Callable

from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment, Resolution, ResolvedRef
from ..core.errors import NotAuthorised, OutOfReach
from ..core.findings import finding
from ..core.model import CheckedFile, Finding, RefUpdate
from ..core.settings import Settings
from ..flows.source_memory import is_opaque
from ..git.ls_remote import ask_remote
from ..prefect_api.ownership import is_older
from ..report import causes
from .shared_code import concerned_by_imports


def no_longer_defined(
    repository: git.Repository, commit: str, files: Sequence[CheckedFile]
) -> Callable[[str, str], str | None]:
    """A function that tells why a commit defines a flow of a path no longer; None when it may do so still.

    A file that could not be loaded may define its own flows, any flow whose name it mentions, and any flow at all where
    it computes a name. So may one that the settings leave out, one that is encrypted, and one in which we see no flow, as long as
    its text has the word: nothing brings back what is archived.
    """
    blobs = {entry.path: entry.blob for entry in git.tree_entries(repository, commit)}
    by_path = {file.path: file for file in files}
    names = {flow.name for file in files for flow in file.flows}
    untold = git.read_blobs(repository, [blobs[file.path] for file in files if file.failed or file.unchecked])
    computed = any(_computes_names(source) for source in untold.values())

    def why(path: str, flow: str) -> str | None:
        path = posixpath.normpath(path.lstrip("/"))
        if computed or flow in names or any(flow.encode("utf-8", "replace") in source for source in untold.values()):
            return None
        if path not in blobs:
            return f"{path} is gone"
        file = by_path.get(path)
        if file is None or not file.flows:
            content = git.read_blobs(repository, [blobs[path]]).get(blobs[path], b"")
            if is_opaque(content):
                return None
        if file is None:
            return None if b"flow" in content.lower() else f"{path} builds no flow any more"
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


def own_base(repository: git.Repository, ref: ResolvedRef) -> str | None:
    """Where a branch left the default branch; None where all flows are registered: of tags and of the default branch."""
    update, default = ref.update, ref.default_branch
    if update.kind == "tag" or default is None or update.name == default:
        return None
    return branch_point(repository, update, default)


def concerned_paths(repository: git.Repository, ref: ResolvedRef, files: Sequence[CheckedFile]) -> set[str] | None:
    """Paths that a branch changes since it left the default branch, and of flow files that such a change concerns.

    None: tags and the default branch have all.
    """
    base = own_base(repository, ref)
    if base is None:
        return None
    return git.changed_paths(repository, base, ref.update.commit or "") | concerned_by_imports(
        repository, ref, base, files
    ).keys()


def unknown_base(repository: git.Repository, ref: ResolvedRef) -> Finding | None:
    """That a branch registers all flows, since this clone is too shallow to tell which of them it changes.

    It is asked where no paths of the branch's own are known (`concerned_paths`).
    """
    update, default = ref.update, ref.default_branch
    if update.kind != "branch" or update.name == default:
        return None
    if git.ask(repository, "rev-parse", "--is-shallow-repository") != "true":
        return None
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
        replace(file, flows=tuple(flow for flow in file.sound_flows if not _stays_elsewhere(file, flow.name, settings)))
        for file in files
        if not file.failed and not file.unchecked
    ]


def _stays_elsewhere(file: CheckedFile, flow: str, settings: Settings) -> bool:
    return settings.storage == "keep" and any(one.code == "other-storage" and one.flow == flow for one in file.findings)


def count_flows(repository: git.Repository, ref: ResolvedRef, files: Sequence[CheckedFile]) -> int:
    """How many flows a ref registers, beside those that are registered from it already."""
    concerned = concerned_paths(repository, ref, files)
    found = registrable(files, ref.settings)
    return sum(len(file.flows) for file in found if concerned is None or file.path in concerned)


def stay_elsewhere(files: Sequence[CheckedFile], settings: Settings) -> list[str]:
    """What its own storage keeps out of the registration: a line for each flow, or one for many."""
    found = [one for file in files for one in file.findings if one.code == "other-storage"]
    if settings.storage == "replace":
        return []
    if len(found) > causes.MOST_ALONE:
        return [f'left out: {causes.count(found)} have a storage of their own; `storage = "replace"` moves them to git [other-storage]']
    return [
        f'left out: {one.flow} ({one.path}) has a storage of its own; `storage = "replace"` moves it to git [other-storage]'
        for one in found
    ]


def newest_tags(resolutions: Sequence[Resolution]) -> tuple[list[Resolution], list[Resolution]]:
    """Of several tags that lead to one project, the highest version; and the others, which are not registered."""
    newest: dict[str, Resolution] = {}
    for ref in resolutions:
        if ref.update.kind == "tag":
            project = ref.project if isinstance(ref, Deployment) else ref.update.ref
            if project not in newest or is_older(newest[project].update.name, ref.update.name):
                newest[project] = ref
    chosen = [one for one in resolutions if one.update.kind != "tag" or one in newest.values()]
    return chosen, [one for one in resolutions if one not in chosen]
