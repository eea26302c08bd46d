"""Which `rev` of git-prefect's own repository `.pre-commit-config.yaml` can name: one that exists there."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from .. import __version__, git
from ..core.errors import NotAuthorised, OutOfReach
from ..git.ls_remote import ask_remote

PATIENCE = 15.0
"""Seconds that git-prefect's repository may take to answer."""


def existing_rev(repository: git.Repository, url: str) -> tuple[str, str]:
    """The tag of this version if the repository has it, else its newest, else its newest commit; and what to know of it."""
    wanted = f"v{__version__}"
    try:
        answer = ask_remote(repository, url, "refs/tags/v*", timeout=PATIENCE)
    except (NotAuthorised, OutOfReach) as error:
        return wanted, f"rev {wanted} is not checked: {error.message}"
    released = {name: version for name in answer.refs if (version := _version(name))}
    if f"refs/tags/{wanted}" in released:
        return wanted, ""
    if released:
        newest = max(released, key=lambda name: released[name])[len("refs/tags/") :]
        return newest, f"rev {newest} is the newest release: {url} has no {wanted}"
    commit = answer.refs.get("HEAD")
    if commit:
        return commit, f"rev is the newest commit: {url} has no release"
    return wanted, f"rev {wanted} does not exist: {url} is empty"


def _version(ref: str) -> Version | None:
    try:
        return Version(ref[len("refs/tags/v") :]) if ref.startswith("refs/tags/v") else None
    except InvalidVersion:
        return None
