"""The reference-transaction hook that stands in a repository while a push waits, and tells when it has arrived.

git moves the tracking ref of a branch right after the remote accepted it, inside `git push`, and runs this hook then
(githooks(5), git 2.28 and newer). For each push that waits there are two files in a folder of ours: `<pid>.refs`, the
moves that it waits for, and `<pid>.sock`, where its watcher listens. The script starts Python only for those moves of
that very `git push`; everything else, fetches and rebases too, ends in the shell. Left behind by a kill it is
harmless: it takes itself away at the first transaction at which none of these pushes runs any more.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core import state_files
from .hooks_path import hooks_folder, is_gits_own
from .repository import Repository

NAME = "reference-transaction"
BEFORE = f"{NAME}.before-git-prefect"
"""The hook of others that stood there, which is run first."""

FIRST, LAST = (
    "# git-prefect's trigger: in place while a push waits to be registered, harmless after that.",
    "# its end.",
)

# All is read before anything runs, since the script may take itself away: it moves the hook of others back, or, where
# there was none, deletes itself; never the one when it should do the other, whoever else is at it in that moment.
# What is compared is `<new> <ref>`, the end of a line, whatever the old value is: an object name, zeros, or `ref:…`.
SCRIPT = """\
#!/bin/sh
{first}
{{
{others}waiting={live}/$PPID
if [ "$1" = committed ] && [ -r "$waiting.refs" ]; then
    nl='
'
{own}    while IFS= read -r move; do
        case "$lines$nl" in *" $move$nl"*) {command} arrived "$waiting.sock" </dev/null || :; break ;; esac
    done <"$waiting.refs"
fi
for push in {live}/*.refs; do
    pid=${{push##*/}}
    kill -0 "${{pid%.refs}}" 2>/dev/null && exit 0
done
{{
    {{ read -r _; read -r mark; }} <{place}
    if [ "$mark" = "{first}" ]; then {leave}; fi
}} 2>/dev/null
exit 0
}}
{last}
"""

LINES = "lines=$(cat)\n"
"""What only those read who need it: a rebase of 20 commits makes 106 calls, and a process more for each is felt."""

OTHERS = """\
{lines}told() {{ if [ -n "$lines" ]; then printf '%s\\n' "$lines"; fi; }}
if [ -x {before} ]; then told | {before} "$@" || exit; fi
"""


def live_folder(repository: Repository) -> Path:
    """Where the pushes are that wait for the trigger."""
    return Path(repository.state_dir, "live")


def script(repository: Repository, place: Path, command: str) -> str:
    """The trigger; `command` is how a shell calls us."""
    live, ours, before = (shlex.quote(str(path)) for path in (live_folder(repository), place, place.with_name(BEFORE)))
    chained = place.with_name(BEFORE).exists()
    return SCRIPT.format(
        first=FIRST, last=LAST, command=command, live=live, place=ours,
        others=OTHERS.format(before=before, lines=LINES) if chained else "",
        own="" if chained else f"    {LINES}",
        leave=f"mv -f {before} {ours}" if chained else f"rm -f {ours}",
    )  # fmt: skip


def can_stand(repository: Repository) -> bool:
    """Whether there is room for the trigger: a hooks folder of git's own, and no two hooks of others."""
    folder = hooks_folder(repository)
    place, before = folder / NAME, folder / BEFORE
    if not is_gits_own(repository, folder):
        return False
    return not (_is_anothers(place) and before.exists() and place.read_bytes() != before.read_bytes())


def put_in_place(repository: Repository, pid: int, moves: Sequence[tuple[str, str]], command: str) -> socket.socket:
    """Have the trigger stand until the push of process `pid` has ended; the socket that it will call.

    `moves` are pairs of a commit and the tracking ref that the push moves there.
    """
    live = live_folder(repository)
    state_files.make_folder(live)
    with _lock(repository):
        listener = _listen(live, f"{pid}.sock")
        state_files.replace(live / f"{pid}.refs", os.fsencode("".join(f"{commit} {ref}\n" for commit, ref in moves)))
        place = hooks_folder(repository) / NAME
        place.parent.mkdir(exist_ok=True)
        if _is_anothers(place):
            # Beside its old name first: whatever ends us, one of the two is in place.
            _copy(place, place.with_name(BEFORE))
        fresh = place.with_name(f".{NAME}.{os.getpid()}")
        fresh.write_text(script(repository, place, command))
        fresh.chmod(0o755)
        os.replace(fresh, place)
    return listener


def take_away(repository: Repository, pid: int | None = None) -> None:
    """Take the trigger away unless a push that runs still waits for it; the push `pid` does so no more.

    What stood in its place is put back. Costs one look into a folder when no trigger was left.
    """
    live = live_folder(repository)
    if not any(live.glob("*.refs")):
        return
    with _lock(repository):
        over = [one for one in live.glob("*.refs") if one.stem == str(pid) or not _is_alive(one.stem)]
        if set(over) == set(live.glob("*.refs")):
            _restore(hooks_folder(repository))
        for one in over:
            one.unlink(missing_ok=True)
            one.with_suffix(".sock").unlink(missing_ok=True)


def _restore(folder: Path) -> None:
    place, before = folder / NAME, folder / BEFORE
    if _is_ours(place):
        if before.exists():
            os.replace(before, place)
        else:
            place.unlink()
    elif place.exists() and before.exists() and place.read_bytes() == before.read_bytes():
        before.unlink()


def _is_ours(place: Path) -> bool:
    """Whether a hook is our script and nothing else: others may have added lines of theirs."""
    if not place.exists():
        return False
    lines = place.read_text(errors="replace").splitlines()
    return len(lines) > 2 and (lines[1], lines[-1]) == (FIRST, LAST)


def _is_anothers(place: Path) -> bool:
    return place.exists() and not _is_ours(place)


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _listen(folder: Path, name: str) -> socket.socket:
    with in_folder(folder):
        Path(name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(name)
    listener.listen()
    return listener


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder for a moment: the path of a socket may have 100 bytes at most, and its name always fits."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _lock(repository: Repository) -> Iterator[None]:
    with state_files.open_lock(Path(repository.state_dir, "trigger.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
