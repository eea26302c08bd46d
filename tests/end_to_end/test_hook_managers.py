"""Pushes through the real husky, lefthook and git-lfs, and through shared hooks folders: what is printed is pasted, and works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from ..servers.programs import IN_CI
from .conftest import PROJECT, Team, flow_file
from .test_native import hooks

pytestmark = pytest.mark.slow

TOOLS = PROJECT / ".tools" / "node_modules" / ".bin"
IN_PLACE = "the pre-push hook is in place already"


def tool(name: str) -> str:
    """The path of a tool that `make tools` installs."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        reason = f"{name} is missing: make tools"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def bare(native: Team, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team without any hook, and the tools on PATH."""
    native.prefect("uninstall")
    monkeypatch.setenv("PATH", f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    return native


def run(team: Team, *command: str) -> None:
    done = subprocess.run(command, cwd=team.clone.path, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def refuses_and_registers(team: Team) -> None:
    """A push of a broken flow is refused, and one of a branch and a tag registers both."""
    team.clone.commit({"flows/etl.py": "import helpers\n" + flow_file(), "flows/helpers.py": ""})
    assert "[import-not-on-agent]" in team.push("origin", "feature/x", check=False)
    team.clone.commit({"flows/etl.py": flow_file()})
    team.clone.git("tag", "--no-sign", "v1")
    team.push("origin", "feature/x", "v1")
    team.settled()
    assert sorted((line["ref"], line["result"]) for line in team.log()) == [
        ("refs/heads/feature/x", "registered"),
        ("refs/tags/v1", "registered"),
    ]


def checks(team: Team) -> str:
    """What doctor says of the hooks."""
    printed = team.prefect("doctor", check=False)
    return printed[printed.index("hooks") : printed.index("interpreter")]


def test_husky(bare: Team) -> None:
    run(bare, tool("husky"))
    top = bare.clone.path
    hint = f'hint: add this line to {top}/.husky/pre-push: git prefect pre-push "$@"'
    assert bare.prefect("install", check=False) == (
        f"git-prefect: husky generates the hooks in {top}/.husky/_\n{hint}"
    )
    assert hint in " ".join(checks(bare).split())
    (top / ".husky" / "pre-push").write_text('git prefect pre-push "$@"\n')
    assert bare.prefect("install") == f"{top}/.husky/pre-push calls git-prefect already"
    assert "hint" not in checks(bare)
    refuses_and_registers(bare)
    assert bare.prefect("uninstall").splitlines()[:2] == [
        "there is no pre-push hook of git-prefect's here",
        f"left: the call of git-prefect in {top}/.husky/pre-push; delete its line",
    ]


@pytest.mark.parametrize("file", ["lefthook.yml", ".lefthook.yaml"])
@pytest.mark.parametrize("ours_first", [False, True])
def test_lefthook(bare: Team, file: str, ours_first: bool) -> None:
    """Also where its sync has moved our hook away."""
    if ours_first:
        bare.prefect("install")
    top = bare.clone.path
    (top / file).write_text("pre-push: {commands: {other: {run: 'true'}}}\n")
    run(bare, tool("lefthook"), "install", "--force")
    line = 'pre-push: {commands: {prefect: {run: "git prefect pre-push {1} {2}", use_stdin: true}}}'
    hint = f"hint: add this line to {top}/{file}: {line} (the pre-push that is there gets the command prefect)"
    was = hooks(bare)
    assert bare.prefect("install", check=False) == (
        f"git-prefect: {top}/.git/hooks/pre-push is lefthook's, which moves other hooks away at its next run\n{hint}"
    )
    assert hooks(bare) == was
    assert hint in " ".join(checks(bare).split())
    (top / file).write_text(f"{line}\n")
    assert bare.prefect("install") == f"{top}/{file} calls git-prefect already"
    refuses_and_registers(bare)


@pytest.mark.parametrize("times", [1, 2])
def test_git_lfs_writes_its_hook_over_ours(bare: Team, times: int) -> None:
    run(bare, tool("git-lfs"), "install", "--local")
    alone = hooks(bare)["pre-push"]
    for _ in range(times):
        bare.prefect("install")
        run(bare, tool("git-lfs"), "install", "--local", "--force")
        assert hooks(bare)["pre-push"] == alone
        assert "no flow is checked" in checks(bare)
    folder = bare.clone.path / ".git" / "hooks"
    assert bare.prefect("install") == (
        f"rename {folder}/pre-push to pre-push.before-git-prefect\nwrite {folder}/pre-push"
    )
    assert bare.prefect("install") == IN_PLACE
    refuses_and_registers(bare)
    bare.prefect("uninstall")
    assert hooks(bare)["pre-push"] == alone


def test_git_lfs_over_pre_commit_leaves_ours_without_a_caller(bare: Team) -> None:
    """`pre-push.legacy` is run by pre-commit's hook alone."""
    (bare.clone.path / ".pre-commit-config.yaml").write_text("repos: []\n")
    run(bare, "pre-commit", "install", "--hook-type", "pre-push")
    folder = bare.clone.path / ".git" / "hooks"
    assert bare.prefect("install") == (
        f"write {folder}/pre-push.legacy\n"
        "pre-commit runs pre-push.legacy at every push, before the hooks of its configuration, with every ref"
    )
    assert "hint" not in checks(bare)
    run(bare, tool("git-lfs"), "install", "--local", "--force")
    assert "no flow is checked" in checks(bare)
    bare.prefect("install")
    refuses_and_registers(bare)


def shared(team: Team, content: str) -> Path:
    """A global `core.hooksPath` with a pre-push hook."""
    folder = team.clone.path.parent / "shared-hooks"
    folder.mkdir()
    (folder / "pre-push").write_text(f"#!/bin/sh\n{content}\n")
    (folder / "pre-push").chmod(0o755)
    team.clone.git("config", "--global", "core.hooksPath", str(folder))
    return folder


@pytest.mark.parametrize(
    "content",
    [
        'own="$(git rev-parse --git-common-dir)/hooks/$(basename "$0")"; [ ! -x "$own" ] || exec "$own" "$@"',
        'if [ -x .git/hooks/pre-push ]; then .git/hooks/pre-push "$@" || exit; fi',
        '[ ! -x "${GIT_DIR:-.git}/hooks/pre-push" ] || exec "${GIT_DIR:-.git}/hooks/pre-push" "$@"',
    ],
)
def test_a_global_hooks_path_that_delegates(bare: Team, content: str) -> None:
    folder = shared(bare, content)
    assert f"its pre-push runs the hooks in {bare.clone.path}/.git/hooks" in " ".join(checks(bare).split())
    assert "no flow is checked" in checks(bare)
    assert bare.prefect("install") == f"write {bare.clone.path}/.git/hooks/pre-push"
    assert bare.prefect("install") == IN_PLACE
    assert "hint" not in checks(bare)
    refuses_and_registers(bare)
    bare.prefect("uninstall")
    assert not (bare.clone.path / ".git" / "hooks" / "pre-push").exists()
    assert (folder / "pre-push").exists()


def own_path(team: Team) -> tuple[Path, str]:
    folder = shared(team, "exit 0")
    return folder, f"core.hooksPath is {folder}"


def link(team: Team) -> tuple[Path, str]:
    hooks_folder, target = team.clone.path / ".git" / "hooks", team.clone.path / "hooks"
    shutil.rmtree(hooks_folder)
    target.mkdir()
    hooks_folder.symlink_to(target)
    (target / "pre-push").write_text("#!/bin/sh\n")
    (target / "pre-push").chmod(0o755)
    return hooks_folder, f"{hooks_folder} is a link to {target}"


@pytest.mark.parametrize("owner", [own_path, link])
def test_hooks_that_others_share(bare: Team, owner: Callable[[Team], tuple[Path, str]]) -> None:
    folder, fact = owner(bare)
    hook = folder / "pre-push"
    was = hook.read_text()
    assert bare.prefect("install", check=False) == (
        f"git-prefect: {fact}, outside of the git directory: its hooks belong to another tool\n"
        f'hint: add this line to {hook}: git prefect pre-push "$@"'
    )
    assert hook.read_text() == was
    hook.write_text('#!/bin/sh\ngit prefect pre-push "$@"\n')
    assert bare.prefect("install") == f"{hook} calls git-prefect already"
    refuses_and_registers(bare)


def test_purge_keeps_what_is_not_registered_yet(native: Team) -> None:
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x", CI="1")
    state = native.clone.path / ".git" / "git-prefect"
    was = hooks(native)
    assert native.prefect("uninstall", "--purge", check=False) == (
        f"git-prefect: {state} has 1 pending registration, which would never be registered\n"
        "hint: git prefect register --pending, then run this again"
    )
    assert hooks(native) == was
    assert state.exists()


def test_a_missing_tool_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "IN_CI", False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is missing: make tools"):
        tool("no-such-tool")
    monkeypatch.setitem(globals(), "IN_CI", True)
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is missing: make tools"):
        tool("no-such-tool")
