"""What is left to type in a clone until a push runs the hooks."""

from __future__ import annotations

import shutil

from .. import git
from ..git import hooks_path
from ..report.invocation import git_prefect
from .native_hook import is_pre_commits, sees_every_ref


def missing_hook_steps(repository: git.Repository) -> list[str]:
    """The commands that put the hooks in place: those of pre-commit or prek, whichever is here, and git's own."""
    steps = []
    if not is_pre_commits(hooks_path.hooks_folder(repository) / "pre-push"):
        runner = next((name for name in ("pre-commit", "prek") if shutil.which(name)), None)
        if runner is None:
            steps.append("pipx install pre-commit")
        environments = "--prepare-hooks" if runner == "prek" else "--install-hooks"
        steps.append(f"{runner or 'pre-commit'} install {environments} --hook-type pre-push")
    if not sees_every_ref(repository):
        # So that the push itself registers, tags and all; without it a watcher does, in the background.
        steps.append(git_prefect("install"))
    return steps
