"""Everything that asks git, in a clean environment.

Inside a hook git exports `GIT_DIR`, `GIT_INDEX_FILE` and more; a child that inherits them works on
the wrong repository or index (pre-commit's `no_git_env` tells the stories). So the repository is
opened once with that environment, and from then on named on the command line.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..errors import OutOfReach, UsageError
from ..model import TreeEntry
from .remotes import redact

KEPT_VARIABLES = {
    "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH", "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "GIT_TERMINAL_PROMPT",
}  # fmt: skip
"""How to reach a remote and which configuration to read; everything else says which repository, and is dropped."""

LS_REMOTE_TIMEOUT = 60.0
"""Seconds that a remote may take to answer."""


class GitError(Exception):
    """A git command failed: its arguments and what it said."""

    def __init__(self, args: Sequence[str], status: int, stderr: str) -> None:
        self.status = status
        self.stderr = redact(stderr.strip())
        super().__init__(f"git {redact(' '.join(args))}: {self.stderr or f'exit status {status}'}")


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
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise UsageError("git was not found on PATH", "install git 2.28 or newer and try again") from None
    lines = result.stdout.splitlines()
    if len(lines) < 2:
        reason = result.stderr.strip().splitlines()[0] if result.stderr.strip() else "git could not tell why"
        raise UsageError(
            f"{os.path.abspath(folder)}: no git repository that can be used here ({reason})",
            "run this inside a clone of the repository that holds your flows",
        )
    common = os.path.normpath(os.path.join(os.path.abspath(folder), lines[1]))
    return Repository(lines[0], common, lines[2] if len(lines) > 2 else None)


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
    """First line of what git prints, or None when it fails: for questions that may have no answer."""
    try:
        lines = run_git(repository, *arguments).decode("utf-8", "surrogateescape").splitlines()
    except GitError:
        return None
    return lines[0] if lines else None


def commit_of(repository: Repository, name: str) -> str | None:
    """Object name of the commit that `name` leads to, tags peeled; None when there is none here."""
    return ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")


def object_of(repository: Repository, name: str) -> str | None:
    """Object name of `name` itself, tags not peeled; None when there is none here."""
    return ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name)


def tree_of(repository: Repository, commit: str) -> str:
    """Object name of the tree of `commit`."""
    return run_git(repository, "rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()


def tree_entries(repository: Repository, tree: str) -> list[TreeEntry]:
    """Every file of a commit or tree, submodules and symlinks included, sorted as git sorts."""
    listing = run_git(repository, "ls-tree", "-r", "-z", "--full-tree", tree).decode(
        "utf-8", "surrogateescape"
    )
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
    answer = run_git(
        repository, "cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in wanted).encode()
    )
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


def read_file(repository: Repository, commit: str, path: str) -> bytes | None:
    """Content of a file of a commit; None when the commit has no such file."""
    try:
        return run_git(repository, "cat-file", "blob", f"{commit}:{path}")
    except GitError:
        return None


def merge_base(repository: Repository, one: str, other: str) -> str | None:
    """The best common ancestor; None for unrelated histories, or when a shallow clone hides it."""
    return ask(repository, "merge-base", one, other)


def is_ancestor(repository: Repository, ancestor: str, commit: str) -> bool:
    """Whether `commit` equals or descends from `ancestor`; both have to be here."""
    try:
        run_git(repository, "merge-base", "--is-ancestor", ancestor, commit)
    except GitError:
        return False
    return True


def count_commits(repository: Repository, wanted: str, without: str) -> int:
    """How many commits `wanted` has that `without` lacks."""
    return int(run_git(repository, "rev-list", "--count", wanted, f"^{without}"))


def changed_paths(repository: Repository, old: str | None, new: str) -> set[str]:
    """Paths added or changed from `old` (None: from nothing) to `new`; deleted ones are not in it."""
    if old is None:
        return {entry.path for entry in tree_entries(repository, new)}
    listing = run_git(
        repository, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d", old, new
    ).decode("utf-8", "surrogateescape")
    return set(listing.split("\0")[:-1])


def machine_settings(repository: Repository) -> dict[str, str]:
    """`git config prefect.*` of this machine, keys without the prefix, in lower case."""
    try:
        listing = run_git(repository, "config", "-z", "--get-regexp", r"^prefect\.").decode(
            "utf-8", "replace"
        )
    except GitError:
        return {}
    pairs = (line.partition("\n") for line in listing.split("\0")[:-1])
    return {key.split(".", 1)[1]: value for key, _, value in pairs}


def tracking_ref(repository: Repository, remote: str, ref: str) -> str | None:
    """The ref that follows `ref` of `remote` here, by its fetch refspecs; None when none does."""
    try:
        refspecs = run_git(repository, "config", "--get-all", f"remote.{remote}.fetch").decode().splitlines()
    except GitError:
        return None
    for refspec in refspecs:
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


class RemoteRefs(NamedTuple):
    """What a remote said it has."""

    refs: dict[str, str]
    """Full ref name → object name; annotated tags also as `<ref>^{}` → the commit."""
    head: str | None
    """Short name of its default branch; None when it does not tell."""

    def commit(self, ref: str) -> str | None:
        """The commit of a ref, tags peeled; None when the remote lacks the ref."""
        return self.refs.get(f"{ref}^{{}}", self.refs.get(ref))


def without_prompts(repository: Repository) -> dict[str, str]:
    """Variables that keep git and ssh from asking a person anything: they fail instead.

    Without `GIT_TERMINAL_PROMPT=0`, an empty askpass and ssh's `BatchMode`, a process in the
    background would wait for an answer that nobody gives, or open a window.
    """
    ssh = (
        os.environ.get("GIT_SSH_COMMAND")
        or ask(repository, "config", "core.sshCommand")
        or shlex.quote(os.environ.get("GIT_SSH", "ssh"))
    )
    return {
        "GIT_TERMINAL_PROMPT": "0",
        # In CI an askpass program is how a job is given its token; elsewhere it opens a window.
        "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", "true") if os.environ.get("CI") else "true",
        "SSH_ASKPASS": "true",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes",
    }


def ask_remote(repository: Repository, remote: str, *refs: str) -> RemoteRefs:
    """What `git ls-remote` says of these refs (all heads and tags when none is named), without prompts.

    Raises:
        OutOfReach: the remote did not answer within a minute, or refused.
    """
    # `HEAD` brings the symref line that names the default branch.
    patterns = ["HEAD", *refs, *(f"{ref}^{{}}" for ref in refs)] if refs else []
    try:
        answer = run_git(
            repository, "ls-remote", "--symref", "--", remote, *patterns,
            environ=without_prompts(repository), timeout=LS_REMOTE_TIMEOUT,
        ).decode("utf-8", "surrogateescape")  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OutOfReach(
            f"{redact(remote)}: the remote did not answer within {LS_REMOTE_TIMEOUT:.0f} s",
            f"check the connection with `git ls-remote {redact(remote)}`",
        ) from None
    except GitError as error:
        raise OutOfReach(
            f"{redact(remote)}: the remote could not be asked ({_last_line(error.stderr)})",
            f"check that `git ls-remote {redact(remote)}` works without a password prompt",
        ) from error
    found: dict[str, str] = {}
    head = None
    for line in answer.splitlines():
        name, _, ref = line.partition("\t")
        if name.startswith("ref: ") and ref == "HEAD":
            head = name[len("ref: refs/heads/") :]
        elif not name.startswith("ref: "):
            found[ref] = name
    return RemoteRefs(found, head)


def fetch_commit(repository: Repository, remote: str, ref: str) -> str:
    """Fetch what `ref` of `remote` is now, without moving any ref or FETCH_HEAD of the user; its commit.

    Raises:
        OutOfReach: the remote did not answer, or has no such ref.
    """
    private = f"refs/git-prefect/fetched/{ref.split('/', 1)[-1]}"
    try:
        # An empty --refmap keeps git from moving the tracking ref along.
        run_git(
            repository, "fetch", "--quiet", "--no-tags", "--refmap=", "--no-write-fetch-head",
            "--", remote, f"+{ref}:{private}",
            environ=without_prompts(repository), timeout=10 * LS_REMOTE_TIMEOUT,
        )  # fmt: skip
    except (GitError, subprocess.TimeoutExpired) as error:
        said = _last_line(error.stderr) if isinstance(error, GitError) else "no answer"
        raise OutOfReach(
            f"{redact(remote)}: {ref} could not be fetched ({said})",
            f"check that `git fetch {redact(remote)}` works",
        ) from error
    commit = commit_of(repository, private)
    run_git(repository, "update-ref", "-d", private)
    if commit is None:
        raise OutOfReach(
            f"{redact(remote)}: {ref} does not lead to a commit",
            f"look at `git ls-remote {redact(remote)} {ref}`",
        )
    return commit


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (fatal or lines or ["it did not say why"])[0]
