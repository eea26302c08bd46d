"""Runs the worker in the flows' interpreter and gathers what became of each file."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from ..core import state_files
from ..core.json_input import decode
from ..core.model import Watch
from .environment import worker_environment

WORKER = Path(__file__).with_name("worker.py")
RECORD = struct.Struct(">cIIQI")
"""What the worker tells on its stdout: see there."""
PR_SET_CHILD_SUBREAPER = 36
ENDS = (signal.SIGTERM, signal.SIGHUP)
GRACE = 5.0
"""Seconds that the worker has to end its children before it is killed."""


class Job(msgspec.Struct, frozen=True):
    """A file to load, and the installed modules that it imports before anything else."""

    path: str
    imports: tuple[str, ...]
    imports_by_place: bool
    """Whether it may import from the repository, by its place."""


class EnvironmentBroken(Exception):
    """The interpreter cannot even import Prefect; the text is its traceback."""


class Checkout(msgspec.Struct, frozen=True):
    """A tree on disk that flow files are loaded from."""

    root: Path
    files: Sequence[str]
    """Paths of all its files, from the root."""
    import_roots: Sequence[str]
    """Folders of it that agents have on `sys.path`, from the root."""


class Loader:
    """A worker that imports Prefect while the caller prepares the files; then `load` hands them over.

    A context: on its exit the worker and all that it started are gone; a SIGTERM or SIGHUP (a job is cancelled, a
    terminal closed) leaves it, too.
    """

    def __init__(self, python: str, library_cache: Path, env: Mapping[str, str]) -> None:
        self._python = python
        self._library_cache = library_cache
        self._env = env
        self._control = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_by: list[int] = []

    def __enter__(self) -> Loader:
        if threading.current_thread() is threading.main_thread():
            self._ended_by = [one for one in ENDS if signal.getsignal(one) is signal.SIG_DFL]
        for number in self._ended_by:
            signal.signal(number, _leave)
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        for number in self._ended_by:
            signal.signal(number, signal.SIG_DFL)

    def _start(self) -> None:
        # Resolved: /tmp is a link on macOS, and what a load opens is compared with its place.
        self._control = Path(os.path.realpath(tempfile.mkdtemp(prefix="git-prefect-")))
        (self._control / "work").mkdir()
        (self._control / "home").mkdir()
        library_cache = self._library_cache
        try:
            state_files.make_folder(library_cache)
        except OSError:
            library_cache = self._control / "library-cache"
        with open(self._control / "worker.log", "wb") as log:
            self._process = subprocess.Popen(
                [self._python, str(WORKER), str(self._control)],
                cwd=self._control / "work",
                env=worker_environment(
                    os.environ, self._python, self._control / "home", library_cache, self._env
                ),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                preexec_fn=_adopt_orphans if sys.platform == "linux" else None,
            )  # fmt: skip

    def _end(self) -> None:
        process = self._process
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    # What was still to be written to a worker that has ended is told when it is closed.
                    with suppress(BrokenPipeError):
                        pipe.close()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self._process = None
        shutil.rmtree(self._control, ignore_errors=True)

    def load(
        self, checkout: Checkout, jobs: Sequence[Job], timeout: float, preload: bool = True, watch: Watch | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each path with what the worker answers for it, as they come; `timeout` is in seconds for one file.

        A file whose load kills the process that watches it is loaded alone, so that the others are told well.

        Raises:
            EnvironmentBroken: Prefect cannot be imported there.
        """
        orders = self._orders(checkout, timeout)
        if not preload:
            jobs = [replace(job, imports=()) for job in jobs]
        waiting = list(jobs)
        alone: list[Job] = []
        while waiting or alone:
            batch = waiting or [alone.pop()]
            tried_alone = not waiting
            if self._process is None:
                self._start()
            begun: set[str] = set()
            answered: set[str] = set()
            for path, answer in self._run(orders, batch, watch, begun):
                answered.add(path)
                yield path, answer
            left = [job for job in batch if job.path not in answered]
            if tried_alone:
                for job in left:
                    yield job.path, _killed(job)
                waiting = []
            else:
                suspects = [job for job in left if job.path in begun] or left[:1]
                alone += suspects
                waiting = [job for job in left if job not in suspects]
            # A worker takes one set of orders.
            self._end()

    @staticmethod
    def _orders(checkout: Checkout, timeout: float) -> dict[str, Any]:
        root = os.path.realpath(checkout.root)
        return {
            "root": root,
            "files": checkout.files,
            "timeout": timeout,
            "import_roots": [os.path.normpath(os.path.join(root, one)) for one in checkout.import_roots],
        }

    def _run(
        self, orders: dict[str, Any], jobs: Sequence[Job], watch: Watch | None, begun: set[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        process, control = self._process, self._control
        assert process is not None and process.stdin is not None and process.stdout is not None
        entries = control / "entries"
        _still_has_room(control)
        files = orders["files"]
        state_files.replace(entries, "\0".join(files).encode("utf-8", "surrogateescape"))
        told = {
            **orders, "files": None, "entries": str(entries), "jobs": [asdict(job) for job in jobs],
            "lanes": min(len(jobs), cores() + 1),
        }  # fmt: skip
        state_files.replace(control / "jobs.json", json.dumps(told).encode("utf-8", "surrogateescape"))
        try:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        left = dict(enumerate(jobs))
        with watch("Loading flow files", lambda: len(jobs) - len(left), len(jobs)) if watch else nullcontext():
            for kind, number, lane, start, length in _told(process, process.stdout.fileno()):
                if kind == b"+":
                    begun.add(jobs[number].path)
                elif kind == b"!":
                    raise state_files.named(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), control.parent)
                elif (answer := _answer(f"{control}/answers-{lane}", start, length)) and answer.get("job") in left:
                    # The caller works on it while the next are loaded.
                    yield left.pop(answer["job"]).path, answer
            process.wait()
        broken = _answer(f"{control}/environment.json")
        if broken is not None:
            raise EnvironmentBroken(broken["error"])
        _still_has_room(control)
        if not (control / "queue").exists():
            raise EnvironmentBroken((control / "worker.log").read_text("utf-8", "replace"))
        if left:
            # Whoever was to tell of some of these was killed.
            for answer in _all_answers(control):
                if answer["job"] in left:
                    yield left.pop(answer["job"]).path, answer


def _told(process: subprocess.Popen[bytes], pipe: int) -> Iterator[tuple[bytes, int, int, int, int]]:
    """What the worker tells of jobs (worker.py), until it has ended; a process that an import leaves may hold the pipe."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        if poll.poll(1000.0):
            record = os.read(pipe, RECORD.size)
            if not record:
                return
            yield RECORD.unpack(record)
        elif process.poll() is not None:
            return


def _still_has_room(control: Path) -> None:
    """A full disk takes answers away: that is told as what it is, and not held against a flow file.

    Raises:
        OSError: nothing can be written there any more; it names the folder.
    """
    try:
        state_files.replace(control / "room", b"x" * 4096)
    except OSError as error:
        raise state_files.named(error, control.parent) from error


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _adopt_orphans() -> None:
    """Make this process the parent of what its descendants leave behind (prctl(2), kept over exec), to end it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _killed(job: Job) -> dict[str, Any]:
    return {
        "path": job.path, "status": "died", "signal": int(signal.SIGKILL), "trace": "", "output": "", "touched": ["?"],
    }  # fmt: skip


def _all_answers(control: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(control.glob("answers-*")):
        for line in file.read_bytes().splitlines(keepends=True):
            answer = decode(line, dict[str, Any]) if line.endswith(b"\n") else None
            if answer:
                yield answer


def _answer(file: str, start: int = 0, length: int = -1) -> dict[str, Any] | None:
    try:
        with open(file, "rb") as answers:
            answers.seek(start)
            return decode(answers.read(length), dict[str, Any])
    except OSError:
        return None
