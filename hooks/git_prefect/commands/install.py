"""git prefect install: a native pre-push hook, which sees every ref of a push; beside pre-commit's and other people's."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from .. import git
from ..core.errors import ExitCode
from ..deploy.native_hook import Step, installing, own_hooks_folder


def main(argv: Sequence[str]) -> int:
    """Install the hook.

    Raises:
        UsageError: the hooks folder is not git's own (`core.hooksPath`), or two hooks of others are in the way.
    """
    dry_run = arguments(
        argv, "install", "Let every ref of a push be seen: several branches, tags, refs without commits."
    )
    repository = git.open_repository()
    return carry_out(installing(own_hooks_folder(repository)), dry_run, "the pre-push hook is in place already")


def arguments(argv: Sequence[str], name: str, description: str) -> bool:
    """The command line of install and uninstall: whether it is only to say what would be done."""
    parser = ArgumentParser(prog=f"git prefect {name}", description=description)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    dry_run: bool = parser.parse_args(argv).dry_run
    return dry_run


def carry_out(steps: Sequence[Step], dry_run: bool, nothing: str) -> int:
    """Take the steps and say so; only say so in a dry run."""
    for step in steps:
        if not dry_run:
            step.take()
        print(f"would {step}" if dry_run else f"{step}")
    if not steps:
        print(nothing)
    return ExitCode.OK
