"""What a push leaves behind in Prefect, said while it is pushed: told from trees and our own log, nothing is asked.

It is an announcement. Which flows are there for sure is known after the arrival: the registration asks the API, and
tells `left-behind` or, where the target says `prune = true`, archives them.
"""

from __future__ import annotations

from collections.abc import Collection

from .. import git
from ..core.model import RefUpdate
from ..core.settings import Target
from ..flows.flow_names import literal_names
from ..report.invocation import git_prefect
from . import pending


def by_deletion(repository: git.Repository, update: RefUpdate) -> str:
    """What the deletion of a branch or tag leaves behind, as far as this clone has registered it."""
    flows = left_by_deletion(repository, update)
    if flows:
        return f"{', '.join(flows)}: active in Prefect still, and each run fails. {_archive_it()}"
    return "flows registered from it cannot be loaded any more"


def left_by_deletion(repository: git.Repository, update: RefUpdate) -> list[str]:
    """The flows, each with its project, that this clone has registered from a branch or tag and that stay active."""
    for line in reversed(pending.log_lines(repository)):
        if (line["remote"], line["ref"]) == (update.remote, update.ref) and line.get("flows"):
            gone = ("archived", "failed", "skipped")
            flows = sorted({f"{one['flow']} → {one['project']}" for one in line["flows"] if one["action"] not in gone})
            if flows:
                return flows
    return []


def _archive_it() -> str:
    return f"Archive with {git_prefect('prune')}"


def by_change(repository: git.Repository, update: RefUpdate, target: Target, names: Collection[str]) -> list[str]:
    """A line for each flow that the push removes or renames; `names` are the flows that the pushed commit defines.

    Only flows that the source calls by a literal name are seen, and only where the remote has the ref already; of these,
    where this clone has registered the ref, those that it has.
    """
    if update.kind != "branch" or not update.remote_commit or not update.commit:
        return []
    before, now = _sources(repository, update.remote_commit, update.commit)
    registered = {
        one["flow"] for line in pending.log_lines(repository) if (line["remote"], line["ref"]) == (update.remote, update.ref)
        for one in line.get("flows", ())
    }  # fmt: skip
    lines = []
    for path in sorted(before):
        gone = literal_names(before[path]) - set(names)
        # Where this clone has registered the ref, what was never among it is in another storage, or did not load.
        gone &= registered or gone
        come = literal_names(now.get(path, b"")) - literal_names(before[path])
        # A name that the file still has is not gone: it may not load, or stay in another storage.
        for name in sorted(gone - literal_names(now.get(path, b""))):
            what = f"renamed to {', '.join(sorted(come))}" if come and len(gone) == 1 else "removed"
            lines.append(f"{path}: flow {name!r} is {what}; {_what_becomes_of_it(update, target)}")
    return lines


def _what_becomes_of_it(update: RefUpdate, target: Target) -> str:
    if target.prune:
        return f"what Prefect has of it is archived once {update.remote} has the commit, as `prune = true` says"
    return f"what Prefect has of it stays active, and each run fails. {_archive_it()}"


def _sources(repository: git.Repository, old: str, new: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The `.py` files that differ between two commits and name Flow in the old one: content before and now, by path."""
    try:
        listing = git.run_git(
            repository, "diff-tree", "-r", "-z", "--no-renames", "--diff-filter=MD", old, new, "--", "*.py"
        )
    except git.GitError:
        return {}, {}
    parts = listing.decode("utf-8", "surrogateescape").split("\0")[:-1]
    blobs = {path: facts.split(" ")[2:4] for facts, path in zip(parts[::2], parts[1::2])}
    contents = git.read_blobs(repository, [blob for both in blobs.values() for blob in both if blob.strip("0")])
    before = {path: contents[both[0]] for path, both in blobs.items() if b"Flow" in contents.get(both[0], b"")}
    return before, {path: contents[both[1]] for path, both in blobs.items() if both[1] in contents}
