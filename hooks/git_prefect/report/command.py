"""How to call us from where a hint is read."""

from __future__ import annotations

import os
import shlex
import sys


def git_prefect(*arguments: str) -> str:
    """`git prefect …` where a shell would find it, else the full path of this very installation.

    Under pre-commit PATH begins with the hook's own environment, which no shell of the user has.
    """
    ours = os.path.join(sys.prefix, "bin")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if "PRE_COMMIT" in os.environ:
        folders = [folder for folder in folders if folder != ours]
    # Not `shutil.which`: the import takes as long as all else that an idle push does here.
    on_path = any(os.access(os.path.join(folder, "git-prefect"), os.X_OK) for folder in folders)
    command = "git prefect" if on_path else shlex.quote(os.path.join(ours, "git-prefect"))
    return " ".join((command, *map(shlex.quote, arguments)))


def git(*arguments: str) -> str:
    """`git …` as it can be typed: git allows names that a shell takes apart, and flow files may have any."""
    return shlex.join(("git", *arguments))


def typed_here(hint: str) -> str:
    """A hint of where nobody knows who will read it, or that was kept: its `git prefect …` as it can be typed here."""
    told = "`git prefect "
    return hint.replace(told, f"`{git_prefect()} ") if told in hint else hint


def executable() -> str:
    """This very installation's command, quoted for a shell; not found through PATH, which a hook may not share."""
    return shlex.quote(os.path.join(sys.prefix, "bin", "git-prefect"))
