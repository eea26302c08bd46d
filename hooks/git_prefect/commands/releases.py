"""How a repository tags its releases: what `git prefect init` proposes a target for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
from packaging.version import InvalidVersion, Version

from .. import git
from ..core.targets import RELEASE
from ..git.ls_remote import RemoteRefs


class Releases(msgspec.Struct, frozen=True):
    """The tags of a repository's releases."""

    pattern: str
    """Matches them, as the setting `tag` of a target."""
    newest: str
    annotated: bool
    """Whether the newest is an annotated tag."""


def tags_of(repository: git.Repository, answer: RemoteRefs | None) -> dict[str, bool]:
    """The tags of the remote, where it has answered, else of this clone; and whether each is annotated."""
    if answer is not None:
        names = {ref[len("refs/tags/") :] for ref in answer.refs if ref.startswith("refs/tags/")}
        return {name: f"{name}^{{}}" in names for name in names if not name.endswith("^{}")}
    listing = git.run_git(repository, "for-each-ref", "--format=%(objecttype) %(refname:strip=2)", "refs/tags")
    lines = listing.decode("utf-8", "surrogateescape").split("\n")[:-1]
    return {name: kind == "tag" for kind, _, name in (line.partition(" ") for line in lines)}


def releases_among(tags: Mapping[str, bool]) -> Releases | None:
    """The releases among tags: those with the prefix that most versions have; None where no tag is a version."""
    versions: dict[str, tuple[str, Version]] = {}
    for name in tags:
        found = RELEASE.fullmatch(name)
        # A number alone may be anything: a build, a ticket.
        if found and (found["prefix"] or "." in name):
            try:
                versions[name] = found["prefix"], Version(found["version"])
            except InvalidVersion:
                continue
    if not versions:
        return None
    prefix = Counter(prefix for prefix, _ in versions.values()).most_common(1)[0][0]
    newest = max((name for name in versions if versions[name][0] == prefix), key=lambda name: versions[name][1])
    return Releases(f"{prefix}*" if prefix else "[0-9]*", newest, tags[newest])
