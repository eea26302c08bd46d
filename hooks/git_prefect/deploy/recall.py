"""What an earlier push of the same flow files came to: a push that touches no flow asks nothing twice.

Remembered is only what the flow files themselves decided, with the settings, the interpreter and its
packages: where a load looked around in the repository, every push is checked in full.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from typing import Any, NamedTuple

from .. import __version__, git
from ..core import json_shape, state_files
from ..core.model import RefUpdate

AGE_LIMIT = 24 * 3600.0
"""Seconds after which a push is checked in full again."""

MOST = 32
"""Pushes that are remembered."""

DECIDING = (b".py", b".toml", b".yaml", b".yml", b".json")
"""Ends of the names of files that can decide what is registered: sources, settings, templates."""


RECORD = {
    "at": float, "python": (str, None), "fingerprint": str, "said": str, "project": (str, None), "flows": int,
}  # fmt: skip


class Recalled(NamedTuple):
    """A push whose flow files, settings and interpreter were checked before, with nothing to remark."""

    said: str
    """What `prefect-validate` said then."""
    project: str | None
    """Where its flows are registered; None when no target takes the ref."""
    flows: int
    """How many flows the ref registers."""


def recall(repository: git.Repository, update: RefUpdate) -> Recalled | None:
    """The outcome of an earlier check that holds for this push; None when it has to be checked."""
    known = _read(repository).get(_key(repository, update))
    if known is None or not -60 < time.time() - known["at"] < AGE_LIMIT:
        return None
    if _fingerprint(repository, known["python"]) != known["fingerprint"]:
        return None
    return Recalled(known["said"], known["project"], known["flows"])


def remember(repository: git.Repository, update: RefUpdate, python: str | None, outcome: Recalled) -> None:
    """Keep the outcome of a check without a remark, of files that nothing but themselves decided."""
    record = {
        "at": time.time(),
        "python": python,
        "fingerprint": _fingerprint(repository, python),
        **outcome._asdict(),
    }
    known = sorted(_read(repository).items(), key=lambda item: -item[1]["at"])[: MOST - 1]
    # Where it cannot be written the next push is checked in full.
    with suppress(OSError):
        state_files.replace(_file(repository), json.dumps({**dict(known), _key(repository, update): record}))


def differ(repository: git.Repository, old: str, new: str) -> bool:
    """Whether two commits differ in a file that can decide what is registered; True when one is not here."""
    patterns = [f"*{suffix.decode()}" for suffix in DECIDING]
    try:
        git.run_git(repository, "diff-tree", "-r", "--quiet", old, new, "--", *patterns)
    except git.GitError:
        return True
    return False


def _key(repository: git.Repository, update: RefUpdate) -> str:
    """Hash of all that decides, but for the interpreter: ref, sources, settings of the commit and of the machine."""
    listing = git.run_git(repository, "ls-tree", "-r", "-z", "--full-tree", update.commit or "")
    content = hashlib.sha256(
        repr(
            (
                __version__,
                update.remote,
                update.ref,
                git.setting(repository, "user.email"),
                git.setting(repository, "user.name"),
                git.setting(repository, f"remote.{update.remote}.url"),
                sorted(git.machine_settings(repository).items()),
                sorted(item for item in os.environ.items() if item[0].startswith("GIT_PREFECT_")),
            )
        ).encode()
    )
    for line in listing.split(b"\0"):
        # Symlinks and submodules may lead to sources; the settings may name templates.
        if line.endswith(DECIDING) or line.startswith((b"120000", b"160000")):
            content.update(line)
    return content.hexdigest()


def _fingerprint(repository: git.Repository, python: str | None) -> str:
    from ..flows import interpreter

    found = interpreter.find(repository.top or repository.git_dir, python, repository.state_dir)
    return f"{found.path} {found.fingerprint} {found.problem}"


def _file(repository: git.Repository) -> str:
    return os.path.join(repository.state_dir, "recall.json")


def _read(repository: git.Repository) -> dict[str, dict[str, Any]]:
    try:
        with open(_file(repository), "rb") as file:
            known = json_shape.loads(file.read(), dict)
    except OSError:
        return {}
    return {key: one for key, one in (known or {}).items() if json_shape.misfit(one, RECORD) is None}
