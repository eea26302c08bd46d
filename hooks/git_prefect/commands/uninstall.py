"""git prefect uninstall: removes our pre-push hook, restores the one that was there before, and says what is left."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import git
from ..core.errors import UsageError
from ..deploy import hook_managers, pending, seen_pushes
from ..deploy.diagnosis.machine import configured_hooks
from ..deploy.native_hook import uninstalling
from ..git import hooks_path, trigger
from ..report import text
from ..report.invocation import git_prefect
from .install import carry_out, parser


def main(argv: Sequence[str]) -> int:
    """Uninstall the hook; nothing is touched that is not ours.

    Raises:
        UsageError: the state is to be removed, and has pushes that are not registered yet.
    """
    description = "Remove the native pre-push hook, and say what is left; pre-commit's hooks stay."
    options = parser("uninstall", description)
    options.add_argument("--purge", action="store_true", help="remove the state as well: log, records, verdicts")
    chosen = options.parse_args(argv)
    repository = git.open_repository()
    state = Path(repository.state_dir)
    waiting = pending.entries(repository)
    if chosen.purge and waiting:
        raise UsageError(
            f"{state} has {text.plural(len(waiting), 'pending registration')}, which would never be registered",
            f"{git_prefect('register', '--pending')}, then run this again",
        )
    if not chosen.dry_run:
        trigger.take_away(repository)
        seen_pushes.forget(repository.state_dir)
    folder = hook_managers.delegated_folder(repository) or hooks_path.hooks_folder(repository)
    code = carry_out(uninstalling(folder), chosen.dry_run, "there is no pre-push hook of git-prefect's here")
    if chosen.purge and state.exists():
        if not chosen.dry_run:
            shutil.rmtree(state)
        print(f"would remove {state}" if chosen.dry_run else f"remove {state}")
    for line in _left(repository, chosen.purge):
        print(line)
    return code


def _left(repository: git.Repository, purge: bool) -> Iterator[str]:
    """What of ours is still here, and how to remove it."""
    manager = hook_managers.manager_of(repository)
    if manager and manager.calls_us:
        yield f"left: the call of git-prefect in {manager.file}; delete its line"
    hooks = configured_hooks(repository)
    if hooks:
        yield f"left: {', '.join(hooks)} in .pre-commit-config.yaml, which run at each push; delete their lines"
    if git.machine_settings(repository):
        yield "left: settings of this machine; git config --get-regexp '^prefect[.]' lists them, git config --unset removes one"
    if Path(repository.state_dir).exists() and not purge:
        place = shlex.quote(repository.state_dir)
        yield f"left: {place} (log, records, verdicts); {git_prefect('uninstall', '--purge')} removes it"
