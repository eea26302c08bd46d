"""git prefect install: a native pre-push hook, which sees every ref of a push; beside pre-commit's and other people's."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence

from .. import git
from ..core.errors import ExitCode
from ..deploy import hook_managers, seen_pushes
from ..deploy.native_hook import LEGACY, Step, installing, own_hooks_folder
from ..git import push_log


def main(argv: Sequence[str]) -> int:
    """Install the hook.

    Raises:
        UsageError: the hooks belong to another tool, or two hooks of others are in the way.
    """
    description = "Let every ref of a push be seen: several branches, tags, refs without commits."
    dry_run: bool = parser("install", description).parse_args(argv).dry_run
    repository = git.open_repository()
    manager = hook_managers.manager_of(repository)
    if manager and manager.calls_us:
        print(f"{manager.file} calls git-prefect already")
        return ExitCode.OK
    steps = installing(own_hooks_folder(repository))
    code = carry_out(steps, dry_run, "the pre-push hook is in place already")
    if not dry_run:
        _begin(repository)
    if any(step.path.name == LEGACY and step.content for step in steps):
        print(f"pre-commit runs {LEGACY} at every push, before the hooks of its configuration, with every ref")
    return code


def _begin(repository: git.Repository) -> None:
    """From now on the hook sees every push; those that were before it are none that it missed."""
    state_dir, now = repository.state_dir, int(time.time())
    seen_pushes.note(state_dir, seen_pushes.INSTALLED)
    for one in push_log.pushes(repository):
        if one.time >= now:
            # In the same second: the log of git has no finer times.
            seen_pushes.note(state_dir, seen_pushes.REPORTED, one.commit, one.tracking_ref, "")


def parser(name: str, description: str) -> ArgumentParser:
    """What install and uninstall take."""
    made = ArgumentParser(prog=f"git prefect {name}", description=description)
    made.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return made


def carry_out(steps: Sequence[Step], dry_run: bool, nothing: str) -> int:
    """Take the steps and say so; only say so in a dry run."""
    for step in steps:
        if not dry_run:
            step.take()
        print(f"would {step}" if dry_run else f"{step}")
    if not steps:
        print(nothing)
    return ExitCode.OK
