"""How to call us from where a hint is read."""

from __future__ import annotations

import os
import shlex
import sys


def git_prefect(*arguments: str) -> str:
    """`git prefect …` where a shell would find it, else the full path of this very installation.

    Under pre-commit PATH begins with the hook's own environment, which no shell of the user has.
    """
    command = "git prefect" if _is_found("git-prefect") else executable()
    return " ".join((command, *map(shlex.quote, arguments)))


def _is_found(name: str) -> bool:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if "PRE_COMMIT" in os.environ:
        folders = [folder for folder in folders if folder != os.path.join(sys.prefix, "bin")]
    # Not `shutil.which`: the import takes as long as all else that an idle push does here.
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)


def git(*arguments: str) -> str:
    """`git …` as it can be typed: git allows names that a shell takes apart, and flow files may have any."""
    return shlex.join(("git", *arguments))


def typed_here(hint: str) -> str:
    """A hint of where nobody knows who will read it, or that was kept: its commands as they can be typed here.

    These are `git prefect …` and Prefect's own, which pipx keeps to itself.
    """
    told = "`git prefect "
    if told in hint:
        hint = hint.replace(told, f"`{git_prefect()} ")
    told = "`prefect "
    return hint.replace(told, f"`{executable('prefect')} ") if told in hint and not _is_found("prefect") else hint


def executable(name: str = "git-prefect") -> str:
    """A command of this very installation, quoted for a shell; not found through PATH, which a hook may not share."""
    return shlex.quote(os.path.join(sys.prefix, "bin", name))
