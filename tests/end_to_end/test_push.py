"""Whole pushes: real git, real pre-commit, this project installed as its hook, the real client against an API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from git_prefect.deploy import pending

from ..repository import Clone, clone
from .conftest import CONFIG, Team, Tools, flow_file, until

STATUS = "git prefect status"


def headings(*states: str) -> str:
    names = ("validate Prefect flows", "check what agents will run", "queue Prefect registration")
    return "\n".join(name + state.rjust(79 - len(name), ".") for name, state in zip(names, states))


def queued(line: str) -> str:
    return f"{headings('Passed', 'Passed', 'Passed')}\n- hook id: prefect-register\n\n{line}"


def registered(action: str, version: int, name: str = "etl", **more: object) -> dict[str, object]:
    return {"flow": name, "path": f"flows/{name}.py", "action": action, "version": version, **more}


def outcomes(team: Team) -> list[dict[str, object]]:
    """The log without what changes from run to run: pages, storages and the project's prefix."""
    lines = team.log()
    for line in lines:
        for flow in line.get("flows", []):  # type: ignore[attr-defined]
            assert flow.pop("project").startswith(team.project)
            flow.pop("url", None)
            flow.pop("storage", None)
    return lines


def test_a_push_is_registered_once_it_has_arrived(team: Team, remote: Path) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("-u", "origin", "feature/x")
    assert printed == queued(
        f"origin/feature/x: 1 flow → project {team.project}-feature--x, once origin has {head[:7]}. "
        f"What became of it: {STATUS}\n"
        "not shown by pre-commit: a push of a tag alone, and a new branch without new commits; they are not registered by "
        "the push\n  hint: so that every ref of a push is seen: git prefect install\n\n"
        f"To {remote}\n"
        " * [new branch]      feature/x -> feature/x\n"
        "branch 'feature/x' set up to track 'origin/feature/x'."
    )
    team.settled()
    (line,) = team.log()
    (flow,) = line["flows"]  # type: ignore[misc]
    group = flow["url"].rsplit("/", 1)[1]
    assert line == {
        "result": "registered",
        "ref": "refs/heads/feature/x",
        "remote": "origin",
        "commit": head,
        "flows": [
            {
                "flow": "etl",
                "path": "flows/etl.py",
                "project": f"{team.project}-feature--x",
                "action": "created",
                "version": 1,
                "storage": f"localhost/{str(remote)[1:-4]} flows/etl.py@feature/x",
                "url": f"http://localhost:8080/default/flow/{group}",
            }
        ],
    }


def test_the_branch_follows_its_head_and_only_another_structure_is_registered(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x")
    team.settled()
    team.clone.commit({"flows/etl.py": flow_file().replace("[1, 2, 3]", "[4]")})
    team.push("origin", "feature/x")
    team.settled()
    last = team.clone.commit({"flows/etl.py": flow_file().replace("load(extract())", "load(extract())\n    extract()")})
    team.push("origin", "feature/x")
    team.settled()
    lines = outcomes(team)
    assert [line["flows"] for line in lines] == [
        [registered("created", 1)],
        [registered("unchanged", 1, reason="the branch's HEAD is what runs")],
        [registered("updated", 2, changes=["task added: extract-2"])],
    ]
    assert lines[-1]["commit"] == last


def test_the_agent_runs_the_pushed_flow_out_of_the_remote(team: Team, agent: None) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x")
    team.settled()
    run = subprocess.run(
        ["prefect", "run", "--name", "etl", "--project", f"{team.project}-feature--x", "--watch"],
        cwd=team.clone.path.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "loaded [1, 2, 3]" in run.stdout
    assert "Flow run succeeded!" in run.stdout


def test_what_is_not_in_the_pushed_commit_is_not_seen(team: Team) -> None:
    good = team.clone.commit({"flows/etl.py": flow_file()})
    team.clone.git("switch", "--quiet", "main")
    team.clone.write({"flows/untracked.py": "from prefect import Flow\nflow = Flow('u')\nnope\n"})
    team.clone.write({"flows/staged.py": "from prefect import Flow\nflow = Flow('s')\nnope\n"})
    team.clone.git("add", "flows/staged.py")
    team.push("origin", "feature/x")
    team.settled()
    (line,) = outcomes(team)
    assert (line["commit"], line["flows"]) == (good, [registered("created", 1)])


def test_a_broken_flow_refuses_the_push_and_hides_no_other(team: Team, remote: Path) -> None:
    team.clone.commit({
        "flows/etl.py": flow_file(),
        "flows/broken.py": "from prefect import Flow\nflow = Flow('broken')\nflow.nothing()\n",
        "flows/helper.py": "def connect(): ...\n",
        "flows/sibling.py": "from prefect import Flow\nfrom helper import connect\nflow = Flow('sibling')\n",
    })  # fmt: skip
    printed = team.push("origin", "feature/x", check=False)
    assert headings("Failed").splitlines()[0] in printed
    assert "flows/broken.py:3: " in printed
    assert "'Flow' object has no attribute 'nothing'" in printed
    assert "[does-not-load]" in printed
    assert "flows/sibling.py:2: " in printed
    assert "[import-not-on-agent]" in printed
    assert (
        "push refused: 2 errors in what this push changes or breaks; nothing was sent to origin. "
        "To push all the same: SKIP=prefect-validate git push"
    ) in printed
    assert "nothing is queued" not in printed, "it was told above"
    assert team.clone.git("ls-remote", "origin", "refs/heads/feature/x") == ""
    assert (team.log(), pending.entries(team.clone.repository)) == ([], [])


def test_old_errors_do_not_refuse_a_push_that_does_not_touch_them(team: Team) -> None:
    broken = "from prefect import Flow\nflow = Flow('old')\nflow.nothing()\n"
    team.clone.git("switch", "--quiet", "main")
    team.clone.commit({"flows/old.py": broken})
    team.push("--no-verify", "origin", "main")
    team.clone.git("switch", "--quiet", "feature/x")
    team.clone.git("merge", "--quiet", "main")
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x")
    team.settled()
    assert [line["flows"] for line in outcomes(team)] == [[registered("created", 1)]]
    team.clone.commit({"flows/old.py": broken + "# touched\n"})
    assert "push refused: 1 error in what this push changes or breaks" in team.push("origin", "feature/x", check=False)


def test_a_rejected_push_registers_nothing(team: Team, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    other.git("switch", "--quiet", "--create", "feature/x")
    theirs = other.commit({"theirs": "1"})
    other.git("push", "--quiet", "origin", "feature/x")
    ours = team.clone.commit({"flows/etl.py": flow_file()})
    assert "[rejected]" in team.push("origin", "feature/x", check=False)
    team.settled()
    assert team.log() == [
        {
            "result": "not arrived",
            "ref": "refs/heads/feature/x",
            "remote": "origin",
            "commit": ours,
            "reason": f"origin/feature/x is at {theirs[:7]}: the push was rejected, or overwritten since",
        }
    ]


def test_a_dry_run_registers_nothing(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    team.push("--dry-run", "origin", "feature/x")
    team.settled()
    assert team.log() == [
        {
            "result": "not arrived",
            "ref": "refs/heads/feature/x",
            "remote": "origin",
            "commit": head,
            "reason": "origin/feature/x does not exist: the push was a dry run, failed, or was undone",
        }
    ]


def test_an_api_that_is_down_loses_nothing(team: Team) -> None:
    down = {"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"}
    first = team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x", **down)
    until(lambda: [entry.error for entry in pending.entries(team.clone.repository)] not in ([], [""]))
    failure = (
        "the Prefect API at http://127.0.0.1:9 is out of reach: no connection; is it the right one? It is set by "
        "`prefect backend …` and PREFECT__SERVER__ENDPOINT"
    )
    assert re.sub(r"in \d+ s", "in 30 s", team.prefect("status", check=False, **down)) == (
        "error: the Prefect API at http://127.0.0.1:9 is out of reach: no connection [out-of-reach]\n"
        "  hint: is it the right one? It is set by `prefect backend …` and PREFECT__SERVER__ENDPOINT\n"
        f"origin/feature/x at {first[:7]}: not registered yet, tried 1 time, for the reason above\n"
        "  next retry: by a push or command in 30 s or later; by git prefect status as soon as the API is back\n"
        "  hint: try now with git prefect register --pending"
    )
    second = team.clone.commit({"README": "more\n"})
    printed = team.push("origin", "feature/x")
    assert (
        "- hook id: prefect-register\n\n"
        f"not registered yet: origin/feature/x at {first[:7]}: {failure}\n"
        "  hint: it is tried again with this push; now: git prefect register --pending\n"
        f"origin/feature/x: 1 flow → "
    ) in printed
    team.settled()
    assert [(line["result"], line["commit"]) for line in team.log()] == [
        ("registered", second),
        ("superseded", first),
    ]


def test_a_watcher_that_was_killed_is_made_up_for_by_the_next_command(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    # A remote's hook that waits keeps the push, and with it the watcher, alive until we have found it.
    gate = team.clone.path.parent / "gate"
    hook = team.remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nwhile ! [ -e {gate} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    with subprocess.Popen(
        ["git", "push", "--quiet", "origin", "feature/x"], cwd=team.clone.path, stdin=subprocess.DEVNULL
    ):
        until(lambda: watchers(team))
        for watcher in watchers(team):
            os.kill(watcher, signal.SIGKILL)
        assert "being pushed" in team.prefect("status")
        gate.touch()
    assert [entry.commit for entry in pending.entries(team.clone.repository)] == [head]
    assert f"origin/feature/x at {head[:7]}: registered 0 s ago" in team.prefect("status")
    assert [line["result"] for line in team.log()] == ["registered"]


def watchers(team: Team) -> list[int]:
    """The processes that settle this clone's pushes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if b"git_prefect.deploy.watcher" in arguments and os.fsencode(team.clone.path) in arguments:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_an_annotated_tag_is_refused_and_a_lightweight_one_is_registered_pinned(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    team.clone.git("tag", "-a", "v1.0", "-m", "release")
    printed = team.push("origin", "v1.0", check=False)
    assert (
        "tag v1.0 on origin is an annotated tag: every run would fail with 'Tag' object has no attribute 'tree' "
        "[annotated-tag]\n  hint: make it a lightweight tag: git tag --no-sign -f v1.0 'v1.0^{}' && git push --force origin v1.0"
    ) in printed
    team.clone.git("tag", "-f", "v1.0", "v1.0^{}")
    team.push("origin", "v1.0")
    team.settled()
    assert [(line["result"], line["ref"], line["commit"]) for line in team.log()] == [
        ("registered", "refs/tags/v1.0", head)
    ]
    printed = team.prefect("register", "--ref", "v1.0")
    assert printed == (
        f"tag v1.0 on origin at {head[:7]} (from --ref), settings: pyproject.toml\n"
        f"  unchanged: etl → {team.project}-production, version 1: pinned to this tag already\n"
        "0 registered, 1 unchanged"
    )


def test_ci_leaves_no_watcher(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("origin", "feature/x", CI="true")
    assert (
        f"once origin has {head[:7]}. CI is set, so nothing waits for that: git prefect register --ref feature/x"
    ) in printed
    assert watchers(team) == []
    assert len(pending.entries(team.clone.repository)) == 1
    assert "registered: etl" in team.prefect("register", CI="true") + team.prefect("status")


def test_by_hand(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    team.push("--no-verify", "origin", "feature/x")
    run = ("-c", "alias.pc=!pre-commit", "pc", "run")
    assert "validate Prefect flows" in team.clone.git(*run, "prefect-validate", "--all-files")
    rehearsal = team.clone.git(*run, "--hook-stage", "pre-push", "--all-files")
    assert (
        "nothing is being pushed, so nothing is queued; to register what the remote has: git prefect register"
        in rehearsal
    )
    assert (team.log(), pending.entries(team.clone.repository)) == ([], [])
    plan = team.prefect("register", "--dry-run")
    assert plan == (
        f"origin/feature/x at {head[:7]} (from active branch), settings: pyproject.toml\n"
        f"  create: etl → {team.project}-feature--x, version 1\n"
        f"would create project {team.project}-feature--x\n"
        "1 to create; nothing was changed"
    )
    manual = team.clone.git(*run, "--hook-stage", "manual", "prefect-register", "--all-files")
    assert f"registered: etl → {team.project}-feature--x, version 1" in manual
    assert "1 registered" in manual


def test_check_pushed_by_hand(team: Team) -> None:
    head = team.clone.commit({"flows/etl.py": flow_file()})
    assert team.prefect("check-pushed", check=False) == (
        "error: origin/feature/x does not exist: an agent that is told to run it fails with KeyError "
        "[not-on-remote]\n  hint: git push origin feature/x"
    )
    team.push("--no-verify", "--quiet", "origin", "feature/x")
    assert team.prefect("check-pushed") == f"origin/feature/x is at {head[:7]}, as here: agents run this code"
    team.clone.commit({"README": "1"})
    team.clone.write({"flows/etl.py": flow_file("other")})
    assert team.prefect("check-pushed", check=False) == (
        f"error: origin/feature/x is 1 commit behind: agents run {head[:7]}, not what is here "
        "[remote-differs]\n  hint: git push origin feature/x\n"
        "flows/etl.py: has changes that are in no commit: agents pull from the remote, these changes will not run "
        "[uncommitted-flow]\n  hint: git add flows/etl.py && git commit && git push"
    )


def test_pushing_all_the_same_registers_what_loads(team: Team) -> None:
    team.clone.commit(
        {
            "flows/etl.py": flow_file(),
            "flows/broken.py": "from prefect import Flow\nflow = Flow('broken')\nflow.nothing()\n",
        }
    )
    printed = team.push("origin", "feature/x", SKIP="prefect-validate")
    assert "  left out: flows/broken.py\n" in printed
    team.settled()
    (line,) = outcomes(team)
    assert (line["result"], line["flows"]) == ("registered", [registered("created", 1)])
    # It is told, and no failure: what is registered runs.
    status = team.prefect("status")
    assert "\n  left out: flows/broken.py:3: does not load: AttributeError" in status


def test_a_work_tree_that_is_gone_before_the_watcher_loses_nothing(team: Team, tmp_path: Path) -> None:
    linked = Clone(tmp_path / "linked")
    team.clone.git("worktree", "add", "--quiet", "-b", "feature/linked", str(linked.path))
    linked.commit({"flows/etl.py": flow_file()})
    gate, hook = tmp_path / "gate", team.remote / "hooks" / "post-receive"
    hook.write_text(f"#!/bin/sh\nwhile ! [ -e {gate} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    push = ["git", "push", "--quiet", "origin", "feature/linked"]
    with subprocess.Popen(push, cwd=linked.path, stdin=subprocess.DEVNULL):
        until(lambda: team.clone.git("ls-remote", str(team.remote), "refs/heads/feature/linked"))
        team.clone.git("worktree", "remove", "--force", str(linked.path))
        # As in the middle of the removal, in a folder of another repository.
        linked.path.mkdir()
        subprocess.run(["git", "init", "--quiet", str(linked.path)], check=True)
        gate.touch()
    team.settled()
    assert [line["flows"] for line in outcomes(team)] == [[registered("created", 1)]]


def test_a_repository_with_old_errors_adopts_it_on_its_first_day(team: Team) -> None:
    twice = "from prefect import Flow\nflow = Flow('twice')\nother = Flow('twice')\n"
    team.clone.git("switch", "--quiet", "main")
    team.clone.commit(
        {"flows/twice.py": twice, "flows/old.py": "from prefect import Flow\nimport helper\nflow = Flow('o')\n"}
    )
    team.push("--no-verify", "origin", "main")
    for content in ("first", "second"):
        team.clone.commit({"README": content})
        assert headings("Passed", "Passed", "Passed") in team.push("origin", "main")
    assert "[duplicate-name]" in team.prefect("validate", check=False)


def test_a_push_for_review_is_checked_and_never_registered(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("origin", "HEAD:refs/for/feature/x")
    assert queued(
        "refs/for/feature/x on origin: a review of feature/x, not registered; once it is merged: git prefect register --ref "
        "feature/x\nnot shown by pre-commit: "
    ) in printed
    team.clone.commit({"flows/etl.py": flow_file() + "\n1 / 0\n"})
    printed = team.push("origin", "HEAD:refs/for/feature/x", check=False)
    assert "push refused: 1 error in what this push changes or breaks; nothing was sent to origin" in printed
    assert (team.log(), pending.entries(team.clone.repository)) == ([], [])


@pytest.mark.parametrize(
    ("rule", "place", "pattern"),
    [
        ("        exclude: ^legacy/", "hook", "/legacy/"),
        ("        exclude: |\n          (?x)^(\n            legacy/.*|\n            other/.*\n          )$", "hook", "/legacy/my\\ etl.py"),
        ("        files: ^flows/", "hook", "/legacy/my\\ etl.py"),
        ("exclude: legacy", "top", "/legacy/my\\ etl.py"),
    ],
    ids=["a folder", "an expression", "files", "all hooks"],
)
def test_what_pre_commit_excludes_is_refused_with_our_setting(native: Team, rule: str, place: str, pattern: str) -> None:
    """pre-commit names no files in a push, so what its configuration leaves out is checked all the same."""
    config = CONFIG.format(repo="x", rev="y")
    config = config.replace("prefect-validate\n", f"prefect-validate\n{rule}\n") if place == "hook" else f"{rule}\n{config}"
    broken = flow_file("old") + "\n1 / 0\n"
    native.clone.commit({".pre-commit-config.yaml": config, "flows/etl.py": flow_file(), "legacy/my etl.py": broken})
    printed = native.push("origin", "feature/x", check=False)
    setting = f"exclude = [{json.dumps(pattern)}]"
    assert (
        "\n.pre-commit-config.yaml leaves out legacy/my etl.py, which counts in commits only: in a push every flow file is checked\n"
        f"  hint: leave out in the settings what is no flow file: {setting}\n"
        "push refused: 1 error in what this push changes or breaks; "
    ) in printed
    settings = (native.clone.path / "pyproject.toml").read_text()
    native.clone.commit({"pyproject.toml": settings.replace("[tool.git-prefect]\n", f"[tool.git-prefect]\n{setting}\n")})
    assert "registered: etl → " in native.push("origin", "feature/x")


def test_a_refusal_of_what_pre_commit_does_not_exclude_has_no_word_of_it(native: Team) -> None:
    config = CONFIG.format(repo="x", rev="y").replace("prefect-validate\n", "prefect-validate\n        exclude: ^legacy/\n")
    native.clone.commit({".pre-commit-config.yaml": config, "flows/etl.py": flow_file() + "\n1 / 0\n"})
    assert ".pre-commit-config.yaml" not in native.push("origin", "feature/x", check=False)
    for broken in ("exclude: '('\nrepos: []\n", "repos: [\n", "[]\n", "repos: 1\n"):
        native.clone.write({".pre-commit-config.yaml": broken})
        assert "push refused: 1 error" in native.push("origin", "feature/x", check=False)


def test_files_that_cannot_be_checked_are_shown_by_pre_commit_run(team: Team, tools: Tools) -> None:
    (python,) = tools.pre_commit_home.glob("*/py_env-*/bin/python")
    missing = "import nowhere_at_all\n" + flow_file("missing")
    team.clone.commit({"flows/etl.py": flow_file(), "flows/missing.py": missing}, "flows")
    run = ("-c", "alias.pc=!pre-commit", "pc", "run", "--all-files", "prefect-validate")
    printed = team.clone.git(*run, check=False, GIT_PREFECT_PYTHON=str(python))
    assert "'nowhere_at_all' is not installed in the hook's own environment; 1 flow file is unchecked [environment-broken]" in printed
    # A commit that has a file which can be checked is not held up for it, nor is a push.
    subprocess.run(["pre-commit", "install"], cwd=team.clone.path, check=True, capture_output=True)
    team.clone.write({"flows/etl.py": flow_file() + "\n", "flows/missing.py": missing + "\n"})
    team.clone.git("commit", "--quiet", "--all", "-m", "more", GIT_PREFECT_PYTHON=str(python))
    assert "1 flow file is unchecked" in team.push("origin", "feature/x", GIT_PREFECT_PYTHON=str(python))


def test_a_push_that_breaks_a_file_it_does_not_change_is_refused(team: Team) -> None:
    reads = "import pathlib\nfrom prefect import Flow\nflow = Flow((pathlib.Path(__file__).parent / 'name.txt').read_text())\n"
    team.clone.commit({"flows/reads.py": reads, "flows/name.txt": "named"})
    team.push("origin", "feature/x")
    team.clone.git("rm", "--quiet", "flows/name.txt")
    team.clone.git("commit", "--quiet", "-m", "gone")
    printed = team.push("origin", "feature/x", check=False)
    assert "flows/reads.py:3: " in printed
    assert "push refused: 1 error in what this push changes or breaks; nothing was sent to origin" in printed


def test_warnings_and_flows_that_stay_elsewhere_are_told_where_they_are_seen(team: Team) -> None:
    labels = (
        "from prefect.run_configs import UniversalRun\n"
        + flow_file("labels")
        + "\nflow.run_config = UniversalRun(labels='dev')\n"
    )
    docker = "from prefect.storage import Docker\n" + flow_file("docker") + "\nflow.storage = Docker(image_name='x')\n"
    team.clone.commit({"flows/labels.py": labels, "flows/docker.py": docker})
    printed = team.push("origin", "feature/x")
    assert "\n  flows/labels.py" in printed
    assert "[string-labels]" in printed
    elsewhere = 'left out: docker (flows/docker.py) has a storage of its own; `storage = "replace"` moves it to git [other-storage]'
    assert f"\n  {elsewhere}" in printed
    team.settled()
    assert f"\n  {elsewhere}" in team.prefect("status")
    by_hand = team.prefect("register")
    assert "\nflows/docker.py: note: flow 'docker' declares Docker storage: its code does not come from git, " in by_hand
    assert "[string-labels]\n" in by_hand


def test_at_a_commit_the_index_is_checked(team: Team) -> None:
    team.clone.git("-c", "alias.pc=!pre-commit", "pc", "install", "--hook-type", "pre-commit")
    broken = "from prefect import Flow\nflow = Flow('broken')\nflow.nothing()\n"
    team.clone.write({"flows/etl.py": flow_file()})
    team.clone.git("add", "flows/etl.py")
    team.clone.write({"flows/etl.py": broken, "flows/untracked.py": broken})
    assert headings("Passed").splitlines()[0] in team.clone.git("commit", "-m", "good in the index")
    team.clone.git("add", "flows/etl.py")
    refused = team.clone.git("commit", "-m", "broken in the index", check=False)
    assert headings("Failed").splitlines()[0] in refused
    assert "flows/etl.py:3: does not load: AttributeError" in refused
    assert "untracked" not in refused
    assert team.clone.git("log", "-1", "--format=%s") == "good in the index"


def test_any_command_takes_up_a_push_that_nobody_settles(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x", CI="true")
    assert len(pending.entries(team.clone.repository)) == 1
    team.prefect("validate")
    team.settled()
    assert [line["result"] for line in team.log()] == ["registered"]


def test_what_pre_commit_does_not_show_is_said_once(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    for name in ("feature/y", "elsewhere"):
        team.clone.git("branch", name)
    team.clone.git("tag", "v1")
    hint = "  hint: so that every ref of a push is seen: git prefect install"
    general = (
        "not shown by pre-commit: a push of a tag alone, and a new branch without new commits; they are not registered "
        "by the push"
    )

    def news(printed: str) -> list[str]:
        return [line for line in printed.splitlines() if line.startswith(("of this push", "not shown")) or line == hint]

    printed = team.push("origin", "feature/x", "feature/y", "elsewhere", "v1")
    assert news(printed) == [
        "of this push pre-commit showed only feature/x, so not checked and not registered: feature/y, v1", general, hint,
    ]  # fmt: skip
    team.clone.commit({"README": "1"})
    assert news(team.push("origin", "feature/x", "feature/y", "v1")) == []
    team.clone.commit({"README": "2"})
    assert news(team.push("origin", "feature/x")) == []
    team.settled()
    assert {line["ref"] for line in team.log()} == {"refs/heads/feature/x"}
    team.prefect("install")
    team.clone.commit({"README": "3"})
    team.clone.git("tag", "v2")
    assert news(team.push("origin", "feature/x", "v2")) == []
    team.settled()
    assert {line["ref"] for line in team.log()} == {"refs/heads/feature/x", "refs/tags/v2"}


def test_a_push_of_all_is_told_by_its_option(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("--all", "origin")
    assert (
        "of this push pre-commit showed only feature/x, so not checked and not registered: the other branches of --all"
    ) in printed
