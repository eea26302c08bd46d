"""Commits, trees, blobs and refs of the repository at hand."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.model import TreeEntry
from .repository import GitError, Repository, ask, configuration, run_git


def commit_of(repository: Repository, name: str) -> str | None:
    """Object name of the commit that `name` leads to, tags peeled; None when there is none here."""
    return ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def commits_of(repository: Repository, *names: str) -> list[str | None]:
    """As `commit_of`, of several names in one go."""
    asked = "".join(f"{name}^{{commit}}\n" for name in names)
    answer = run_git(
        repository, "cat-file", "--batch-check=%(objectname)", stdin=asked.encode("utf-8", "surrogateescape")
    )
    # Names may hold what Python takes for line ends, and bytes that are no text.
    lines = answer.decode("utf-8", "surrogateescape").split("\n")[:-1]
    return [None if line.endswith((" missing", " ambiguous")) else line for line in lines]


def has_whole(repository: Repository, commits: Iterable[str]) -> bool:
    """Whether commits are here with all that they lead to.

    A fetch that was killed may have left a commit without its files; no ref leads to it then, and git fetches it again.
    """
    command = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects", "--stdin", "--not", "--all")
    try:
        run_git(repository, *command, stdin="".join(f"{commit}\n" for commit in commits).encode())
    except GitError as error:
        if error.status < 0:
            raise
        return False
    return True


def object_of(repository: Repository, name: str) -> str | None:
    """Object name of `name` itself, tags not peeled; None when there is none here."""
    return ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name)


def kind_of(repository: Repository, name: str) -> str:
    """What `name` leads to, tags peeled: `commit`, `tree` or `blob`; `object` when it is not here."""
    return ask(repository, "cat-file", "-t", f"{name}^{{}}") or "object"


def tree_of(repository: Repository, commit: str) -> str:
    """Object name of the tree of `commit`."""
    return run_git(repository, "rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()


def tree_entries(repository: Repository, tree: str) -> list[TreeEntry]:
    """Every file of a commit or tree, submodules and symlinks included, sorted as git sorts."""
    listing = run_git(repository, "ls-tree", "-r", "-z", "--full-tree", tree).decode("utf-8", "surrogateescape")
    entries = []
    for line in listing.split("\0")[:-1]:
        facts, path = line.split("\t", 1)
        mode, _, blob = facts.split(" ")
        entries.append(TreeEntry(path, blob, mode))
    return entries


def read_blobs(repository: Repository, blobs: Iterable[str]) -> dict[str, bytes]:
    """Content by object name, in one `git cat-file --batch`; what is missing here is left out."""
    wanted = list(dict.fromkeys(blobs))
    if not wanted:
        return {}
    answer = run_git(repository, "cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in wanted).encode())
    contents: dict[str, bytes] = {}
    position = 0
    for blob in wanted:
        end = answer.index(b"\n", position)
        header = answer[position:end].split(b" ")
        position = end + 1
        if header[-1] == b"missing":
            continue
        size = int(header[2])
        contents[blob] = answer[position : position + size]
        position += size + 1
    return contents


def read_files(repository: Repository, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Content by path of those files that a commit has."""
    names = {f"{commit}:{path}": path for path in paths if "\n" not in path}
    return {names[name]: content for name, content in read_blobs(repository, names).items()}


def merge_base(repository: Repository, one: str, other: str) -> str | None:
    """The best common ancestor; None for unrelated histories, or when a shallow clone hides it."""
    return ask(repository, "merge-base", one, other)


def is_ancestor(repository: Repository, ancestor: str, commit: str) -> bool:
    """Whether `commit` equals or descends from `ancestor`; both have to be here."""
    try:
        run_git(repository, "merge-base", "--is-ancestor", ancestor, commit)
    except GitError as error:
        if error.status < 0:
            raise
        return False
    return True


def count_apart(repository: Repository, one: str, other: str) -> tuple[int, int]:
    """How many commits the first has that the second lacks, and the other way round.

    Raises:
        GitError: one of them is not here.
    """
    first, second = run_git(repository, "rev-list", "--left-right", "--count", f"{one}...{other}").split()
    return int(first), int(second)


def work_tree_paths(repository: Repository) -> list[str]:
    """Paths of the work tree that git tracks or does not ignore; a tracked file may be missing."""
    listing = run_git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    return listing.decode("utf-8", "surrogateescape").split("\0")[:-1]


def changed_paths(repository: Repository, old: str | None, new: str) -> set[str]:
    """Paths added or changed from `old` (None: from nothing) to `new`; deleted ones are not in it."""
    if old is None:
        return {entry.path for entry in tree_entries(repository, new)}
    listing = run_git(
        repository, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d", old, new
    ).decode("utf-8", "surrogateescape")
    return set(listing.split("\0")[:-1])


def tracking_ref(repository: Repository, remote: str, ref: str) -> str | None:
    """The ref that follows `ref` of `remote` here, by its fetch refspecs; None when none does."""
    for refspec in configuration(repository).get(f"remote.{remote}.fetch", []):
        source, _, target = refspec.lstrip("+").partition(":")
        if source.startswith("^") or not target:
            continue
        if "*" in source:
            head, tail = source.split("*", 1)
            if ref.startswith(head) and ref.endswith(tail) and len(ref) >= len(head) + len(tail):
                return target.replace("*", ref[len(head) : len(ref) - len(tail)], 1)
        elif source == ref:
            return target
    return None


def tracked_by(repository: Repository, tracking: str) -> tuple[str, str] | None:
    """The remote and the ref of it that a tracking ref follows, by the fetch refspecs; None when it follows none."""
    for key, refspecs in configuration(repository).items():
        if not key.startswith("remote.") or not key.endswith(".fetch"):
            continue
        for refspec in refspecs:
            source, _, target = refspec.lstrip("+").partition(":")
            head, star, tail = target.partition("*")
            inside = tracking[len(head) : len(tracking) - len(tail)]
            ref = source.replace("*", inside, 1) if star else source
            remote = key[len("remote.") : -len(".fetch")]
            if target and tracking_ref(repository, remote, ref) == tracking:
                return remote, ref
    return None


def default_branch(repository: Repository, remote: str) -> str | None:
    """Short name of the remote's default branch as this clone knows it, without asking the remote.

    What `git clone` has noted stays when the host renames the branch: where it leads nowhere by now, it is ignored.
    """
    head = ask(repository, "symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD")
    if head and commit_of(repository, head):
        return head[len(f"refs/remotes/{remote}/") :]
    for name in ("main", "master"):
        if commit_of(repository, f"refs/remotes/{remote}/{name}"):
            return name
    return head[len(f"refs/remotes/{remote}/") :] if head else None
