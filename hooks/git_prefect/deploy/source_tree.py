"""The trees whose flow files are checked (of a commit, of the index, of the work tree), and what checks them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .. import git
from ..core.errors import UsageError
from ..core.model import CheckedFile, TreeEntry
from ..core.settings import Settings
from ..flows import interpreter
from ..flows.checker import CheckOptions, check_flow_files
from ..flows.discovery import Packages, Tree, closest_to_flow_files, flow_files, flow_paths
from ..flows.imports import Imports
from ..flows.interpreter import Interpreter
from ..flows.source_memory import Memory
from ..flows.storage_findings import quoted
from ..git.partial_clone import fetch_missing
from ..git.snapshot import snapshot_of
from ..report import progress


def interpreter_for(repository: git.Repository, settings: Settings) -> Interpreter:
    """The interpreter that has the flows' dependencies."""
    top = repository.top or repository.git_dir
    return interpreter.find(top, settings.python, repository.state_dir, repository.main_work_tree)


def tree_of_commit(repository: git.Repository, commit: str) -> Tree:
    """The tree of a commit, to be checked out beside the work tree only when something has to be loaded.

    What a partial clone lacks of it is fetched before it is read.

    Raises:
        PromisorOutOfReach: it could not be fetched, now or when the tree is read.
    """
    tree = git.tree_of(repository, commit)

    def read(blobs: Collection[str]) -> dict[str, bytes]:
        fetch_missing(repository, tree, blobs)
        return git.read_blobs(repository, blobs)

    beside = Path(repository.top) if repository.top else None
    return Tree(tree, git.tree_entries(repository, tree), read, lambda: snapshot_of(repository, tree), beside=beside)


def tree_of_index(repository: git.Repository) -> Tree:
    """What the next commit will hold: git's `write-tree` of the index."""
    return tree_of_commit(repository, git.run_git(repository, "write-tree", environ=_index()).decode().strip())


def _index() -> dict[str, str]:
    # `git commit -a` and `git commit FILE` prepare the commit in an index of their own.
    index = os.environ.get("GIT_INDEX_FILE")
    return {"GIT_INDEX_FILE": os.path.abspath(index)} if index else {}


def tree_of_work_tree(repository: git.Repository) -> Tree:
    """The files of the work tree as they are now, untracked ones too unless ignored."""
    if repository.top is None:
        raise UsageError(
            "a bare repository has no work tree to check", "name what to check: git prefect validate --ref REF"
        )
    top = Path(repository.top)
    listed = [path for path in git.work_tree_paths(repository) if "\n" not in path]
    paths = [path for path in listed if (top / path).is_file()]
    links = {path: os.readlink(top / path) for path in set(listed) - set(paths) if (top / path).is_dir() and (top / path).is_symlink()}
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

    return Tree("", entries, lambda blobs: {blob: (top / where[blob]).read_bytes() for blob in blobs}, root, partial(_filtered, repository), top, folder_links=links)


def _filtered(repository: git.Repository, paths: Collection[str]) -> dict[str, tuple[str, bytes]]:
    """Those of some files of the work tree that a filter changes on their way into a commit: its name, and what the index has."""
    attributes = git.run_git(
        repository, "check-attr", "--stdin", "-z", "filter",
        stdin="".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape"),
    ).decode("utf-8", "surrogateescape").split("\0")  # fmt: skip
    filters = {path: name for path, name in zip(attributes[::3], attributes[2::3]) if name not in ("unspecified", "unset", "set")}
    found = {}
    for path, name in filters.items():
        staged = git.object_of(repository, f":{path}")
        raw = git.run_git(repository, "hash-object", "--no-filters", "--", path).decode().strip()
        try:
            cleaned = git.run_git(repository, "hash-object", "--", path).decode().strip()
        except git.GitError:
            # The filter is missing here, or fails: what git has tells.
            cleaned = staged or raw
        if cleaned != raw:
            found[path] = (name, git.read_blobs(repository, [cleaned]).get(cleaned, b""))
    return found


def importers_of(repository: git.Repository, tree: Tree, settings: Settings, paths: Collection[str]) -> set[str]:
    """Flow files of a tree that import one of these sources, directly or not."""
    state = Path(repository.state_dir)
    memory, python = Memory(state / "verdicts"), interpreter_for(repository, settings)
    files = flow_files(tree, settings, memory, Packages(python.folders, python.fingerprint))
    memory.save()
    return set(Imports(tree, settings.import_roots, state).importers(paths, [file.path for file in files]))


def uncommitted_flow_files(repository: git.Repository, settings: Settings) -> tuple[list[str], bool]:
    """Flow files of the work tree that are new there: paths that no commit has yet; whether all of them are untracked."""
    if repository.top is None:
        return [], False
    status = git.run_git(
        repository, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", "*.py"
    ).decode("utf-8", "surrogateescape")  # fmt: skip
    new = {line[3:]: line[:2] == "??" for line in status.split("\0")[:-1] if line[:2] in ("??", "A ", "AM")}
    if not new:
        return [], False
    python = interpreter_for(repository, settings)
    packages = Packages(python.folders, python.fingerprint)
    paths = [path for path in flow_paths(tree_of_work_tree(repository), settings, packages) if path in new]
    return paths, all(new[path] for path in paths)


def how_to_name_flow_files(tree: Tree, settings: Settings) -> str:
    """What a person does about a tree in which no flow file is found; empty where nothing in it has to do with Prefect."""
    closest = closest_to_flow_files(tree)
    if not closest:
        return ""
    top = f"{settings.folder}/" if settings.folder else ""
    inside = [path[len(top) :] for path in closest if path.startswith(top)]
    names = [os.path.basename(path) for path in inside]
    why = (
        "the setting `flows` matches no file"
        if settings.flows
        else "no .py calls Flow, or what returns one, at its top level"
    )
    if not inside:
        return f"{why}; closest: {', '.join(closest[:3])}, outside of {settings.folder}, whose settings name files below it only"
    pattern = f"**/{names[0]}" if names.count(names[0]) > 1 else inside[0]
    return f"{why}; name the flow files in the settings: flows = [{quoted(pattern)}]; closest: {', '.join(closest[:3])}"


def check(
    repository: git.Repository,
    tree: Tree,
    settings: Settings,
    options: CheckOptions = CheckOptions(),  # noqa: B008
    python: Interpreter | None = None,
) -> list[CheckedFile]:
    """Check the flow files of a tree with the interpreter of the settings, or one that was found by them already."""
    python = python or interpreter_for(repository, settings)
    return check_flow_files(tree, settings, python, Path(repository.state_dir), options, progress.watch())
