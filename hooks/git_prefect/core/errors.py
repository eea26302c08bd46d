"""Exceptions that end a command with a message, and the exit codes they end it with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command and hook; docs/hooks.md documents them."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    NOT_AUTHORISED = 3
    OUT_OF_REACH = 4
    BUG = 70
    INTERRUPTED = 130

    @property
    def word(self) -> str:
        """As a report names it where no finding's code tells it better: `not-authorised`."""
        return self.name.lower().replace("_", "-")


TO_PUSH_MEANWHILE = "to push meanwhile: GIT_PREFECT_SKIP=1 git push"
"""The way past all hooks, for what is wrong with the machine and not with the push."""


class GitPrefectError(Exception):
    """Ends the command with one paragraph: what is wrong and where, then what to type next."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(GitPrefectError):
    """The command line, the settings, the repository or the machine is not as it has to be."""

    exit_code = ExitCode.USAGE


class UnusableCommit(UsageError):
    """What was pushed is wrong in itself (its settings, no target for its ref): only another push mends it."""


class NotAuthorised(GitPrefectError):
    """The API or the remote refused who we are."""

    exit_code = ExitCode.NOT_AUTHORISED


class OutOfReach(GitPrefectError):
    """The API or the remote did not answer, or not as itself."""

    exit_code = ExitCode.OUT_OF_REACH


class Bug(GitPrefectError):
    """Something that we did not think of; its traceback is in a file."""

    exit_code = ExitCode.BUG
