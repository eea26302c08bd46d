"""Whether agents can clone the remote as it is set, and what to do where Prefect's URL forms do not reach it."""

from __future__ import annotations

from .. import git
from ..core.deployment import ResolvedRef
from ..core.errors import UnusableCommit
from ..core.settings import Settings
from ..git.clone_url import secret_value, why_not_clonable
from ..prefect_api.secrets import how_to_set

CLONE_URL = "GIT_CLONE_URL"
"""The name that hints give to the Prefect secret with the whole clone URL while the settings name none."""


SHA256 = (
    "this repository has SHA-256 object names, and agents clone with dulwich, which knows SHA-1 alone: every run would fail "
    "before its first task"
)
WITH_SHA1 = (
    "keep flows in a repository that is made with `git init --object-format=sha1`; to push without registering: "
    "SKIP=prefect-register git push"
)


def is_sha256(commit: str | None) -> bool:
    """Whether a commit is of a repository with SHA-256 object names; git pushes only between two of one kind."""
    return len(commit or "") == 64


def refuse_unclonable(repository: git.Repository, ref: ResolvedRef) -> None:
    """See that an agent can clone the remote as it is set.

    Raises:
        UnusableCommit: it has SHA-256 object names, or Prefect's URL forms cannot express where it is and no secret
            holds the clone URL.
    """
    if is_sha256(ref.update.commit):
        raise UnusableCommit(f"{ref.url}: {SHA256}", WITH_SHA1)
    obstacle = why_not_clonable(ref.url, ref.storage)
    if obstacle:
        raise UnusableCommit(
            f"{ref.url}: Prefect's Git storage cannot say where this remote is: {obstacle}",
            how_to_clone(repository, ref.url, ref.settings),
        )


def how_to_clone(repository: git.Repository, url: str, settings: Settings) -> str:
    """What to set, on our side and on the agents', where Prefect's URL forms do not reach."""
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
