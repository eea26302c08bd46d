"""How the watcher of a push is started: its command line and its environment."""

from __future__ import annotations

import sys

from ..core.git_environment import clean_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The fast path of a push has no time for its import.
    from collections.abc import Iterable, Mapping

NO_LISTENER = -1
"""In place of the descriptor of a socket, where no trigger calls the watcher."""


def command(common_dir: str, top: str, entries: Iterable[str], descriptor: int = NO_LISTENER) -> list[str]:
    """The command line of a watcher: `entries` are those of the push that goes on, `descriptor` is its listening socket."""
    return [sys.executable, "-m", "git_prefect.deploy.watcher", common_dir, top, str(descriptor), *entries]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a watcher: without what git and pre-commit say of the hook that starts it."""
    return {name: value for name, value in clean_environment(environ).items() if not name.startswith("PRE_COMMIT")}
