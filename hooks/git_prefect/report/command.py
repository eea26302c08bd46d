"""How to call us from where a hint is read."""

from __future__ import annotations

import os
import sys


def git_prefect(*arguments: str) -> str:
    """`git prefect …` where a shell would find it, else the full path of this very installation.

    Under pre-commit PATH begins with the hook's own environment, which no shell of the user has.
    """
    from shutil import which

    ours = os.path.join(sys.prefix, "bin")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if "PRE_COMMIT" in os.environ:
        folders = [folder for folder in folders if folder != ours]
    on_path = which("git-prefect", path=os.pathsep.join(folders))
    return " ".join(("git prefect" if on_path else os.path.join(ours, "git-prefect"), *arguments))
