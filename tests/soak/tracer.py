"""Runs a command with all its descendants under ptrace, and kills at one chosen step of one of them.

A step is a system call that writes, connects, locks, signals or starts a program: a seccomp filter stops a process at
these alone (seccomp(2), ptrace(2)), so that the rest runs at full speed, and nothing of the product knows of it. A step
has a name, `role: call what`, and the how manieth of that name it is in its process: the same step is found again in
another run of the command. The process stands right before the step when it is killed.

Linux on x86-64 only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"

CALLS = {
    1: "write", 18: "pwrite", 20: "writev", 42: "connect", 44: "send", 45: "receive", 46: "send", 49: "bind",
    59: "run", 62: "kill", 73: "lock", 74: "fsync", 75: "fsync", 76: "truncate", 77: "truncate", 82: "rename",
    83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "chmod", 258: "mkdir",
    263: "unlink", 264: "rename", 265: "link", 266: "symlink", 268: "chmod", 316: "rename",
}  # fmt: skip
OPENAT = 257
FIRST_IS_A_DESCRIPTOR = {1, 18, 20, 42, 44, 45, 46, 49, 73, 74, 75, 77, 91}
PATH_ARGUMENT = {59: 0, 76: 0, 82: 1, 83: 0, 84: 0, 86: 1, 87: 0, 88: 1, 90: 0,
                 258: 1, 263: 1, 264: 3, 265: 3, 266: 2, 268: 1, 316: 3, OPENAT: 1}  # fmt: skip
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT

# <sys/ptrace.h>, <linux/seccomp.h>, <linux/filter.h>
TRACEME, CONT, SETOPTIONS, GETEVENTMSG, GET_SYSCALL_INFO = 0, 7, 0x4200, 0x4201, 0x420E
FORKED, VFORKED, CLONED, EXECED, AT_A_CALL = 1, 2, 3, 4, 7
OPTIONS = 1 << FORKED | 1 << VFORKED | 1 << CLONED | 1 << EXECED | 1 << AT_A_CALL | 1 << 20  # the last: we die, all die
ALL_THREADS = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Step(NamedTuple):
    """One step of one process: `git push`, `rename refs/heads/main`, the first of that name in its process."""

    role: str
    what: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.role}: {self.what} #{self.occurrence}"

    @classmethod
    def parse(cls, text: str) -> Step:
        """The step that `str` gave this text of."""
        role, _, rest = text.partition(": ")
        what, _, occurrence = rest.rpartition(" #")
        return cls(role, what, int(occurrence))


class Fault(NamedTuple):
    """What is done when a process comes to a step."""

    step: Step
    aim: str
    """Whom it hits: `self`, the process at the step; `top`, the command that was typed; `group`, all that a terminal's
    Ctrl-C or its end reaches; `all`, everything (the machine loses its power)."""
    signal: signal.Signals

    def __str__(self) -> str:
        return f"{self.signal.name} {self.aim} @ {self.step}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """The fault that `str` gave this text of."""
        head, _, step = text.partition(" @ ")
        name, _, aim = head.partition(" ")
        return cls(Step.parse(step), aim, signal.Signals[name])


class Run(NamedTuple):
    """What became of a command."""

    status: int
    """Its exit status, negative for the signal that ended it."""
    output: str
    steps: list[Step]
    hit: bool
    """Whether the fault's step was reached."""
    left: list[str]
    """Processes that were still there when the time was up; they are killed then."""


class _Process:
    def __init__(self, role: str) -> None:
        self.role = role
        self.counts: dict[str, int] = {}


class _TimeIsUp(Exception):
    pass


def run(
    command: Sequence[str], cwd: Path, environ: Mapping[str, str], fault: Fault | None = None, limit: float = 90.0
) -> Run:
    """Run a command until it and all that it has started have ended, `limit` seconds at most."""
    with open(cwd.parent / f"{cwd.name}.output", "w+b") as output:
        top = _start(command, cwd, environ, output.fileno())
        trace = _Trace(top, fault, str(cwd.parent))
        before = signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, limit)
        left: list[str] = []
        try:
            trace.follow()
        except _TimeIsUp:
            left = [f"{one.role} ({_command(pid)})" for pid, one in trace.processes.items()]
            trace.kill_all()
            trace.follow()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    return Run(trace.status, said, trace.steps, trace.hit, left)


def _time_is_up(*_: object) -> None:
    raise _TimeIsUp


def _start(command: Sequence[str], cwd: Path, environ: Mapping[str, str], output: int) -> int:
    """A stopped process, in a session of its own, that goes on with the command."""
    program = _filter()
    # What we leave behind comes back to us, as it would to init.
    libc.prctl(36, 1, 0, 0, 0)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        libc.ptrace(SETOPTIONS, pid, None, OPTIONS)
        libc.ptrace(CONT, pid, None, None)
        return pid
    try:
        os.setsid()
        os.chdir(cwd)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source, target)
        libc.ptrace(TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which only root may filter
        if libc.prctl(22, 2, ctypes.byref(program), 0, 0):  # PR_SET_SECCOMP, a filter
            os._exit(126)
        os.execvpe(command[0], list(command), dict(environ))
    finally:
        os._exit(127)


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction))]


def _filter() -> _Program:
    """Stop at CALLS and at opening for writing, let everything else pass."""
    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    stop, go = 0x7FF00000, 0x7FFF0000
    numbers = sorted(CALLS)
    lines: list[tuple[int, int, int, int]] = [(load, 0, 0, 0)]
    for position, number in enumerate(numbers):
        lines.append((equal, len(numbers) - position + 3, 0, number))
    lines += [
        (equal, 0, 2, OPENAT),
        (load, 0, 0, 16 + 8 * 2),  # its flags, the third argument
        (any_bit, 1, 0, TO_WRITE),
        (answer, 0, 0, go),
        (answer, 0, 0, stop),
    ]
    array = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    return _Program(len(lines), array)


class _Trace:
    def __init__(self, top: int, fault: Fault | None, world: str) -> None:
        self.top = top
        self.fault = fault
        self.world = world
        self.status = 0
        self.hit = False
        self.steps: list[Step] = []
        self.processes: dict[int, _Process] = {top: _Process("start")}
        self._thread_of: dict[int, int] = {top: top}
        self._roles: dict[int, str] = {}

    def follow(self) -> None:
        """Until nothing that is traced is left."""
        while self._thread_of:
            pid, status = os.waitpid(-1, ALL_THREADS)
            if os.WIFSTOPPED(status):
                self._stopped(pid, status >> 16, os.WSTOPSIG(status))
                continue
            self._thread_of.pop(pid, None)
            self.processes.pop(pid, None)
            if pid == self.top:
                self.status = os.waitstatus_to_exitcode(status)

    def kill_all(self) -> None:
        for pid in list(self.processes):
            _kill(pid, signal.SIGKILL)

    def _stopped(self, pid: int, event: int, stop: int) -> None:
        deliver = 0
        if pid not in self._thread_of:
            # A new process or thread begins with a SIGSTOP, which is not for it.
            self._greet(pid)
        elif event in (FORKED, VFORKED, CLONED):
            self._born(pid)
        elif event == EXECED:
            own = self.processes[pid]
            self.processes[pid] = _Process(_role(_arguments(pid), own.role))
        elif event == AT_A_CALL:
            self._at_a_call(pid)
        elif event == 0 and stop != signal.SIGSTOP:
            deliver = stop
        libc.ptrace(CONT, pid, None, deliver)

    def _greet(self, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            status = ""
        found = re.search(r"^Tgid:\t(\d+)", status, re.M)
        leader = int(found[1]) if found else pid
        self._thread_of[pid] = leader
        if leader == pid:
            parent = re.search(r"^PPid:\t(\d+)", status, re.M)
            own = self.processes.get(int(parent[1])) if parent else None
            self.processes[pid] = _Process(own.role if own else self._roles.pop(pid, ""))

    def _born(self, parent: int) -> None:
        """Whose child a new process is: told before or after its own first stop."""
        told = ctypes.c_ulong()
        libc.ptrace(GETEVENTMSG, parent, None, ctypes.addressof(told))
        role = self.processes[self._thread_of[parent]].role
        if told.value not in self._thread_of:
            self._roles[told.value] = role
        elif told.value in self.processes and not self.processes[told.value].role:
            self.processes[told.value].role = role

    def _at_a_call(self, pid: int) -> None:
        info = ctypes.create_string_buffer(88)
        if libc.ptrace(GET_SYSCALL_INFO, pid, ctypes.c_void_p(88), ctypes.addressof(info)) <= 0:
            return
        number, *arguments = struct.unpack_from("7Q", info.raw, 24)
        own = self.processes.get(self._thread_of[pid])
        if own is None:
            return
        what = f"{CALLS.get(number, 'open')} {self._object(pid, number, arguments)}".strip()
        own.counts[what] = own.counts.get(what, 0) + 1
        step = Step(own.role, what, own.counts[what])
        self.steps.append(step)
        if self.fault and not self.hit and step == self.fault.step:
            self.hit = True
            self._strike(self._thread_of[pid])

    def _strike(self, pid: int) -> None:
        assert self.fault
        if self.fault.aim == "group":
            os.killpg(self.top, self.fault.signal)
        elif self.fault.aim == "all":
            self.kill_all()
        else:
            _kill(self.top if self.fault.aim == "top" else pid, self.fault.signal)

    def _object(self, pid: int, number: int, arguments: Sequence[int]) -> str:
        try:
            if number in PATH_ARGUMENT:
                return self._plain(_string(pid, arguments[PATH_ARGUMENT[number]]))
            if number in FIRST_IS_A_DESCRIPTOR:
                return self._plain(os.readlink(f"/proc/{pid}/fd/{arguments[0]}"))
        except OSError:
            return "?"
        return ""

    def _plain(self, path: str) -> str:
        """Without what differs from run to run."""
        path = path.replace(self.world, "~").replace(" (deleted)", "")
        path = re.sub(r"\.git/objects/[0-9a-f]{2}/\w+|objects/[0-9a-f]{2}(/\w*)?$", "objects/*", path)
        path = re.sub(r"tmp_?[A-Za-z]*_\w{6}|tmp\w{8}|(?<=git-prefect-)\w{8}|\.new-\w{8}|incoming-\w+", "*", path)
        return re.sub(r"[0-9a-f]{12,}|\d+", "N", path)


def _role(arguments: Sequence[str], before: str) -> str:
    """What a program is to us, by its command line; `before` is who has started it."""
    name = os.path.basename(arguments[0]) if arguments else "?"
    words = [one for one in arguments[1:] if not one.startswith("-")]
    if before == "remote" or "receive-pack" in " ".join(arguments[:2]):
        return "remote"
    if "git_prefect.deploy.watcher" in arguments:
        return "watcher"
    if any(one.endswith("flows/worker.py") for one in arguments):
        return "loads"
    ours = [number for number, one in enumerate(arguments[:2]) if os.path.basename(one) == "git-prefect"]
    if ours:
        return " ".join(["git prefect", *arguments[ours[0] + 1 : ours[0] + 2]])
    if name == "git":
        if arguments[1:2] in (["push"], ["prefect"]):
            return " ".join(["git", arguments[1]])
        known = [one for one in words if re.fullmatch(r"[a-z-]{3,20}", one)]
        owner = before.split(" > ")[0]
        return f"{owner} > git {known[0] if known else ''}".strip()
    if name in ("sh", "dash", "bash"):
        return f"{before.split(' > ')[0]} > sh"
    return f"{before.split(' > ')[0]} > {name}"


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def _command(pid: int) -> str:
    return " ".join(_arguments(pid))[:200]


def _string(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        try:
            data = memory.read(512)
        except OSError:
            # Up to the end of the page.
            memory.seek(address)
            data = memory.read(4096 - address % 4096)
    return data.split(b"\0")[0].decode("utf-8", "replace")


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
