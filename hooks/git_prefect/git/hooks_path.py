"""Where git runs hooks from."""

from __future__ import annotations

import os
from pathlib import Path

from .repository import Repository, ask


def hooks_folder(repository: Repository) -> Path:
    """The folder that git runs hooks from, wherever `core.hooksPath` leads."""
    told = ask(repository, "rev-parse", "--git-path", "hooks") or ""
    return Path(os.path.join(repository.top or repository.git_dir, told))


def is_gits_own(repository: Repository, folder: Path) -> bool:
    """Whether a hooks folder is inside the git directory; elsewhere its hooks belong to another tool."""
    return Path(os.path.realpath(repository.common_dir)) in Path(os.path.realpath(folder)).parents
