"""What is pushed, and what a person or CI means, on real clones."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_prefect import git
from git_prefect.core.errors import UsageError
from git_prefect.core.model import RefUpdate
from git_prefect.git import configuration, refs, remotes

from ..repository import Clone

JENKINS = "; BUILD_TAG is Jenkins' own and names no tag"


def pre_commit(local: str, remote: str, url: str, to: str | None) -> dict[str, str]:
    variables = {
        "PRE_COMMIT_LOCAL_BRANCH": local,
        "PRE_COMMIT_REMOTE_BRANCH": remote,
        "PRE_COMMIT_REMOTE_NAME": "origin",
        "PRE_COMMIT_REMOTE_URL": url,
    }
    return variables if to is None else {**variables, "PRE_COMMIT_TO_REF": to}


def test_pre_commit_names_the_ref_on_the_remote(work: Clone, remote: object) -> None:
    head = work.commit({"a": "1"})
    before = work.head("origin/main")
    found = refs.from_pre_commit(work.repository, pre_commit("refs/heads/other", "refs/heads/main", str(remote), head))
    assert found == [
        RefUpdate("origin", str(remote), "refs/heads/main", head, head, before, "push"),
    ]


def test_a_root_commit_is_found_by_its_local_branch(work: Clone, remote: object) -> None:
    variables = pre_commit("refs/heads/main", "refs/heads/new", str(remote), None)
    assert refs.from_pre_commit(work.repository, variables) == [
        RefUpdate("origin", str(remote), "refs/heads/new", work.head(), work.head(), None, "push"),
    ]


def test_a_tag_object_is_peeled_and_remembered(work: Clone, remote: object) -> None:
    work.git("tag", "-a", "v1", "-m", "one")
    tag = work.git("rev-parse", "v1")
    found = refs.from_pre_commit(work.repository, pre_commit("refs/tags/v1", "refs/tags/v1", str(remote), tag))
    assert found == [RefUpdate("origin", str(remote), "refs/tags/v1", work.head(), tag, None, "push")]
    assert (found[0].kind, found[0].name) == ("tag", "v1")


def test_every_line_of_stdin_is_read_from_the_right(work: Clone) -> None:
    head, zero = work.head(), "0" * 40
    lines = [
        f"HEAD~0 {head} refs/heads/feature/x {zero}\n",
        f":/a message of words {head} refs/heads/main {head}\n",
        f"(delete) {zero} refs/heads/old {head}\n",
        "\n",
    ]
    assert refs.from_stdin(work.repository, lines, "origin", "ssh://git@h/r") == [
        RefUpdate("origin", "ssh://git@h/r", "refs/heads/feature/x", head, head, None, "push"),
        RefUpdate("origin", "ssh://git@h/r", "refs/heads/main", head, head, head, "push"),
        RefUpdate("origin", "ssh://git@h/r", "refs/heads/old", None, None, head, "push"),
    ]


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("refs/for/main", "main"), ("refs/for/refs/heads/main", "main"), ("refs/for/main%topic=etl,r=bob@example.com", "main"),
        ("refs/for/main/etl/of-bob", "main"), ("refs/for/release/1.0", "release/1.0"), ("refs/for/release/1.0/etl", "release/1.0"),
        ("refs/for/of-nobody/x", "of-nobody/x"), ("refs/drafts/main", "main"), ("refs/for-review/main", "main"),
        ("refs/heads/refs/for/main", ""), ("refs/heads/for/main", ""), ("refs/tags/for/main", ""), ("refs/changes/01/1/1", ""),
    ],
)  # fmt: skip
def test_a_push_for_review_names_its_branch(work: Clone, remote: object, ref: str, branch: str) -> None:
    base = work.head()
    work.git("push", "--quiet", "origin", "main:release/1.0")
    upstream = work.commit({"upstream": "1"})
    work.git("push", "--quiet", "origin", "main")
    work.git("switch", "--quiet", "--detach", base)
    head = work.commit({"a": "1"})
    (git_told,) = refs.from_stdin(work.repository, [f"HEAD {head} {ref} {'0' * 40}"], "origin", str(remote))
    (hook_told,) = refs.from_pre_commit(work.repository, pre_commit("HEAD", ref, str(remote), head))
    assert git_told == hook_told and git_told.review_of == branch
    assert upstream != head
    if branch:
        # It builds on where it left the branch, which has gone on since.
        known = None if branch.startswith("of-nobody") else base
        assert (git_told.kind, git_told.name, git_told.ref, git_told.remote_commit) == ("review", branch, ref, known)
    else:
        assert git_told.kind != "review"


def test_a_push_by_url_never_keeps_its_credentials(work: Clone) -> None:
    url = "https://ada:s3cret@example.com/r.git"
    (found,) = refs.from_stdin(work.repository, [f"x {work.head()} refs/heads/x {'0' * 40}"], url, url)
    assert (found.remote, found.url) == ("https://example.com/r.git", "https://example.com/r.git")


@pytest.mark.parametrize(
    ("environ", "wanted", "expected"),
    [
        ({}, None, ("refs/heads/main", "active branch")),
        ({"GIT_BRANCH": "origin/feature/x"}, None, ("refs/heads/feature/x", "GIT_BRANCH")),
        ({"GIT_BRANCH": "feature/x", "BUILD_TAG": "v1"}, None, ("refs/tags/v1", "BUILD_TAG")),
        ({"BUILD_TAG": "jenkins-etl-41"}, None, ("refs/heads/main", f"active branch{JENKINS}")),
        (
            {"BUILD_TAG": "jenkins-etl-41", "GIT_BRANCH": "origin/main"},
            None,
            ("refs/heads/main", f"GIT_BRANCH{JENKINS}"),
        ),
        ({"BUILD_TAG": "v1", "GIT_BRANCH": "main"}, "feature/x", ("refs/heads/feature/x", "--ref")),
        ({}, "refs/tags/v1", ("refs/tags/v1", "--ref")),
        ({"GIT_BRANCH": "origin/kept"}, None, ("refs/heads/origin/kept", "GIT_BRANCH")),
    ],
)
def test_the_ref_by_hand(work: Clone, environ: dict[str, str], wanted: str | None, expected: tuple[str, str]) -> None:
    work.git("branch", "feature/x")
    work.git("branch", "origin/kept")
    work.git("tag", "v1")
    found = refs.by_hand(work.repository, environ, wanted, "origin")
    assert (found.ref, found.source) == expected
    assert found.commit == work.head()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CI_COMMIT_BRANCH": "main"}, ("refs/heads/main", "CI_COMMIT_BRANCH")),
        ({"CI_COMMIT_TAG": "v1"}, ("refs/tags/v1", "CI_COMMIT_TAG")),
        ({"GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, ("refs/tags/v1", "GITHUB_REF_NAME")),
        ({"GITHUB_REF_NAME": "main"}, ("refs/heads/main", "GITHUB_REF_NAME")),
    ],
)
def test_a_detached_head_asks_ci(work: Clone, environ: dict[str, str], expected: tuple[str, str]) -> None:
    work.git("tag", "v1")
    work.git("checkout", "--quiet", "--detach")
    found = refs.by_hand(work.repository, environ, None, "origin")
    assert (found.ref, found.source) == expected


def test_a_tag_that_only_the_remote_has_is_found_there(work: Clone) -> None:
    work.git("tag", "v2")
    work.git("push", "--quiet", "origin", "v2")
    work.git("tag", "-d", "v2")
    found = refs.by_hand(work.repository, {"BUILD_TAG": "v2"}, None, "origin")
    assert (found.ref, found.commit) == ("refs/tags/v2", None)


def test_a_build_tag_that_is_no_tag_anywhere(work: Clone) -> None:
    with pytest.raises(UsageError) as raised:
        refs.by_hand(work.repository, {"BUILD_TAG": "v9"}, None, "origin")
    assert str(raised.value) == (
        "BUILD_TAG=v9: no such tag here or on origin, so there is nothing to register it from\n"
        "hint: push it first (`git push origin v9`), or name another ref with --ref"
    )


def test_a_detached_head_outside_ci(work: Clone) -> None:
    work.git("checkout", "--quiet", "--detach")
    with pytest.raises(UsageError) as raised:
        refs.by_hand(work.repository, {}, None, "origin")
    assert str(raised.value) == (
        "HEAD is detached and nothing says which branch or tag is meant\nhint: name it with --ref BRANCH-OR-TAG"
    )


def test_the_remotes_of_a_linked_worktree(work: Clone, tmp_path: Path) -> None:
    work.git("worktree", "add", "--quiet", "-b", "x", str(tmp_path / "linked"))
    linked = git.open_repository(str(tmp_path / "linked"))
    assert remotes.default_remote(linked) == "origin"
    assert remotes.all_remotes(linked) == remotes.all_remotes(work.repository) == {"origin": work.git("remote", "get-url", "origin")}


def test_the_remote_is_the_one_that_git_push_uses(work: Clone) -> None:
    assert remotes.default_remote(work.repository) == "origin"
    work.git("remote", "add", "fork", "https://example.com/fork.git")
    assert remotes.default_remote(work.repository) == "origin"
    work.git("config", "remote.pushDefault", "fork")
    configuration.cache_clear()
    assert remotes.default_remote(work.repository) == "fork"


def test_no_remote(work: Clone) -> None:
    work.git("remote", "remove", "origin")
    with pytest.raises(UsageError) as raised:
        remotes.default_remote(work.repository)
    assert str(raised.value) == (
        "this repository has no remote, and agents clone from one\n"
        "hint: add it with `git remote add origin URL`, then push"
    )
