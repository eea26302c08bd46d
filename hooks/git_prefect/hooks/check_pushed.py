"""prefect-check-pushed: is this ref on the remote, and is it the code we hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import git
from ..core.errors import ExitCode
from ..core.model import ERROR, Finding, RefUpdate
from ..git import refs, remotes
from ..report import invocation, text

if TYPE_CHECKING:
    from argparse import Namespace

    from ..git.ls_remote import RemoteRefs


def main(argv: Sequence[str]) -> int:
    """The hook `prefect-check-pushed`, and `git prefect check-pushed`: exit code 1 when agents would run other code.

    In a push nothing is asked of the remote: it says what the push will do, and refuses what no agent
    could run. By hand and in CI the remote is asked.
    """
    if refs.in_push(os.environ):
        repository = git.open_repository()
        return max([_push(repository, update) for update in refs.from_pre_commit(repository, os.environ)], default=0)
    options = _arguments(argv)
    repository = git.open_repository()
    from ..core.results import Report, ReportedRef
    from ..deploy.queue import resume
    from ..report.options import show

    resume(repository)
    remote = remotes.named_remote(repository, options.remote) if options.remote else remotes.default_remote(repository)
    update = refs.by_hand(repository, os.environ, options.ref, remote)
    found = (*against_remote(repository, update), *uncommitted(repository))
    code = ExitCode.FINDINGS if any(one.severity == ERROR for one in found) else ExitCode.OK
    same = f"{text.place(update)} is at {text.short(update.commit)}, as here: agents run this code"
    ref = ReportedRef(update.name, update.kind, update.commit, update.source, None)
    return show(
        Report(
            "check-pushed", code, (ref,), findings=found, summary=() if found else (same,), root=repository.top or ""
        ),
        options,
    )


def _arguments(argv: Sequence[str]) -> Namespace:
    from ..report.options import Parser, reporting

    parser = Parser(
        prog="git prefect check-pushed",
        description="Ask the remote whether it has this branch or tag, and whether it is the code that is here.",
        epilog="Exit codes: 0 the same code, 1 findings, 2 usage, 3 the remote refuses the login, 4 it is out of reach.",
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("files", nargs="*", help="ignored: pre-commit names files")
    return reporting(parser).parse_args(argv)


def _push(repository: git.Repository, update: RefUpdate) -> int:
    from ..deploy import annotated_tags

    found = annotated_tags.refused(repository, update)
    if found:
        refuse(repository, update, found)
        return ExitCode.FINDINGS
    print(text.fitted(what_it_does(repository, update)))
    return ExitCode.OK


def refuse(repository: git.Repository, update: RefUpdate, found: Sequence[Finding]) -> None:
    """Say why a push is refused; in a few words where git's own hook has said it."""
    from ..deploy import push_notices
    from ..report import finding_text, style

    if push_notices.is_refused(repository, update, push_notices.CHECK_PUSHED):
        print(f"refused above, by git's own hook: {', '.join(one.code for one in found)}")
    else:
        print(finding_text.findings(found, style.of()))
        push_notices.note_refusal(repository, update, push_notices.CHECK_PUSHED)


def what_it_does(repository: git.Repository, update: RefUpdate) -> str:
    """What a push does to its ref, from what this clone knows of the remote."""
    where, old, new = text.place(update), update.remote_commit, update.commit
    if new is None:
        from ..deploy.removed_flows import by_deletion

        return f"{where}: deleted; {by_deletion(repository, update)}"
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
    from ..git.ls_remote import ask_remote

    return against(repository, update, ask_remote(repository, update.remote, update.ref))


def against(repository: git.Repository, update: RefUpdate, answer: RemoteRefs) -> list[Finding]:
    """As `against_remote`, of what the remote has answered already."""
    from ..core.findings import finding
    from ..deploy import annotated_tags

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
    tags = annotated_tags.without_companion(
        repository, update._replace(pushed_object=answer.refs[update.ref], commit=theirs)
    )
    if theirs == update.commit:
        return tags
    return [*tags, finding(
        "remote-differs",
        f"{where} {_difference(repository, update, theirs)}: agents run {text.short(theirs)}, not what is here",
        _remedy(repository, update, theirs),
        ref=update.ref,
    )]  # fmt: skip


def _difference(repository: git.Repository, update: RefUpdate, theirs: str) -> str:
    ours = update.commit or ""
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
    from ..core.findings import finding
    from ..deploy.source_tree import settings_at, tree_of_work_tree
    from ..flows.discovery import flow_paths

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
