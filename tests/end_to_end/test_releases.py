"""Releases by annotated tags: the lightweight tag beside each, from the push to the run by a real agent."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from git_prefect.deploy import pending

from .conftest import Team, flow_file, running_agent, until
from .test_push_shapes import held, live, logged, ours


def with_companions(team: Team) -> Team:
    settings = (team.clone.path / "pyproject.toml").read_text()
    settings = settings.replace("[tool.git-prefect]\n", '[tool.git-prefect]\ncompanion-tag = "flows/{tag}"\n')
    team.clone.commit({"pyproject.toml": settings, "flows/etl.py": flow_file()})
    return team


@pytest.fixture
def releasing(native: Team) -> Team:
    """A team on `feature/x` that has companions set, with a flow that is committed and not pushed."""
    return with_companions(native)


def tags(team: Team) -> dict[str, str]:
    """What the remote's tags point at."""
    lines = team.clone.git("ls-remote", "--tags", "origin").splitlines()
    return {ref[len("refs/tags/") :]: name for name, ref in (line.split("\t") for line in lines)}


def test_an_agent_runs_the_release_of_an_annotated_tag(releasing: Team, api: str) -> None:
    head = releasing.clone.head()
    releasing.clone.git("tag", "-a", "v1.0", "-m", "one")
    local = releasing.clone.git("for-each-ref")
    printed = releasing.push("origin", "v1.0")
    assert ours(releasing, printed) == [
        "tag v1.0 on origin: 1 flow → project P-production, once origin has @. What became of it: git prefect status",
        "  it is annotated: the lightweight tag flows/v1.0 is pushed beside it, for agents",
    ]
    releasing.settled()
    assert logged(releasing) == ["v1.0 registered"]
    assert held(releasing, api) == ["etl 1 production flows/v1.0"]
    found = tags(releasing)
    assert (found["flows/v1.0"], found["v1.0^{}"]) == (head, head)
    assert found["v1.0"] == releasing.clone.git("rev-parse", "v1.0") != head
    assert releasing.clone.git("for-each-ref") == local
    # The branch moves on; the release is pinned.
    releasing.clone.commit({"flows/etl.py": flow_file().replace("[1, 2, 3]", "[4]")})
    releasing.push("origin", "feature/x")
    with running_agent(releasing):
        run = subprocess.run(
            ["prefect", "run", "--name", "etl", "--project", f"{releasing.project}-production", "--watch"],
            cwd=releasing.clone.path.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "loaded [1, 2, 3]" in run.stdout
    assert "Flow run succeeded!" in run.stdout


def test_a_newer_release_counts_an_older_one_does_not_and_a_moved_one_is_followed(releasing: Team, api: str) -> None:
    releasing.clone.git("tag", "-a", "v1.9", "-m", "one")
    releasing.push("origin", "v1.9")
    releasing.settled()
    old = releasing.clone.head()
    head = releasing.clone.commit({"flows/etl.py": flow_file() + "    extract()\n"})
    releasing.clone.git("tag", "-a", "v1.10", "-m", "two")
    printed = releasing.push("origin", "feature/x", "v1.10")
    assert ours(releasing, printed) == [
        live("feature/x")[0],
        live("v1.10", tag=True)[0],
        "  it is annotated: the lightweight tag flows/v1.10 is pushed beside it, for agents",
        *live("v1.10", tag=True, version=2)[1:],
        *live("feature/x")[1:],
    ]
    releasing.clone.git("tag", "-a", "v1.2", "-m", "old", old)
    releasing.push("origin", "v1.2")
    releasing.settled()
    assert held(releasing, api) == ["etl 1 feature--x feature/x", "etl 2 production flows/v1.10"]
    assert logged(releasing)[-1].startswith("v1.9 registered")
    assert any(line.startswith("v1.2 refused: the newer tag 'flows/v1.10'") for line in logged(releasing))
    moved = releasing.clone.commit({"flows/etl.py": flow_file()})
    releasing.clone.git("tag", "--force", "-a", "v1.10", "-m", "again")
    releasing.push("--force", "origin", "v1.10")
    releasing.settled()
    assert held(releasing, api)[-1] == "etl 3 production flows/v1.10"
    assert tags(releasing)["flows/v1.10"] == moved != head


def test_a_companion_that_the_remote_refuses_keeps_the_release_waiting(releasing: Team, api: str) -> None:
    hook = releasing.remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\ncase $1 in refs/tags/flows/*) echo protected >&2; exit 1;; esac\n")
    hook.chmod(0o755)
    releasing.clone.git("tag", "-a", "v1.0", "-m", "one")
    releasing.push("origin", "v1.0")
    until(lambda: [entry.error for entry in pending.entries(releasing.clone.repository)] != [""])
    (entry,) = pending.entries(releasing.clone.repository)
    assert entry.error.startswith("origin: the lightweight tag flows/v1.0 could not be pushed beside v1.0 (")
    assert entry.error.endswith("; push it by hand: git push origin 'v1.0^{}:refs/tags/flows/v1.0'")
    assert held(releasing, api) == []
    hook.unlink()
    releasing.clone.git("push", "--no-verify", "origin", "v1.0^{}:refs/tags/flows/v1.0")
    releasing.prefect("register", "--pending")
    assert held(releasing, api) == ["etl 1 production flows/v1.0"]


def test_by_hand_and_in_ci(releasing: Team, api: str) -> None:
    head = releasing.clone.head()
    releasing.clone.git("tag", "-a", "v1.0", "-m", "one")
    releasing.push("--no-verify", "origin", "v1.0")
    told = releasing.prefect("check-pushed", "--ref", "v1.0", check=False)
    assert "tag v1.0 on origin is an annotated tag: every run would fail" in told
    releasing.prefect("register", "--ref", "v1.0", "--dry-run")
    assert "flows/v1.0" not in tags(releasing)
    releasing.prefect("register", BUILD_TAG="v1.0", CI="true")
    assert tags(releasing)["flows/v1.0"] == head
    assert held(releasing, api) == ["etl 1 production flows/v1.0"]
    assert releasing.prefect("check-pushed", "--ref", "v1.0") == (
        f"tag v1.0 on origin is at {head[:7]}, as here: agents run this code"
    )


def test_with_pre_commit_and_its_one_ref(team: Team, api: str) -> None:
    with_companions(team)
    team.clone.git("tag", "-a", "v1.0", "-m", "one")
    printed = team.push("origin", "v1.0")
    assert "  it is annotated: the lightweight tag flows/v1.0 is pushed beside it, for agents" in printed
    team.settled()
    assert held(team, api) == ["etl 1 production flows/v1.0"]


def test_what_is_registered_by_a_companion_has_not_drifted(releasing: Team) -> None:
    releasing.clone.git("tag", "-a", "v1.0", "-m", "one")
    releasing.push("origin", "feature/x", "v1.0")
    releasing.settled()
    told = releasing.prefect("status")
    assert "flows/v1.0" in told
    assert "no target" not in told
    assert "drift" not in told


def test_a_git_storage_in_the_code_is_reported_and_replaced(native: Team, api: str) -> None:
    """Whatever path, repository or commit it names: runs use what the push registers."""
    declared = {
        "slash": 'flow_path="/flows/slash.py"', "case": 'flow_path="flows/Case.py"', "other": 'flow_path="flows/etl.py"',
        "pinned": 'flow_path="flows/pinned.py", commit="1234567"', "elsewhere": 'flow_path="flows/elsewhere.py"',
    }  # fmt: skip
    native.clone.commit({
        f"flows/{name}.py": flow_file(name).replace("import prefect\n", "import prefect\nfrom prefect.storage import Git\n")
        + f'flow.storage = Git(repo="a/b", branch_name=None, {arguments})\n'
        for name, arguments in declared.items()
    } | {"flows/bucket.py": "from prefect.storage import S3\n" + flow_file("bucket") + 'flow.storage = S3(bucket="b")\n'})  # fmt: skip
    printed = native.push("origin", "feature/x")
    native.settled()
    for path, code in (("slash", "wrong-flow-path"), ("case", "wrong-flow-path"), ("other", "wrong-flow-path"), ("pinned", "commit-pin")):
        assert re.search(rf"^  flows/{path}\.py: warning: flow '{path}': .* \[{code}\]$", printed, re.MULTILINE), printed
    (of_all,) = re.findall(r"^  warning: 5 flows in 5 files: flow '…': its storage is github.com/a/b, .* \[wrong-repository\]", printed, re.MULTILINE)
    assert of_all
    assert "left out: bucket (flows/bucket.py) has a storage of its own" in printed
    assert held(native, api) == [f"{name} 1 feature--x feature/x" for name in sorted(declared)]
    native.prefect("validate")
    # Only the warnings of what a push changes are shown again, and nothing has drifted.
    native.clone.commit({"flows/other.py": flow_file("other")})
    assert "wrong-" not in native.push("origin", "feature/x")
    native.settled()
    assert "flow-path" not in native.prefect("status")


def test_the_remedy_for_an_annotated_tag_where_tags_are_signed(native: Team, api: str, tmp_path: Path) -> None:
    """The commands that a refused push, and `explain`, print make a lightweight tag whatever `tag.gpgSign` says."""
    signer = tmp_path / "gpg"
    signer.write_text('#!/bin/sh\ncat > /dev/null\nprintf "\\n[GNUPG:] SIG_CREATED " >&2\necho signature\n')
    signer.chmod(0o755)
    native.clone.git("config", "gpg.program", str(signer))
    native.clone.git("config", "tag.gpgSign", "true")
    head = native.clone.commit({"flows/etl.py": flow_file()})
    native.clone.git("tag", "-m", "one", "v1.0")
    assert native.clone.git("cat-file", "-t", "v1.0") == "tag"
    printed = native.push("origin", "v1.0", check=False)
    (command,) = re.findall(r"make it a lightweight tag: (.*?);", printed)
    subprocess.run(command, shell=True, cwd=native.clone.path, check=True, capture_output=True)
    native.settled()
    assert tags(native) == {"v1.0": head}
    assert held(native, api) == ["etl 1 production v1.0"]
    explained = re.findall(r"`(git tag [^`]*)`", " ".join(native.prefect("explain", "annotated-tag").split()))
    assert explained[-1] == "git tag --no-sign -f NAME 'NAME^{}'"
    native.clone.git("tag", "-f", "-m", "two", "NAME")
    subprocess.run(explained[-1], shell=True, cwd=native.clone.path, check=True, capture_output=True)
    assert native.clone.git("cat-file", "-t", "NAME") == "commit"
