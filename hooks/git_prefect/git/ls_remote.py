"""What a remote has, asked without ever prompting anybody."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

import msgspec

from ..core.errors import NotAuthorised, OutOfReach
from .objects import has_whole
from .remote_urls import has_unquoted_login, redact, without_credentials
from .repository import GitError, Repository, run_git, setting, without_prompts

TIMEOUT = 60.0
"""Seconds that a remote may take to answer."""

REFUSED = re.compile(
    r"Authentication failed for|could not read (Username|Password) for|returned error: 403"
    r"|Permission denied \(|Too many authentication failures"
)
"""What git and ssh say of a login that the remote refuses, or that they lack."""


class RemoteRefs(msgspec.Struct, frozen=True):
    """What a remote said it has."""

    refs: dict[str, str]
    """Full ref name → object name; annotated tags also as `<ref>^{}` → the commit."""
    head: str | None
    """Short name of its default branch; None when it does not tell."""

    def commit(self, ref: str) -> str | None:
        """The commit of a ref, tags peeled; None when the remote lacks the ref."""
        return self.refs.get(f"{ref}^{{}}", self.refs.get(ref))


def ask_remote(repository: Repository, remote: str, *refs: str, timeout: float = TIMEOUT) -> RemoteRefs:
    """What `git ls-remote` says of these refs (all heads and tags when none is named), without prompts.

    Raises:
        NotAuthorised: the remote refused the login that git has for it, or git has none.
        OutOfReach: the remote did not answer within `timeout` seconds, or not as one; or its URL is none that git can use.
    """
    _refuse_unquoted(repository, remote)
    # `HEAD` brings the symref line that names the default branch.
    patterns = ["HEAD", *refs, *(f"{ref}^{{}}" for ref in refs)] if refs else []
    try:
        answer = run_git(
            repository, "ls-remote", "--symref", "--", remote, *patterns,
            environ=without_prompts(repository), timeout=timeout,
        ).decode("utf-8", "surrogateescape")  # fmt: skip
    except (GitError, subprocess.TimeoutExpired) as error:
        raise failure(
            f"{redact(remote)}: the remote could not be asked", error,
            f"check that `git ls-remote {redact(remote)}` works without a password prompt",
        ) from error  # fmt: skip
    found: dict[str, str] = {}
    head = None
    for line in answer.split("\n")[:-1]:
        name, _, ref = line.partition("\t")
        if name.startswith("ref: ") and ref == "HEAD":
            head = name[len("ref: refs/heads/") :]
        elif not name.startswith("ref: "):
            found[ref] = name
    return RemoteRefs(found, head)


def fetch_commits(repository: Repository, remote: str, wanted: Mapping[str, str]) -> None:
    """Fetch refs of a remote, so that the commits which it said they lead to are here: ref → commit.

    Neither a ref nor FETCH_HEAD is touched, so that a kill leaves nothing behind and two at once are not in each
    other's way; git keeps what no ref leads to for two weeks.

    Raises:
        NotAuthorised: the remote refused the login that git has for it, or git has none.
        OutOfReach: the remote did not answer, lacks one of the refs, or has moved one elsewhere meanwhile.
    """
    _refuse_unquoted(repository, remote)
    try:
        # An empty --refmap keeps git from moving the tracking ref along.
        run_git(
            repository, "fetch", "--quiet", "--no-tags", "--refmap=", "--no-write-fetch-head", "--", remote, *wanted,
            environ=without_prompts(repository), timeout=10 * TIMEOUT,
        )  # fmt: skip
    except (GitError, subprocess.TimeoutExpired) as error:
        raise failure(
            f"{redact(remote)}: {', '.join(wanted)} could not be fetched", error,
            f"check that `git fetch {redact(remote)}` works",
        ) from error  # fmt: skip
    for ref, commit in wanted.items():
        if not has_whole(repository, [commit]):
            raise OutOfReach(f"{redact(remote)}: {ref} was moved while it was fetched", "try again")


def _refuse_unquoted(repository: Repository, remote: str) -> None:
    # git would ask the host that it makes of the rest of the password, and name it in what it says.
    url = setting(repository, f"remote.{remote}.url") or remote
    if has_unquoted_login(url):
        raise OutOfReach(
            f"{without_credentials(url)}: the login in the remote's URL is not quoted, so git takes a part of it for the host",
            "quote it (@ %40, / %2F, : %3A, % %25), or leave it out and keep it with a credential helper",
        )


def failure(
    fact: str, error: GitError | subprocess.TimeoutExpired, hint: str
) -> NotAuthorised | OutOfReach:
    """The error for what a remote did not let git do: a fact, with the line that says why."""
    if isinstance(error, subprocess.TimeoutExpired):
        return OutOfReach(f"{fact} (no answer within {error.timeout:.0f} s)", hint)
    lines = [line for line in error.stderr.splitlines() if line.strip()]
    refused = [line for line in lines if REFUSED.search(line)]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    said = (refused or fatal or lines or ["it did not say why"])[0]
    return (NotAuthorised if refused else OutOfReach)(f"{fact} ({said})", hint)
