"""A full disk, and folders that are read-only: what cannot be written is said, and nothing that arrived is forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import prefect
import pytest

from git_prefect.deploy import pending

from ..end_to_end.conftest import Team, flow_file
from .conftest import change, disk, ordinary, pushed, run, told

MEND = "hint: free space or mend the permissions there, then try again; nothing was lost; to push meanwhile: GIT_PREFECT_SKIP=1 git push"


def state(team: Team) -> Path:
    return Path(team.clone.repository.state_dir)


@pytest.mark.parametrize("free", [0, 4, 12])
def test_no_room_for_what_a_push_has_to_remember(begun: Team, free: int) -> None:
    project, before = f"{begun.project}-feature--x", begun.clone.head()[:7]
    with disk(state(begun)) as full:
        full.fill(free)
        after = change(begun, 1)
        push = full.run(begun.clone.path, "git", "push", "origin", "feature/x")
        left = full.run(begun.clone.path, "find", ".git/git-prefect", "-name", ".*", "-type", "f").output
        arrived = begun.clone.git("ls-remote", str(begun.remote), "refs/heads/feature/x")[:7]
        full.empty()
        # Whatever there was no room for: with some, all is as it should be.
        status = told(full.run(begun.clone.path, "git", "prefect", "status"))
        again = told(full.run(begun.clone.path, "git", "push", "origin", "feature/x"))
    assert left == ""
    if free == 0:
        assert push == (1, (
            f"git-prefect: {state(begun)}/snapshot: the pushed commit could not be written there (fatal: sha1 file "
            f"'{state(begun)}/snapshot/repository.git/index.lock' write error. Out of diskspace)\n"
            f"hint: free some space or mend the permissions, or remove {state(begun)}/snapshot, then try again; "
            f"to push meanwhile: GIT_PREFECT_SKIP=1 git push\nerror: failed to push some refs to '{begun.remote}'"
        ))  # fmt: skip
    registered = f"origin/feature/x at {after}: registered N s ago\n  registered: etl → {project}, version 2"
    if arrived == after:
        assert push.code == 0
        assert status.output.startswith(registered), status
        assert again == (0, "Everything up-to-date")
    else:
        assert (push.code, arrived) == (1, before)
        assert "No space left on device" in push.output or "Out of diskspace" in push.output
        assert status.output.startswith(f"origin/feature/x at {before}: registered N s ago")
        assert again == (0, pushed(begun, before, after, project, 2, 1))


def test_a_temporary_folder_that_fills_up_meanwhile_is_not_either(begun: Team, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    large = "from prefect import Flow, Parameter\nwith Flow('large-{}') as flow:\n    Parameter('x', default='x' * 200_000)()\n"
    begun.clone.write({f"large/{number}.py": large.format(number) for number in range(8)})
    with disk(folder) as full:
        full.fill(600)
        validate = full.run(begun.clone.path, "git", "prefect", "validate", TMPDIR=str(folder))
        assert (validate.code, validate.output.splitlines()[1:]) == (2, [MEND])
        assert validate.output.startswith(f"git-prefect: {folder}: No space left on device\n")


def test_a_full_temporary_folder_is_not_held_against_a_flow(begun: Team, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    head = change(begun, 1)
    with disk(folder) as full:
        for free in (4, 12):
            full.fill(free)
            validate = full.run(begun.clone.path, "git", "prefect", "validate", TMPDIR=str(folder))
            assert (validate.code, validate.output.splitlines()[1]) == (2, MEND)
            assert validate.output.splitlines()[0].endswith(": No space left on device")
            assert validate.output.startswith(f"git-prefect: {folder}")
            push = full.run(begun.clone.path, "git", "push", "origin", "feature/x", TMPDIR=str(folder))
            assert (push.code, "load" in push.output, MEND in push.output) == (1, False, True)
            full.empty()
        assert full.run(Path("/"), "ls", str(folder)).output == ""
        assert full.run(begun.clone.path, "git", "push", "origin", "feature/x", TMPDIR=str(folder)).code == 0
    assert [line["commit"] for line in pending.log_lines(begun.clone.repository)][-1].startswith(head)


def test_a_git_directory_that_is_read_only(begun: Team) -> None:
    """As a container mounts it: what only looks works; a push, which could not be remembered, is refused."""
    here, project = begun.clone.path, f"{begun.project}-feature--x"
    before = begun.clone.head()[:7]
    subprocess.run(["rm", "-r", str(state(begun))], check=True)
    after = change(begun, 1)
    subprocess.run(["chmod", "-R", "a-w", ".git"], cwd=here, check=True)
    try:
        assert run(here, *ordinary("git", "prefect", "validate")) == (
            0, f"1 flow in 1 file loads as on an agent (Prefect {prefect.__version__} in {sys.executable})",
        )  # fmt: skip
        looked_at = json.loads(run(here, *ordinary("git", "prefect", "doctor", "--format", "json")).output)
        assert [one for one in looked_at["checks"] if one["name"] == "state"] == [{
            "name": "state", "facts": [],
            "problem": f"{here}/.git cannot be written: a push could not be remembered, so it is refused",
            "remedy": f"chmod -R u+rwX {here}/.git",
        }]  # fmt: skip
        status = told(run(here, *ordinary("git", "prefect", "status")))
        assert status == (0, (
            f"feature/x → {project}\n  etl  v1  no schedule  never ran\n1 runtime serves 1 flow: UniversalRun (1)"
        ))  # fmt: skip
        assert told(run(here, *ordinary("git", "prefect", "register"))) == (0, (
            f"origin/feature/x at {before} (from active branch), settings: pyproject.toml\n"
            f"  unchanged: etl → {project}, version 1: the branch's HEAD is what runs\n0 registered, 1 unchanged"
        ))  # fmt: skip
        assert run(here, *ordinary("git", "push", "origin", "feature/x")) == (1, (
            f"git-prefect: {state(begun)}: Permission denied\n{MEND}\n"
            f"error: failed to push some refs to '{begun.remote}'"
        ))  # fmt: skip
        assert run(here, *ordinary("git", "prefect", "uninstall")) == (
            2, f"git-prefect: {here}/.git/hooks/pre-push: Permission denied\n{MEND}",
        )  # fmt: skip
    finally:
        subprocess.run(["chmod", "-R", "u+w", ".git"], cwd=here, check=True)
    assert told(run(here, "git", "push", "origin", "feature/x")) == (
        0, pushed(begun, before, after, project, 2, 1),
    )  # fmt: skip


def test_an_output_that_takes_nothing(begun: Team) -> None:
    said = f"git-prefect: standard output: No space left on device\n{MEND}"
    for command in ("status", "validate --format json", "explain no-flow", "--version", "-h"):
        assert run(begun.clone.path, "sh", "-c", f"git-prefect {command} >/dev/full") == (2, said)
        assert run(begun.clone.path, "sh", "-c", f"git-prefect {command} >/dev/full 2>/dev/full") == (2, "")


def test_a_limit_on_the_size_of_files(begun: Team) -> None:
    """As an ordinary user can have a full disk: nothing at all can be written, and a person is told so."""
    limits = ("prlimit", "--fsize=0", "git-prefect")
    said = run(begun.clone.path, *limits, "validate", "--no-cache")
    assert (said.code, said.output.splitlines()[1]) == (2, MEND)
    assert said.output.startswith("git-prefect: the system: No usable temporary directory found in [")
    # What needs no file goes on.
    assert run(begun.clone.path, *limits, "status").code == 0


def test_half_a_line_of_the_log_does_not_spoil_the_next(begun: Team) -> None:
    with open(state(begun) / "log.jsonl", "a") as log:
        log.write('{"format": 1, "time": 17')
    assert begun.clone.commit({"flows/etl.py": flow_file("other")})
    begun.push("origin", "feature/x")
    assert [line["result"] for line in pending.log_lines(begun.clone.repository)] == ["registered", "registered"]
