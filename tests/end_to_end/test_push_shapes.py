"""Every shape that a push has: one row each, pushed for real; what is said, what waits, what the API holds after it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest
import requests

from git_prefect.deploy import pending

from ..repository import Clone, bare_remote, clone
from .conftest import Team, flow_file, until

GIT = re.compile(
    r"To |Everything up-to-date| [*+!-] |   @\.\.|error: failed to push|remote: "
)
"""Lines that are git's own; everything else is ours."""

STATUS = " What became of it: git prefect status"


class Shape(NamedTuple):
    """A push, and everything that is to come of it. `@` stands for a commit, `P` for the project's prefix."""

    what: str
    push: tuple[str, ...]
    says: Sequence[str] = ()
    log: Sequence[str] = ()
    """Ref, result and reason of each outcome."""
    api: Sequence[str] = ()
    """Flow, version, project and the branch or tag of its storage."""
    before: Callable[[Team], None] = lambda team: None
    """What is done to the clone, which is on `feature/x` with one flow that is committed, and to the remote."""
    waits: Sequence[str] = ()
    fails: bool = False
    """Whether `git push` ends with an error."""


def live(name: str, flows: str = "1 flow", version: int = 1, remote: str = "origin", tag: bool = False) -> list[str]:
    """What is said of a branch that is registered inside the push."""
    place, project = _place(name, remote, tag)
    return [
        f"{place}: {flows} → project {project}, once {remote} has @.{STATUS if tag else ''}",
        f"{place} at @: registering",
        f"  registered: etl → {project}, version {version}",
    ]


def later(name: str, flows: str = "1 flow", remote: str = "origin", tag: bool = False) -> list[str]:
    """What is said of a ref that the watcher registers after the push."""
    place, project = _place(name, remote, tag)
    return [f"{place}: {flows} → project {project}, once {remote} has @.{STATUS}"]


def _place(name: str, remote: str, tag: bool) -> tuple[str, str]:
    return (f"tag {name} on {remote}", "P-production") if tag else (f"{remote}/{name}", f"P-{name.replace('/', '--')}")


def no_target(place: str, kind: str, name: str) -> list[str]:
    return [
        f"{place}: not registered, no target takes it [no-target]",
        f'  hint: add a target with {kind} = "{name}" and a project to the settings; which target takes what: '
        f"git prefect register --explain --ref {name}",
    ]


def pushed(*arguments: str) -> Callable[[Team], None]:
    """Push and wait until it is registered, as what was there before."""

    def do(team: Team) -> None:
        team.push(*(arguments or ("origin", "feature/x")))
        team.settled()

    return do


def git(*commands: str) -> Callable[[Team], None]:
    """Run git commands, a line each."""
    return lambda team: [team.clone.git(*command.split()) for command in commands] and None


def changed(team: Team) -> None:
    """Commit another structure of the flow."""
    team.clone.commit({"flows/etl.py": flow_file().replace("load(extract())", "load(extract())\n    extract()")})


def refuses(ref: str) -> Callable[[Team], None]:
    """A hook of the remote that refuses one ref."""

    def do(team: Team) -> None:
        hook = team.remote / "hooks" / "update"
        hook.write_text(f'#!/bin/sh\n[ "$1" != {ref} ]\n')
        hook.chmod(0o755)

    return do


def others_push(team: Team) -> None:
    """Somebody else's branch of the same name."""
    other = clone(team.remote, team.remote.parent / "other")
    other.git("switch", "--quiet", "--create", "feature/x")
    other.commit({"theirs": "1"})
    other.git("push", "--quiet", "origin", "feature/x")


def steps(*all_of_them: Callable[[Team], None]) -> Callable[[Team], None]:
    def do(team: Team) -> None:
        for step in all_of_them:
            step(team)

    return do


def annotated(name: str) -> str:
    return (
        f"error: tag {name} on origin is an annotated tag: every run would fail with 'Tag' object has no "
        "attribute 'tree' [annotated-tag]"
    )


HINT = (
    "  hint: make it a lightweight tag: git tag --no-sign -f v1 'v1^{}' && git push --force origin v1; or have one pushed beside "
    'each, with the setting companion-tag = "flows/{tag}"'
)

NEW = Shape(
    "a new branch", ("origin", "feature/x"), live("feature/x"), ["feature/x registered"], ["etl 1 feature--x feature/x"]
)
SAME_AS_X = ["etl 1 feature--x feature/x", "etl 1 feature--y feature/y"]
NOT_THERE = "not arrived: origin/{} does not exist: the push was a dry run, failed, or was undone"

SHAPES = [
    NEW,
    Shape(
        "a branch without new commits", ("origin", "feature/x:feature/y"), live("feature/y"),
        ["feature/x registered", "feature/y registered"], SAME_AS_X, before=pushed(),
    ),
    Shape(
        "a branch that changes no flow", ("origin", "main:feature/same"),
        [], ["feature/same nothing to register"],
    ),
    Shape(
        "fast-forward", ("origin", "feature/x"), live("feature/x", version=2),
        ["feature/x registered", "feature/x registered"], ["etl 2 feature--x feature/x"],
        before=steps(pushed(), changed),
    ),
    Shape(
        "forced", ("--force", "origin", "feature/x"), live("feature/x", version=2),
        ["feature/x registered", "feature/x registered"], ["etl 2 feature--x feature/x"],
        before=steps(pushed(), git("reset --quiet --hard main"), changed),
    ),
    Shape(
        "rejected, and git knows it beforehand", ("origin", "feature/x"), [], ["feature/x registered"],
        ["etl 1 feature--x feature/x"], before=steps(pushed(), git("reset --quiet --hard main"), changed), fails=True,
    ),
    Shape(
        "rejected, since others have pushed", ("origin", "feature/x"), live("feature/x")[:1],
        ["feature/x not arrived: origin/feature/x is at @: the push was rejected, or overwritten since"],
        before=others_push, fails=True,
    ),
    Shape(
        "one of three refs rejected by the remote's hook", ("origin", "feature/x", "feature/no", "feature/y"),
        [*live("feature/x"), *live("feature/y"), live("feature/no")[0]],
        [f"feature/no {NOT_THERE.format('feature/no')}", "feature/x registered", "feature/y registered"], SAME_AS_X,
        before=steps(git("branch feature/no", "branch feature/y"), refuses("refs/heads/feature/no")), fails=True,
    ),
    Shape(
        "atomic, one of two refs rejected", ("--atomic", "origin", "feature/x", "feature/no"),
        [live("feature/x")[0], live("feature/no")[0]],
        [f"feature/{name} {NOT_THERE.format(f'feature/{name}')}" for name in ("no", "x")],
        before=steps(git("branch feature/no"), refuses("refs/heads/feature/no")), fails=True,
    ),
    Shape("atomic", ("--atomic", "origin", "feature/x", "feature/y"), [*live("feature/x"), *live("feature/y")],
          ["feature/x registered", "feature/y registered"], SAME_AS_X, before=git("branch feature/y")),
    Shape(
        "a dry run", ("--dry-run", "origin", "feature/x"), live("feature/x")[:1],
        [f"feature/x {NOT_THERE.format('feature/x')}"],
    ),
    Shape("without hooks", ("--no-verify", "origin", "feature/x")),
    Shape(
        "all branches", ("--all", "origin"), [*live("feature/x"), *live("feature/y")],
        ["feature/x registered", "feature/y registered"], SAME_AS_X, before=git("branch feature/y"),
    ),
    Shape(
        "all tags, on a commit of no branch", ("--tags", "origin"), later("v1", tag=True), ["v1 registered"],
        ["etl 1 production v1"], before=git("tag v1"),
    ),
    Shape(
        "follow-tags, which follows annotated ones", ("--follow-tags", "origin", "feature/x"),
        [
            annotated("v1"),
            HINT,
        ],
        before=git("tag -a v1 -m one"), fails=True,
    ),
    Shape(
        "follow-tags, which passes lightweight ones over", ("--follow-tags", "origin", "feature/x"), live("feature/x"),
        ["feature/x registered"], ["etl 1 feature--x feature/x"], before=git("tag v1"),
    ),
    Shape(
        "mirror", ("--mirror", "origin"),
        # git does not tell its hooks what a mirror deletes.
        [*live("feature/x"), *live("v1", tag=True)],
        ["feature/x registered", "v1 registered"], ["etl 1 feature--x feature/x", "etl 1 production v1"],
        before=git("push --quiet --no-verify origin main:feature/gone", "tag v1"),
    ),
    Shape(
        "another name on the remote", ("origin", "feature/x:feature/y"), live("feature/y"), ["feature/y registered"],
        ["etl 1 feature--y feature/y"],
    ),
    Shape(
        "a branch that is not checked out", ("origin", "feature/x"), live("feature/x"), ["feature/x registered"],
        ["etl 1 feature--x feature/x"], before=git("switch --quiet main"),
    ),
    Shape(
        "HEAD", ("origin", "HEAD:refs/heads/feature/y"), live("feature/y"), ["feature/y registered"],
        ["etl 1 feature--y feature/y"], before=git("switch --quiet --detach"),
    ),
    Shape(
        "an expression of words", ("origin", ":/add the flow:refs/heads/feature/y"), live("feature/y"),
        ["feature/y registered"], ["etl 1 feature--y feature/y"],
    ),
    Shape("a ref without a target", ("origin", "HEAD:x"), no_target("origin/x", "branch", "x")),
    Shape("a ref that is no branch", ("origin", "HEAD:refs/notes/x")),
    Shape("a ref that is no branch, deleted", ("origin", ":refs/notes/x"), before=git("push --quiet origin HEAD:refs/notes/x")),
    Shape(
        "a change for review", ("origin", "HEAD:refs/for/feature/x%topic=etl"),
        ["refs/for/feature/x%topic=etl on origin: a review of feature/x, not registered; once it is merged: git prefect register "
         "--ref feature/x"],
    ),
    Shape(
        "a change for review beside a branch", ("origin", "HEAD:refs/for/feature/x", "feature/x:feature/y"),
        ["refs/for/feature/x on origin: a review of feature/x, not registered; once it is merged: git prefect register "
         "--ref feature/x", *live("feature/y")],
        ["feature/y registered"], ["etl 1 feature--y feature/y"],
    ),
    Shape(
        "a change for review that has an error", ("origin", "HEAD:refs/for/feature/x"),
        ["flows/etl.py:18: does not load: ZeroDivisionError: division by zero; every run would fail before its first task "
         "[does-not-load]",
         "  hint: mend it; `git prefect explain does-not-load` tells how agents load a file",
         "push refused: 1 error in what this push changes or breaks; nothing was sent to origin. To push all the same: "
         "SKIP=prefect-validate git push"],
        before=lambda team: _broken(team), fails=True,
    ),
    Shape(
        "a change for review that has an error that its branch has", ("origin", "HEAD:refs/for/feature/x"),
        ["refs/for/feature/x on origin: a review of feature/x, not registered; once it is merged: git prefect register "
         "--ref feature/x",
         "  not from this push: 1 error in flows/etl.py; these flows are not registered. See them with: git prefect validate"],
        before=lambda team: _broken_upstream(team),
    ),
    Shape("a change for review of a branch without a target", ("origin", "HEAD:refs/for/main")),
    Shape(
        "a change for review that changes no flow", ("origin", "HEAD:refs/for/feature/x"), [], ["feature/x registered"],
        ["etl 1 feature--x feature/x"],
        before=steps(pushed(), lambda team: team.clone.commit({"README": "more"}) and None),
    ),
    Shape(
        "a deletion", ("origin", ":feature/x"),
        [
            "origin/feature/x: deleted; etl → P-feature--x: active in Prefect still, and each run fails. "
            "Archive with git prefect prune"
        ],
        ["feature/x registered"],
        ["etl 1 feature--x feature/x"], before=pushed(),
    ),
    Shape(
        "several tags at once", ("origin", "v1.9", "v1.10", "v1.2"),
        [
            *later("v1.10", tag=True),
            *(f"tag {name} on origin: not registered, this push has a newer tag; git prefect register --ref {name}"
              for name in ("v1.2", "v1.9")),
        ],
        ["v1.10 registered"], ["etl 1 production v1.10"], before=git("tag v1.2", "tag v1.9", "tag v1.10"),
    ),
    Shape(
        "an old tag", ("origin", "v1.2"), later("v1.2", tag=True),
        ["v1.10 registered",
         "v1.2 refused: the newer tag 'v1.10' (name the older one with --ref to go back to it) is what project "
         "'P-production' runs under this name (version 1); registering v1.2 of localhost/REMOTE would archive it. Give "
         "v1.2 a target with another project, rename the flow, or set `take-over = true` in the target"],
        ["etl 1 production v1.10"], before=steps(git("tag v1.2", "tag v1.10"), pushed("origin", "v1.10")),
    ),
    Shape(
        "an annotated tag", ("origin", "v1"),
        [
            annotated("v1"),
            HINT,
        ],
        before=git("tag -a v1 -m one"), fails=True,
    ),
    Shape(
        "an annotated tag without a target", ("origin", "build-7"),
        no_target("tag build-7 on origin", "tag", "build-7"), before=git("tag -a build-7 -m seven"),
    ),
    Shape(
        "a tag moved by force", ("--force", "origin", "v1"), later("v1", tag=True), ["v1 registered", "v1 registered"],
        ["etl 2 production v1"],
        before=steps(git("tag v1"), pushed("origin", "v1"), changed, git("tag --force v1")),
    ),
    Shape(
        "a tag beside its branch", ("origin", "feature/x", "v1"), [*live("feature/x"), *live("v1", tag=True)],
        ["feature/x registered", "v1 registered"], ["etl 1 feature--x feature/x", "etl 1 production v1"],
        before=git("tag v1"),
    ),
    Shape(
        "unrelated histories", ("origin", "feature/orphan"), live("feature/orphan"), ["feature/orphan registered"],
        ["etl 1 feature--orphan feature/orphan"],
        before=git("switch --quiet --orphan feature/orphan", "checkout --quiet feature/x -- .", "commit --quiet -m root"),
    ),
    Shape(
        "the first push of a root commit", ("new", "feature/x"), live("feature/x", remote="new"),
        ["feature/x registered"], ["etl 1 feature--x feature/x"],
        before=lambda team: _a_new_remote(team),
    ),
    Shape(
        "by URL", ("REMOTE.git", "feature/x"), later("feature/x"), ["feature/x registered"],
        ["etl 1 feature--x feature/x"],
    ),
    Shape(
        "a push URL of its own", ("origin", "feature/x"),
        [
            live("feature/x")[0], "origin/feature/x at @: not registered yet: origin/feature/x does not exist yet at the "
            "URL that is fetched from; the push went to HERE/elsewhere.git; agents clone from the fetch URL: see `git "
            "remote -v`",
            "  hint: it is tried again; now: git prefect register --pending",
        ],
        before=lambda team: _push_urls(team, "elsewhere.git"),
        waits=["feature/x: origin/feature/x does not exist yet at the URL that is fetched from; the push went to "
               "HERE/elsewhere.git; agents clone from the fetch URL: see `git remote -v`"],
    ),
    Shape(
        # The tracking ref proves nothing then: the remote is asked once the push has ended, and told nothing twice.
        "several push URLs", ("origin", "feature/x"), later("feature/x"),
        ["feature/x registered"], ["etl 1 feature--x feature/x"],
        before=lambda team: _push_urls(team, "remote.git", "second.git"),
    ),
    Shape(
        "narrow fetch refspec", ("origin", "feature/x"), later("feature/x"), ["feature/x registered"],
        ["etl 1 feature--x feature/x"],
        before=git("config remote.origin.fetch +refs/heads/main:refs/remotes/origin/main"),
    ),
    Shape(
        "a remote with two names", ("mirror", "feature/x"), live("feature/x", version=2, remote="mirror"),
        ["feature/x registered", "feature/x registered"], ["etl 2 feature--x feature/x"],
        before=steps(pushed(), lambda team: _a_second_name(team), changed),
    ),
]  # fmt: skip


def _broken(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file() + "\n1 / 0\n"})


def _broken_upstream(team: Team) -> None:
    _broken(team)
    team.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x")
    team.clone.commit({"flows/more.py": flow_file("more")})


def _a_new_remote(team: Team) -> None:
    bare_remote(team.remote.parent / "new.git")
    team.clone.git("remote", "add", "new", str(team.remote.parent / "new.git"))
    tree = team.clone.git("write-tree")
    team.clone.git("reset", "--quiet", "--hard", team.clone.git("commit-tree", "-m", "root", tree))


def _push_urls(team: Team, *names: str) -> None:
    for name in names:
        if not (team.remote.parent / name).exists():
            bare_remote(team.remote.parent / name)
        team.clone.git("remote", "set-url", "--add", "--push", "origin", str(team.remote.parent / name))


def _a_second_name(team: Team) -> None:
    team.clone.git("remote", "add", "mirror", str(team.remote))
    team.clone.git("fetch", "--quiet", "mirror")


def plain(team: Team, text: str) -> str:
    """Without what changes from run to run."""
    places = {str(team.remote)[1:-4]: "REMOTE", str(team.remote.parent): "HERE"}
    for place, name in places.items():
        text = text.replace(place, name)
    return re.sub(r"\b[0-9a-f]{7}\b", "@", text).replace(f"{team.project}-", "P-")


def ours(team: Team, printed: str) -> list[str]:
    """Our lines of what a push prints, without the flows' pages and what changed in a flow."""
    return [
        line
        for line in plain(team, printed).splitlines()
        if line and not GIT.match(line) and "/flow/" not in line and not line.startswith(("  update: ", "    "))
    ]  # fmt: skip


def held(team: Team, api: str) -> list[str]:
    """What the API holds of this team's projects."""
    query = "query { flow(where: {archived: {_eq: false}}) { name version storage project { name } } }"
    flows: list[dict[str, Any]] = requests.post(api, json={"query": query}).json()["data"]["flow"]
    return sorted(
        f"{flow['name']} {flow['version']} {flow['project']['name'][len(team.project) + 1 :]} "
        f"{flow['storage']['branch_name'] or flow['storage']['tag']}"
        for flow in flows
        if flow["project"]["name"].startswith(f"{team.project}-")
    )


def logged(team: Team) -> list[str]:
    """The outcomes: ref, result, and the reasons that are told."""
    lines = []
    for line in team.log():
        flows: list[dict[str, str]] = line.get("flows", [])  # type: ignore[assignment]
        reasons = [flow["reason"] for flow in flows if flow["action"] == "failed"]
        told = "; ".join(reasons) or line.get("reason", "")
        name = str(line["ref"]).split("/", 2)[2]
        lines.append(plain(team, f"{name} {line['result']}{': ' if told else ''}{told}"))
    return sorted(lines)


@pytest.fixture
def one_flow(native: Team) -> Team:
    """A team on `feature/x`, where one flow is committed and not pushed."""
    native.clone.git("config", "advice.pushUpdateRejected", "false")
    native.clone.commit({"flows/etl.py": flow_file()}, "add the flow")
    return native


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.what)
def test_shape(one_flow: Team, api: str, shape: Shape) -> None:
    team = one_flow
    shape.before(team)
    arguments = [argument.replace("REMOTE.git", str(team.remote)) for argument in shape.push]
    try:
        printed = team.push(*arguments)
        failed = False
    except AssertionError as error:
        printed, failed = str(error).partition("\n")[2], True
    until(lambda: all(entry.error for entry in pending.entries(team.clone.repository)))
    assert failed == shape.fails, printed
    assert sorted(ours(team, printed)) == sorted(shape.says), printed
    assert logged(team) == sorted(shape.log)
    assert held(team, api) == sorted(shape.api)
    waits = pending.entries(team.clone.repository)
    assert [plain(team, f"{entry.ref.split('/', 2)[2]}: {entry.error}") for entry in waits] == list(shape.waits)
    until(lambda: "reference-transaction" not in os.listdir(team.clone.path / ".git" / "hooks"))


def outcome(team: Team, api: str) -> tuple[list[str], list[str]]:
    """What was logged, and what the API holds, once nothing waits any more."""
    team.settled()
    return logged(team), held(team, api)


ONE = (["feature/x registered"], ["etl 1 feature--x feature/x"])


def test_two_pushes_at_once(one_flow: Team, api: str) -> None:
    one_flow.clone.git("branch", "feature/y")
    pushes = [
        subprocess.Popen(
            ["git", "push", "origin", name], cwd=one_flow.clone.path,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("feature/x", "feature/y")
    ]  # fmt: skip
    printed = [push.communicate()[0] for push in pushes]
    assert [push.returncode for push in pushes] == [0, 0]
    for name, one in zip(("feature/x", "feature/y"), printed):
        assert set(live(name)) <= set(ours(one_flow, one))
    assert outcome(one_flow, api) == (["feature/x registered", "feature/y registered"], SAME_AS_X)
    assert "reference-transaction" not in os.listdir(one_flow.clone.path / ".git" / "hooks")


def test_of_two_pushes_that_wait_the_newest_counts(one_flow: Team, api: str) -> None:
    printed = one_flow.push("origin", "feature/x", PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9")
    assert ours(one_flow, printed)[2].startswith("  not registered yet: the Prefect API at http:")
    changed(one_flow)
    printed = one_flow.push("origin", "feature/x")
    assert ours(one_flow, printed) == live("feature/x"), "what was wrong before is made up for"
    assert outcome(one_flow, api) == (
        ["feature/x registered", "feature/x superseded: by the push of @"], ["etl 1 feature--x feature/x"]
    )  # fmt: skip


def test_a_shallow_clone(one_flow: Team, api: str, tmp_path: Path) -> None:
    shallow = Team(Clone(tmp_path / "shallow"), one_flow.remote, one_flow.project)
    one_flow.clone.git("push", "--quiet", "--no-verify", "origin", "main:feature/x")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{one_flow.remote}", shallow.clone.path],
        check=True,
    )
    shallow.prefect("install")
    shallow.clone.git("switch", "--quiet", "feature/x")
    shallow.clone.commit({"flows/etl.py": flow_file()})
    assert ours(shallow, shallow.push("origin", "feature/x")) == live("feature/x")
    assert outcome(shallow, api) == ONE


@pytest.mark.parametrize("fetches", [False, True])
def test_a_bare_repository_with_work_trees(one_flow: Team, api: str, tmp_path: Path, fetches: bool) -> None:
    bare = Clone(tmp_path / "etl.git")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(one_flow.remote), str(bare.path)], check=True)
    if fetches:
        # `git clone --bare` sets no refspec; those who work so set it, or git has no refs of the remote.
        bare.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
        bare.git("fetch", "--quiet")
    bare.git("worktree", "add", "--quiet", "-b", "feature/x", str(tmp_path / "etl"), "main")
    tree = Team(Clone(tmp_path / "etl"), one_flow.remote, one_flow.project)
    assert tree.prefect("install") == f"write {bare.path}/hooks/pre-push"
    tree.clone.commit({"flows/etl.py": flow_file()})
    assert ours(tree, tree.push("origin", "feature/x")) == (live if fetches else later)("feature/x")
    assert outcome(tree, api) == ONE


def test_a_git_directory_elsewhere(one_flow: Team, api: str, tmp_path: Path) -> None:
    one_flow.clone.git("init", "--quiet", f"--separate-git-dir={tmp_path / 'elsewhere'}")
    assert ours(one_flow, one_flow.push("origin", "feature/x")) == live("feature/x")
    assert outcome(one_flow, api) == ONE


def test_sha256(native: Team, api: str, tmp_path: Path) -> None:
    remote = tmp_path / "remote256.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--object-format=sha256", str(remote)], check=True)
    team = Team(Clone(tmp_path / "work256"), remote, native.project)
    subprocess.run(["git", "init", "--quiet", "--object-format=sha256", str(team.clone.path)], check=True)
    team.clone.git("remote", "add", "origin", str(remote))
    team.clone.write({"pyproject.toml": (native.clone.path / "pyproject.toml").read_text()})
    team.prefect("install")
    team.clone.git("add", "pyproject.toml")
    team.clone.commit({"flows/etl.py": flow_file()})
    refused = (
        f"git-prefect: {remote}: this repository has SHA-256 object names, and agents clone with dulwich, which knows SHA-1 "
        "alone: every run would fail before its first task"
    )
    hint = (
        "hint: keep flows in a repository that is made with `git init --object-format=sha1`; to push without registering: "
        "SKIP=prefect-register git push"
    )
    printed = team.push("origin", "HEAD:feature/x", check=False)
    assert printed.splitlines() == [refused, hint, f"error: failed to push some refs to '{remote}'"]
    assert team.clone.git("ls-remote", "origin") == ""
    team.push("origin", "HEAD:feature/x", SKIP="prefect-register")
    assert team.prefect("register", "--ref", "feature/x", check=False).splitlines()[-2:] == [refused, hint]
    fact = refused.split(": ", 2)[2]
    assert f"! storage {fact}" in " ".join(team.prefect("doctor", "--ref", "feature/x", check=False).split())
    # A push without a target is ignored.
    team.push("origin", "HEAD:elsewhere")
    assert outcome(team, api) == ([], [])


@pytest.mark.parametrize("annotated", [False, True], ids=["lightweight", "annotated"])
@pytest.mark.parametrize("kind", ["blob", "tree"])
def test_a_tag_that_leads_to_no_commit(one_flow: Team, api: str, kind: str, annotated: bool) -> None:
    """As repositories keep the key that signs their releases."""
    clone = one_flow.clone
    clone.git("tag", *(["-a", "-m", "key"] if annotated else []), "v1", clone.git("rev-parse", f"HEAD{KINDS[kind]}"))
    assert ours(one_flow, one_flow.push("origin", "v1", "feature/x"))[0] == (
        f"tag v1 on origin: leads to a {kind} and not to a commit: nothing is registered"
    )
    assert outcome(one_flow, api) == ONE
    environ = {
        "PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_URL": str(one_flow.remote),
        "PRE_COMMIT_REMOTE_BRANCH": "refs/tags/v1", "PRE_COMMIT_LOCAL_BRANCH": "refs/tags/v1",
        "PRE_COMMIT_TO_REF": clone.git("rev-parse", "v1"),
    }  # fmt: skip
    assert [one_flow.prefect(hook, **environ) for hook in ("validate", "check-pushed", "register")] == [
        "", f"tag v1 on origin: leads to a {kind} and not to a commit: nothing is registered", "",
    ]  # fmt: skip
    told = (
        f"origin: refs/tags/v1 leads to a {kind} and not to a commit, so no agent can run it\n"
        "hint: name another ref with --ref, or tag a commit: git tag --no-sign -f v1 COMMIT && git push --force origin v1"
    )
    for command in (("check-pushed",), ("register",), ("validate",), ("run", "etl")):
        assert one_flow.prefect(*command, "--ref", "v1", check=False) == f"git-prefect: {told}"
    row = f"! ref {told.splitlines()[0]}"
    assert row in " ".join(one_flow.prefect("doctor", "--ref", "v1", check=False).split())
    clone.git("tag", "-d", "v1")
    assert one_flow.prefect("register", "--ref", "v1", check=False).endswith(told)
    # The same name here leads to a commit.
    clone.git("tag", "v1")
    assert one_flow.prefect("register", "--ref", "v1", check=False).endswith(told)
    assert (
        f"error: tag v1 on origin leads to a {kind} and not to a commit: agents run"
        in one_flow.prefect("check-pushed", "--ref", "v1", check=False)
    )


KINDS = {"blob": ":flows/etl.py", "tree": "^{tree}"}
"""What follows the name of a commit to lead to one of its objects."""


def test_an_editor_without_a_terminal(one_flow: Team, api: str) -> None:
    """As editors push: no terminal, no input, a session of their own, output that nobody may read."""
    done = subprocess.run(
        ["git", "push", "--porcelain", "--progress", "origin", "refs/heads/feature/x:refs/heads/feature/x"],
        cwd=one_flow.clone.path, env={**os.environ, "GIT_ASKPASS": "/bin/false", "TERM": "dumb"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.splitlines()[2:] == ["*\trefs/heads/feature/x:refs/heads/feature/x\t[new branch]", "Done"]
    assert live("feature/x")[1] in ours(one_flow, done.stderr)
    assert outcome(one_flow, api) == ONE


def test_an_editor_that_pushes_without_git(one_flow: Team, api: str) -> None:
    """As JGit does: it runs the hook by itself, and moves the tracking ref without one. No `git push` is to be seen."""
    head = one_flow.clone.head()
    hook = one_flow.clone.path / ".git" / "hooks" / "pre-push"
    done = subprocess.run(
        [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)",
         str(hook), "origin", str(one_flow.remote)],
        input=f"refs/heads/feature/x {head} refs/heads/feature/x {'0' * 40}\n",
        cwd=one_flow.clone.path, capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert ours(one_flow, done.stdout) == later("feature/x")
    one_flow.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x")
    assert outcome(one_flow, api) == ONE


def test_a_fork_does_not_replace_what_upstream_has_registered(one_flow: Team, api: str, tmp_path: Path) -> None:
    settings = (one_flow.clone.path / "pyproject.toml").read_text()
    one_flow.clone.commit({"pyproject.toml": settings.replace("-{branch}", "-all")})
    pushed()(one_flow)
    one_flow.clone.git("remote", "rename", "origin", "upstream")
    fork = bare_remote(tmp_path / "fork.git")
    one_flow.clone.git("remote", "add", "origin", str(fork))
    one_flow.clone.commit({"flows/more.py": flow_file("more"), "flows/etl.py": flow_file() + "    extract()\n"})
    printed = one_flow.push("origin", "feature/x")
    assert "  failed: etl → P-all, version 1: repository localhost/REMOTE is what project 'P-all' runs under this name" in plain(
        one_flow, printed
    )
    assert held(one_flow, api) == ["etl 1 all feature/x", "more 1 all feature/x"]
    until(lambda: not pending.entries(one_flow.clone.repository))
    assert [line["result"] for line in one_flow.log()] == ["registered", "refused"]


@pytest.mark.parametrize("configured", [False, True], ids=["by itself", "setting"])
def test_a_linked_worktree_uses_the_environment_of_the_main_one(
    one_flow: Team, api: str, tmp_path: Path, configured: bool
) -> None:
    (one_flow.clone.path / ".git" / "info" / "exclude").write_text(".venv\n")
    (one_flow.clone.path / ".venv" / "bin").mkdir(parents=True)
    (one_flow.clone.path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (one_flow.clone.path / ".venv" / "pyvenv.cfg").symlink_to(Path(sys.prefix) / "pyvenv.cfg")
    (one_flow.clone.path / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    if configured:
        one_flow.clone.git("config", "prefect.python", ".venv/bin/python")
    one_flow.clone.git("worktree", "add", "--quiet", "-b", "feature/y", str(tmp_path / "linked"))
    linked = Team(Clone(tmp_path / "linked"), one_flow.remote, one_flow.project)
    where = f"(Prefect 1.4.1 in {one_flow.clone.path}/.venv/bin/python)"
    assert linked.prefect("validate").endswith(where)
    assert ours(linked, linked.push("origin", "feature/y")) == live("feature/y")


def test_flow_files_that_could_not_be_checked_are_not_no_flow(native: Team) -> None:
    native.clone.commit({"flows/etl.py": "import missing_package\n" + flow_file()})
    printed = ours(native, native.push("origin", "feature/x", CI="1"))
    assert printed[0].startswith("origin/feature/x: its flows → project P-feature--x, once origin has @.")
    assert "[environment-broken]" in printed[1]
