"""git prefect install and uninstall beside whatever is there, in whichever order: put in place once, restored exactly."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable

import pytest

from ..repository import Clone

Hooks = dict[str, tuple[str, int]]
NOTHING_TO_DO = "the pre-push hook is in place already"
NOTHING_THERE = "there is no pre-push hook of git-prefect's here"


def hooks(work: Clone) -> Hooks:
    """Content and mode of every hook."""
    folder = work.path / work.git("rev-parse", "--git-path", "hooks")
    found = folder.iterdir() if folder.exists() else ()
    return {path.name: (path.read_text(), path.stat().st_mode) for path in found if path.suffix != ".sample"}


def changes(printed: str) -> list[str]:
    """What is done, without what is explained or left."""
    return [line for line in printed.splitlines() if not line.startswith(("left: ", "pre-commit runs "))]


def pre_commit(work: Clone) -> None:
    (work.path / ".pre-commit-config.yaml").write_text("repos: []\n")
    command = ["pre-commit", "install", "--hook-type", "pre-push"]
    subprocess.run(command, cwd=work.path, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def theirs(work: Clone) -> None:
    hook = work.path / work.git("rev-parse", "--git-path", "hooks") / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho theirs >>theirs.log\n")
    hook.chmod(0o751)


def own_folder(work: Clone) -> None:
    work.git("config", "core.hooksPath", ".git/our-hooks")
    theirs(work)


def nothing(work: Clone) -> None:
    pass


def both(work: Clone) -> None:
    theirs(work)
    pre_commit(work)


@pytest.mark.parametrize("before", [nothing, theirs, pre_commit, both, own_folder])
def test_what_was_there_is_restored_exactly(work: Clone, shell: None, before: Callable[[Clone], None]) -> None:
    before(work)
    was = hooks(work)
    would = work.git("prefect", "install", "--dry-run")
    assert hooks(work) == was
    did = work.git("prefect", "install")
    assert changes(would) == [f"would {line}" for line in changes(did)]
    installed = hooks(work)
    assert installed != was
    assert work.git("prefect", "install") == NOTHING_TO_DO
    assert hooks(work) == installed
    work.commit({"a": "1"})
    work.git("push", "--quiet", "origin", "main")
    assert hooks(work) == installed, "a push leaves the hooks as they are"
    assert (work.path / "theirs.log").exists() == (before in (theirs, both, own_folder))
    would = work.git("prefect", "uninstall", "--dry-run")
    assert hooks(work) == installed
    did = work.git("prefect", "uninstall")
    assert changes(would) == [f"would {line}" for line in changes(did)]
    assert hooks(work) == was
    assert changes(work.git("prefect", "uninstall")) == [NOTHING_THERE]
    state = work.path / ".git" / "git-prefect"
    assert state.exists()
    left = f"left: {state} (log, records, verdicts); git prefect uninstall --purge removes it"
    assert work.git("prefect", "uninstall").splitlines()[1:] == [left]
    assert work.git("prefect", "uninstall", "--purge", "--dry-run") == f"{NOTHING_THERE}\nwould remove {state}"
    assert state.exists()
    assert work.git("prefect", "uninstall", "--purge") == f"{NOTHING_THERE}\nremove {state}"
    assert not state.exists()


@pytest.mark.parametrize("before", [nothing, theirs])
def test_pre_commit_may_come_later(work: Clone, shell: None, tmp_path: Path, before: Callable[[Clone], None]) -> None:
    """What is left then is what pre-commit alone would have made of it."""
    before(work)
    was = hooks(work)
    pre_commit(work)
    alone = hooks(work)
    folder = work.path / ".git" / "hooks"
    for name in alone:
        (folder / name).unlink()
    for name, (content, mode) in was.items():
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
    work.git("prefect", "install")
    pre_commit(work)
    assert work.git("prefect", "install") == NOTHING_TO_DO
    work.commit({"a": "1"})
    work.git("push", "--quiet", "origin", "main")
    assert (work.path / "theirs.log").exists() == (before is theirs)
    work.git("prefect", "uninstall")
    assert hooks(work) == alone
