"""What prefect-check-pushed says of a push, of a remote, and of what is in no commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from git_prefect.core.model import RefUpdate
from git_prefect.deploy import annotated_tags, remote_state
from git_prefect.deploy.resolver import resolve
from git_prefect.git import Repository

from ..repository import Clone, clone

FLOW = "from prefect import Flow\nflow = Flow('etl')\n"


def update(work: Clone, before: str | None, after: str | None, ref: str = "refs/heads/main") -> RefUpdate:
    return RefUpdate("origin", "https://h/r.git", ref, after, after, before, "push")


def test_what_a_push_does_to_its_ref(work: Clone) -> None:
    one, two = work.commit({"a": "1"}), work.commit({"a": "2"})
    work.git("checkout", "--quiet", "-b", "other", one)
    three = work.commit({"a": "3"})
    assert [
        remote_state.what_it_does(work.repository, update(work, *ends))
        for ends in ((None, two), (two, two), (one, two), (two, three), ("9" * 40, two), (two, None))
    ] == [
        f"origin/main: new, at {two[:7]}",
        f"origin/main: stays at {two[:7]}",
        f"origin/main: 1 commit from {one[:7]} to {two[:7]}",
        f"origin/main: 1 commit from {two[:7]} to {three[:7]}, dropping 1 commit that it has",
        f"origin/main: moves from 9999999, which is not here, to {two[:7]}",
        "origin/main: deleted; flows registered from it cannot be loaded any more",
    ]


def told(work: Clone, ref: str = "refs/heads/main") -> list[tuple[str, str, str]]:
    """Code, message and hint of what is wrong, against the remote as it is."""
    head = work.head()
    found = remote_state.against_remote(work.repository, RefUpdate("origin", "", ref, head, head, None, "--ref"))
    return [(one.code, one.message, one.hint) for one in found]


def test_the_remote_has_what_is_here_or_it_is_said_how_they_differ(work: Clone, remote: Path, tmp_path: Path) -> None:
    base = work.head()
    assert told(work) == []
    assert told(work, "refs/heads/none") == [
        ("not-on-remote", "origin/none does not exist: an agent that is told to run it fails with KeyError", "git push origin none")
    ]
    mine = work.commit({"a": "1"})
    at = f"agents run {base[:7]}, not what is here"
    assert told(work) == [("remote-differs", f"origin/main is 1 commit behind: {at}", "git push origin main")]
    theirs = clone(remote, tmp_path / "theirs")
    theirs.commit({"b": "1"})
    there = theirs.commit({"b": "2"})
    theirs.git("push", "--quiet")
    at, pull = f"agents run {there[:7]}, not what is here", "git pull origin main, then push"
    assert told(work) == [("remote-differs", f"origin/main is at {there[:7]}, which is not here: {at}", pull)]
    work.git("fetch", "--quiet")
    diverged = "has diverged: it lacks 1 commit of yours and has 2 that you lack"
    assert told(work) == [("remote-differs", f"origin/main {diverged}: {at}", pull)]
    work.git("reset", "--quiet", "--hard", base)
    assert told(work) == [("remote-differs", f"origin/main is 2 commits ahead: {at}", pull)]
    assert mine != base


def test_a_hint_can_be_typed_whatever_a_branch_is_called(work: Clone) -> None:
    branch = "feature/it's$(touch${IFS}typed)"
    work.git("switch", "--quiet", "--create", branch)
    ((_, _, hint),) = told(work, f"refs/heads/{branch}")
    subprocess.run(hint, shell=True, cwd=work.path, check=True, capture_output=True)
    assert told(work, f"refs/heads/{branch}") == []
    assert not (work.path / "typed").exists()


def test_flow_files_that_are_in_no_commit(work: Clone) -> None:
    work.commit({"flows/etl.py": FLOW, "helper.py": "x = 1\n", "flows/same.py": FLOW})
    assert remote_state.uncommitted(work.repository) == []
    work.write({"flows/etl.py": FLOW + "\n", "helper.py": "x = 2\n", "new.py": FLOW, "staged.py": FLOW, "README": "more\n"})
    work.git("add", "staged.py")
    found = remote_state.uncommitted(work.repository)
    assert [(one.code, one.path, one.hint) for one in found] == [
        ("uncommitted-flow", path, f"git add {path} && git commit && git push") for path in ("flows/etl.py", "new.py", "staged.py")
    ]
    bare: Repository = replace(work.repository, top=None)
    assert remote_state.uncommitted(bare) == []


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ("", True),
        ('[[target]]\nbranch = "main"\nproject = "p"\n', False),
        ('[[target]]\ntag = "v*"\nproject = "p"\n', True),
        ('companion-tag = "flows/{tag}"\n[[target]]\ntag = "v*"\nproject = "p"\n', False),
    ],
)
def test_an_annotated_tag_is_refused_where_it_would_be_registered_as_it_is(work: Clone, settings: str, refused: bool) -> None:
    commit = work.commit({".git-prefect.toml": settings})
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("tag", "v2")
    tag = work.git("rev-parse", "v1")
    pushed = RefUpdate("origin", "", "refs/tags/v1", commit, tag, None, "push")
    found = annotated_tags.refused(resolve(work.repository, pushed))
    assert [(one.code, one.severity, one.ref) for one in found] == [("annotated-tag", "error", "refs/tags/v1")] * refused
    lightweight = replace(pushed, ref="refs/tags/v2", pushed_object=commit)
    assert annotated_tags.refused(resolve(work.repository, lightweight)) == []


@pytest.mark.parametrize("has_setting", [False, True])
def test_no_hint_proposes_the_companion_tag_that_is_set(work: Clone, has_setting: bool) -> None:
    """The tag beside the annotated one was not pushed, or deleted; what is printed brings it back."""
    setting = 'companion-tag = "flows/{tag}"\n' * has_setting
    commit = work.commit({".git-prefect.toml": f'{setting}[[target]]\ntag = "v*"\nproject = "p"\n'})
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("push", "--quiet", "origin", "v1")
    there = RefUpdate("origin", "", "refs/tags/v1", commit, work.git("rev-parse", "v1"), commit, "remote")
    (found,) = annotated_tags.without_companion(work.repository, there)
    other = found.hint.partition("; ")[2]
    if not has_setting:
        assert other == 'or have one pushed beside each, with the setting companion-tag = "flows/{tag}"'
        return
    assert other == "or push the lightweight tag that the setting companion-tag names: git push origin 'v1^{}:refs/tags/flows/v1'"
    work.git("push", "--quiet", "origin", "v1^{}:refs/tags/flows/v1")
    assert annotated_tags.without_companion(work.repository, there) == []
