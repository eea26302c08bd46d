"""What is pushed: git's stdin, pre-commit's variables, or what a person or CI asks for → ref updates."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from ..core.errors import UsageError
from ..core.model import RefUpdate
from .ls_remote import ask_remote
from .objects import commit_of, commits_of, kind_of, merge_base, object_of, tracking_ref
from .remote_urls import without_credentials
from .remotes import named_remote, remote_url
from .repository import Repository, ask

DETACHED_HEAD = (
    "CI_COMMIT_TAG",
    "CI_COMMIT_BRANCH",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "GITHUB_HEAD_REF",
)
"""Where GitLab and GitHub name the ref of a job, whose checkout has a detached HEAD."""


def is_zero(name: str) -> bool:
    """Whether an object name is all zeros: git's word for "no such ref", at any hash length."""
    return not name.strip("0")


def in_push(environ: Mapping[str, str]) -> bool:
    """Whether pre-commit runs this hook for a `git push`, and not by hand."""
    return bool(environ.get("PRE_COMMIT_REMOTE_NAME") and environ.get("PRE_COMMIT_REMOTE_BRANCH"))


def from_pre_commit(repository: Repository, environ: Mapping[str, str]) -> list[RefUpdate]:
    """The one ref that pre-commit tells a pre-push hook, by its `PRE_COMMIT_*` variables.

    `PRE_COMMIT_TO_REF` is missing when a root commit is pushed; then the local branch says it.
    """
    # pre-commit tells one ref even where several are pushed: facts that only `git prefect install` mends.
    local = environ.get("PRE_COMMIT_LOCAL_BRANCH", "")
    pushed = environ.get("PRE_COMMIT_TO_REF") or object_of(repository, local)
    return [
        _update(
            repository, environ["PRE_COMMIT_REMOTE_NAME"], environ["PRE_COMMIT_REMOTE_URL"],
            environ["PRE_COMMIT_REMOTE_BRANCH"], pushed, None,
        )
    ]  # fmt: skip


def from_stdin(repository: Repository, lines: Iterable[str], remote: str, url: str) -> list[RefUpdate]:
    """Every ref that git tells a native pre-push hook: `<local ref> <object> <remote ref> <remote object>`.

    Split from the right, since a local ref may be any expression (`HEAD~2`, `:/fix this`); and at spaces only, since
    git lets a branch have other white space in its name (U+00A0).

    Raises:
        UsageError: a line that git would not write.
    """
    updates = []
    for line in lines:
        if not line.strip():
            continue
        try:
            _, pushed, ref, known = line.rstrip("\n").rsplit(" ", 3)
        except ValueError:
            raise UsageError(
                f"pre-push: {line!r} is no line of a push (local ref, object, remote ref, remote object)",
                "it is git that calls pre-push: put it in place with `git prefect install`",
            ) from None
        updates.append(_update(repository, remote, url, ref, None if is_zero(pushed) else pushed, known))
    return updates


REVIEWS = ("refs/for/", "refs/for-review/", "refs/drafts/", "refs/draft/", "refs/publish/")
"""What Gerrit, Gitea and Forgejo take as a change that is proposed for a branch, which the push itself does not move."""


def _review_of(repository: Repository, remote: str, ref: str) -> str:
    """The branch that a push to `refs/for/…` proposes a change for; empty for any other ref.

    Gerrit's options follow a `%`. A topic may follow the branch, so the longest name counts that the remote has.
    """
    prefix = next((one for one in REVIEWS if ref.startswith(one)), None)
    if prefix is None:
        return ""
    branch = ref[len(prefix) :].partition("%")[0].removeprefix("refs/heads/")
    parts = branch.split("/")
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        tracking = tracking_ref(repository, remote, f"refs/heads/{name}")
        if tracking and object_of(repository, tracking):
            return name
    return branch


def _update(
    repository: Repository, remote: str, url: str, ref: str, pushed: str | None, known: str | None
) -> RefUpdate:
    review_of = _review_of(repository, remote, ref)
    if review_of and pushed:
        tracking = tracking_ref(repository, remote, f"refs/heads/{review_of}")
        known = (tracking and merge_base(repository, tracking, pushed)) or "0"
    names = [pushed] if pushed else []
    if known is None:
        tracking = tracking_ref(repository, remote, ref)
        names += [tracking] if tracking else []
    commits = commits_of(repository, *names)
    commit = commits.pop(0) if pushed else None
    if known is None:
        known = (commits[0] if commits else None) or ""
    # git gives the URL as the name when a push names no configured remote.
    name = named_remote(repository, url) if remote == url else remote
    known = None if is_zero(known) else known
    return RefUpdate(name, without_credentials(url), ref, commit, pushed, known, "push", review_of=review_of)


def by_hand(repository: Repository, environ: Mapping[str, str], wanted: str | None, remote: str) -> RefUpdate:
    """The ref that a person or CI means: `--ref`, `BUILD_TAG`, `GIT_BRANCH`, CI's own variables, the active branch.

    The order is the article's (BUILD_TAG => GIT_BRANCH => active branch). Jenkins' own
    `BUILD_TAG=jenkins-<job>-<number>` names no tag and is passed over.

    Raises:
        UsageError: nothing names a ref, or a name leads nowhere, to no commit, or to a branch and a tag.
    """
    for name, source, kinds in _candidates(repository, environ, wanted):
        ref = _full_name(repository, remote, name, source, kinds)
        found = object_of(repository, _local_name(repository, remote, ref))
        commit = commit_of(repository, found) if found else None
        if found and commit is None:
            raise no_commit(repository, remote, ref, found)
        return RefUpdate(remote, remote_url(repository, remote), ref, commit, found, None, source)
    raise UsageError(
        "HEAD is detached and nothing says which branch or tag is meant", "name it with --ref BRANCH-OR-TAG"
    )


MERGE_REQUEST_BRANCH = ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "GITHUB_HEAD_REF", "CHANGE_BRANCH", "BITBUCKET_BRANCH")
"""Where CI says which branch a merge request is of: its HEAD is detached, or is a merge that no branch has."""


def head(repository: Repository, environ: Mapping[str, str], remote: str) -> RefUpdate:
    """The commit that is checked out, as its branch: the active one, or that of CI's merge request, else `HEAD`.

    Raises:
        UsageError: there is no commit yet.
    """
    commit = commit_of(repository, "HEAD")
    if commit is None:
        raise UsageError("HEAD has no commit yet, so there is nothing to check", "commit first")
    active = ask(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    named = [(environ[one], one) for one in MERGE_REQUEST_BRANCH if environ.get(one)]
    name, source = (active, "active branch") if active else (named or [("HEAD", "HEAD")])[0]
    return RefUpdate(remote, remote_url(repository, remote), f"refs/heads/{name}", commit, commit, None, source)


def no_commit(repository: Repository, remote: str, ref: str, found: str) -> UsageError:
    """The error for a ref that leads to a tree or a blob, such as a tag on the key that signs releases."""
    name = ref.split("/", 2)[2]
    quoted, where = shlex.quote(name), shlex.quote(remote)
    return UsageError(
        f"{remote}: {ref} leads to a {kind_of(repository, found)} and not to a commit, so no agent can run it",
        f"name another ref with --ref, or tag a commit: git tag --no-sign -f {quoted} COMMIT && git push --force {where} {quoted}",
    )


def _candidates(
    repository: Repository, environ: Mapping[str, str], wanted: str | None
) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    if wanted:
        yield wanted, "--ref", ("branch", "tag")
        return
    tag = environ.get("BUILD_TAG", "")
    passed_over = ""
    if tag.startswith("jenkins-"):
        passed_over = "; BUILD_TAG is Jenkins' own and names no tag"
    elif tag:
        yield tag, "BUILD_TAG", ("tag",)
    branch = environ.get("GIT_BRANCH", "")
    if branch:
        yield branch, f"GIT_BRANCH{passed_over}", ("branch",)
    active = ask(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    if active is None:
        for variable in DETACHED_HEAD:
            if environ.get(variable):
                yield environ[variable], variable, ("tag",) if variable.endswith("TAG") else ("branch",)
        if environ.get("GITHUB_REF_NAME"):
            yield environ["GITHUB_REF_NAME"], "GITHUB_REF_NAME", (environ.get("GITHUB_REF_TYPE", "branch"),)
    else:
        yield active, f"active branch{passed_over}", ("branch",)


def _full_name(repository: Repository, remote: str, name: str, source: str, kinds: tuple[str, ...]) -> str:
    """The full ref name that `name` means, known here or else on the remote."""
    if name.startswith(("refs/heads/", "refs/tags/")):
        return name
    folders = [{"branch": "refs/heads/", "tag": "refs/tags/"}[kind] for kind in kinds]
    # Jenkins writes GIT_BRANCH=origin/main; a branch that is really called so comes first.
    names = [name, name[len(remote) + 1 :]] if name.startswith(f"{remote}/") else [name]
    for candidate in names:
        refs = [folder + candidate for folder in folders]
        known = [ref for ref in refs if object_of(repository, _local_name(repository, remote, ref))]
        if len(known) > 1:
            raise UsageError(
                f"{source}={name}: there are a branch and a tag of this name", f"name one: {' or '.join(known)}"
            )
        if known:
            return known[0]
    if commit_of(repository, "HEAD") is None:
        raise UsageError(f"{source} {name} has no commit yet, so there is nothing to register", "commit and push first")
    wanted = [folder + candidate for candidate in names for folder in folders]
    on_remote = ask_remote(repository, remote, *wanted).refs
    found = next((ref for ref in wanted if ref in on_remote), None)
    if found is None:
        raise UsageError(
            f"{source}={name}: no such {' or '.join(kinds)} here or on {remote}, so there is nothing to register it from",
            f"push it first (`git push {remote} {shlex.quote(name)}`), or name another ref with --ref",
        )
    return found


def _local_name(repository: Repository, remote: str, ref: str) -> str:
    """Where this clone holds `ref`: itself, else what follows it here."""
    if object_of(repository, ref):
        return ref
    return tracking_ref(repository, remote, ref) or ref
