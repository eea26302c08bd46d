"""Which Python loads the flow files: the one that has their dependencies, as an agent would."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Union

from ..core import json_shape, state_files
from ..core.errors import UsageError

Folder = Union[str, "os.PathLike[str]"]

OLDEST_PYTHON = (3, 8)
OLDEST_PREFECT = (0, 15)
"""The first with `format_access_token` and the Git storage that we register."""
MOST_PROBED = 8
"""Pythons on PATH that are asked whether they have Prefect."""


class Interpreter(NamedTuple):
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


def find(repository: Folder, configured: str | None, state: Folder) -> Interpreter:
    """The interpreter of the setting `python`, else the first with Prefect: the repository's `.venv` or `venv`,
    those on PATH outside the hook's own environment, the hook's own.

    What is asked of an interpreter is kept in `state` until its environment changes.

    Raises:
        UsageError: the configured interpreter does not exist or does not start.
    """
    probes = Probes(state, repository)
    try:
        if configured:
            path = os.path.join(repository, os.path.expanduser(configured))
            return _interpreter(repository, path, probes.required(path, configured), "setting python")
        for name in (".venv", "venv"):
            path = os.path.join(repository, name, "bin", "python")
            probe = probes.of(path) if os.access(path, os.X_OK) else None
            if probe and probe["prefect"]:
                return _interpreter(repository, path, probe, f"{name} of the repository")
        for path in _on_path():
            probe = probes.of(path)
            if probe and probe["prefect"] and os.path.realpath(probe["prefix"]) != os.path.realpath(sys.prefix):
                return _interpreter(repository, path, probe, "PATH")
        probe = probes.required(sys.executable, sys.executable)
        return _interpreter(repository, sys.executable, probe, "the hook's own")
    finally:
        probes.keep()


def _on_path() -> Iterator[str]:
    own = os.path.realpath(os.path.join(sys.prefix, "bin"))
    seen: set[str] = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not folder or os.path.realpath(folder) == own:
            continue
        for name in ("python3", "python"):
            path = os.path.join(folder, name)
            # Not its real path: a virtual environment's python is a link to the one it was made with.
            if path not in seen and len(seen) < MOST_PROBED and os.path.isfile(path) and os.access(path, os.X_OK):
                seen.add(path)
                yield path


def _interpreter(repository: Folder, path: str, probe: dict[str, Any], origin: str) -> Interpreter:
    own = os.path.realpath(probe["prefix"]) == os.path.realpath(sys.prefix)
    if _is_script(path):
        path = probe["executable"]
    fingerprint = _fingerprint(path, probe)
    return Interpreter(
        path, probe["version"], probe["prefect"], probe["marshmallow"], own, origin, fingerprint,
        _problem(probe), str(repository),
    )  # fmt: skip


def _problem(probe: dict[str, Any]) -> str:
    prefect, marshmallow = probe["prefect"], probe["marshmallow"]
    if _numbers(probe["version"]) < OLDEST_PYTHON:
        return f"Python {probe['version']} is too old to load flows: it has to be 3.8 or newer"
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


PROBE = {"version": str, "prefix": str, "executable": str, "folders": [str], "prefect": (str, None), "marshmallow": (str, None)}
KNOWN = {**PROBE, "signature": list}


class Probes:
    """Answers of interpreters, kept until the interpreter or its environment changes."""

    def __init__(self, state: Folder, repository: Folder) -> None:
        self._file = os.path.join(state, "interpreters.json")
        self._repository = repository
        self._changed = False
        try:
            with open(self._file, "rb") as file:
                known = json_shape.loads(file.read(), {"format": int})
        except OSError:
            known = None
        ours = known is not None and known["format"] == 1
        self._known: dict[str, Any] = known if ours else {}

    def of(self, path: str) -> dict[str, Any] | None:
        """What the interpreter answers; None when it does not answer as a Python."""
        known = self._known.get(path)
        if json_shape.misfit(known, KNOWN):
            known = None
        signature = self._signature(path, known["folders"] if known else [])
        if known and known["signature"] == signature:
            return dict(known)
        probe = _ask(path, self._repository)
        self._changed = True
        self._known.pop(path, None)
        if probe is not None:
            self._known[path] = {**probe, "signature": self._signature(path, probe["folders"])}
        return probe

    def required(self, path: str, name: str) -> dict[str, Any]:
        """As `of`, for an interpreter that has to be one."""
        if not os.path.isfile(path):
            looked = "" if name == path else f" (looked for at {path})"
            raise UsageError(
                f"setting python: {name} does not exist{looked}, so no flow can be loaded",
                "create the environment, or set `python` to the interpreter that has the flows' dependencies "
                "(GIT_PREFECT_PYTHON and `git config prefect.python` set it for this machine only)",
            )
        if not os.access(path, os.X_OK):
            raise UsageError(
                f"setting python: {path} is not executable, so no flow can be loaded",
                f"chmod +x {path}, or set `python` to another interpreter",
            )
        probe = self.of(path)
        if probe is None:
            raise UsageError(
                f"setting python: {path} does not answer as a Python does, so no flow can be loaded",
                "set `python` to the interpreter that has the flows' dependencies, such as .venv/bin/python",
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
        signature: list[Any] = [_changed_at(file) for file in files]
        if _is_script(binary):
            # A shim of pyenv or asdf starts another Python by folder and environment.
            home = os.path.expanduser("~")
            versions = [os.path.join(self._repository, name) for name in (".python-version", ".tool-versions")]
            versions += [os.path.join(home, ".pyenv", "version"), os.path.join(home, ".tool-versions")]
            signature += [os.environ.get("PYENV_VERSION"), *map(_changed_at, versions)]
        return signature


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _ask(path: str, repository: Folder) -> dict[str, Any] | None:
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
        probe: dict[str, Any] | None = json_shape.loads(answer.stdout.splitlines()[-1], PROBE)
        return probe
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _fingerprint(path: str, probe: dict[str, Any]) -> str:
    """Hash of the interpreter and of what is installed: a name with its time for each distribution."""
    content = hashlib.sha256(f"{path}\0{probe['version']}\0{_changed_at(os.path.realpath(path))}".encode())
    for folder in probe["folders"]:
        if not folder.endswith(("site-packages", "dist-packages")):
            content.update(f"\0{folder}".encode())
            continue
        try:
            with os.scandir(folder) as entries:
                # Not the packages' own folders: their time changes when Python first compiles them.
                installed = sorted(
                    f"{entry.name}:{entry.stat().st_mtime_ns}"
                    for entry in entries
                    if entry.name.endswith((".dist-info", ".egg-info", ".egg-link", ".egg", ".pth", ".py", ".so"))
                )
        except OSError:
            installed = []
        content.update(("\0".join([folder, *installed])).encode("utf-8", "surrogateescape"))
    return content.hexdigest()
