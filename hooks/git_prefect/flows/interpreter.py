"""Which Python loads the flow files: the one that has their dependencies, as an agent would."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Optional, Union

import msgspec
from msgspec.structs import asdict, replace

from ..core import state_files
from ..core.errors import UsageError
from ..core.fingerprints import changed_at, of_packages
from ..core.json_input import convert, decode

Folder = Union[str, "os.PathLike[str]"]

OLDEST_PYTHON = (3, 8)
OLDEST_PREFECT = (0, 15)
"""The first with `format_access_token` and the Git storage that we register."""
MOST_PROBED = 8
"""Pythons on PATH that are asked whether they have Prefect."""


class Interpreter(msgspec.Struct, frozen=True):
    """A Python, what it has, and how it was found."""

    path: str
    version: str
    prefect: str | None
    """Version of Prefect; None when it is not installed there."""
    marshmallow: str | None
    own: bool
    """True when this is the hook's own environment, which need not have what flows import."""
    origin: str
    """The rule that found it: `setting python`, `.venv of the repository`, `PATH` or `the hook's own`."""
    fingerprint: str
    """Changes when a package is installed, upgraded or removed."""
    problem: str
    """Why no flow can be loaded with it; empty when it is well."""
    repository: str
    """The repository that it was looked for from."""
    folders: tuple[str, ...] = ()
    """The folders of its `sys.path`."""
    looked_at: tuple[str, ...] = ()
    """Files that decided which interpreter it is: candidates that come before it, and its own."""

    @property
    def is_chosen(self) -> bool:
        """Whether the setting `python`, or an environment in the repository, says that it is this one."""
        return self.origin not in ("PATH", "the hook's own")

    @property
    def shown(self) -> str:
        """Its path, from the root of the repository where it is in there."""
        inside = os.path.relpath(self.path, self.repository)
        return self.path if inside.startswith("..") else inside

    @property
    def brief(self) -> str:
        """`Prefect 1.4.1 in .venv/bin/python`."""
        return f"Prefect {self.prefect} in {self.shown}" if self.prefect else self.shown

    def describe(self) -> str:
        """`Python 3.11.7 with Prefect 1.4.1, .venv/bin/python`."""
        prefect = f" with Prefect {self.prefect}" if self.prefect else ""
        return f"Python {self.version}{prefect}, {self.shown}"


def find(
    repository: Folder, configured: str | None, state: Folder, main_work_tree: Folder | None = None
) -> Interpreter:
    """The interpreter of the setting `python`, else the first with Prefect: the repository's `.venv` or `venv`,
    those on PATH outside the hook's own environment, the hook's own.

    A linked worktree seldom has an environment of its own: what it lacks is looked for in the main work tree.

    What is asked of an interpreter is kept in `state` until its environment changes.

    Raises:
        UsageError: the configured interpreter does not exist or does not start.
    """
    probes = Probes(state, repository)
    try:
        folders = [repository, *([main_work_tree] if main_work_tree else [])]
        found = _first_with_prefect(folders, configured, probes)
    finally:
        probes.keep()
    return replace(found, looked_at=tuple(probes.looked_at))


def _first_with_prefect(folders: list[Folder], configured: str | None, probes: Probes) -> Interpreter:
    repository = folders[0]
    if configured:
        paths = [os.path.join(folder, os.path.expanduser(configured)) for folder in folders]
        probes.looked_at += paths
        path = next((path for path in paths if os.path.isfile(path)), paths[0])
        return _interpreter(repository, path, probes.required(path, configured), "setting python")
    for folder in folders:
        for name in (".venv", "venv"):
            path = os.path.join(folder, name, "bin", "python")
            probe = probes.of(path)
            if probe and probe.prefect:
                whose = "repository" if folder == repository else "main work tree"
                return _interpreter(repository, path, probe, f"{name} of the {whose}")
    for path in _on_path(probes):
        probe = probes.of(path)
        if probe and probe.prefect and os.path.realpath(probe.prefix) != os.path.realpath(sys.prefix):
            return _interpreter(repository, path, probe, "PATH")
    probe = probes.required(sys.executable, sys.executable)
    return _interpreter(repository, sys.executable, probe, "the hook's own")


def _on_path(probes: Probes) -> Iterator[str]:
    own = os.path.realpath(os.path.join(sys.prefix, "bin"))
    seen: set[str] = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not folder or os.path.realpath(folder) == own:
            continue
        for name in ("python3", "python"):
            path = os.path.join(folder, name)
            probes.looked_at.append(path)
            # Not its real path: a virtual environment's python is a link to the one it was made with.
            if path not in seen and len(seen) < MOST_PROBED and os.path.isfile(path) and os.access(path, os.X_OK):
                seen.add(path)
                yield path


def _interpreter(repository: Folder, path: str, probe: Probe, origin: str) -> Interpreter:
    own = os.path.realpath(probe.prefix) == os.path.realpath(sys.prefix)
    if _is_script(path):
        path = probe.executable
    fingerprint = _fingerprint(path, probe)
    return Interpreter(
        path, probe.version, probe.prefect, probe.marshmallow, own, origin, fingerprint,
        _problem(probe), str(repository), tuple(probe.folders),
    )  # fmt: skip


def _problem(probe: Probe) -> str:
    prefect, marshmallow = probe.prefect, probe.marshmallow
    if _numbers(probe.version) < OLDEST_PYTHON:
        return f"Python {probe.version} is too old to load flows: it has to be 3.8 or newer"
    if not prefect:
        return "Prefect is not installed there, so no flow can be loaded"
    if _numbers(prefect) >= (2,):
        return f"Prefect {prefect} is installed there, and agents of Prefect 1 cannot load what it makes"
    if _numbers(prefect) < OLDEST_PREFECT:
        return f"Prefect {prefect} is installed there; its Git storage is older than what agents of Prefect 1 use"
    if marshmallow and _numbers(marshmallow) >= (4,):
        return (
            f"marshmallow {marshmallow} is installed there: with it Prefect 1 can neither serialize a flow nor load one "
            "that is registered"
        )
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))] if not part.isdigit() else part
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


_PROBE = """
import sys
sys.path[:] = [path for path in sys.path if path]
import json, os
folders = [path for path in sys.path if os.path.isdir(path)]
def version(name):
    # importlib.metadata takes three times as long to be imported as this takes to start.
    try:
        for folder in folders:
            for entry in os.listdir(folder):
                if entry.startswith(name + "-") and entry.endswith(".dist-info"):
                    return entry[len(name) + 1:-len(".dist-info")]
        from importlib.metadata import version
        return version(name)
    except Exception:
        return None
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "prefix": sys.prefix, "executable": sys.executable,
    "folders": folders, "prefect": version("prefect"), "marshmallow": version("marshmallow")}))
"""


class Probe(msgspec.Struct, frozen=True):
    """What a Python says of itself."""

    version: str
    prefix: str
    executable: str
    folders: list[str]
    """Of its `sys.path`, those that exist."""
    prefect: Optional[str]
    marshmallow: Optional[str]


class KnownProbe(Probe, frozen=True):
    """An answer that is kept, with the times of the files that it rests on."""

    signature: list[Any]


class Probes:
    """Answers of interpreters, kept until the interpreter or its environment changes."""

    def __init__(self, state: Folder, repository: Folder) -> None:
        self._file = os.path.join(state, "interpreters.json")
        self._repository = repository
        self._changed = False
        self.looked_at: list[str] = []
        """Files that decided about the interpreters that were asked for."""
        try:
            with open(self._file, "rb") as file:
                known = decode(file.read(), dict[str, Any]) or {}
        except OSError:
            known = {}
        self._known = known if known.pop("format", None) == 1 else {}

    def of(self, path: str) -> Probe | None:
        """What the interpreter answers; None when there is none, or it does not answer as a Python."""
        self.looked_at.append(path)
        if not os.access(path, os.X_OK):
            return None
        known = convert(self._known.get(path), KnownProbe)
        if known and known.signature == self._signature(path, known.folders):
            return known
        probe = _ask(path, self._repository)
        self._changed = True
        self._known.pop(path, None)
        if probe is not None:
            self._known[path] = {**asdict(probe), "signature": self._signature(path, probe.folders)}
        return probe

    def required(self, path: str, name: str) -> Probe:
        """As `of`, for an interpreter that has to be one."""
        if not os.path.isfile(path):
            looked = "" if name == path else f" (looked for at {path})"
            raise UsageError(
                f"setting python: {name} does not exist{looked}, so no flow can be loaded",
                "create the environment, or let `python` name the interpreter that has the flows' dependencies "
                "(GIT_PREFECT_PYTHON and `git config prefect.python` set it for this machine only)",
            )
        if not os.access(path, os.X_OK):
            raise UsageError(
                f"setting python: {path} is not executable, so no flow can be loaded",
                f"chmod +x {path}, or let `python` name another interpreter",
            )
        probe = self.of(path)
        if probe is None:
            raise UsageError(
                f"setting python: {path} does not answer as a Python does, so no flow can be loaded",
                "let `python` name the interpreter that has the flows' dependencies, such as .venv/bin/python",
            )
        return probe

    def keep(self) -> None:
        """Write what was learnt; a state folder that cannot be written only costs time."""
        if not self._changed:
            return
        with suppress(OSError):
            state_files.replace(self._file, json.dumps({**self._known, "format": 1}))

    def _signature(self, path: str, folders: list[str]) -> list[Any]:
        binary = os.path.realpath(path)
        files = [path, binary, os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg"), *folders]
        self.looked_at += files
        signature: list[Any] = [changed_at(file) for file in files]
        if _is_script(binary):
            # A shim of pyenv or asdf starts another Python by folder and environment.
            home = os.path.expanduser("~")
            versions = [os.path.join(self._repository, name) for name in (".python-version", ".tool-versions")]
            versions += [os.path.join(home, ".pyenv", "version"), os.path.join(home, ".tool-versions")]
            signature += [os.environ.get("PYENV_VERSION"), *map(changed_at, versions)]
        return signature


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _ask(path: str, repository: Folder) -> Probe | None:
    passed_on = (
        "HOME",
        "PATH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "PYENV_VERSION",
        "PYENV_ROOT",
        "LANG",
    )
    environment = {name: os.environ[name] for name in passed_on if name in os.environ}
    try:
        answer = subprocess.run(
            [path, "-c", _PROBE], cwd=repository, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True,
        )  # fmt: skip
        return decode(answer.stdout.splitlines()[-1], Probe)
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _fingerprint(path: str, probe: Probe) -> str:
    """Hash of the interpreter and of what is installed."""
    facts = f"{path}\0{probe.version}\0{changed_at(os.path.realpath(path))}\0{of_packages(probe.folders)}"
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()
