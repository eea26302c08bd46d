"""The first push after `git prefect init`: other hooks stay where they run, forgotten flow files are named, releases register."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import prefect
import pytest

from git_prefect.commands.init import HOME

from ..repository import Clone
from .conftest import SETTINGS, Team, Tools, flow_file
from .test_push_shapes import held

OTHERS = """\
repos:
  - repo: local
    hooks:
      - {{id: no-commit-to-branch, name: no commit to main, language: system, always_run: true, pass_filenames: false, entry: sh -c 'echo $PRE_COMMIT_REMOTE_NAME >>{log}'}}
      - {{id: tests, name: tests, language: system, always_run: true, pass_filenames: false, entry: 'true', stages: [pre-push]}}
"""


@pytest.fixture
def fresh(
    work: Clone, remote: Path, tools: Tools, world: Path, shell: None, monkeypatch: pytest.MonkeyPatch
) -> Team:
    """A clone without settings; what `init` names as git-prefect's repository is this project."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tools.pre_commit_home))
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    with open(world / ".gitconfig", "a") as file:
        file.write(f'[url "{tools.hook}"]\n    insteadOf = {HOME}\n')
    return Team(work, remote, remote.parent.name.replace("_", "-"))


def test_hooks_without_stages_do_not_begin_to_run_at_a_push(fresh: Team, tmp_path: Path) -> None:
    log = tmp_path / "log"
    config = OTHERS.format(log=log)
    fresh.clone.commit({".pre-commit-config.yaml": config, "flows/etl.py": flow_file()})
    printed = fresh.prefect("init", "--yes")
    assert "+default_stages: [pre-commit]\n" in printed
    assert "hooks without `stages` would run at each push, too: no-commit-to-branch; `default_stages` keeps" in printed
    steps = [line.strip() for line in printed.partition("next:\n")[2].splitlines()]
    install, push = steps[1], steps[-2]
    assert push == "git push"
    for command in (install, "git add --all", "git commit --quiet --no-verify -m adopt"):
        subprocess.run(shlex.split(command), cwd=fresh.clone.path, check=True, capture_output=True)
    printed = fresh.push()
    names = re.findall(r"^([a-z].*?)\.{3,}(\w+)$", printed, re.MULTILINE | re.IGNORECASE)
    assert names == [
        ("tests", "Passed"), ("validate Prefect flows", "Passed"), ("check what agents will run", "Passed"),
        ("queue Prefect registration", "Passed"),
    ]  # fmt: skip
    assert not log.exists()
    fresh.settled()
    # Without that line it does, so that the test tells something.
    kept = (fresh.clone.path / ".pre-commit-config.yaml").read_text()
    fresh.clone.commit({".pre-commit-config.yaml": kept.replace("default_stages: [pre-commit]\n", "")})
    fresh.push()
    assert log.read_text() == "origin\n"


def test_a_push_names_the_flow_files_that_it_lacks(native: Team, api: str) -> None:
    project = f"{native.project}-feature--x"
    native.clone.write({f"flows/{name}.py": flow_file(name) for name in ("one", "two words", "three")})
    native.clone.write({"flows/helpers.py": "x = 1\n", "tests/test_it.py": "import prefect\n"})
    settings = SETTINGS.format(project=native.project)
    head = native.clone.commit({"pyproject.toml": f"{settings}\n# changed\n"})[:7]
    named = (
        "no flow files in this commit; 3 in your work tree are untracked: flows/one.py, flows/three.py, flows/two words.py\n"
        "    hint: git add flows/one.py flows/three.py 'flows/two words.py' && git commit, then push again"
    )
    assert native.push("origin", "feature/x").startswith(
        f"origin/feature/x: no flow of its own; project {project} is compared, once origin has {head}.\n  {named}\n"
    )
    native.settled()
    # Neither a push that changes nothing that is registered nor one of another branch says it again.
    native.clone.commit({"README": "more"})
    assert "no flow files" not in native.push("origin", "feature/x")
    native.settled()
    native.clone.git("branch", "feature/old", "main")
    assert "no flow files" not in native.push("origin", "feature/old")
    native.settled()
    # What is in the index only is in no commit either.
    native.clone.git("add", "flows/one.py")
    native.clone.write({"pyproject.toml": settings.replace("[tool.git-prefect]", "[tool.git-prefect]\ntimeout = 20")})
    native.clone.git("commit", "--quiet", "-m", "settings", "--only", "--", "pyproject.toml")
    printed = native.push("origin", "feature/x")
    assert "no flow files in this commit; 3 in your work tree are not committed: flows/one.py, flows/three.py, " in printed
    native.settled()
    command = re.search(r"hint: (git add .*?) && git commit", printed)
    assert command
    subprocess.run(shlex.split(command[1]), cwd=native.clone.path, check=True)
    native.clone.git("commit", "--quiet", "-m", "flows")
    native.push("origin", "feature/x")
    native.settled()
    assert held(native, api) == [f"{name} 1 feature--x feature/x" for name in ("one", "three", "two words")]


def test_a_flow_file_that_only_the_work_tree_has_is_no_news_where_the_commit_has_others(native: Team) -> None:
    native.clone.write({"flows/more.py": flow_file("more")})
    native.clone.commit({"flows/etl.py": flow_file()})
    assert "work tree" not in native.push("origin", "feature/x")


def active_schedules(team: Team) -> dict[str, bool]:
    """Project → whether the schedule of its one flow is on."""
    rows = prefect.Client(api_server=os.environ["PREFECT__SERVER__ENDPOINT"]).graphql(
        f'query {{ flow(where: {{archived: {{_eq: false}}, project: {{name: {{_like: "{team.project}%"}}}}}}) '
        "{ project { name } is_schedule_active } }"
    ).to_dict()["data"]["flow"]  # fmt: skip
    return {row["project"]["name"].replace(team.project, "P"): row["is_schedule_active"] for row in rows}


@pytest.mark.parametrize("annotated", [False, True])
def test_releases_run_their_schedules_and_the_default_branch_does_not(fresh: Team, annotated: bool) -> None:
    scheduled = flow_file().replace(
        'with Flow("etl")', 'from prefect.schedules import CronSchedule\n\nwith Flow("etl", schedule=CronSchedule("0 3 * * *"))'
    )
    fresh.clone.commit({"flows/etl.py": scheduled + f"\nflow.register(project_name='{fresh.project}')\n"})
    kind = ["-a", "-m", "release"] if annotated else []
    fresh.clone.git("tag", *kind, "v1.0")
    fresh.clone.git("push", "--quiet", "origin", "main", "v1.0")
    assert 'tag = "v*"\n' in fresh.prefect("init", "--yes")
    fresh.prefect("install")
    fresh.clone.git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", "begin")
    fresh.clone.write({"flows/etl.py": scheduled})
    fresh.clone.git("add", "--all")
    fresh.clone.git("commit", "--quiet", "--no-verify", "-m", "adopt")
    fresh.push()
    fresh.settled()
    assert active_schedules(fresh) == {"P-main": False}
    fresh.clone.git("tag", *kind, "v1.1")
    fresh.push("origin", "v1.1")
    fresh.settled()
    assert active_schedules(fresh) == {"P": True, "P-main": False}
