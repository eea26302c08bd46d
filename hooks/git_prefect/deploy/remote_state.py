"""A ref here beside the same ref on the remote: what a push does to it, and whether agents run the code that is here."""

from __future__ import annotations

from msgspec.structs import replace

from .. import git
from ..core.findings import finding
from ..core.model import Finding, RefUpdate
from ..flows.discovery import flow_paths
from ..git.ls_remote import RemoteRefs, ask_remote
from ..report import invocation, text
from .annotated_tags import without_companion
from .commit_settings import settings_at
from .removed_flows import by_deletion
from .source_tree import tree_of_work_tree


def what_it_does(repository: git.Repository, update: RefUpdate) -> str:
    """What a push does to its ref, from what this clone knows of the remote."""
    where, old, new = text.place(update), update.remote_commit, update.commit
    if update.kind == "review":
        return f"{where}: a review of {update.review_of}, at {text.short(new)}"
    if new is None and update.pushed_object:
        return f"{where}: leads to a {git.kind_of(repository, update.pushed_object)} and not to a commit: nothing is registered"
    if new is None:
        return f"{where}: deleted; {by_deletion(repository, update)}" if update.kind != "other" else f"{where}: deleted"
    if old is None:
        return f"{where}: new, at {text.short(new)}"
    if old == new:
        return f"{where}: stays at {text.short(new)}"
    try:
        ahead, behind = git.count_apart(repository, new, old)
    except git.GitError:
        return f"{where}: moves from {text.short(old)}, which is not here, to {text.short(new)}"
    forced = f", dropping {text.plural(behind, 'commit')} that it has" if behind else ""
    return f"{where}: {text.plural(ahead, 'commit')} from {text.short(old)} to {text.short(new)}{forced}"


def against_remote(repository: git.Repository, update: RefUpdate) -> list[Finding]:
    """Ask the remote: findings when it lacks the ref, has another commit, or a tag that agents cannot run."""
    return against(repository, update, ask_remote(repository, update.remote, update.ref))


def against(repository: git.Repository, update: RefUpdate, answer: RemoteRefs) -> list[Finding]:
    """As `against_remote`, of what the remote has answered already."""
    theirs = answer.commit(update.ref)
    where = text.place(update)
    if theirs is None:
        return [
            finding(
                "not-on-remote",
                f"{where} does not exist: an agent that is told to run it fails with KeyError",
                invocation.git("push", update.remote, update.name),
                ref=update.ref,
            )
        ]
    there = replace(update, pushed_object=answer.refs[update.ref], commit=theirs)
    tags = [] if _leads_to_no_commit(repository, theirs) else without_companion(repository, there)
    if theirs == update.commit:
        return tags
    return [*tags, finding(
        "remote-differs",
        f"{where} {_difference(repository, update, theirs)}: agents run {text.short(theirs)}, not what is here",
        _remedy(repository, update, theirs),
        ref=update.ref,
    )]  # fmt: skip


def _leads_to_no_commit(repository: git.Repository, theirs: str) -> bool:
    return bool(git.object_of(repository, f"{theirs}^{{}}")) and git.commit_of(repository, theirs) is None


def _difference(repository: git.Repository, update: RefUpdate, theirs: str) -> str:
    ours = update.commit or ""
    if _leads_to_no_commit(repository, theirs):
        return f"leads to a {git.kind_of(repository, theirs)} and not to a commit"
    if git.commit_of(repository, theirs) is None:
        return f"is at {text.short(theirs)}, which is not here"
    behind, ahead = git.count_apart(repository, ours, theirs)
    if behind and ahead:
        return f"has diverged: it lacks {text.plural(behind, 'commit')} of yours and has {ahead} that you lack"
    return f"is {text.plural(behind, 'commit')} behind" if behind else f"is {text.plural(ahead, 'commit')} ahead"


def _remedy(repository: git.Repository, update: RefUpdate, theirs: str) -> str:
    if git.commit_of(repository, theirs) is None or not git.is_ancestor(repository, theirs, update.commit or ""):
        return f"{invocation.git('pull', update.remote, update.name)}, then push"
    return invocation.git("push", update.remote, update.name)


def uncommitted(repository: git.Repository) -> list[Finding]:
    """A finding for each flow file whose changes are in no commit: agents pull from the remote.

    `pre-commit run` without `--all-files` has put such changes away before we look.
    """
    if repository.top is None:
        return []
    status = git.run_git(repository, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    changed = {line[3:] for line in status.decode("utf-8", "surrogateescape").split("\0")[:-1]}
    changed = {path for path in changed if path.endswith(".py")}
    if not changed:
        return []
    settings = settings_at(repository, None, "origin").settings
    return [
        finding(
            "uncommitted-flow",
            "has changes that are in no commit: agents pull from the remote, these changes will not run",
            f"{invocation.git('add', path)} && git commit && git push",
            path=path,
        )
        for path in flow_paths(tree_of_work_tree(repository), settings)
        if path in changed
    ]
