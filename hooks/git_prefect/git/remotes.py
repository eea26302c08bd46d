"""The remotes of the repository at hand: which one is meant, and its URL."""

from __future__ import annotations

from ..core.errors import UsageError
from ..core.model import RefUpdate
from .remote_urls import same_place, without_credentials
from .repository import GitError, Repository, ask, run_git, setting


def default_remote(repository: Repository) -> str:
    """The remote that a push of the active branch would go to.

    As `git push` decides: `branch.<name>.pushRemote`, `remote.pushDefault`, `branch.<name>.remote`,
    the only remote, `origin`.

    Raises:
        UsageError: the repository has no remote.
    """
    active = ask(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    for key in (f"branch.{active}.pushremote", "remote.pushdefault", f"branch.{active}.remote"):
        configured = setting(repository, key)
        if configured and configured != ".":
            return named_remote(repository, configured)
    remotes = all_remotes(repository)
    if not remotes:
        raise UsageError(
            "this repository has no remote, and agents clone from one",
            "add it with `git remote add origin URL`, then push",
        )
    return "origin" if "origin" in remotes else next(iter(remotes))


def all_remotes(repository: Repository) -> dict[str, str]:
    """The configured remotes: name → URL as it is written, which may hold credentials.

    Raises:
        GitError: git cannot tell.
    """
    try:
        from git import GitCommandError, Repo
    except ImportError as error:
        # GitPython calls `git version` when it is imported.
        raise GitError(["version"], 1, str(error)) from error
    try:
        # Not the git directory: that of a linked worktree is none to GitPython before 3.2.
        with Repo(repository.common_dir) as repo:
            return {remote.name: next(iter(remote.urls), "") for remote in repo.remotes}
    except GitCommandError as error:
        status = error.status if isinstance(error.status, int) else 1
        raise GitError(["remote", "get-url"], status, str(error.stderr)) from error


def named_remote(repository: Repository, wanted: str) -> str:
    """The remote that a name or a URL means: a configured one if there is one, else the URL without credentials.

    Raises:
        UsageError: a name that no remote has.
    """
    if setting(repository, f"remote.{wanted}.url") is not None:
        return wanted
    remotes = all_remotes(repository)
    if wanted in remotes:
        return wanted
    if "/" not in wanted and ":" not in wanted:
        known = ", ".join(remotes) or "none is configured"
        raise UsageError(f"there is no remote {wanted!r} here", f"name one of: {known}")
    same = [name for name, url in remotes.items() if same_place(url, wanted)]
    return same[0] if same else without_credentials(wanted)


def remote_url(repository: Repository, remote: str) -> str:
    """The URL that this clone fetches from, `insteadOf` applied, without credentials."""
    return without_credentials(ask(repository, "ls-remote", "--get-url", "--", remote) or remote)


def push_urls(repository: Repository, remote: str) -> list[str]:
    """The URLs that a push to a remote goes to, `pushInsteadOf` applied, without credentials; empty for a remote by URL."""
    try:
        printed = run_git(repository, "remote", "get-url", "--push", "--all", "--", remote)
    except GitError:
        return []
    return [without_credentials(url) for url in printed.decode("utf-8", "surrogateescape").split("\n")[:-1]]


def fetch_url(repository: Repository, update: RefUpdate) -> str:
    """The URL that others fetch from what is pushed here: the remote's own, else the URL of the push."""
    configured = setting(repository, f"remote.{update.remote}.url")
    return remote_url(repository, update.remote) if configured else update.url


def chosen_remote(repository: Repository, wanted: str | None) -> str:
    """The remote that a person named, else the one that `git push` would use.

    Raises:
        UsageError: there is no such remote, or none at all.
    """
    return named_remote(repository, wanted) if wanted else default_remote(repository)
