"""git prefect uninstall: takes our pre-push hook away, and puts back what stood there before."""

from __future__ import annotations

from collections.abc import Sequence

from .. import git
from ..deploy.native_hook import own_hooks_folder, uninstalling
from ..git import trigger
from .install import arguments, carry_out


def main(argv: Sequence[str]) -> int:
    """Uninstall the hook; nothing is touched that is not ours."""
    dry_run = arguments(argv, "uninstall", "Take the native pre-push hook away; pre-commit's hooks stay.")
    repository = git.open_repository()
    folder = own_hooks_folder(repository)
    if not dry_run:
        trigger.take_away(repository)
    return carry_out(uninstalling(folder), dry_run, "there is no pre-push hook of git-prefect's here")
