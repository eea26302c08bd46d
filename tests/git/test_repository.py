"""Questions to git, in real repositories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from git_prefect import git
from git_prefect.core.errors import OutOfReach, UsageError
from git_prefect.core.git_environment import clean_environment
from git_prefect.core.model import TreeEntry
from git_prefect.git.ls_remote import ask_remote, fetch_commits
from git_prefect.git.remotes import all_remotes

from ..repository import Clone, clone


def test_a_hooks_variables_do_not_lead_astray(work: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = work.repository
    head = work.head()
    other = Clone(tmp_path / "other")
    other.path.mkdir()
    other.git("init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / "index"))
    assert git.commit_of(repository, "HEAD") == head


def test_what_reaches_a_remote_is_kept() -> None:
    kept = {"GIT_SSH_COMMAND": "ssh -i k", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "PATH": "/bin"}
    assert clean_environment({**kept, "GIT_DIR": "x", "GIT_PREFIX": "y", "GIT_WORK_TREE": "z"}) == kept


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        git.open_repository(str(tmp_path))
    assert str(raised.value) == (
        f"{tmp_path}: no git repository that can be used here (fatal: not a git repository "
        "(or any of the parent directories): .git)\n"
        "hint: run this inside a clone of the repository that holds your flows"
    )


def test_a_linked_worktree_shares_the_state(work: Clone, tmp_path: Path) -> None:
    work.git("worktree", "add", "--quiet", "-b", "x", str(tmp_path / "linked"))
    linked = git.open_repository(str(tmp_path / "linked"))
    assert linked.state_dir == work.repository.state_dir == str(work.path / ".git" / "git-prefect")
    assert linked.top == str(tmp_path / "linked")


def test_a_bare_repository(remote: Path, work: Clone) -> None:
    found = git.open_repository(str(remote))
    assert found == git.Repository(str(remote), str(remote), None)
    assert git.commit_of(found, "main") == work.head()


def test_tree_and_blobs(work: Clone) -> None:
    work.commit({"a b.py": "1\n", "ä/é.py": b"\xff\n"})
    entries = git.tree_entries(work.repository, "HEAD")
    assert [(entry.path, entry.mode) for entry in entries] == [
        ("README", "100644"), ("a b.py", "100644"), ("ä/é.py", "100644"),
    ]  # fmt: skip
    assert entries[1] == TreeEntry("a b.py", "d00491fd7e5bb6fa28c517a0bb32b8b506539d4d", "100644")
    missing = "0" * 39 + "1"
    assert git.read_blobs(work.repository, [entries[2].blob, missing, entries[1].blob]) == {
        entries[2].blob: b"\xff\n",
        entries[1].blob: b"1\n",
    }
    assert git.read_blobs(work.repository, []) == {}


def test_changed_paths_leave_out_what_is_deleted(work: Clone) -> None:
    first = work.commit({"a": "1", "b": "1", "c": "1"})
    work.git("rm", "--quiet", "c")
    work.git("mv", "b", "d")
    second = work.commit({"a": "2"})
    assert git.changed_paths(work.repository, first, second) == {"a", "d"}
    assert git.changed_paths(work.repository, None, first) == {"README", "a", "b", "c"}


@pytest.mark.parametrize(
    ("refspecs", "ref", "expected"),
    [
        (["+refs/heads/*:refs/remotes/origin/*"], "refs/heads/feature/x", "refs/remotes/origin/feature/x"),
        (["+refs/heads/main:refs/remotes/origin/main"], "refs/heads/main", "refs/remotes/origin/main"),
        (["+refs/heads/main:refs/remotes/origin/main"], "refs/heads/x", None),
        (["+refs/heads/*:refs/remotes/origin/*"], "refs/tags/v1", None),
        (["^refs/heads/x", "+refs/heads/*:refs/r/*"], "refs/heads/x", "refs/r/x"),
        (["refs/heads/a/*/z:refs/r/*"], "refs/heads/a/b/z", "refs/r/b"),
    ],
)
def test_tracking_refs(work: Clone, refspecs: list[str], ref: str, expected: str | None) -> None:
    work.git("config", "--unset-all", "remote.origin.fetch")
    for refspec in refspecs:
        work.git("config", "--add", "remote.origin.fetch", refspec)
    assert git.tracking_ref(work.repository, "origin", ref) == expected


def test_machine_settings(work: Clone) -> None:
    work.git("config", "prefect.python", "/opt/py")
    work.git("config", "prefect.tokenSecret", "T")
    assert git.machine_settings(work.repository) == {"python": "/opt/py", "tokensecret": "T"}


def test_asking_the_remote(work: Clone) -> None:
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("push", "--quiet", "origin", "v1")
    answer = ask_remote(work.repository, "origin", "refs/tags/v1", "refs/heads/none")
    assert answer.head == "main"
    assert answer.refs["refs/tags/v1"] == work.git("rev-parse", "v1")
    assert answer.commit("refs/tags/v1") == work.head()
    assert answer.commit("refs/heads/none") is None
    assert ask_remote(work.repository, "origin").commit("refs/heads/main") == work.head()


def test_a_remote_out_of_reach_is_named_without_its_credentials(work: Clone) -> None:
    url = "https://ada:s3cret@127.0.0.1:9/r.git"
    with pytest.raises(OutOfReach) as raised:
        ask_remote(work.repository, url)
    assert "s3cret" not in str(raised.value)
    assert str(raised.value).startswith(
        "https://127.0.0.1:9/r.git: the remote could not be asked (fatal: unable to access"
    )


def test_fetching_moves_no_ref_of_the_user(work: Clone, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    newer = other.commit({"b": "1"})
    other.git("push", "--quiet")
    before = work.git("for-each-ref")
    fetch_commits(work.repository, "origin", {"refs/heads/main": newer})
    assert git.commit_of(work.repository, newer) == newer
    assert work.git("for-each-ref") == before
    assert not os.path.exists(work.path / ".git" / "FETCH_HEAD")


def test_what_a_killed_fetch_left_half_is_fetched_again(work: Clone, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    newer = other.commit({"b": "1"})
    other.git("push", "--quiet")
    half = work.path / ".git" / "objects" / newer[:2] / newer[2:]
    half.parent.mkdir(exist_ok=True)
    half.write_bytes((other.path / ".git" / "objects" / newer[:2] / newer[2:]).read_bytes())
    assert git.commit_of(work.repository, newer) == newer
    assert not git.has_whole(work.repository, [newer])
    fetch_commits(work.repository, "origin", {"refs/heads/main": newer})
    assert git.has_whole(work.repository, [newer])
    assert git.read_files(work.repository, newer, ["b"]) == {"b": b"1"}


def test_what_was_moved_while_it_was_fetched_is_out_of_reach(work: Clone) -> None:
    with pytest.raises(OutOfReach) as raised:
        fetch_commits(work.repository, "origin", {"refs/heads/main": "1" * 40})
    assert str(raised.value) == "origin: refs/heads/main was moved while it was fetched\nhint: try again"


@pytest.mark.parametrize("question", [git.commit_of, lambda repository, name: git.is_ancestor(repository, name, name)])
def test_a_git_that_is_killed_has_not_said_no(
    work: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: Callable[[git.Repository, str], object]
) -> None:
    repository = work.repository
    killed = tmp_path / "bin" / "git"
    killed.parent.mkdir()
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setenv("PATH", f"{killed.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(git.GitError) as raised:
        question(repository, "HEAD")
    assert raised.value.message.endswith(": killed by signal 9")
    with pytest.raises(git.GitError):
        all_remotes(repository)


def test_the_default_branch_is_known_without_asking(work: Clone) -> None:
    assert git.default_branch(work.repository, "origin") == "main"
    work.git("remote", "set-head", "origin", "--delete")
    assert git.default_branch(work.repository, "origin") == "main"
    assert git.default_branch(work.repository, "nowhere") is None
