"""Pushes from partial clones, with and without sparse checkout: what they lack is fetched, by the clone itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ..repository import Clone
from .conftest import Team, flow_file
from .test_push_shapes import ONE, live, ours, outcome

FILTERS = ("blob:none", "blob:limit=1k", "tree:0")
LARGE = "# " + "x" * 2000 + "\n"
HELPED = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import lib.helper

""" + flow_file("helped")


def partial(native: Team, folder: Path, kind: str, sparse: bool = False, promisor: str = "origin") -> Team:
    """A partial clone of a team's remote, on a new branch; its main branch has flow files that are larger than 1 kB."""
    native.clone.git("switch", "--quiet", "main")
    native.clone.commit(
        {"flows/helped.py": HELPED + LARGE, "flows/other.py": flow_file("other") + LARGE, "lib/helper.py": LARGE,
         "data/table.csv": "1,2\n" * 1000, "docs/guide": "guide\n"}
    )  # fmt: skip
    native.push("origin", "main")
    native.settled()
    source = native.remote
    if promisor != "origin":
        source = folder.parent / f"{promisor}.git"
        subprocess.run(["git", "clone", "--quiet", "--mirror", str(native.remote), str(source)], check=True)
    for key in ("allowFilter", "allowAnySHA1InWant"):
        subprocess.run(["git", "-C", str(source), "config", f"uploadpack.{key}", "true"], check=True)
    arguments = [f"--filter={kind}", "--origin", promisor, *(["--sparse"] if sparse else []), f"file://{source}", str(folder)]
    subprocess.run(["git", "clone", "--quiet", *arguments], check=True, capture_output=True)
    made = Team(Clone(folder), native.remote, native.project)
    if promisor != "origin":
        made.clone.git("remote", "add", "origin", str(native.remote))
        made.clone.git("fetch", "--quiet", "origin")
    if sparse:
        made.clone.git("sparse-checkout", "set", "docs")
    made.clone.git("switch", "--quiet", "--create", "feature/x")
    made.prefect("install")
    return made


def missing(clone: Clone) -> int:
    """How many objects of HEAD it lacks."""
    listing = clone.git("rev-list", "--objects", "--missing=print", "HEAD")
    return sum(line.startswith("?") for line in listing.splitlines())


def commit_flow(team: Team) -> None:
    """Commit a flow file, inside the sparse checkout or not."""
    team.clone.write({"flows/etl.py": flow_file()})
    team.clone.git("add", "--sparse", "flows/etl.py")
    team.clone.git("commit", "--quiet", "-m", "etl")


@pytest.mark.parametrize("sparse", [False, True], ids=["whole", "sparse"])
@pytest.mark.parametrize("kind", FILTERS)
def test_a_push(native: Team, api: str, tmp_path: Path, kind: str, sparse: bool) -> None:
    team = partial(native, tmp_path / "partial", kind, sparse)
    commit_flow(team)
    assert not sparse or missing(team.clone)
    refs, fetch_head = team.clone.git("for-each-ref"), team.clone.path / ".git" / "FETCH_HEAD"
    assert not fetch_head.exists()
    assert ours(team, team.push("origin", "feature/x")) == live("feature/x")
    assert outcome(team, api) == ONE
    tracking = f"{team.clone.head()} commit\trefs/remotes/origin/feature/x"
    assert team.clone.git("for-each-ref").splitlines() == sorted([*refs.splitlines(), tracking], key=lambda line: line.split()[-1])
    assert not fetch_head.exists()


def test_by_hand(native: Team, api: str, tmp_path: Path) -> None:
    team = partial(native, tmp_path / "partial", "blob:none", sparse=True)
    commit_flow(team)
    team.push("origin", "feature/x", SKIP="prefect-register")
    team.prefect("register", "--ref", "feature/x")
    assert outcome(team, api)[1] == ["etl 1 feature--x feature/x"]
    assert "etl" in team.prefect("status")


@pytest.mark.parametrize("kind", FILTERS)
def test_a_promisor_remote_that_is_out_of_reach(native: Team, api: str, tmp_path: Path, kind: str) -> None:
    team = partial(native, tmp_path / "partial", kind, sparse=True, promisor="mirror")
    commit_flow(team)
    mirror, away = tmp_path / "mirror.git", tmp_path / "away.git"
    mirror.rename(away)
    lacks = (
        "this partial clone lacks objects of the commit, and they could not be fetched from its promisor remote mirror "
        f"(fatal: '{mirror}' does not appear to be a git repository)"
    )
    hint = "check that `git fetch mirror` works without a password prompt, then try again"
    printed = team.push("origin", "feature/x")
    assert f"warning: origin/feature/x: flow files are not checked: {lacks} [objects-missing]\n    hint: {hint}" in printed
    assert f"not registered yet: {lacks}; {hint}" in printed
    for command in (("validate", "--ref", "feature/x"), ("register", "--ref", "feature/x")):
        done = subprocess.run(["git", "prefect", *command], cwd=team.clone.path, capture_output=True, text=True)
        assert (command[0], done.returncode, done.stderr) == (command[0], 4, f"git-prefect: {lacks}\nhint: {hint}\n")
    away.rename(mirror)
    team.prefect("register", "--pending")
    assert outcome(team, api)[1] == ["etl 1 feature--x feature/x"]


@pytest.mark.parametrize("hook", ["validate", "check-pushed", "register"])
def test_hooks_of_pre_commit_let_a_push_pass(native: Team, tmp_path: Path, hook: str) -> None:
    team = partial(native, tmp_path / "partial", "blob:none", sparse=True, promisor="mirror")
    commit_flow(team)
    (tmp_path / "mirror.git").rename(tmp_path / "away.git")
    environ = {
        "PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_URL": str(team.remote),
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/feature/x", "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/feature/x",
        "PRE_COMMIT_FROM_REF": team.clone.head("origin/main"), "PRE_COMMIT_TO_REF": team.clone.head(),
    }  # fmt: skip
    assert ("[objects-missing]" in team.prefect(hook, CI="1", **environ)) == (hook != "check-pushed")


def test_settings_that_cannot_be_fetched(native: Team, tmp_path: Path) -> None:
    team = partial(native, tmp_path / "partial", "tree:0", promisor="mirror")
    subprocess.run(
        ["git", "clone", "--quiet", "--no-checkout", "--filter=tree:0", "--origin", "mirror",
         f"file://{tmp_path / 'mirror.git'}", str(tmp_path / "empty")], check=True, capture_output=True,
    )  # fmt: skip
    empty = Team(Clone(tmp_path / "empty"), team.remote, team.project)
    empty.clone.git("remote", "add", "origin", str(team.remote))
    empty.clone.git("fetch", "--quiet", "origin")
    empty.prefect("install")
    (tmp_path / "mirror.git").rename(tmp_path / "away.git")
    printed = empty.push("origin", "mirror/main:refs/heads/feature/y")
    assert printed.startswith(
        "git-prefect: this push is not checked, and not registered: this partial clone lacks objects of the commit, and they "
        "could not be fetched from its promisor remote (fatal: "
    )
    assert "new branch" in printed
