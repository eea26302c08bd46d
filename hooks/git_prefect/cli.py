"""Commands and exit codes of `git prefect`, nothing else."""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import IO

from . import __version__
from .core.errors import TO_PUSH_MEANWHILE, Bug, ExitCode, GitPrefectError, UsageError
from .core.model import RefUpdate
from .core.results import Report
from .deploy import push_notices, seen_pushes
from .git.process import is_quiet, pushing_arguments
from .git.refs import from_pre_commit, from_stdin, in_push
from .git.remote_urls import redact
from .git.repository import PromisorOutOfReach, Repository, open_repository
from .report.invocation import git_prefect, typed_here
from .report.options import asked_for, ended, show, show_error

HOOKS = {
    "validate": "load flows as an agent loads them",
    "check-pushed": "is this ref on the remote, and is it the code here",
    "register": "register the flows of a ref as the remote has it",
}
"""Of pre-commit's, which are commands as well: in a push the module of `hooks/` runs, by hand the one of `commands/`."""

CALLED_BY_GIT = {"pre-push": "hooks.pre_push", "arrived": "hooks.reference_transaction"}
"""Named in the hooks that git runs, each with its module; none is for a person."""

COMMANDS = {
    **HOOKS,
    "init": "settings and pre-commit entry for this repository",
    "status": "what waits, and how each registered flow stands",
    "run": "run the flow registered for this branch, follow it",
    "prune": "archive flows whose ref or file is gone; asks first",
    "install": "git's own pre-push hook, which sees every ref",
    "uninstall": "take that hook away again",
    "doctor": "what a push and a run need, each with its remedy",
    "explain": "what a finding means, and how to mend it",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; its exit code. An error ends with one paragraph, a bug with the path of its log."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding cannot show is escaped: it must not end a push.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        # Those of Prefect's own dependencies (google-auth on an old Python) are nobody's business here.
        warnings.simplefilter("ignore")
    if sys.platform == "win32":
        print("git-prefect: Windows itself is not supported\nhint: use WSL", file=sys.stderr)
        return ExitCode.USAGE
    return _guarded(arguments)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return ExitCode.OK if arguments else ExitCode.USAGE
    name, *rest = arguments
    if name in ("--version", "version"):
        print(f"git-prefect {__version__}")
        return ExitCode.OK
    if name not in {**COMMANDS, **CALLED_BY_GIT}:
        close = get_close_matches(name, COMMANDS, 1)
        advice = f"hint: did you mean {git_prefect(*close, *rest)}" if close else f"\n{_help()}"
        print(f"git-prefect: there is no command {name!r}\n{advice}", file=sys.stderr)
        return ExitCode.USAGE
    if name in {**HOOKS, **CALLED_BY_GIT} and os.environ.get("GIT_PREFECT_SKIP", "") not in ("", "0"):
        return _skipped(name, rest)
    try:
        code: int = import_module(f".{_module(name)}", __package__).main(rest)
    except PromisorOutOfReach as error:
        if name not in CALLED_BY_GIT and not in_push(os.environ):
            raise
        return _not_checked(error)
    return code


def _not_checked(error: PromisorOutOfReach) -> int:
    """Let a push pass whose settings a partial clone lacks: nothing is known of it that could refuse it."""
    print(f"git-prefect: this push is not checked, and not registered: {error.message}\nhint: {typed_here(error.hint)}")
    return ExitCode.OK


def _module(name: str) -> str:
    if name in CALLED_BY_GIT:
        return CALLED_BY_GIT[name]
    folder = "hooks" if name in HOOKS and in_push(os.environ) else "commands"
    return f"{folder}.{name.replace('-', '_')}"


def _skipped(name: str, arguments: list[str]) -> int:
    if name in CALLED_BY_GIT or in_push(os.environ):
        return _skipped_in_push(name, arguments)
    said = f"git-prefect: {name} skipped, since GIT_PREFECT_SKIP is set"
    if not _asks_for_format(arguments):
        print(said)
        return ExitCode.OK
    return show(Report(name, ExitCode.OK, summary=(said,)), asked_for(arguments))


def _skipped_in_push(name: str, arguments: list[str]) -> int:
    """Say once in a push that all hooks are skipped: git's own says it, or the one of pre-commit's whose output is shown."""
    with suppress(Exception):
        if name in ("pre-push", "register") and not is_quiet(pushing_arguments()):
            for line in push_notices.news(open_repository(), ["git-prefect: skipped, since GIT_PREFECT_SKIP is set"]):
                print(line)
    with suppress(Exception):
        repository = open_repository()
        for update in _updates(repository, name, arguments):
            seen_pushes.note_update(repository.state_dir, name, update)
    return ExitCode.OK


def _updates(repository: Repository, name: str, arguments: list[str]) -> list[RefUpdate]:
    if name in HOOKS:
        return from_pre_commit(repository, os.environ)
    return from_stdin(repository, sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\n"), *arguments)


def _asks_for_format(arguments: list[str]) -> bool:
    return any(argument.startswith("--format") for argument in arguments)


def _guarded(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "help"
    try:
        code = _run(arguments)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except GitPrefectError as error:
        return _ended(name, arguments, error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python must not try to flush it again.
        _write_no_more(sys.stdout)
        return ExitCode.OK
    except OSError as error:
        if _is_output(error):
            # Python must not try to flush it again.
            _write_no_more(sys.stdout)
            arguments = []
        return _ended(name, arguments, _of_the_machine(error))
    except Exception:
        return _ended(name, arguments, _bug(name))


def _is_output(error: OSError) -> bool:
    """Whether what could not be written is our own output: every file that we write is named in its error."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def _of_the_machine(error: OSError) -> GitPrefectError:
    """An error of the system in words: a full disk, a folder that is read-only, a limit on open files."""
    place = "standard output" if _is_output(error) else error.filename or "the system"
    mend = "free space or mend the permissions there"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        mend = "raise the limit on open files (`ulimit -n 256`)"
    elif error.errno in (errno.EAGAIN, errno.ENOMEM):
        mend = "end something else that runs"
    return UsageError(
        f"{place}: {error.strerror or error}", f"{mend}, then try again; nothing was lost; {TO_PUSH_MEANWHILE}"
    )


def _write_no_more(stream: IO[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _ended(name: str, arguments: list[str], error: GitPrefectError) -> int:
    """Tell what ended a command: on stderr always, and as a report where the command line asks for one."""
    error.hint = typed_here(error.hint)
    try:
        if sys.stderr.isatty():
            print(ended(error, asked_for(arguments)), file=sys.stderr, flush=True)
        else:
            print(f"git-prefect: {error}", file=sys.stderr, flush=True)
    except OSError:
        _write_no_more(sys.stderr)
    if _asks_for_format(arguments):
        show_error(name, error, asked_for(arguments))
    return error.exit_code


def _bug(name: str) -> GitPrefectError:
    with tempfile.NamedTemporaryFile("w", prefix="git-prefect-", suffix=".log", delete=False) as log:
        log.write(f"git-prefect {__version__} {name}, Python {sys.version}\n\n{redact(traceback.format_exc())}")
    return Bug(
        f"{name} ended by a bug of ours; the traceback is in {log.name}",
        f"please report it with that file; {TO_PUSH_MEANWHILE}",
    )


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  git prefect {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["git push is the deployment of Prefect 1 flows.", "", *lines, "", "Each has -h."])


if __name__ == "__main__":
    sys.exit(main())
