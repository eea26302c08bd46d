"""The reference-transaction hook that stands while a push waits: real git, real hooks of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from git_prefect.git import trigger

from ..repository import Clone, clone

THEIRS = '#!/bin/sh\nsed "s/^/$1 /" >>{log}\n'


def hooks(work: Clone) -> dict[str, str]:
    folder = work.path / ".git" / "hooks"
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".sample"}


def put(work: Clone, pid: int, *moves: tuple[str, str], command: str = "false") -> None:
    trigger.put_in_place(work.repository, pid, moves, command).close()


@pytest.fixture
def called(work: Clone, tmp_path: Path) -> Path:
    """A command in the place of ours, and the file that it writes its arguments to."""
    command = tmp_path / "called.sh"
    command.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    command.chmod(0o755)
    return tmp_path / "called"


def pushing(work: Clone, command: Path, *moves: tuple[str, str]) -> None:
    """A pre-push hook that has the trigger wait for moves of the push that runs it."""
    hook = work.path / ".git" / "hooks" / "pre-push"
    hook.write_text(
        f"#!{sys.executable}\nimport os\nfrom git_prefect import git\nfrom git_prefect.git import trigger\n"
        f"trigger.put_in_place(git.open_repository(), os.getppid(), {moves!r}, {str(command.with_suffix('.sh'))!r})\n"
    )
    hook.chmod(0o755)


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_it_stands_while_a_push_waits_and_nothing_is_left_of_it(work: Clone) -> None:
    before = hooks(work)
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    place = work.path / ".git" / "hooks" / "reference-transaction"
    assert os.access(place, os.X_OK)
    assert place.read_text() == trigger.script(work.repository, place, "false")
    trigger.take_away(work.repository)
    assert place.exists(), "its push still runs"
    trigger.take_away(work.repository, os.getpid())
    assert hooks(work) == before
    assert list(trigger.live_folder(work.repository).iterdir()) == []
    trigger.take_away(work.repository)


def test_two_pushes_share_it_and_the_last_one_takes_it_away(work: Clone) -> None:
    before = hooks(work)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
        put(work, other.pid, ("2" * 40, "refs/remotes/origin/y"))
        trigger.take_away(work.repository, os.getpid())
        assert "reference-transaction" in hooks(work)
        other.communicate()
    trigger.take_away(work.repository)
    assert hooks(work) == before


def test_it_calls_us_once_and_only_for_the_move_of_its_push(work: Clone, remote: Path, called: Path) -> None:
    first = work.commit({"a": "1"})
    work.git("branch", "x")
    work.git("branch", "y")
    pushing(work, called, (first, "refs/remotes/origin/x"))
    work.git("push", "origin", "x", "y", "main")
    sockets = called.read_text().splitlines()
    assert len(sockets) == 1
    assert sockets[0].startswith(f"arrived {work.repository.state_dir}/live/")


def test_fetches_commits_and_rebases_call_nobody(work: Clone, remote: Path, called: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    theirs = other.commit({"b": "1"})
    other.git("push", "--quiet")
    # Its very process runs, and the very move happens: but it is a fetch that moves the ref, not the push.
    put(work, os.getpid(), (theirs, "refs/remotes/origin/main"), command=str(called.with_suffix(".sh")))
    work.commit({"a": "1"})
    work.git("fetch", "--quiet")
    work.git("rebase", "--quiet", "origin/main")
    assert work.head("origin/main") == theirs
    assert not called.exists()


@pytest.mark.parametrize("old", ["0" * 40, "3" * 40, "ref:refs/heads/main", "0" * 64])
@pytest.mark.parametrize("name", ["refs/remotes/origin/x", "refs/remotes/origin/it's*[odd]$(x)"])
def test_only_committed_moves_to_the_very_commit_count(work: Clone, called: Path, old: str, name: str) -> None:
    put(work, os.getpid(), ("1" * 40, name), command=str(called.with_suffix(".sh")))

    def run(state: str, *lines: str) -> bool:
        done = subprocess.run(
            [work.path / ".git/hooks/reference-transaction", state],
            input="".join(f"{line}\n" for line in lines), text=True, cwd=work.path, capture_output=True,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        was_called = called.exists()
        called.unlink(missing_ok=True)
        return was_called

    new = "1" * 40
    moved = f"{old} {new} {name}"
    assert run("committed", "0 ref:refs/heads/x HEAD", moved, f"{new} {old} refs/heads/z")
    assert not run("prepared", moved)
    assert not run("aborted", moved)
    assert not run("committed", f"{moved}y")
    assert not run("committed", f"{old} {'2' * 40} {name}")
    assert not run("committed", f"{old} {new} refs/heads/x")
    assert not run("committed")


def test_a_transaction_of_thousands_of_refs_is_no_trouble(work: Clone) -> None:
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    head = work.head()
    lines = "".join(f"create refs/many/{number} {head}\n" for number in range(3000))
    done = subprocess.run(
        ["git", "update-ref", "--stdin"], cwd=work.path, input=lines, text=True, capture_output=True
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(work.git("for-each-ref", "refs/many").splitlines()) == 3000


def test_a_hook_of_others_is_run_first_and_put_back_as_it_was(work: Clone, tmp_path: Path) -> None:
    place = work.path / ".git" / "hooks" / "reference-transaction"
    place.write_text(THEIRS.format(log=tmp_path / "log"))
    place.chmod(0o711)
    before, status = hooks(work), place.stat()
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    old, head = work.head(), work.commit({"a": "1"})
    assert f"committed {old} {head} HEAD" in (tmp_path / "log").read_text()
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    trigger.take_away(work.repository, os.getpid())
    assert hooks(work) == before
    assert (place.stat().st_ino, place.stat().st_mode) == (status.st_ino, status.st_mode)


def test_a_hook_of_others_may_still_refuse(work: Clone) -> None:
    place = work.path / ".git" / "hooks" / "reference-transaction"
    place.write_text("#!/bin/sh\nexit 1\n")
    place.chmod(0o755)
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    assert "ref updates aborted by hook" in work.git("branch", "refused", check=False)


@pytest.mark.parametrize("theirs", [None, "#!/bin/sh\nexit 0\n"])
def test_left_behind_by_a_kill_it_takes_itself_away(work: Clone, called: Path, theirs: str | None) -> None:
    place = work.path / ".git" / "hooks" / "reference-transaction"
    if theirs:
        place.write_text(theirs)
        place.chmod(0o755)
    before = hooks(work)
    put(work, dead_process(), ("1" * 40, "refs/remotes/origin/x"), command=str(called.with_suffix(".sh")))
    assert hooks(work) != before
    assert work.git("branch", "any") == ""
    assert hooks(work) == before
    assert not called.exists()


def test_left_behind_it_is_taken_away_by_whatever_of_ours_runs_next(work: Clone) -> None:
    before = hooks(work)
    put(work, dead_process(), ("1" * 40, "refs/remotes/origin/x"))
    trigger.take_away(work.repository)
    assert hooks(work) == before
    assert list(trigger.live_folder(work.repository).iterdir()) == []


def test_what_others_make_of_it_stays(work: Clone) -> None:
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    place = work.path / ".git" / "hooks" / "reference-transaction"
    with open(place, "a") as file:
        file.write("# theirs\n")
    trigger.take_away(work.repository, os.getpid())
    assert place.read_text().endswith("# theirs\n")


def test_there_is_room_for_one_hook_of_others(work: Clone) -> None:
    folder = work.path / ".git" / "hooks"
    (folder / "reference-transaction").write_text("#!/bin/sh\n")
    assert trigger.can_stand(work.repository)
    (folder / "reference-transaction.before-git-prefect").write_text("#!/bin/sh\n# another\n")
    assert not trigger.can_stand(work.repository)


def test_it_stands_in_a_folder_of_gits_own_only(work: Clone) -> None:
    work.git("config", "core.hooksPath", ".husky")
    assert not trigger.can_stand(work.repository)
    assert not (work.path / ".husky").exists()
    work.git("config", "core.hooksPath", ".git/our-hooks")
    assert trigger.can_stand(work.repository)
    put(work, os.getpid(), ("1" * 40, "refs/remotes/origin/x"))
    assert (work.path / ".git" / "our-hooks" / "reference-transaction").exists()
    trigger.take_away(work.repository, os.getpid())
    assert list((work.path / ".git" / "our-hooks").iterdir()) == []


def test_a_deep_folder_has_room_for_the_socket(remote: Path, tmp_path: Path) -> None:
    deep = clone(remote, tmp_path / ("deep" * 20) / ("and " * 20))
    listener = trigger.put_in_place(deep.repository, os.getpid(), [("1" * 40, "refs/remotes/origin/x")], "false")
    listener.close()
    assert (trigger.live_folder(deep.repository) / f"{os.getpid()}.sock").is_socket()
