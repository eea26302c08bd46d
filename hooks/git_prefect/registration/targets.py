"""Which target takes a ref, and the project that it leads to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from ..model import RefUpdate
from ..settings import Target

LONGEST_NAME = 60
"""Characters of a branch, user or repository name inside a project name."""


def matches(pattern: str, name: str) -> bool:
    """Whether a ref's short name matches, as git's own patterns do: `*` stops at `/`, `**` does not."""
    from pathspec import GitIgnoreSpec

    # Anchored, and a name below a matching "folder" does not count: `main` is not `main/old`.
    lines = [f"/{pattern}"] if pattern.endswith("**") else [f"/{pattern}", f"!/{pattern}/**"]
    return bool(GitIgnoreSpec.from_lines(lines).match_file(name))


def target_of(targets: Sequence[Target], update: RefUpdate) -> Target | None:
    """The first target whose pattern matches the ref; None: the ref is not registered."""
    for target in targets:
        pattern = target.branch if update.kind == "branch" else target.tag
        if pattern is not None and update.kind in ("branch", "tag") and matches(pattern, update.name):
            return target
    return None


def project_of(target: Target, update: RefUpdate, user: str, repo: str) -> str:
    """The target's project with `{branch}`, `{user}` and `{repo}` filled in."""
    names = {"branch": update.name, "user": user, "repo": repo}
    return re.sub(r"\{(branch|user|repo)\}", lambda match: slug(names[match[1]]), target.project)


def slug(name: str) -> str:
    """`name` in lower case letters, digits, `.`, `_` and `-`; no two names get the same slug.

    `/` becomes `--`. Where that, the alphabet or the length loses something, eight digits of the
    name's hash tell it apart, so that everybody who pushes a branch reaches the same project.
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.replace("/", "--").lower()).strip("-")[:LONGEST_NAME]
    if plain.replace("--", "/") == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")
