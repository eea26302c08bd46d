"""Which target takes a ref, and the project that it leads to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from .model import RefUpdate
from .settings import Target

LONGEST_NAME = 60
"""Characters of a branch, user or repository name inside a project name."""


RELEASE = re.compile(r"(?P<prefix>|[vVr]|(?:release|rel|version)[-_/]?v?)(?P<version>\d[\w.+-]*)")
"""Names that people give to the tags of releases: `v1.2`, `1.2.3`, `release-1.2`."""


def pattern_like(update: RefUpdate) -> str:
    """A pattern that takes a ref, and where it is the tag of a release, its like: `v*` for `v1.4`."""
    found = RELEASE.fullmatch(update.name) if update.kind == "tag" else None
    # A number alone may be anything: a build, a ticket.
    if not found or not (found["prefix"] or "." in update.name):
        return update.name
    return f"{found['prefix']}*" if found["prefix"] else "[0-9]*"


def matches(pattern: str, name: str) -> bool:
    """Whether a ref's short name matches, as git's own patterns do: `*` stops at `/`, `**` does not."""
    # Anchored, and a name below a matching "folder" does not count: `main` is not `main/old`.
    lines = [f"/{pattern}"] if pattern.endswith("**") else [f"/{pattern}", f"!/{pattern}/**"]
    return bool(GitIgnoreSpec.from_lines(lines).match_file(name))


def takes(target: Target, update: RefUpdate) -> bool:
    """Whether a target's pattern takes a ref, whatever comes before it."""
    pattern = target.branch if update.kind == "branch" else target.tag
    return pattern is not None and update.kind in ("branch", "tag") and matches(pattern, update.name)


def target_of(targets: Sequence[Target], update: RefUpdate) -> Target | None:
    """The first target whose pattern matches the ref; None: the ref is not registered."""
    return next((target for target in targets if takes(target, update)), None)


def reserved_project(targets: Sequence[Target], update: RefUpdate, project: str) -> tuple[str, str] | None:
    """Why a ref may not register in a project, and what to do: a target names the project and does not take the ref.

    A project that a target names is reached by no other way, such as a branch called `production`, or `--project`.
    """
    naming = [number for number, target in enumerate(targets, start=1) if target.project == project]
    if not naming or any(takes(targets[number - 1], update) for number in naming):
        return None
    return (
        f"{update.name}: project {project!r} is named by target[{naming[0]}] "
        f"({_pattern(targets[naming[0] - 1])}), which does not take this {update.kind}; nothing else may register there",
        f"let that target take {update.name}, or lead it to another project",
    )


def explain(targets: Sequence[Target], update: RefUpdate, user: str, repo: str) -> list[str]:
    """Each target in turn with what it makes of a ref, a line each; the one that takes it with all it says."""
    lines = []
    taken = target_of(targets, update)
    for number, target in enumerate(targets, start=1):
        head = f"target[{number}] {_pattern(target)}"
        if target is taken:
            lines += [f"{head}: takes it", *(f"  {line}" for line in _told(target, update, user, repo))]
        elif taken is not None and number > targets.index(taken) + 1:
            lines.append(f"{head}: not asked, the first that matches wins")
        elif (target.branch is None) == (update.kind == "branch"):
            lines.append(f"{head}: takes {'tags' if target.branch is None else 'branches'} only")
        else:
            lines.append(f"{head}: does not match {update.name!r}")
    return lines


def _pattern(target: Target) -> str:
    return f'tag = "{target.tag}"' if target.branch is None else f'branch = "{target.branch}"'


def _told(target: Target, update: RefUpdate, user: str, repo: str) -> list[str]:
    project = project_of(target, update, user, repo)
    schedules = {
        "keep": "what is paused stays paused, what is new is active",
        "on": "every schedule is active",
        "off": "every schedule is paused",
    }
    return [
        f"project: {project}" + ("" if project == target.project else f', from "{target.project}"'),
        f"create-project: {'it is created when it does not exist' if target.create_project else 'it has to exist'}",
        f'schedule = "{target.schedule}": {schedules[target.schedule]}',
        f"labels: {', '.join(target.labels) or 'none are added'}",
        f"take-over: {'flows of other branches and repositories are replaced' if target.take_over else 'flows of other branches and repositories are not replaced'}",
        f"prune: {'flows that it no longer defines are archived' if target.prune else 'flows that it no longer defines stay active'}",
    ]


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
    # A branch's name may have bytes that are no text.
    number = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain}-{number}".lstrip("-")
