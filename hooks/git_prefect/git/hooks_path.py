"""Where git runs hooks from, and whether its pre-push hook shows us every ref of a push."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .repository import Repository, ask


def hooks_folder(repository: Repository) -> Path:
    """The folder that git runs hooks from, wherever `core.hooksPath` leads."""
    told = ask(repository, "rev-parse", "--git-path", "hooks") or ""
    return Path(os.path.join(repository.top or repository.git_dir, told))


def is_gits_own(repository: Repository, folder: Path) -> bool:
    """Whether a hooks folder is inside the git directory; elsewhere its hooks belong to another tool."""
    return Path(os.path.realpath(repository.common_dir)) in Path(os.path.realpath(folder)).parents


def sees_every_ref(repository: Repository) -> bool:
    """Whether a pre-push hook runs `git-prefect pre-push`: ours, beside pre-commit's or not, or another tool's."""
    folder = hooks_folder(repository)
    hooks = (folder / "pre-push", folder / "pre-push.legacy")
    return any(
        re.search(r"git-prefect'? pre-push", hook.read_text(errors="replace")) for hook in hooks if hook.exists()
    )
