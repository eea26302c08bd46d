"""When a push prints nothing of ours: nothing changes, `--quiet`, GIT_PREFECT_SKIP; and what it prints all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import SETTINGS, Team, flow_file, until
from .test_push import watchers
from .test_told_once import ours

BROKEN = "from prefect import Flow\nflow = Flow('broken')\nflow.nothing()\n"
WITH_MODULE = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).resolve().parents[1]))\nimport shared\n"


@pytest.fixture
def both(team: Team) -> Team:
    """git's own hook beside pre-commit's."""
    team.prefect("install")
    return team


@pytest.fixture
def registered(native: Team) -> Team:
    """A team with two flows that are registered from `feature/x`, and files around them."""
    native.clone.commit({
        "flows/etl.py": flow_file(), "flows/more.py": WITH_MODULE + flow_file("more"), "shared.py": "x = 1\n", "README": "1",
        ".github/workflows/ci.yaml": "on: push\n", "tests/test_it.py": "x = 1\n", "config/etl.yaml": "x: 1\n",
    })  # fmt: skip
    native.push("origin", "feature/x")
    native.settled()
    return native


def settings(team: Team, more: str) -> str:
    return f"{SETTINGS.format(project=team.project)}{more}"


def push(team: Team, *arguments: str, check: bool = True, **environ: str) -> list[str]:
    """What is ours of what a push prints; what it queues is registered when this returns."""
    lines = ours(team, team.push(*(arguments or ("origin", "feature/x")), check=check, **environ))
    team.settled()
    return lines


SKIPPED = "git-prefect: skipped, since GIT_PREFECT_SKIP is set"


@pytest.mark.parametrize("hooks", ["native", "team", "both"])
def test_skipping_all_prints_one_line(hooks: str, request: pytest.FixtureRequest) -> None:
    team: Team = request.getfixturevalue(hooks)
    team.clone.commit({"flows/broken.py": BROKEN})
    assert ours(team, team.push("origin", "feature/x", GIT_PREFECT_SKIP="1")) == [SKIPPED]
    team.clone.commit({"README": "1"})
    assert ours(team, team.push("--quiet", "origin", "feature/x", GIT_PREFECT_SKIP="1")) == []
    assert team.log() == []
    team.clone.commit({"flows/broken.py": f"{BROKEN}# touched\n"})
    assert "[does-not-load]" in team.push("origin", "feature/x", check=False, GIT_PREFECT_SKIP="0")


def test_skipping_all_while_a_push_waits_for_the_trigger(native: Team) -> None:
    """The hook of that push is called in this one, too."""
    clone = native.clone
    clone.git("remote", "add", "second", str(native.remote))
    clone.commit({"README": "1"})
    assert ours(native, native.push("origin", "feature/x", "HEAD:feature/y", GIT_PREFECT_SKIP="yes")) == [SKIPPED]


def _version(team: Team) -> dict[str, str]:
    return {"pyproject.toml": settings(team, "\n[project]\nversion = '2'\n")}


UNCHANGED = {
    "a text": {"README": "2"},
    "CI": {".github/workflows/ci.yaml": "on: pull_request\n", ".pre-commit-config.yaml": "repos: []\n"},
    "a test": {"tests/test_it.py": "import prefect\n"},
    "a module that no flow imports": {"other.py": "x = 2\n"},
}


@pytest.mark.parametrize("change", [*UNCHANGED, "another table of pyproject.toml"])
def test_a_push_that_changes_nothing_that_is_registered_prints_nothing(registered: Team, change: str) -> None:
    before = registered.clone.head()[:7]
    head = registered.clone.commit(UNCHANGED.get(change) or _version(registered))
    assert registered.push("origin", "feature/x") == f"To {registered.remote}\n   {before}..{head[:7]}  feature/x -> feature/x"
    registered.settled()
    assert (registered.log()[-1]["result"], registered.log()[-1]["commit"]) == ("registered", head)


PROMISE = "origin/feature/x: 2 flows → project P-feature--x, once origin has @."
REGISTERING = "origin/feature/x at @: registering"
UNCHANGED_FLOWS = "  unchanged: etl, more → P-feature--x: the branch's HEAD is what runs"
CHANGED = {
    "a flow": ({"flows/etl.py": flow_file() + "# changed\n"}, [PROMISE, REGISTERING, UNCHANGED_FLOWS]),
    "a flow's structure": (
        {"flows/etl.py": flow_file() + "    extract()\n"},
        [
            PROMISE, REGISTERING, "  registered: etl → P-feature--x, version 2", "    task added: extract-2",
            "  unchanged: more → P-feature--x, version 1: the branch's HEAD is what runs",
        ],
    ),
    "a file that a flow may read": ({"config/etl.yaml": "x: 2\n"}, [PROMISE, REGISTERING, UNCHANGED_FLOWS]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGED)
def test_what_changes_something_is_reported_once(registered: Team, change: str) -> None:
    files, expected = CHANGED[change]
    registered.clone.commit(files)
    assert push(registered) == expected


def test_a_module_a_setting_and_a_removed_flow_are_changes(registered: Team) -> None:
    registered.clone.commit({"shared.py": "x = 2\n"})
    assert push(registered)[:2] == [
        PROMISE, "  shared.py: 1 flow in flows/more.py imports it from the clone: runs use the new code from the next run on",
    ]  # fmt: skip
    registered.clone.commit({"pyproject.toml": settings(registered, "\n[[tool.git-prefect.runtime]]\nflows = ['**']\nrun-config = {type = 'LocalRun'}\n")})
    assert push(registered)[0] == PROMISE
    registered.clone.git("rm", "--quiet", "flows/more.py")
    registered.clone.git("commit", "--quiet", "-m", "less")
    assert push(registered)[0] == PROMISE.replace("2 flows", "1 flow")


def test_of_a_push_that_changes_nothing_existing_errors_are_reported(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file(), "flows/broken.py": BROKEN})
    native.push("origin", "feature/x", SKIP="prefect-validate")
    native.settled()
    line = (
        "origin/feature/x: not from this push: 1 error in flows/broken.py; these flows are not registered. "
        "See them with: git prefect validate"
    )
    for text in "12":
        native.clone.commit({"README": text})
        assert push(native) == [line]
    native.clone.commit({"README": "3"})
    assert push(native, "-q", "origin", "feature/x") == [line]


def test_the_first_push_to_another_api_is_no_push_that_changes_nothing(registered: Team, tmp_path: Path) -> None:
    registered.clone.commit({"README": "2"})
    assert push(registered, PREFECT__HOME_DIR=str(tmp_path / "elsewhere"))[0] == "origin/feature/x: 2 flows → project P-feature--x, once origin has @."


def test_a_quiet_push_prints_nothing_and_registers(native: Team) -> None:
    clone = native.clone
    clone.git("config", "alias.p", "push --quiet")
    clone.git("config", "alias.silently", "!git push -uq")
    pushes = (["push", "--quiet"], ["push", "-fq"], ["p"], ["silently"])
    for number, arguments in enumerate(pushes):
        head = clone.commit({"flows/etl.py": flow_file() + "    extract()\n" * number})
        assert clone.git(*arguments, "origin", "feature/x") == ""
        native.settled()
        assert native.log()[-1]["commit"] == head
    assert [flow["version"] for flow in native.log()[-1]["flows"]] == [4]  # type: ignore[attr-defined]
    # A branch without a target, a tag that is older than another one, and flows elsewhere are nothing wrong.
    clone.git("tag", "v1")
    clone.git("tag", "v2")
    clone.commit({"flows/docker.py": "from prefect.storage import Docker\n" + flow_file("docker") + "\nflow.storage = Docker(image_name='x')\n"})
    assert clone.git("push", "--quiet", "origin", "v1", "v2", "HEAD:elsewhere", "feature/x") == ""
    native.settled()
    assert clone.git("push", "--quiet", "origin", "--delete", "elsewhere") == ""
    # Of --quiet and --verbose git takes the last.
    clone.commit({"flows/etl.py": flow_file()})
    assert "  registered: etl → " in clone.git("push", "--quiet", "--verbose", "origin", "feature/x")


def test_a_quiet_push_prints_what_is_wrong(native: Team) -> None:
    clone, quiet = native.clone, ("--quiet", "origin", "feature/x")
    clone.commit({"flows/broken.py": BROKEN})
    refused = ours(native, native.push(*quiet, check=False))
    assert refused[0].endswith("[does-not-load]")
    assert refused[-1].startswith("push refused: 1 error in what this push changes or breaks")
    clone.commit({"flows/broken.py": flow_file("broken")})
    down = ours(native, native.push(*quiet, PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9"))
    assert [re.sub(":9 .*", ":9 …", line) for line in down] == [
        "origin/feature/x at @: registering",
        "  not registered yet: the Prefect API at http://127.0.0.1:9 …",
        "  hint: it is tried again; now: git prefect register --pending",
    ]
    until(lambda: not watchers(native))
    clone.commit({"README": "1"})
    clone.git("branch", "feature/y")
    assert push(native, "--quiet", "origin", "feature/y")[0].startswith("not registered yet: origin/feature/x at @: ")
    # Flows that stay behind fail from now on.
    clone.git("rm", "--quiet", "flows/broken.py")
    clone.git("commit", "--quiet", "-m", "less")
    assert push(native, *quiet)[:2] == [
        "origin/feature/x: no flow of its own; project P-feature--x is compared, once origin has @.",
        "  flows/broken.py: flow 'broken' is removed; what Prefect has of it stays active, and each run fails. Archive with git prefect prune",
    ]  # fmt: skip
    deleted = push(native, "--quiet", "origin", "--delete", "feature/y")
    assert deleted == ["origin/feature/y: deleted; broken → P-feature--y: active in Prefect still, and each run fails. Archive with git prefect prune"]


def test_a_deletion_is_reported_where_flows_may_stay(native: Team) -> None:
    clone = native.clone

    def delete(branch: str) -> list[str]:
        return [line for line in push(native, "origin", "--delete", branch) if "[deleted]" not in line]

    clone.commit({"flows/etl.py": flow_file()})
    clone.git("push", "--quiet", "--no-verify", "origin", "HEAD:refs/heads/elsewhere", "HEAD:refs/heads/feature/theirs")
    assert delete("elsewhere") == [], "no target takes it"
    assert delete("feature/theirs") == [
        "origin/feature/theirs: deleted; flows registered from it cannot be loaded any more"
    ]
    assert push(native, "origin", "main:refs/heads/feature/none") == []
    assert native.log()[-1]["result"] == "nothing to register"
    assert delete("feature/none") == [], "this clone has registered none from it"


def test_a_quiet_push_through_pre_commit(team: Team) -> None:
    """What pre-commit itself prints it prints all the same."""
    team.clone.commit({"flows/etl.py": flow_file()})
    assert push(team, "--quiet", "origin", "feature/x") == []
    assert [line["result"] for line in team.log()] == ["registered"]
    # What pre-commit does not show is told by the next push that is announced.
    team.clone.commit({"README": "1"})
    assert push(team) == []
    team.clone.commit({"flows/etl.py": flow_file() + "    extract()\n"})
    announced = push(team)
    assert announced[0].startswith("origin/feature/x: 1 flow → project P-feature--x")
    assert announced[1].startswith("not shown by pre-commit: a push of a tag alone")
    assert push(team, "--quiet", "origin", "HEAD:feature/x") == []
