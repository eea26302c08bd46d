"""docs/ci.md: the commands of its snippets, run with that CI's variables in a clone as that CI makes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..repository import Clone
from .conftest import PROJECT, Team, adopt, flow_file
from .test_push_shapes import held

PAGE = (PROJECT / "docs" / "ci.md").read_text()
INSTALL = "pip install git-prefect -r requirements.txt"
"""The one command that is not run here: git-prefect is on PATH."""


def snippet(heading: str) -> str:
    """The first code block below a heading."""
    return PAGE[PAGE.index(f"\n## {heading}\n") :].split("```")[1].partition("\n")[2]


def commands_of(job: list[str]) -> str:
    return "\n".join(command for command in job if command != INSTALL)


def gitlab(job: str) -> str:
    """The script of a job of .gitlab-ci.yml."""
    document = yaml.safe_load(snippet("GitLab CI"))
    assert document[".prefect"]["before_script"] == [INSTALL]
    assert document[job]["extends"] == ".prefect"
    return commands_of(document[job]["script"])


def github(job: str) -> str:
    """The commands of a job of the workflow."""
    steps = yaml.safe_load(snippet("GitHub Actions"))["jobs"][job]["steps"]
    return commands_of([step["run"] for step in steps if "run" in step])


def jenkins(stage: str) -> str:
    """The commands of a stage of the Jenkinsfile."""
    stages = snippet("Jenkins").split("stage('")
    (wanted,) = (one for one in stages if one.startswith(f"{stage}')"))
    return commands_of(re.findall(r"\bsh '(.*)'", wanted))


class Job:
    """A job of a CI: a clone as it makes it, its variables, and a shell."""

    def __init__(self, team: Team, folder: Path, variables: dict[str, str], *checkout: str) -> None:
        self.clone = Clone(folder)
        self.variables = {"CI": "true", **variables}
        subprocess.run(["git", "init", "--quiet", "--initial-branch=ci", str(folder)], check=True)
        self.clone.git("remote", "add", "origin", f"file://{team.remote}")
        for command in checkout:
            self.clone.git(*command.split())

    def run(self, commands: str, check: bool = True) -> str:
        """What a shell of the job prints; a command that fails ends it, as in every CI."""
        assert commands
        result = subprocess.run(
            ["sh", "-ec", commands], cwd=self.clone.path, env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert (result.returncode == 0) == check, result.stdout
        return result.stdout


@pytest.fixture
def merged(work: Clone, remote: Path, shell: None) -> Team:
    """A team whose host has merged a flow into main, in its web page: no clone has pushed that. A tag was made there, too."""
    team = adopt(work, remote, {})
    settings = (work.path / "pyproject.toml").read_text()
    main = f'[[tool.git-prefect.target]]\nbranch = "main"\nproject = "{team.project}-main"\ncreate-project = true\n'
    work.commit({"pyproject.toml": settings + main, "flows/etl.py": flow_file()})
    work.git("push", "--quiet", "--no-verify", "origin", "feature/x", "feature/x:main", "feature/x:refs/tags/v1.0")
    return team


def gitlab_job(team: Team, folder: Path, ref: str, **variables: str) -> Job:
    """As GitLab's runner: 20 commits, no tags but its own, a detached HEAD."""
    head = team.clone.head()
    return Job(
        team, folder, {"GITLAB_CI": "true", "CI_COMMIT_SHA": head, "CI_DEFAULT_BRANCH": "main", **variables},
        f"fetch --quiet --depth 20 --no-tags origin +{head}:refs/pipelines/7 {ref}", f"checkout --quiet --detach {head}",
    )  # fmt: skip


def github_job(team: Team, folder: Path, ref: str, checkout: str, **variables: str) -> Job:
    """As actions/checkout: one commit."""
    return Job(
        team, folder, {"GITHUB_ACTIONS": "true", "GITHUB_SHA": team.clone.head(), **variables},
        f"fetch --quiet --no-tags --prune --depth=1 origin +{team.clone.head()}:{ref}", f"checkout --quiet --force {checkout}",
    )  # fmt: skip


def jenkins_job(team: Team, folder: Path, **variables: str) -> Job:
    """As Jenkins' git plugin: all branches, a detached HEAD."""
    return Job(
        team, folder, {"BUILD_TAG": "jenkins-etl-7", "BUILD_NUMBER": "7", "JOB_NAME": "etl", **variables},
        "fetch --quiet --force --no-tags origin +refs/heads/*:refs/remotes/origin/*",
        f"checkout --quiet --force {team.clone.head()}",
    )  # fmt: skip


MAIN = ["etl 1 main main"]
RELEASE = ["etl 1 production v1.0"]


def test_gitlab_registers_what_was_merged_in_the_web_page(merged: Team, api: str, tmp_path: Path) -> None:
    job = gitlab_job(
        merged, tmp_path / "job", "+refs/heads/main:refs/remotes/origin/main",
        CI_COMMIT_BRANCH="main", CI_COMMIT_REF_NAME="main",
    )  # fmt: skip
    told = job.run(gitlab("register flows"))
    assert f"origin/main at {merged.clone.head()[:7]} (from CI_COMMIT_BRANCH), settings: pyproject.toml" in told
    assert held(merged, api) == MAIN
    assert "0 registered, 1 unchanged" in job.run(gitlab("register flows"))
    assert held(merged, api) == MAIN


def test_gitlab_registers_a_release(merged: Team, api: str, tmp_path: Path) -> None:
    job = gitlab_job(
        merged, tmp_path / "job", "+refs/tags/v1.0:refs/tags/v1.0", CI_COMMIT_TAG="v1.0", CI_COMMIT_REF_NAME="v1.0"
    )
    assert "tag v1.0 on origin at " in job.run(gitlab("register flows"))
    assert held(merged, api) == RELEASE


def older_error(team: Team) -> str:
    """Break a flow file of `main`, and go on from there; the commit that requests build on."""
    team.clone.commit({"flows/old.py": "1 / 0\n" + flow_file("old")})
    team.clone.git("push", "--quiet", "--no-verify", "origin", "HEAD:main")
    return team.clone.head()


def test_gitlab_shows_what_is_wrong_in_a_merge_request(merged: Team, api: str, tmp_path: Path) -> None:
    base = older_error(merged)
    merged.clone.commit({"flows/bad.py": "from prefect import Flow\nflow = Flow('bad')\nflow.nothing()\n"})
    merged.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x", "feature/x:refs/merge-requests/3/head")
    job = gitlab_job(
        merged, tmp_path / "job", "+refs/merge-requests/3/head:refs/remotes/origin/merge-requests/3",
        CI_PIPELINE_SOURCE="merge_request_event", CI_MERGE_REQUEST_SOURCE_BRANCH_NAME="feature/x",
        CI_MERGE_REQUEST_DIFF_BASE_SHA=base,
    )  # fmt: skip
    job.run(gitlab("validate flows"), check=False)
    findings: list[dict[str, Any]] = json.loads((job.clone.path / "flows.json").read_text())
    assert [(one["check_name"], one["location"]["path"]) for one in findings] == [("does-not-load", "flows/bad.py")]
    assert held(merged, api) == []


def test_github_registers_what_was_merged_in_the_web_page(merged: Team, api: str, tmp_path: Path) -> None:
    job = github_job(
        merged, tmp_path / "job", "refs/remotes/origin/main", "-B main refs/remotes/origin/main",
        GITHUB_REF="refs/heads/main", GITHUB_REF_NAME="main", GITHUB_REF_TYPE="branch", GITHUB_EVENT_NAME="push",
    )  # fmt: skip
    job.run(github("validate"))
    assert f"origin/main at {merged.clone.head()[:7]} (from active branch)" in job.run(github("register"))
    assert held(merged, api) == MAIN


def test_github_registers_a_release(merged: Team, api: str, tmp_path: Path) -> None:
    job = github_job(
        merged, tmp_path / "job", "refs/tags/v1.0", "refs/tags/v1.0",
        GITHUB_REF="refs/tags/v1.0", GITHUB_REF_NAME="v1.0", GITHUB_REF_TYPE="tag", GITHUB_EVENT_NAME="push",
    )  # fmt: skip
    assert "tag v1.0 on origin at " in job.run(github("register"))
    assert held(merged, api) == RELEASE


def pull_request_job(team: Team, folder: Path) -> Job:
    """As actions/checkout with `fetch-depth: 0` in a pull request into main."""
    job = github_job(
        team, folder, "refs/remotes/pull/3/merge", "refs/remotes/pull/3/merge",
        GITHUB_REF="refs/pull/3/merge", GITHUB_REF_NAME="3/merge", GITHUB_HEAD_REF="feature/x", GITHUB_BASE_REF="main",
        GITHUB_EVENT_NAME="pull_request",
    )  # fmt: skip
    job.clone.git("fetch", "--quiet", "--unshallow", "origin", "+refs/heads/*:refs/remotes/origin/*")
    return job


def test_github_shows_what_is_wrong_in_a_pull_request(merged: Team, tmp_path: Path) -> None:
    older_error(merged)
    merged.clone.commit({"flows/good.py": flow_file("good")})
    merged.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x:refs/pull/3/merge")
    told = pull_request_job(merged, tmp_path / "good").run(github("validate"))
    assert "::error" not in told and "1 error in flows/old.py" in told
    merged.clone.commit({"flows/bad.py": "from prefect import Flow\nflow = Flow('bad')\nflow.nothing()\n"})
    merged.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x:refs/pull/3/merge")
    told = pull_request_job(merged, tmp_path / "bad").run(github("validate"), check=False)
    assert "::error file=flows/bad.py,line=3" in told


@pytest.mark.parametrize("branch", ["origin/main", "main"])
def test_jenkins_registers_what_was_merged_in_the_web_page(
    merged: Team, api: str, tmp_path: Path, branch: str
) -> None:
    job = jenkins_job(merged, tmp_path / "job", GIT_BRANCH=branch, BRANCH_NAME="main")
    job.run(jenkins("validate flows"))
    told = job.run(jenkins("register flows"))
    assert f"origin/main at {merged.clone.head()[:7]} (from GIT_BRANCH; BUILD_TAG is Jenkins' own and names no tag)" in told
    assert held(merged, api) == MAIN


def test_jenkins_registers_a_release(merged: Team, api: str, tmp_path: Path) -> None:
    job = jenkins_job(merged, tmp_path / "job", GIT_BRANCH="v1.0", BRANCH_NAME="v1.0", TAG_NAME="v1.0")
    assert "tag v1.0 on origin at " in job.run(jenkins("register a release"))
    assert held(merged, api) == RELEASE


def test_a_late_job_registers_what_the_branch_is_by_now(merged: Team, api: str, tmp_path: Path) -> None:
    job = github_job(
        merged, tmp_path / "job", "refs/remotes/origin/main", "-B main refs/remotes/origin/main",
        GITHUB_REF="refs/heads/main", GITHUB_REF_NAME="main", GITHUB_REF_TYPE="branch",
    )  # fmt: skip
    newer = merged.clone.commit({"flows/etl.py": flow_file("renamed")})
    merged.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x:main")
    assert f"origin/main at {newer[:7]} (from active branch)" in job.run(github("register"))
    assert held(merged, api) == ["renamed 1 main main"]


@pytest.mark.parametrize("whole", [True, False])
def test_another_branch_needs_the_whole_history(merged: Team, api: str, tmp_path: Path, whole: bool) -> None:
    merged.clone.commit({"flows/more.py": flow_file("more")})
    merged.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x")
    job = github_job(
        merged, tmp_path / "job", "refs/remotes/origin/feature/x", "-B feature/x refs/remotes/origin/feature/x",
        GITHUB_REF="refs/heads/feature/x", GITHUB_REF_NAME="feature/x", GITHUB_REF_TYPE="branch",
    )  # fmt: skip
    if whole:
        job.clone.git("fetch", "--quiet", "--unshallow", "origin", "+refs/heads/*:refs/remotes/origin/*")
    job.run(snippet("Other branches") if whole else "git prefect register")
    both = ["etl 1 feature--x feature/x", "more 1 feature--x feature/x"]
    assert held(merged, api) == (both[1:] if whole else both)


def test_every_command_of_the_page_is_run_or_known() -> None:
    told = set(re.findall(r"git prefect [a-z-]+(?: --?[\w-]+)*", PAGE))
    assert told == {
        "git prefect validate", "git prefect validate --since", "git prefect register", "git prefect register --ref",
    }  # fmt: skip
