"""Loads flow files as a Prefect agent does, each in a forked child of its own.

A stand-alone script for a foreign interpreter (Python 3.8 or newer with Prefect 1): standard library
and prefect only. `python worker.py CONTROL` imports prefect, then waits for a line on stdin; with it
`CONTROL/jobs.json` is there:

    {"root": folder of the repository, "jobs": [{"path", "imports", "imports_by_place"}], "lanes": processes at a time,
     "timeout": seconds for a file, "import_roots": folders for sys.path, "entries": files of the tree}

Each job is answered with a line in a file `CONTROL/answers-<lane>`, whatever becomes of the load: `job` is its number,
and `status` is `loaded`, `failed`, `exited`, `died` or `timeout`. Without an answer the process that was to write it was
killed. On stdout a `RECORD` tells when a job is begun (`+`) and when it is answered (`=`): job, lane, and the answer's first
byte and length in that file; or that the disk has no room for an answer (`!`).
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import importlib
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from types import CodeType
from typing import Any, NoReturn

OUTPUT_LIMIT = 16 * 1024
"""Bytes of a flow file's output that are kept; the rest is read and thrown away."""
PRELOAD_LIMIT = 60.0
"""Seconds for importing one installed module ahead of the files that need it."""
RECORD = struct.Struct(">cIIQI")
"""What is told on stdout."""
SAME_PLACE = 0.5
"""Seconds that a load is given inside of a module which another load did not get past in all its time."""
TRACE_LIMIT = 0.5
"""Seconds for writing down where a load is."""
WORTH_PRELOADING = 3
"""So many files have to import a module before it is imported ahead of them."""


def sibling(name: str) -> Any:
    """A module beside this script, under no name that a flow file could import."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), name + ".py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = sibling("child")
child.task_imports = sibling("task_imports")
child.pickled_tasks = sibling("pickled_tasks")


def main() -> None:
    # Imports leave little to collect, and looking for it takes a sixth of their time. In a lane, a collection
    # would touch, and so copy, what it shares with its children; they have a collector again.
    gc.disable()
    control = os.path.abspath(sys.argv[1])
    # What is imported may print.
    told = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # `python worker.py` puts our folder first on sys.path, where the agent has its working directory.
    sys.path[0] = os.path.join(control, "work")
    sys.argv[:] = ["prefect", "execute", "flow-run"]
    os.chdir(sys.path[0])
    child.watch_looks()
    try:
        import prefect
        import prefect.cli  # noqa: F401 - `python -m prefect` has it
        import prefect.serialization.flow  # noqa: F401
    except BaseException:
        child.answer(os.path.join(control, "environment.json"), {"error": traceback.format_exc()})
        return
    sys.argv[0] = os.path.join(os.path.dirname(prefect.__file__), "__main__.py")
    child.warm_up()
    child.modules_of_prefect.update((name, id(module)) for name, module in sys.modules.items())
    if not sys.stdin.readline():
        return
    with open(os.path.join(control, "jobs.json"), encoding="utf-8", errors="surrogateescape") as file:
        orders = dict(json.load(file), told=told)
    # Somebody pressed Ctrl-C. The lanes are asked as well; what a flow file has detached is left to us.
    signal.signal(signal.SIGTERM, stop_all)
    with child.loading():
        gc.freeze()
        run_lanes(control, orders)
    kill_orphans()


# Lanes: as many at a time as there are cores ------------------------------------------------------


class Lane:
    """One process that takes jobs from the common queue and forks a child for each."""

    def __init__(self, control: str, number: int, orders: dict[str, Any], queue: int, ahead: Any = None) -> None:
        self.control = control
        self.number = number
        self.orders = orders
        self.queue = queue
        self.work = os.path.join(control, f"work-{number}")
        self.home = os.path.join(control, f"home-{number}")
        self.clone = child.Clone(os.path.join(control, f"clone-{number}"))
        self.answers = os.path.join(control, f"answers-{number}")
        self.answered = os.open(self.answers, os.O_RDWR | os.O_CREAT, 0o600)
        self.trace = os.open(os.path.join(control, f"trace-{number}"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.worker = os.getppid()
        self.child = 0
        self.woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.woken, False)
        self.descriptors: tuple[int, ...] = (self.woken, wake, queue, orders["told"], self.answered)
        """What a flow file has no business with."""
        # A child's end wakes the `select` that waits for it.
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # For its children: where one was when it crashed, or was still running at its deadline.
        faulthandler.enable(self.trace, all_threads=False)
        faulthandler.register(signal.SIGUSR2, file=self.trace, all_threads=False)
        self.seen = ahead or seeing(control, orders, orders["root"])
        """What importing ahead was seen to do: all loads of this lane rest on it."""
        self.useless: set[tuple[str, ...]] = set()
        """Imports that cannot be done ahead: they fail, hang or start threads."""

    def tell(self, kind: bytes, number: int, start: int = 0, length: int = 0) -> None:
        """Say that a job is begun (`+`), answered (`=`), or has no room for its answer (`!`)."""
        os.write(self.orders["told"], RECORD.pack(kind, number, self.number, start, length))

    def end_of_answers(self) -> int:
        """Bytes that have been answered."""
        return os.fstat(self.answered).st_size

    def traced(self, root: str) -> str:
        """Where the child was when it was asked last, or crashed; paths of the repository are from its root."""
        where = os.pread(self.trace, OUTPUT_LIMIT, 0).decode("utf-8", "replace")
        return where.rpartition("(most recent call first):")[2].replace(f'File "{root}', 'File "')

    def stuck(self) -> list[str]:
        """Modules that loads of any lane did not get past in all their time."""
        try:
            with open(os.path.join(self.control, "stuck"), encoding="utf-8", errors="surrogateescape") as file:
                return file.read().split("\0")
        except FileNotFoundError:
            return []

    def note_stuck(self, number: int, root: str) -> None:
        """Keep the module that a load did not get past."""
        with open(os.path.join(self.control, "stuck"), "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self.module_at(number, root) + "\0")

    def module_at(self, number: int, root: str) -> str:
        """The innermost source of the repository whose top level is executed; by default the flow file."""
        found = re.findall(r'File "(<string>|[^"/<][^"]*)", line \d+ in <module>', self.traced(root))
        own = str(self.orders["jobs"][number]["path"])
        return own if not found or found[0] == "<string>" else str(found[0])

    def next_job(self) -> int | None:
        """Index of the next job; None when there are none left, or nobody waits for them any more."""
        if os.getppid() != self.worker:
            return None
        fcntl.lockf(self.queue, fcntl.LOCK_EX)
        try:
            data = os.read(self.queue, 4)
        finally:
            fcntl.lockf(self.queue, fcntl.LOCK_UN)
        return int.from_bytes(data, "big") if data else None


def seeing(control: str, orders: dict[str, Any], root: str) -> Any:
    """What is to be seen of a load below `root`, which is the repository or a copy that one load has for itself."""
    shared = orders["root"]
    roots = [os.path.normpath(os.path.join(root, os.path.relpath(one, shared))) for one in orders["import_roots"]]
    return child.Seen(root, roots, control, root != shared)


def import_watched(name: str, seen: Any) -> None:
    """Import a module ahead of the files that need it: what it uses counts for each of them."""
    seen.watch()
    try:
        importlib.import_module(name)
    finally:
        seen.off = True


def run_lanes(control: str, orders: dict[str, Any]) -> None:
    """Fork the lanes, which share one queue of job numbers, and wait for all of them."""
    jobs = orders["jobs"]
    plan_imports(jobs, orders["import_roots"])
    order = sorted(range(len(jobs)), key=lambda number: jobs[number]["imports"], reverse=True)
    queue = os.open(os.path.join(control, "queue"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in order:
        os.write(queue, number.to_bytes(4, "big"))
    os.lseek(queue, 0, os.SEEK_SET)
    ahead = jobs[0]["imports"] if jobs else ()
    while any(job["imports"][: len(ahead)] != ahead for job in jobs):
        ahead = ahead[:-1]
    if ahead:
        # What all files import is imported once, in a fork, since an import that goes wrong cannot be undone.
        pid = os.fork()
        if pid == 0:
            be_trunk(control, orders, queue, ahead)
        if os.waitpid(pid, 0)[1] == 0:
            return
        for job in jobs:
            job["imports"] = ()
    # What the lanes of a trunk that was killed have begun may go on, and answer in their files.
    fork_lanes(control, orders, queue, (), first=orders["lanes"])


def be_trunk(control: str, orders: dict[str, Any], queue: int, ahead: tuple[str, ...]) -> NoReturn:
    """Import what all files share, then be the one whom the lanes are forked from."""
    status = 1
    try:
        seen = seeing(control, orders, orders["root"])
        signal.alarm(int(PRELOAD_LIMIT))
        for name in ahead:
            import_watched(name, seen)
        signal.alarm(0)
        if threading.active_count() == 1:
            gc.freeze()
            status = 0
            fork_lanes(control, orders, queue, ahead, seen=seen)
    finally:
        os._exit(status)


def fork_lanes(
    control: str, orders: dict[str, Any], queue: int, ahead: tuple[str, ...], first: int = 0, seen: Any = None
) -> None:
    lanes = []
    for number in range(first, first + orders["lanes"]):
        pid = os.fork()
        if pid == 0:
            be_lane(Lane(control, number, orders, queue, seen), ahead)
        lanes.append(pid)
    for pid in lanes:
        os.waitpid(pid, 0)


def be_lane(lane: Lane, ahead: tuple[str, ...]) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, lambda *_: stop(lane))
        serve(lane, ahead, None)
    finally:
        os._exit(0)


def stop(lane: Lane) -> None:
    """Somebody pressed Ctrl-C: the child has a session of its own, and would stay."""
    if lane.child:
        kill_group(lane.child)
    os._exit(1)


def plan_imports(jobs: list[dict[str, Any]], import_roots: Iterable[str]) -> None:
    """Order the imports of each job so that many jobs share a beginning; keep what is worth doing ahead.

    Only modules that the file itself imports are there before it runs: a module that merely another
    file needs would make `import scipy; scipy.stats` work here and fail on the agent.
    """
    count: dict[str, int] = {}
    shadowed = {name.partition(".")[0] for root in import_roots for name in listed(root)}
    wanted = {name for job in jobs for name in job["imports"]}
    installed = {name for name in wanted if name not in sys.modules and is_installed(name, shadowed)}
    for job in jobs:
        leading = []
        for name in job["imports"]:
            if name in installed:
                leading.append(name)
            elif name not in sys.modules:
                break
        job["imports"] = leading
        for name in set(leading):
            count[name] = count.get(name, 0) + 1
    prefixes: dict[tuple[str, ...], int] = {}
    for job in jobs:
        job["imports"] = tuple(sorted(set(job["imports"]), key=lambda name: (-count[name], name)))
        for length in range(1, len(job["imports"]) + 1):
            prefix = job["imports"][:length]
            prefixes[prefix] = prefixes.get(prefix, 0) + 1
    for job in jobs:
        length = len(job["imports"])
        while length and prefixes[job["imports"][:length]] < WORTH_PRELOADING:
            length -= 1
        job["imports"] = job["imports"][:length]


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def is_installed(name: str, shadowed: set[str]) -> bool:
    """Whether a module comes from site-packages: never from the repository, nor from an editable install."""
    top = name.partition(".")[0]
    if top in shadowed:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
    return bool(places) and all("/site-packages/" in place or "/dist-packages/" in place for place in places if place)


def serve(lane: Lane, ahead: tuple[str, ...], job: int | None) -> int | None:
    """Take jobs whose imports begin with `ahead`, which is imported here; the first that does not is returned.

    A longer beginning that several jobs share gets a process of its own, forked from this one.
    """
    while True:
        if job is None:
            job = lane.next_job()
        if job is None:
            return None
        imports = lane.orders["jobs"][job]["imports"]
        if imports[: len(ahead)] != ahead:
            return job
        further = imports[: len(ahead) + 1]
        if further != ahead and further not in lane.useless:
            job = serve_apart(lane, further, job)
        else:
            load_apart(lane, job)
            job = None


def serve_apart(lane: Lane, ahead: tuple[str, ...], job: int) -> int | None:
    """`serve` in a fork that has imported the last of `ahead`; what it did not take comes back."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            # A flow file could say there what it likes, and what it leaves running would keep it open.
            lane.descriptors += (writer,)
            lane.worker = os.getppid()
            lane.useless = set()
            import_watched(ahead[-1], lane.seen)
            if threading.active_count() == 1:
                gc.freeze()
                os.write(writer, b"+")
                unserved = serve(lane, ahead, job)
                os.write(writer, b"" if unserved is None else b"%d" % unserved)
        except BaseException:
            pass
        finally:
            os._exit(0)
    os.close(writer)
    lane.child = pid
    left: int | None
    ready, _, _ = select.select([reader], [], [], PRELOAD_LIMIT)
    if not ready or not os.read(reader, 1):
        os.kill(pid, signal.SIGKILL)
        lane.useless.add(ahead)
        left = job
    else:
        handed_back = b"".join(iter(lambda: os.read(reader, 64), b""))
        left = int(handed_back) if handed_back else None
    os.close(reader)
    os.waitpid(pid, 0)
    lane.child = 0
    return left


# A job: a forked child, watched --------------------------------------------------------------------


def load_apart(lane: Lane, number: int) -> None:
    """Load one file in a child and see to it that there is an answer."""
    lane.tell(b"+", number)
    start = lane.end_of_answers()
    root = lane.orders["root"]
    code = child.compiled(os.path.join(root, *lane.orders["jobs"][number]["path"].split("/")))
    end = watch(lane, number, lane.seen, code)
    if end.get("status") == "touches":
        # It was about to change the repository's files, which others still load from: give it its own.
        private = os.path.join(lane.control, f"private-{number}")
        try:
            copy_files(root, lane.orders["entries"], private)
            apart = seeing(lane.control, lane.orders, private)
            apart.add(lane.seen)
            end = watch(lane, number, apart, code)
        finally:
            shutil.rmtree(private, ignore_errors=True)
    if end.get("status") == "no-room":
        lane.tell(b"!", number)
        return
    if end:
        # Whatever a child that was killed has begun to say.
        os.truncate(lane.answered, start)
        child.answer(lane.answers, dict(end, job=number))
    lane.tell(b"=", number, start, lane.end_of_answers() - start)


def copy_files(root: str, listing: str, target: str) -> None:
    with open(listing, encoding="utf-8", errors="surrogateescape") as file:
        paths = file.read().split("\0")
    for path in paths:
        source, copy = os.path.join(root, path), os.path.join(target, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if os.path.isdir(source) and not os.path.islink(source):
            os.makedirs(copy, exist_ok=True)
        else:
            shutil.copy2(source, copy, follow_symlinks=False)


def watch(lane: Lane, number: int, seen: Any, code: CodeType | None) -> dict[str, Any]:
    """Fork, wait, and tell how the child ended when it did not answer by itself; else an empty dict."""
    for folder in (lane.work, lane.home):
        if not os.path.isdir(folder) or os.listdir(folder):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
    reader, writer = os.pipe()
    os.truncate(lane.trace, 0)
    start = lane.end_of_answers()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        child.be_child(lane, number, seen, code, writer, reader)
    lane.child = pid
    os.close(writer)
    output = bytearray()
    status = ended(lane, number, seen.root, pid, reader, output)
    kill_group(pid)
    if status is None:
        os.waitpid(pid, 0)
    lane.child = 0
    os.close(reader)
    where = lane.traced(seen.root)
    report = {"trace": where, "output": output.decode("utf-8", "replace"), "touched": ["?"]}
    # A child that has taken faulthandler's place as the one who hears the signal ends by it.
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGUSR2):
        return dict(report, status="timeout")
    if status == child.TOUCHES << 8 and not seen.private:
        return {"status": "touches"}
    if status == child.NO_ROOM << 8:
        return {"status": "no-room"}
    end = lane.end_of_answers()
    if end > start and os.pread(lane.answered, 1, end - 1) == b"\n":
        return {}
    if os.WIFSIGNALED(status):
        return dict(report, status="died", signal=os.WTERMSIG(status))
    return dict(report, status="exited", code=os.WEXITSTATUS(status))


def ended(lane: Lane, number: int, root: str, pid: int, reader: int, output: bytearray) -> int | None:
    """A child's wait status; None when its time is over, or when it is where another one has spent all of its time."""
    deadline = time.monotonic() + lane.orders["timeout"]
    while True:
        status = wait_for(pid, reader, lane.woken, min(deadline, time.monotonic() + SAME_PLACE), output)
        late = time.monotonic() >= deadline
        if status is None and (late or lane.stuck()):
            status = trace(lane, pid, reader, output)
            if status is None and lane.module_at(number, root) in lane.stuck():
                return None
        if status is not None:
            return status
        if late:
            lane.note_stuck(number, root)
            return None


def trace(lane: Lane, pid: int, reader: int, output: bytearray) -> int | None:
    """Have a child write where it is into the trace file (faulthandler); its wait status if it ends over that."""
    os.truncate(lane.trace, 0)
    os.kill(pid, signal.SIGUSR2)
    size, limit = 0, time.monotonic() + TRACE_LIMIT
    while time.monotonic() < limit:
        status = wait_for(pid, reader, lane.woken, time.monotonic() + 0.02, output)
        before, size = size, os.fstat(lane.trace).st_size
        if status is not None or (size and size == before):
            return status
    return None


def wait_for(pid: int, reader: int, woken: int, deadline: float, output: bytearray) -> int | None:
    """The child's wait status, None at the deadline; its output is read so that it never blocks on it."""
    open_ends = [reader, woken]
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        for end in select.select(open_ends, [], [], left)[0]:
            data = os.read(end, 65536)
            if end == reader:
                output += data[: OUTPUT_LIMIT - len(output)]
                if not data:
                    open_ends.remove(reader)


def kill_orphans() -> None:
    """End what a flow file has detached from its process group: it is ours by now (see loader.py)."""
    listing = f"/proc/self/task/{os.getpid()}/children"
    while os.path.exists(listing):
        with open(listing) as file:
            pids = [int(pid) for pid in file.read().split()]
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def stop_all(*_: object) -> None:
    kill_orphans()
    os._exit(1)


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
    # To take Prefect down module by module takes longer than to load three files.
    sys.stderr.flush()
    os._exit(0)
