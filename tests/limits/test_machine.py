"""A machine that is not as most are: no home, no temporary folder, few descriptors, a wrong clock, another's files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import prefect

from git_prefect.deploy import pending

from ..end_to_end.conftest import Team, flow_file, until
from ..end_to_end.test_push import watchers
from ..repository import Clone
from .conftest import Ran, change, ordinary, pushed, run, told

LOADS = f"1 flow in 1 file loads as on an agent (Prefect {prefect.__version__} in {sys.executable})"


def test_a_push_needs_no_home_and_no_temporary_folder(begun: Team, tmp_path: Path) -> None:
    project, here = f"{begun.project}-feature--x", begun.clone.path
    (tmp_path / "read-only").mkdir(mode=0o500)
    machines: list[dict[str, str | None]] = [
        {"HOME": None, "TMPDIR": None}, {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
        {"HOME": None, "TMPDIR": str(tmp_path / "read-only")},
    ]  # fmt: skip
    before = begun.clone.head()[:7]
    for number, machine in enumerate(machines, 1):
        after = change(begun, number)
        printed = told(run(here, *ordinary("git", "push", "origin", "feature/x"), **machine))
        assert printed == (0, pushed(begun, before, after, project, number + 1, number)), machine
        before = after
    assert told(run(here, *ordinary("git", "prefect", "validate", "--no-cache"), **machine)) == (0, LOADS)
    assert os.listdir(tmp_path / "read-only") == []


def test_a_limit_on_open_files(begun: Team) -> None:
    """Either there are enough, or it is said; never is half a push remembered."""
    project, before = f"{begun.project}-feature--x", begun.clone.head()[:7]
    too_few = (
        "git-prefect: the system: Too many open files\nhint: raise the limit on open files (`ulimit -n 256`), then try "
        "again; nothing was lost; to push meanwhile: GIT_PREFECT_SKIP=1 git push"
    )
    after = change(begun, 1)
    assert run(begun.clone.path, "prlimit", "--nofile=12", "git", "push", "origin", "feature/x") == (
        1, f"{too_few}\nerror: failed to push some refs to '{begun.remote}'",
    )  # fmt: skip
    assert run(begun.clone.path, "prlimit", "--nofile=8", "git-prefect", "validate") == (2, too_few)
    enough = told(run(begun.clone.path, "prlimit", "--nofile=32", "git", "push", "origin", "feature/x"))
    assert enough == (0, pushed(begun, before, after, project, 2, 1))


def test_what_is_kept_is_private_whatever_the_umask(begun: Team, tmp_path: Path) -> None:
    for number, umask in enumerate(("000", "077"), 1):
        state = Path(begun.clone.repository.state_dir)
        subprocess.run(["rm", "-r", str(state)], check=True)
        change(begun, number)
        push = run(begun.clone.path, "sh", "-c", f"umask {umask} && git push origin feature/x")
        assert (push.code, "registered: etl" in push.output) == (0, True)
        until(lambda: not watchers(begun))
        kept = [state, *state.rglob("*")]
        modes = {str(one.relative_to(state)): stat.S_IMODE(one.lstat().st_mode) for one in kept}
        assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
        assert {"log.jsonl", "pending", "interpreters.json", "snapshot/tree"} < modes.keys()
        assert any(name.startswith("verdicts/flows/") for name in modes)
    locks = Path(os.environ["HOME"], ".local/state/git-prefect")
    assert {oct(stat.S_IMODE(one.stat().st_mode)) for one in (locks, *locks.rglob("*"))} == {"0o700", "0o600"}
    # git runs it as whoever pushes; it holds no secret, and others who share the clone need it.
    assert stat.S_IMODE((begun.clone.path / ".git/hooks/pre-push").stat().st_mode) == 0o755


def test_another_users_repository(begun: Team) -> None:
    """git refuses it, and so do we, with git's own words for what to type; in the meantime nothing is lost."""
    here, root = begun.clone.path, os.geteuid() == 0
    # Who is not root cannot give a folder away; git has a variable for its own tests that comes to the same.
    other: dict[str, str | None] = {} if root else {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    if root:
        subprocess.run(["chown", "-R", "12345:12345", str(here)], check=True)
    refused = (
        f"git-prefect: {here}: git does not use this repository, since it belongs to another user\n"
        f"hint: if you trust whoever it belongs to: git config --global --add safe.directory {here}"
    )
    for command in (["status"], ["validate"], ["register"], ["check-pushed"], ["install"]):
        assert run(here, "git-prefect", *command, **other) == Ran(2, refused)
    subprocess.run(["git", "config", "--global", "--add", "safe.directory", str(here)], check=True)
    assert run(here, "git-prefect", "validate", **other) == (0, LOADS)
    before, after = begun.clone.head()[:7], change(begun, 1)
    push = told(run(here, "git", "push", "origin", "feature/x", **other))
    assert push == (0, pushed(begun, before, after, f"{begun.project}-feature--x", 2, 1))


def test_a_clock_that_was_set_back(begun: Team) -> None:
    """Nothing waits for a time that a wrong clock wrote down, and nothing is believed until then."""
    repository, year = begun.clone.repository, 365 * 24 * 3600.0
    head = change(begun, 1)
    down = {"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"}
    assert "not registered yet" in begun.push("origin", "feature/x", **down)
    until(lambda: not watchers(begun))
    state = Path(repository.state_dir)
    for path in (state / "pending").glob("*.json"):
        entry = json.loads(path.read_text())
        entry["created"], entry["not_before"] = (entry[name] + year for name in ("created", "not_before"))
        path.write_text(json.dumps(entry))
    for path in (*state.glob("fast-path.json"), *(state / "verdicts").glob("context-*.json")):
        path.write_text(path.read_text().replace(f"{time.time():.0f}"[:4], f"{time.time() + year:.0f}"[:4]))
    for path in state.rglob("*"):
        os.utime(path, (time.time() + year, time.time() + year), follow_symlinks=False)
    status = told(run(begun.clone.path, "git", "prefect", "status"))
    assert status.output.startswith(f"origin/feature/x at {head}: registered N s ago"), status
    assert pending.entries(repository) == []
    second = change(begun, 2)
    printed = told(run(begun.clone.path, "git", "push", "origin", "feature/x"))
    assert printed == (0, pushed(begun, head, second, f"{begun.project}-feature--x", 3, 2))


def test_a_clock_that_was_set_forward(begun: Team) -> None:
    """A push that waits is tried however old it is; what was known of files is looked at again."""
    repository, year = begun.clone.repository, 365 * 24 * 3600.0
    head = change(begun, 1)
    begun.push("origin", "feature/x", CI="true")
    (path,) = (Path(repository.state_dir) / "pending").glob("*.json")
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "created": entry["created"] - 30 * year}))
    status = told(run(begun.clone.path, "git", "prefect", "status"))
    assert status.output.startswith(f"origin/feature/x at {head}: registered N s ago"), status


def test_refusals_are_told_once_whatever_the_clock_says(work: Clone) -> None:
    line = {"ref": "refs/heads/x", "remote": "origin", "commit": "1" * 40}
    pending.log(work.repository, {**line, "result": "refused", "reason": "one"})
    log = Path(work.repository.state_dir, "log.jsonl")
    log.write_text(json.dumps({**json.loads(log.read_text()), "time": time.time() + 1e8}) + "\n")
    assert [one["reason"] for one in pending.report_refusals(work.repository)] == ["one"]
    assert pending.report_refusals(work.repository) == []
    pending.log(work.repository, {**line, "result": "refused", "reason": "two"})
    assert [one["reason"] for one in pending.report_refusals(work.repository)] == ["two"]
    assert pending.report_refusals(work.repository) == []


def test_ten_thousand_files_and_paths_of_250_characters(begun: Team) -> None:
    deep = "/".join(["d" * 40] * 5)
    long = f"flows/{deep}/{'f' * (250 - len(deep) - 10)}.py"
    assert len(long) == 250
    files = {f"data/{number // 100}/{number}.csv": f"{number}\n" for number in range(10_000)}
    begun.clone.write(files)
    before = begun.clone.head()[:7]
    begun.clone.git("add", "data")
    after = begun.clone.commit({long: flow_file("deep")})[:7]
    project = f"{begun.project}-feature--x"
    assert told(run(begun.clone.path, "git", "push", "origin", "feature/x")) == (0, "\n".join([
        f"origin/feature/x: 2 flows → project {project}, once origin has {after}.",
        f"To {begun.remote}",
        f"   {before}..{after}  feature/x -> feature/x",
        f"origin/feature/x at {after}: registering",
        f"  registered: deep → {project}, version 1",
        f"  unchanged: etl → {project}, version 1: the branch's HEAD is what runs",
    ]))  # fmt: skip
    said = run(begun.clone.path, "git", "prefect", "validate")
    assert said == (0, LOADS.replace("1 flow in 1 file loads", "2 flows in 2 files load"))
