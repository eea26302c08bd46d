"""The trees whose flow files are checked (of a commit, of the index, of the work tree), and what checks them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .. import git
from ..core.errors import UsageError
from ..core.model import CheckedFile, GitStorage, RefUpdate, TreeEntry

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.settings import Settings, Source
    from ..flows.checker import Tree
    from ..flows.interpreter import Interpreter


def settings_at(repository: git.Repository, commit: str | None, remote: str) -> Source:
    """The settings of a commit (None: of the work tree), with what this machine lays over.

    A commit without settings, an old tag say, has those of the remote's default branch.
    """
    from ..core import settings

    machine = git.machine_settings(repository)
    if commit is None:
        files = {}
        for name in settings.FILES:
            with suppress(FileNotFoundError, IsADirectoryError), open(os.path.join(repository.top or ".", name), "rb") as file:
                files[name] = file.read()
    else:
        files = git.read_files(repository, commit, settings.FILES)
    source = settings.read(files, machine)
    if source.origin != "defaults" or commit is None:
        return source
    default = git.default_branch(repository, remote)
    elsewhere = default and git.commit_of(repository, f"refs/remotes/{remote}/{default}")
    if not elsewhere or elsewhere == commit:
        return source
    borrowed = settings.read(git.read_files(repository, elsewhere, settings.FILES), machine)
    if borrowed.origin == "defaults":
        return source
    return settings.Source(borrowed.settings, f"{borrowed.origin} of {remote}/{default}")


def uncommitted_settings(repository: git.Repository, update: RefUpdate) -> Source | None:
    """The settings of the work tree, where the ref is what is checked out and has others, or none."""
    at_work = update.source == "active branch" or update.commit == git.commit_of(repository, "HEAD")
    if repository.top is None or not at_work:
        return None
    try:
        here = settings_at(repository, None, update.remote)
    except UsageError:
        return None
    if here.origin == "defaults":
        return None
    committed = git.read_files(repository, update.commit or "", [here.origin]).get(here.origin)
    with open(os.path.join(repository.top, here.origin), "rb") as file:
        return here if file.read() != committed else None


def interpreter_for(repository: git.Repository, settings: Settings) -> Interpreter:
    """The interpreter that has the flows' dependencies."""
    from ..flows import interpreter

    return interpreter.find(repository.top or repository.git_dir, settings.python, repository.state_dir)


def tree_of_commit(repository: git.Repository, commit: str) -> Tree:
    """The tree of a commit, to be checked out beside the work tree only when something has to be loaded."""
    from ..flows.checker import Tree
    from ..git.snapshot import snapshot_of

    tree = git.tree_of(repository, commit)
    return Tree(
        tree, git.tree_entries(repository, tree), lambda blobs: git.read_blobs(repository, blobs),
        lambda: snapshot_of(repository, tree),
    )  # fmt: skip


def tree_of_index(repository: git.Repository) -> Tree:
    """What the next commit will hold: git's `write-tree` of the index."""
    return tree_of_commit(repository, git.run_git(repository, "write-tree", environ=_index()).decode().strip())


def _index() -> dict[str, str]:
    # `git commit -a` and `git commit FILE` prepare the commit in an index of their own.
    index = os.environ.get("GIT_INDEX_FILE")
    return {"GIT_INDEX_FILE": os.path.abspath(index)} if index else {}


def tree_of_work_tree(repository: git.Repository) -> Tree:
    """The files of the work tree as they are now, untracked ones too unless ignored."""
    from pathlib import Path

    from ..flows.checker import Tree

    if repository.top is None:
        raise UsageError(
            "a bare repository has no work tree to check", "name what to check: git prefect validate --ref REF"
        )
    top = Path(repository.top)
    listing = git.run_git(
        repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"
    ).decode("utf-8", "surrogateescape")
    paths = [path for path in listing.split("\0")[:-1] if "\n" not in path and (top / path).is_file()]
    sources = [path for path in paths if path.endswith(".py")]
    names = git.run_git(
        repository, "hash-object", "--no-filters", "--stdin-paths",
        stdin="".join(f"{path}\n" for path in sources).encode("utf-8", "surrogateescape"),
    ).decode().split()  # fmt: skip
    blobs = dict(zip(sources, names))
    entries = [TreeEntry(path, blobs.get(path, ""), "100644") for path in paths]
    where = {entry.blob: entry.path for entry in entries}

    @contextmanager
    def root() -> Iterator[Path]:
        yield top

    return Tree("", entries, lambda blobs: {blob: (top / where[blob]).read_bytes() for blob in blobs}, root)


def check(
    repository: git.Repository,
    tree: Tree,
    settings: Settings,
    only: Collection[str] | None = None,
    where: GitStorage | None = None,
    with_flows: bool = False,
    no_cache: bool = False,
    no_preload: bool = False,
    same_push: bool = False,
) -> list[CheckedFile]:
    """Check the flow files of a tree with the interpreter of the settings."""
    from pathlib import Path

    from ..flows.checker import check_flow_files
    from ..report import progress

    return check_flow_files(
        tree, settings, interpreter_for(repository, settings), Path(repository.state_dir),
        only=only, repository=where, no_cache=no_cache, no_preload=no_preload, with_flows=with_flows, same_push=same_push,
        watch=progress.watch(),
    )  # fmt: skip
