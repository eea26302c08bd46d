"""The repository at hand, and how git is asked about it: in a clean environment, named on the command line.

It is opened once with the environment that git gives its hooks, as git finds it; from then on that is left out.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from ..core.errors import ExitCode, GitPrefectError, OutOfReach, UsageError
from ..core.git_environment import clean_environment
from .remote_urls import redact, without_credentials


class GitError(GitPrefectError):
    """A git command failed: its arguments and what it said. Where nobody expects that, it ends the command."""

    exit_code = ExitCode.USAGE

    def __init__(self, args: Sequence[str], status: int, stderr: str) -> None:
        self.status = status
        self.stderr = redact(stderr.strip())
        told = " ".join(redact(without_credentials(one)) for one in args)
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        super().__init__(f"git {told}: {self.stderr or how}", "try again; if it stays so, see what `git fsck` says")


class PromisorOutOfReach(GitError, OutOfReach):
    """A partial clone lacks objects that git was to read, and the promisor remote that has them gives none."""

    exit_code = ExitCode.OUT_OF_REACH

    def __init__(self, args: Sequence[str], status: int, stderr: str, remote: str = "") -> None:
        super().__init__(args, status, stderr)
        lines = [line for line in self.stderr.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
        name = f"promisor remote {redact(remote)}" if remote else "promisor remote"
        self.message = (
            "this partial clone lacks objects of the commit, and they could not be fetched from its "
            f"{name} ({(lines or [self.stderr or 'it did not say why'])[0]})"
        )
        self.hint = f"check that `git fetch{f' {redact(remote)}' if remote else ''}` works without a password prompt, then try again"


class Repository(msgspec.Struct, frozen=True):
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

    @property
    def main_work_tree(self) -> str | None:
        """The main work tree, seen from a linked one; None elsewhere, and where the main repository is bare."""
        main, name = os.path.split(self.common_dir)
        return main if self.top and self.git_dir != self.common_dir and name == ".git" else None


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

    In a partial clone git fetches what it lacks while it reads; nobody is asked for a password then.

    Raises:
        PromisorOutOfReach: it could not.
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
        env={**clean_environment(os.environ), **_no_prompts(), **(environ or {})},
        timeout=timeout,
    )
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace")
        # "could not fetch <object> from promisor remote"
        kind = PromisorOutOfReach if "from promisor remote" in said else GitError
        raise kind(arguments, result.returncode, said)
    return result.stdout


def _no_prompts() -> dict[str, str]:
    return {
        "GIT_TERMINAL_PROMPT": "0",
        # In CI an askpass program is how a job is given its token; elsewhere it opens a window.
        "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", "true") if os.environ.get("CI") else "true",
        "SSH_ASKPASS": "true",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "LANGUAGE": "C",
    }


def without_prompts(repository: Repository) -> dict[str, str]:
    """Variables that keep git and ssh from asking a person anything: they fail instead, and say why in English.

    Without `GIT_TERMINAL_PROMPT=0`, an empty askpass and ssh's `BatchMode`, a process in the
    background would wait for an answer that nobody gives, or open a window.
    """
    ssh = (
        os.environ.get("GIT_SSH_COMMAND")
        or setting(repository, "core.sshcommand")
        or shlex.quote(os.environ.get("GIT_SSH", "ssh"))
    )
    return {**_no_prompts(), "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes"}


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


def promisor_remotes(repository: Repository) -> list[str]:
    """The remotes that a partial clone fetches what it lacks from; none for a whole clone."""
    found = configuration(repository)
    names = [
        key[len("remote.") : -len(".promisor")]
        for key, values in found.items()
        if key.startswith("remote.") and key.endswith(".promisor") and values[-1].lower() not in ("false", "no", "off", "0")
    ]
    return list(dict.fromkeys([*found.get("extensions.partialclone", []), *names]))


def machine_settings(repository: Repository) -> dict[str, str]:
    """`git config prefect.*` of this machine, keys without the prefix, in lower case."""
    found = configuration(repository)
    return {key[len("prefect.") :]: values[-1] for key, values in found.items() if key.startswith("prefect.")}
