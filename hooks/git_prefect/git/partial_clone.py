"""What a partial clone lacks of a tree, fetched at once: git itself fetches objects one by one as it reads them."""

from __future__ import annotations

import subprocess
from collections.abc import Collection

from .repository import GitError, PromisorOutOfReach, Repository, promisor_remotes, run_git, without_prompts

TIMEOUT = 600.0
"""Seconds that the promisor remote may take to send them."""

FETCH = (
    "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--refmap=", "--no-write-fetch-head",
    "--no-auto-maintenance", "--recurse-submodules=no", "--filter=blob:none", "--stdin",
)  # fmt: skip
"""As git's own promisor-remote.c fetches; blobs that are named are sent in spite of the filter."""


def fetch_missing(repository: Repository, tree: str, blobs: Collection[str] | None = None) -> None:
    """Fetch those blobs of a tree (None: all) that a partial clone lacks. In a whole clone nothing is asked.

    The tree's own trees have to be here, as they are once git has listed it.

    Raises:
        PromisorOutOfReach: no promisor remote gives them.
    """
    remotes = promisor_remotes(repository)
    if not remotes:
        return
    listing = run_git(repository, "rev-list", "--objects", "--no-object-names", "--missing=print", tree).decode()
    missing = {line[1:] for line in listing.split("\n") if line.startswith("?")}
    wanted = sorted(missing if blobs is None else missing.intersection(blobs))
    if not wanted:
        return
    failed = None
    for remote in remotes:
        try:
            run_git(
                repository, *FETCH, remote, stdin="".join(f"{blob}\n" for blob in wanted).encode(),
                environ=without_prompts(repository), timeout=TIMEOUT,
            )  # fmt: skip
            return
        except GitError as error:
            failed = failed or PromisorOutOfReach(("fetch", remote), error.status, error.stderr, remote)
        except subprocess.TimeoutExpired as error:
            said = f"no answer within {error.timeout:.0f} s"
            failed = failed or PromisorOutOfReach(("fetch", remote), 1, said, remote)
    assert failed
    raise failed
