"""What git prefect doctor says of pushes that the hook saw, and of those that it did not, on real pushes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from git_prefect.core.results import Check
from git_prefect.deploy import seen_pushes
from git_prefect.deploy.diagnosis import pushes
from git_prefect.git import configuration

from ..repository import Clone, bare_remote, clone

SETTINGS = 'clone-url-secret = "U"\n[[target]]\nbranch = "main"\nproject = "p"\n[[target]]\nbranch = "feature/**"\nproject = "p-{branch}"\n'
WITHOUT = "pushed without our hook (--no-verify, or the hook was replaced)"
LOST = f"{WITHOUT}, so neither checked nor registered"


@pytest.fixture
def desk(work: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone with targets and without flows, pushed before there was a hook; nothing is registered."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", "http://127.0.0.1:9")
    work.commit({".git-prefect.toml": SETTINGS})
    work.git("push", "--quiet")
    return work


@pytest.fixture
def native(desk: Clone) -> Clone:
    """The same, with git's own hook."""
    desk.git("prefect", "install")
    return desk


def pushed(clone: Clone, *arguments: str, **environ: str) -> str:
    """A new commit, pushed; its short name."""
    clone.git("commit", "--quiet", "--allow-empty", "-m", "change")
    clone.git("push", "--quiet", *arguments, **environ)
    return clone.head()[:7]


def in_the_next_second() -> None:
    """Wait until git's log, which has whole seconds, tells two pushes apart."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.02)


def found(clone: Clone) -> list[Check]:
    """What doctor says, without times."""
    configuration.cache_clear()
    checks = list(pushes.checks(clone.repository))
    return [Check(one.name, tuple(re.sub(r", \d+ \w+ ago$", "", fact) for fact in one.facts), one.problem, one.remedy) for one in checks]


def saw(ref: str, commit: str) -> str:
    """The fact of the last push that was seen."""
    return f"last push that the hook saw: {ref} at {commit}"


def test_pushes_that_the_hook_saw_are_not_reported(native: Clone, remote: Path, tmp_path: Path) -> None:
    assert found(native) == [], "the pushes before install are not its business"
    first = pushed(native)
    assert found(native) == [Check("pushes", (saw("origin/main", first),))]
    # Skipped, by either way, it was run all the same.
    skipped = pushed(native, GIT_PREFECT_SKIP="1")
    assert found(native) == [Check("pushes", (saw("origin/main", skipped),))]
    skipped = pushed(native, SKIP="prefect-validate,prefect-check-pushed,prefect-register")
    assert found(native) == [Check("pushes", (saw("origin/main", skipped),))]
    # In a linked worktree; several refs; a deletion.
    native.git("worktree", "add", "--quiet", "-b", "feature/a", str(tmp_path / "linked"))
    linked = Clone(tmp_path / "linked")
    commit = pushed(linked, "origin", "feature/a", "feature/a:feature/b", "feature/a:wip")
    assert found(native) == found(linked) == [Check("pushes", (saw("origin/wip", commit),))]
    native.git("push", "--quiet", "origin", "--delete", "feature/b")
    assert found(native) == [Check("pushes", (saw("origin/wip", commit),))]
    # What another clone pushed, and this one fetched otherwise: nothing is sent, and git moves the tracking ref.
    other = clone(remote, tmp_path / "other")
    commit = pushed(other)
    native.git("pull", "--quiet", str(remote), "main")
    native.git("push", "--quiet")
    assert native.head("origin/main")[:7] == commit
    assert [one.problem for one in found(native)] == [""]
    # A renamed remote has its reflogs renamed.
    native.git("remote", "rename", "origin", "upstream")
    assert [one.problem for one in found(native)] == [""]


def test_pushes_without_the_hook_are_reported_once(native: Clone, remote: Path, tmp_path: Path) -> None:
    missed = pushed(native, "--no-verify")
    report = [Check("pushes", (), f"origin/main at {missed}: {LOST}", "git prefect register --remote origin --ref main")]
    assert found(native) == report
    assert found(native) == []
    # No target takes this one; another remote; a push that the remote refuses; a deletion.
    pushed(native, "--no-verify", "origin", "HEAD:wip")
    assert found(native) == []
    native.git("remote", "add", "mirror", str(bare_remote(tmp_path / "mirror.git")))
    missed = pushed(native, "--no-verify", "mirror", "HEAD:feature/x")
    refuses = remote / "hooks" / "pre-receive"
    refuses.write_text("#!/bin/sh\nexit 1\n")
    refuses.chmod(0o755)
    native.git("push", "--no-verify", check=False)
    refuses.unlink()
    native.git("push", "--quiet", "--no-verify", "origin", "--delete", "wip")
    assert found(native) == [
        Check("pushes", (), f"mirror/feature/x at {missed}: {LOST}", "git prefect register --remote mirror --ref feature/x")
    ]
    # The hook is replaced by another tool: a later push that ours sees makes up for those.
    hook = native.path / ".git" / "hooks" / "pre-push"
    script = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")
    pushed(native)
    missed = pushed(native)
    hook.write_text(script)
    seen = pushed(native)
    facts = (saw("origin/main", seen), f"origin/main at {missed}: {WITHOUT}; the hook saw a later one")
    assert found(native) == [Check("pushes", facts)]
    assert found(native) == [Check("pushes", facts[:1])]
    # Uninstalled, it sees nothing on purpose.
    native.git("prefect", "uninstall")
    pushed(native)
    assert found(native) == []


def test_without_reflogs_nothing_is_known(native: Clone) -> None:
    seen = pushed(native)
    native.git("config", "core.logAllRefUpdates", "false")
    pushed(native, "--no-verify", "origin", "HEAD:feature/x")
    assert found(native) == [Check("pushes", (saw("origin/main", seen),))]


def test_what_pre_commit_does_not_show_is_not_reported(desk: Clone) -> None:
    """Of several refs it shows one, and of a new branch without new commits none."""
    hooks = "      - {id: prefect-check-pushed, name: x, language: system, entry: git-prefect check-pushed, always_run: true, pass_filenames: false}"
    desk.write({".pre-commit-config.yaml": f"repos:\n  - repo: local\n    hooks:\n{hooks}\n"})
    command = [sys.executable, "-m", "pre_commit", "install", "--hook-type", "pre-push"]
    subprocess.run(command, cwd=desk.path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    pushed(desk, "--no-verify")
    assert found(desk) == [], "not before the hook has seen something"
    seen = pushed(desk, "origin", "main", "main:feature/x")
    assert found(desk) in [[Check("pushes", (saw(ref, seen),))] for ref in ("origin/main", "origin/feature/x")]
    desk.git("push", "--quiet", "origin", "main:feature/new")
    assert [one.problem for one in found(desk)] == [""]
    in_the_next_second()
    missed = pushed(desk, "--no-verify")
    assert [one.problem for one in found(desk)] == [f"origin/main at {missed}: {LOST}"]
    assert [one.problem for one in found(desk)] == [""]


def test_what_is_kept_stays_small_and_may_be_torn(native: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    state = native.repository.state_dir
    missed = pushed(native, "--no-verify")
    with open(seen_pushes.path_of(state), "ab") as file:
        file.write(b"\n17")
    seen = pushed(native)
    assert found(native)[0].facts == (
        saw("origin/main", seen), f"origin/main at {missed}: {WITHOUT}; the hook saw a later one",
    )  # fmt: skip
    monkeypatch.setattr(seen_pushes, "LIMIT", 2000)
    for _ in range(40):
        seen_pushes.note(state, "validate", native.head(), "refs/heads/main", "origin")
    assert os.path.getsize(seen_pushes.path_of(state)) <= 2000
    assert found(native) == [Check("pushes", (saw("origin/main", seen),))]
    assert os.stat(seen_pushes.path_of(state)).st_mode & 0o777 == 0o600
    # Nothing that is kept may stop a push.
    os.unlink(seen_pushes.path_of(state))
    os.mkdir(seen_pushes.path_of(state))
    pushed(native)
    assert found(native) == []
