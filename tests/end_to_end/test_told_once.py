"""What a push says, whole, with pre-commit's hooks, with git's own, and with both: each thing once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from .conftest import Team, flow_file

BROKEN = "from prefect import Flow\nflow = Flow('broken')\nflow.nothing()\n"
DOCKER = "from prefect.storage import Docker\n" + flow_file("docker") + "\nflow.storage = Docker(image_name='x')\n"
STATUS = " What became of it: git prefect status"
INSTALL = [
    "not shown by pre-commit: a push of a tag alone, and a new branch without new commits; they are not registered by the push",
    "  hint: so that every ref of a push is seen: git prefect install",
]
DOES_NOT_LOAD = [
    "flows/broken.py:3: does not load: AttributeError: 'Flow' object has no attribute 'nothing'; every run would fail before "
    "its first task [does-not-load]",
    "        flow.nothing()",
    "  hint: mend it; `git prefect explain does-not-load` tells how agents load a file",
    "push refused: 1 error in what this push changes or breaks; nothing was sent to origin. To push all the same: "
    "SKIP=prefect-validate git push",
]
ANNOTATED = [
    "error: tag v1 on origin is an annotated tag: every run would fail with 'Tag' object has no attribute 'tree' [annotated-tag]",
    "  hint: make it a lightweight tag: git tag --no-sign -f v1 'v1^{}' && git push --force origin v1; or have one pushed beside "
    'each, with the setting companion-tag = "flows/{tag}"',
]
DOWN = (
    "not registered yet: the Prefect API at http://127.0.0.1:9 is out of reach: no connection; is it the right one? It is set "
    "by `prefect backend …` and PREFECT__SERVER__ENDPOINT"
)
ONE_FLOW = "origin/feature/x: 1 flow → project P-feature--x, once origin has @."
REGISTERED = [
    "origin/feature/x at @: registering",
    "  registered: etl → P-feature--x, version 1",
]


def no_target(place: str, kind: str, name: str) -> list[str]:
    paste = ["    [[tool.git-prefect.target]]", f'    tag = "{name}"', '    project = "production"'] if kind == "tag" else []
    return [
        f"{place}: not registered, no target takes it [no-target]",
        f'  hint: add a target with {kind} = "{name}" and a project to the settings; which target takes what: '
        f"git prefect register --explain --ref {name}",
        *paste,
    ]


class Case(NamedTuple):
    """A push, and what it says above git's own lines with pre-commit's hooks, and with git's own."""

    what: str
    by_pre_commit: Sequence[str]
    by_git: Sequence[str] = ()
    in_pre_commit: Sequence[str] = ()
    """What pre-commit's hooks add where git's own hook has spoken."""
    files: dict[str, str] = {}  # noqa: RUF012
    push: tuple[str, ...] = ("origin", "feature/x")
    before: tuple[str, ...] = ()
    """A git command."""
    environ: dict[str, str] = {}  # noqa: RUF012


FLOW = {"flows/etl.py": flow_file()}
LEFT_OUT = '  left out: docker (flows/docker.py) has a storage of its own; `storage = "replace"` moves it to git [other-storage]'
CASES = [
    Case("nothing to do", [], files={"README": "1"}),
    Case("a new flow", [ONE_FLOW + STATUS, *INSTALL], [ONE_FLOW, *REGISTERED], files=FLOW),
    Case(
        "a flow that fails", DOES_NOT_LOAD, DOES_NOT_LOAD, ["refused above, by git's own hook: 1 error"],
        files={"flows/broken.py": BROKEN},
    ),
    Case(
        "a branch without a target", [*no_target("origin/x", "branch", "x"), *INSTALL], no_target("origin/x", "branch", "x"), files=FLOW,
        push=("origin", "HEAD:refs/heads/x"),
    ),
    Case(
        "another storage", [ONE_FLOW + STATUS, LEFT_OUT, *INSTALL], [ONE_FLOW, LEFT_OUT, *REGISTERED],
        files={**FLOW, "flows/docker.py": DOCKER},
    ),
    Case(
        "an annotated tag", ANNOTATED, ANNOTATED, ["refused above, by git's own hook: annotated-tag"], files=FLOW,
        before=("tag", "-a", "v1", "-m", "one"), push=("origin", "v1"),
    ),
    Case(
        "a tag without a target", [*no_target("tag x on origin", "tag", "x"), *INSTALL], no_target("tag x on origin", "tag", "x"), files=FLOW,
        before=("tag", "x"), push=("origin", "x"),
    ),
    Case(
        "an API that is down", [ONE_FLOW + STATUS, *INSTALL],
        [ONE_FLOW, REGISTERED[0], f"  {DOWN}", "  hint: it is tried again; now: git prefect register --pending"],
        files=FLOW, environ={"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"},
    ),
]  # fmt: skip


def some(*core: str) -> list[object]:
    """All cases; only those that are named are quick enough for each run, since each is a push of a new team."""
    return [pytest.param(one, id=one.what, marks=[] if one.what in core else pytest.mark.slow) for one in CASES]


def ours(team: Team, printed: str) -> list[str]:
    """The lines that are ours, without what differs from run to run, and without flows' pages."""
    theirs = r"(validate|check|queue) .*(Passed|Failed)|- .*|To .*|.* -> .*|branch .*|error: failed to push.*| *http://.*/flow/.*|"
    lines = [line for line in printed.splitlines() if not re.fullmatch(theirs, line)]
    return [re.sub(r"\b[0-9a-f]{7}\b", "@", line).replace(team.project, "P") for line in lines]


def push(team: Team, case: Case) -> list[str]:
    team.clone.commit(case.files)
    if case.before:
        team.clone.git(*case.before)
    return ours(team, team.push(*case.push, check=False, **case.environ))


@pytest.fixture
def both(team: Team) -> Team:
    team.prefect("install")
    return team


@pytest.mark.parametrize("case", some("an API that is down"))
def test_with_pre_commit(team: Team, case: Case) -> None:
    # The first push through pre-commit also tells what pre-commit does not show.
    assert push(team, case) == list(case.by_pre_commit)


@pytest.mark.parametrize("case", some("a new flow"))
def test_with_the_native_hook(native: Team, case: Case) -> None:
    assert push(native, case) == list(case.by_git)


@pytest.mark.parametrize("case", some("a flow that fails", "a branch without a target", "another storage"))
def test_with_both(both: Team, case: Case) -> None:
    # pre-commit runs git's own hook first, then its hooks; what is registered is told after both.
    assert push(both, case) == [*case.by_git, *case.in_pre_commit]


def test_what_went_wrong_before_is_told_by_the_push_that_makes_up_for_it(both: Team) -> None:
    (down,) = [case for case in CASES if case.environ]
    assert push(both, down) == list(down.by_git)
    again = down._replace(files={"README": "2"})
    assert push(both, again) == list(down.by_git), "not also how it failed the last time"
    assert push(both, again._replace(files={"README": "3"}, environ={})) == [ONE_FLOW, *REGISTERED]


@pytest.mark.slow
def test_of_another_ref_it_is_told_once(both: Team) -> None:
    (down,) = [case for case in CASES if case.environ]
    push(both, down)
    other = down._replace(files={"README": "2"}, push=("origin", "HEAD:refs/heads/x"), environ={})
    assert push(both, other)[:2] == [
        f"not registered yet: origin/feature/x at @: {DOWN.removeprefix('not registered yet: ')}",
        "  hint: it is tried again with this push; now: git prefect register --pending",
    ]


@pytest.mark.slow
def test_what_no_target_takes_and_changes_no_flow_is_passed_over(both: Team) -> None:
    (case,) = [case for case in CASES if case.what == "a branch without a target"]
    push(both, case)
    assert push(both, case._replace(files={"README": "2"})) == []


@pytest.mark.slow
def test_each_push_tells_its_refusal(both: Team) -> None:
    (case,) = [case for case in CASES if case.what == "a flow that fails"]
    first = push(both, case)
    again = ours(both, both.push(*case.push, check=False))
    assert first == again
    assert first[:4] == DOES_NOT_LOAD
