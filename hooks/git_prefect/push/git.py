"""Everything that asks git, in a clean environment.

Inside a hook git exports `GIT_DIR`, `GIT_INDEX_FILE` and more; a child that inherits them works on
the wrong repository or index (pre-commit's `no_git_env` tells the stories). So the repository is
opened once with that environment, and from then on named on the command line.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import ExitCode, GitPrefectError, UsageError
from ..model import TreeEntry
from .remotes import redact, without_credentials

KEPT_VARIABLES = {
    "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH", "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "GIT_TERMINAL_PROMPT",
}  # fmt: skip
"""How to reach a remote and which configuration to read; everything else says which repository, and is dropped."""


class GitError(GitPrefectError):
    """A git command failed: its arguments and what it said. Where nobody expects that, it ends the command."""

    exit_code = ExitCode.USAGE

    def __init__(self, args: Sequence[str], status: int, stderr: str) -> None:
        self.status = status
        self.stderr = redact(stderr.strip())
        told = " ".join(redact(without_credentials(one)) for one in args)
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        super().__init__(f"git {told}: {self.stderr or how}", "try again; if it stays so, see what `git fsck` says")


class Repository(NamedTuple):
    """The repository at hand: absolute folders."""

    git_dir: str
    common_dir: str
    """The git directory that linked worktrees share."""
    top: str | None
    """Root of the work tree; None in a bare repository."""

    @property
    def state_dir(self) -> str:
        """Where everything of ours lives: pending pushes, verdicts, snapshot, log."""
        return os.path.join(self.common_dir, "git-prefect")


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without git's own variables that name a repository, an index or a prefix."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_")
        or name in KEPT_VARIABLES
        or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_PREFECT_", "GIT_TRACE"))
    }


def open_repository(folder: str = ".") -> Repository:
    """The repository that `folder` is in, as git itself finds it (`GIT_DIR` counts).

    Raises:
        UsageError: there is none, git is missing, or git refuses it (`safe.directory`).
    """
    command = ("git", "rev-parse", "--absolute-git-dir", "--git-common-dir", "--show-toplevel")
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="surrogateescape")
    except FileNotFoundError:
        raise UsageError("git was not found on PATH", "install git 2.28 or newer and try again") from None
    lines = result.stdout.split("\n")[:-1]
    if len(lines) < 2:
        reason = result.stderr.strip().splitlines()[0] if result.stderr.strip() else "git could not tell why"
        trusted = _to_trust(result.stderr)
        if trusted:
            raise UsageError(
                f"{os.path.abspath(folder)}: git does not use this repository, since it belongs to another user",
                f"if you trust whoever it belongs to: {trusted}",
            )
        raise UsageError(
            f"{os.path.abspath(folder)}: no git repository that can be used here ({reason})",
            "run this inside a clone of the repository that holds your flows",
        )
    common = os.path.normpath(os.path.join(os.path.abspath(folder), lines[1]))
    return Repository(lines[0], common, lines[2] if len(lines) > 2 else None)


def _to_trust(said: str) -> str | None:
    """The command with which git is told to use another user's repository all the same, if that is what it asks for."""
    lines = [line.strip() for line in said.splitlines()]
    return next((line for line in lines if line.startswith("git config --global --add safe.directory")), None)


def run_git(
    repository: Repository,
    *arguments: str,
    stdin: bytes | None = None,
    environ: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> bytes:
    """What `git <arguments>` prints, asked of this repository in a clean environment.

    Raises:
        GitError: it exited with another status than 0.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.
    """
    place = ["--git-dir", repository.git_dir]
    if repository.top:
        place += ["--work-tree", repository.top]
    result = subprocess.run(
        ["git", *place, *arguments],
        cwd=repository.top or repository.git_dir,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env={**clean_environment(os.environ), **(environ or {})},
        timeout=timeout,
    )
    if result.returncode:
        raise GitError(arguments, result.returncode, result.stderr.decode("utf-8", "replace"))
    return result.stdout


def ask(repository: Repository, *arguments: str) -> str | None:
    """First line of what git prints, or None when it fails: for questions that may have no answer.

    Raises:
        GitError: it was killed, which is no answer.
    """
    try:
        lines = run_git(repository, *arguments).decode("utf-8", "surrogateescape").split("\n")
    except GitError as error:
        if error.status < 0:
            raise
        return None
    return lines[0] or None


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


def changed_paths(repository: Repository, old: str | None, new: str) -> set[str]:
    """Paths added or changed from `old` (None: from nothing) to `new`; deleted ones are not in it."""
    if old is None:
        return {entry.path for entry in tree_entries(repository, new)}
    listing = run_git(
        repository, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d", old, new
    ).decode("utf-8", "surrogateescape")
    return set(listing.split("\0")[:-1])


@lru_cache(maxsize=8)
def configuration(repository: Repository) -> dict[str, list[str]]:
    """All of `git config --list`, read once: key → its values, sections and names in lower case as git gives them."""
    found: dict[str, list[str]] = {}
    for line in run_git(repository, "config", "-z", "--list").decode("utf-8", "replace").split("\0")[:-1]:
        key, _, value = line.partition("\n")
        found.setdefault(key, []).append(value)
    return found


def setting(repository: Repository, key: str) -> str | None:
    """The value of a git setting, the last one if there are several; the key's section and name in lower case."""
    return configuration(repository).get(key, [None])[-1]


def machine_settings(repository: Repository) -> dict[str, str]:
    """`git config prefect.*` of this machine, keys without the prefix, in lower case."""
    found = configuration(repository)
    return {key[len("prefect.") :]: values[-1] for key, values in found.items() if key.startswith("prefect.")}


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


def default_branch(repository: Repository, remote: str) -> str | None:
    """Short name of the remote's default branch as this clone knows it, without asking the remote."""
    head = ask(repository, "symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD")
    if head:
        return head[len(f"refs/remotes/{remote}/") :]
    for name in ("main", "master"):
        if commit_of(repository, f"refs/remotes/{remote}/{name}"):
            return name
    return None
