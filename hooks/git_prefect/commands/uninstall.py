"""git prefect uninstall: takes our pre-push hook away, and puts back what stood there before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import git
from ..git import trigger
from .install import BEFORE, Step, arguments, carry_out, hooks_folder, is_ours


def main(argv: Sequence[str]) -> int:
    """Uninstall the hook; nothing is touched that is not ours."""
    options = arguments(argv, "uninstall", "Take the native pre-push hook away; pre-commit's hooks stay.")
    repository = git.open_repository()
    folder = hooks_folder(repository)
    if not options.dry_run:
        trigger.take_away(repository)
    return carry_out(uninstalling(folder), options.dry_run, "there is no pre-push hook of git-prefect's here")


def uninstalling(folder: Path) -> list[Step]:
    """The steps that leave the folder as it was."""
    for place in (folder / "pre-push", folder / "pre-push.legacy"):
        if is_ours(place):
            before = folder / BEFORE
            return [Step(place), *([Step(before, target=place)] if before.exists() else [])]
    return []
