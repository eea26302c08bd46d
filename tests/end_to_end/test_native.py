"""The native pre-push hook: every ref of a push, beside pre-commit and other people's hooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from git_prefect.deploy.native_hook import script

from ..repository import Clone
from .conftest import Team, flow_file
from .test_push_shapes import held


def hooks(team: Team) -> dict[str, str]:
    folder = team.clone.path / ".git" / "hooks"
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".sample"}


def refs(team: Team) -> list[tuple[object, object]]:
    return sorted((line["ref"], line["result"]) for line in team.log())


def test_a_tag_on_a_commit_that_the_remote_has_is_registered(native: Team) -> None:
    head = native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    native.settled()
    native.clone.git("tag", "v1.0")
    printed = native.push("origin", "v1.0")
    assert printed.splitlines()[0] == (
        f"tag v1.0 on origin: 1 flow → project {native.project}-production, once origin has {head[:7]}. "
        "What became of it: git prefect status"
    )
    native.settled()
    assert refs(native) == [("refs/heads/feature/x", "registered"), ("refs/tags/v1.0", "registered")]


def test_settings_of_a_folder_count_with_paths_from_there(native: Team, api: str) -> None:
    settings = (native.clone.path / "pyproject.toml").read_text()
    settings = settings.replace("[tool.git-prefect]\n", '[tool.git-prefect]\nflows = ["flows/*.py"]\nimport-roots = ["lib"]\n')
    settings += '[[tool.git-prefect.runtime]]\nflows = ["flows/"]\nrun-config = { type = "DockerRun", image = "etl:1" }\n'
    native.clone.git("rm", "--quiet", "pyproject.toml")
    native.clone.commit({
        "etl/pyproject.toml": settings, "etl/flows/etl.py": f"import shared\n{flow_file()}", "etl/lib/shared.py": "",
        "flows/elsewhere.py": flow_file("elsewhere"),
    })  # fmt: skip
    printed = native.push("origin", "feature/x")
    native.settled()
    assert f"registered: etl → {native.project}-feature--x, version 1" in printed, printed
    assert held(native, api) == ["etl 1 feature--x feature/x"]
    assert "1 runtime serves 1 flow: DockerRun etl:1 (1)" in native.prefect("status")
    told = native.prefect("register", "--explain")
    assert told.startswith("origin/feature/x (from active branch), settings: etl/pyproject.toml\n")
    assert "\netl/pyproject.toml has the settings already: left as it is\n" in native.prefect("init", "--dry-run")


def test_a_flow_that_is_encrypted_since_is_reported_and_not_archived(native: Team, api: str) -> None:
    settings = (native.clone.path / "pyproject.toml").read_text().replace("create-project = true", "create-project = true\nprune = true")
    native.clone.commit({"pyproject.toml": settings, "flows/etl.py": flow_file(), "flows/more.py": flow_file("more")})
    native.push("origin", "feature/x")
    native.settled()
    native.clone.commit({"flows/etl.py": b"\0GITCRYPT\0" + flow_file().swapcase().encode(), "flows/more.py": flow_file("more") + "\n"})
    printed = native.push("origin", "feature/x")
    native.settled()
    assert "  flows/etl.py: warning: is encrypted by git-crypt in the commit: " in printed
    assert held(native, api) == ["etl 1 feature--x feature/x", "more 1 feature--x feature/x"]


@pytest.mark.parametrize("pruned", [False, True])
def test_a_default_branch_that_was_renamed_registers_all_flows(native: Team, api: str, pruned: bool) -> None:
    """By the push of a clone where nobody has said `git remote set-head origin -a`."""
    clone, host = native.clone, Clone(native.remote)
    clone.git("switch", "--quiet", "main")
    clone.git("branch", "-m", "main", "master")
    settings = (clone.path / "pyproject.toml").read_text() + f'[[tool.git-prefect.target]]\nbranch = "ma*"\nproject = "{native.project}-all"\ncreate-project = true\n'
    clone.commit({"pyproject.toml": settings, "flows/etl.py": flow_file(), "flows/more.py": flow_file("more")})
    clone.git("push", "--quiet", "--no-verify", "origin", "master")
    host.git("symbolic-ref", "HEAD", "refs/heads/master")
    host.git("branch", "-D", "main")
    clone.git("fetch", "--quiet", "--prune")
    clone.git("remote", "set-head", "origin", "master")
    native.prefect("register", "--ref", "master")
    assert held(native, api) == ["etl 1 all master", "more 1 all master"]
    host.git("branch", "-m", "master", "main")
    clone.git("branch", "-m", "master", "main")
    clone.git("fetch", "--quiet", *(["--prune"] if pruned else []))
    clone.commit({"flows/etl.py": flow_file() + "    extract()\n"})
    native.push("origin", "main")
    native.settled()
    assert held(native, api) == ["etl 2 all main", "more 2 all main"]


def test_every_branch_of_a_push_is_registered(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.clone.git("branch", "feature/same")
    native.clone.git("switch", "--quiet", "--create", "feature/y")
    native.clone.commit({"flows/more.py": flow_file("more")})
    native.push("--all", "origin")
    native.settled()
    assert refs(native) == [
        ("refs/heads/feature/same", "registered"),
        ("refs/heads/feature/x", "registered"),
        ("refs/heads/feature/y", "registered"),
    ]


def test_of_several_tags_only_the_highest_version_is_registered(native: Team) -> None:
    for version in ("v1.9", "v1.10", "v1.2"):
        native.clone.commit({"flows/etl.py": flow_file(), "version": version})
        native.clone.git("tag", version)
    printed = native.push("origin", "feature/x", "--tags")
    for older in ("v1.2", "v1.9"):
        assert (
            f"tag {older} on origin: not registered, this push has a newer tag; git prefect register --ref {older}"
        ) in printed
    native.settled()
    assert refs(native) == [("refs/heads/feature/x", "registered"), ("refs/tags/v1.10", "registered")]


def test_one_bad_ref_refuses_the_push_as_a_whole(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.clone.git("branch", "feature/good")
    native.clone.commit({"flows/bad.py": "from prefect import Flow\nflow = Flow('bad')\nflow.nothing()\n"})
    printed = native.push("origin", "feature/good", "feature/x", check=False)
    assert "flows/bad.py:3: does not load" in printed
    assert "push refused: 1 error in what this push changes or breaks; nothing was sent to origin" in printed
    assert native.clone.git("ls-remote", "origin", "refs/heads/feature/*") == ""
    assert native.log() == []


def test_a_deletion_is_told(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    native.settled()
    printed = native.push("origin", "--delete", "feature/x")
    assert printed.splitlines()[0] == (
        f"origin/feature/x: deleted; etl → {native.project}-feature--x: active in Prefect still, and each run fails. "
        "Archive with git prefect prune"
    )


def test_nothing_is_said_when_nothing_is_pushed(native: Team) -> None:
    assert native.push("origin", "main") == "Everything up-to-date"


def test_a_hook_that_was_not_told_the_refs_refuses_the_push(native: Team, tmp_path: Path) -> None:
    # As when the `cat` that reads them is killed: nothing was checked, and nothing would be registered.
    broken = tmp_path / "bin" / "cat"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nkill -9 $$\n")
    broken.chmod(0o755)
    native.clone.commit({"flows/etl.py": flow_file()})
    printed = native.push("origin", "feature/x", check=False, PATH=f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    assert "error: failed to push some refs" in printed
    assert refs(native) == []


def test_a_push_of_nothing_takes_up_one_that_nobody_settles(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x", CI="1")
    assert refs(native) == []
    assert native.push("origin", "feature/x") == "Everything up-to-date"
    native.settled()
    assert refs(native) == [("refs/heads/feature/x", "registered")]


def test_the_name_on_the_remote_counts(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "HEAD:refs/heads/feature/other")
    native.settled()
    assert refs(native) == [("refs/heads/feature/other", "registered")]


@pytest.mark.parametrize("ours_first", [False, True])
def test_beside_pre_commit_each_ref_is_registered_once(team: Team, ours_first: bool) -> None:
    if ours_first:
        (team.clone.path / ".git" / "hooks" / "pre-push").unlink()
        team.prefect("install")
        team.clone.git("-c", "alias.pc=!pre-commit", "pc", "install", "--hook-type", "pre-push")
    else:
        assert team.prefect("install") == (
            f"write {team.clone.path}/.git/hooks/pre-push.legacy\n"
            "pre-commit runs pre-push.legacy at every push, before the hooks of its configuration, with every ref"
        )
    assert team.prefect("install") == "the pre-push hook is in place already"
    team.clone.commit({"flows/etl.py": flow_file()})
    team.clone.git("tag", "v1")
    printed = team.push("origin", "feature/x", "v1")
    assert "queue Prefect registration" in printed
    team.settled()
    assert refs(team) == [("refs/heads/feature/x", "registered"), ("refs/tags/v1", "registered")]


def test_a_hook_of_others_is_run_first_and_restored(team: Team) -> None:
    folder = team.clone.path / ".git" / "hooks"
    (folder / "pre-push").unlink()
    before = hooks(team)
    theirs = folder / "pre-push"
    theirs.write_text('#!/bin/sh\necho "theirs: $1 $(cut -d" " -f3)"\n')
    theirs.chmod(0o755)
    assert team.prefect("install", "--dry-run") == (
        f"would rename {folder}/pre-push to pre-push.before-git-prefect\nwould write {folder}/pre-push"
    )
    assert hooks(team) == {**before, "pre-push": theirs.read_text()}
    team.prefect("install")
    assert hooks(team)["pre-push"] == script()
    team.clone.commit({"flows/etl.py": flow_file()})
    printed = team.push("origin", "feature/x")
    assert printed.splitlines()[0] == "theirs: origin refs/heads/feature/x"
    assert "origin/feature/x: 1 flow" in printed
    (folder / "pre-push.before-git-prefect").write_text("#!/bin/sh\necho no\nexit 7\n")
    team.clone.commit({"README": "2"})
    assert "error: failed to push some refs" in team.push("origin", "feature/x", check=False)
    (folder / "pre-push.before-git-prefect").write_text('#!/bin/sh\necho "theirs: $1 $(cut -d" " -f3)"\n')
    team.prefect("uninstall")
    assert hooks(team)["pre-push"].startswith('#!/bin/sh\necho "theirs')
    assert os.access(folder / "pre-push", os.X_OK)
    assert set(hooks(team)) == {*before, "pre-push"}
    assert team.prefect("uninstall").splitlines()[:2] == [
        "there is no pre-push hook of git-prefect's here",
        "left: prefect-validate, prefect-check-pushed, prefect-register in .pre-commit-config.yaml, which run at each push; "
        "delete their lines",
    ]


def test_hooks_that_belong_to_another_tool_are_left_alone(team: Team) -> None:
    team.clone.git("config", "core.hooksPath", ".husky")
    said = team.prefect("install", check=False)
    assert said.startswith(f"git-prefect: core.hooksPath is {team.clone.path}/.husky, outside of the git directory")
    assert f"hint: add this line to {team.clone.path}/.husky/pre-push" in said
    assert not (team.clone.path / ".husky").exists()


def test_a_linked_work_tree_shares_the_hook(native: Team, tmp_path: Path) -> None:
    linked = Clone(tmp_path / "linked")
    native.clone.git("worktree", "add", "--quiet", "-b", "feature/linked", str(linked.path))
    assert linked.git("prefect", "install") == "the pre-push hook is in place already"
    linked.commit({"flows/etl.py": flow_file()})
    linked.git("push", "origin", "feature/linked")
    native.settled()
    assert refs(native) == [("refs/heads/feature/linked", "registered")]


def test_an_installation_that_is_gone_refuses_with_its_remedy(native: Team) -> None:
    hook = native.clone.path / ".git" / "hooks" / "pre-push"
    hook.write_text(hook.read_text().replace("/git-prefect", "/git-prefect-gone"))
    native.clone.commit({"flows/etl.py": flow_file()})
    printed = native.push("origin", "feature/x", check=False)
    assert "git-prefect-gone is gone, so no flow was checked\nhint: install git-prefect again and run" in printed
    assert "error: failed to push some refs" in printed


def test_beside_pre_commit_a_refusal_is_told_once(team: Team) -> None:
    team.prefect("install")
    team.clone.commit({"flows/etl.py": "import helpers\n" + flow_file(), "flows/helpers.py": ""})
    refused = team.push("-u", "origin", "feature/x", check=False)
    assert refused.count("[import-not-on-agent]") == 1
    assert (
        "validate Prefect flows...................................................Failed\n"
        "- hook id: prefect-validate\n- exit code: 1\n\nrefused above, by git's own hook: 1 error\n"
    ) in refused
    again = team.push("-u", "origin", "feature/x", check=False)
    assert again.count("[import-not-on-agent]") == 1, "each push tells it"
