"""Commands and exit codes of `git prefect`, nothing else."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

from . import __version__
from .errors import ExitCode, GitPrefectError

HOOKS = {
    "validate": ("git_prefect.validate", "load flows as an agent loads them"),
    "check-pushed": (
        "git_prefect.check_pushed",
        "is this branch or tag on the remote, and is it the code we hold",
    ),
    "register": ("git_prefect.register", "register the flows of a branch or tag as the remote has it"),
}
CALLED_BY_GIT = {"pre-push": ("git_prefect.pre_push", "")}
COMMANDS = {
    **HOOKS,
    "init": ("git_prefect.commands.init", "settings and the pre-commit entry for this repository"),
    "status": ("git_prefect.commands.status", "what became of the pushes, and what still waits"),
    "install": ("git_prefect.commands.install", "a native pre-push hook, which sees every ref of a push"),
    "uninstall": ("git_prefect.commands.uninstall", "take that hook away again"),
    "explain": ("git_prefect.commands.explain", "what a finding means, and how to mend it"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; its exit code. An error ends with one paragraph, a bug with the path of its log."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding cannot show is escaped: it must not end a push.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.platform == "win32":
        print("git-prefect: Windows itself is not supported\nhint: use WSL", file=sys.stderr)
        return ExitCode.USAGE
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return ExitCode.OK if arguments else ExitCode.USAGE
    name, *rest = arguments
    if name in ("--version", "version"):
        print(f"git-prefect {__version__}")
        return ExitCode.OK
    if name not in {**COMMANDS, **CALLED_BY_GIT}:
        print(f"git-prefect: there is no command {name!r}\n\n{_help()}", file=sys.stderr)
        return ExitCode.USAGE
    if name in {**HOOKS, **CALLED_BY_GIT} and os.environ.get("GIT_PREFECT_SKIP", "") not in ("", "0"):
        print(f"git-prefect: {name} skipped, since GIT_PREFECT_SKIP is set")
        return ExitCode.OK
    return _guarded(name, rest)


def _guarded(name: str, arguments: list[str]) -> int:
    try:
        code: int = import_module({**COMMANDS, **CALLED_BY_GIT}[name][0]).main(arguments)
        return code
    except GitPrefectError as error:
        print(f"git-prefect: {error}", file=sys.stderr)
        if "--format" in " ".join(arguments):
            from .report.options import show_error

            show_error(name, error, arguments)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OSError as error:
        print(
            f"git-prefect: {error.filename or 'the system'}: {error.strerror or error}\n"
            "hint: free space or mend the permissions there, then try again; nothing was lost",
            file=sys.stderr,
        )
        return ExitCode.USAGE
    except Exception:
        return _bug(name)


def _bug(name: str) -> int:
    import tempfile
    import traceback

    from .push.remotes import redact

    with tempfile.NamedTemporaryFile("w", prefix="git-prefect-", suffix=".log", delete=False) as log:
        log.write(f"git-prefect {__version__} {name}, Python {sys.version}\n\n{redact(traceback.format_exc())}")
    print(
        f"git-prefect: {name} ended by a bug of ours; the traceback is in {log.name}\n"
        "hint: please report it with that file; to push meanwhile: GIT_PREFECT_SKIP=1 git push",
        file=sys.stderr,
    )
    return ExitCode.BUG


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  git prefect {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["git push is the deployment of Prefect 1 flows.", "", *lines, "", "Each has -h."])


if __name__ == "__main__":
    sys.exit(main())
