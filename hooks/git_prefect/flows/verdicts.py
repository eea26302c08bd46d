"""What need not be loaded again: the verdict on a file, kept as long as nothing that it rests on has changed."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional

import msgspec
from msgspec import to_builtins
from msgspec.structs import astuple, replace

from ..core import findings as finding_codes
from ..core import state_files
from ..core.json_input import Seconds, convert, decode
from ..core.model import ERROR, Finding, LoadedFlow, TreeEntry
from .discovery import SUBMODULE, SYMLINK
from .source_memory import Memory

FORMAT = 2
"""Of everything in the folder; files of another format are not ours."""
AGE_LIMIT = 7 * 24 * 3600
"""Seconds after which a file is loaded again, whatever the key says: flows may read the clock or the network."""
FLEETING_LIMIT = 600
"""Seconds for which a failure that may be gone is believed within the same push."""
MOST_CONTEXTS = 16
"""Combinations of interpreter, environment and settings that are remembered."""
DECIDING = (
    "worker.py", "child.py", "task_imports.py", "pickled_tasks.py", "load_findings.py", "storage_findings.py", "refusals.py",
    "discovery.py", "imports_ahead.py", "environment.py", "import_findings.py", "prefect_names.py", "prefect_config.py",
)  # fmt: skip
"""Our own code that a verdict rests on."""
MOST_OF_A_PATH = 8
"""Verdicts on one path, of several branches and trees."""
MOST_PATHS = 20_000


class KnownFlow(msgspec.Struct, frozen=True, array_like=True):
    """What a verdict says of a flow without its serialized form."""

    name: str
    tasks: int
    storage: Optional[dict[str, Any]]
    made_by: str = ""


class KnownFinding(msgspec.Struct, frozen=True, array_like=True):
    """A finding of a file, without its path and ref."""

    code: str
    severity: str
    message: str
    hint: str
    line: Optional[int]
    flow: Optional[str]
    detail: str


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What a load said of a file."""

    blob: str
    tree: str
    """The whole tree when the load may have looked where nobody sees it; else empty: the file and `used` decide."""
    at: Seconds
    """When it was loaded, in seconds since the epoch."""
    flows: tuple[KnownFlow, ...]
    known_findings: tuple[KnownFinding, ...]
    missing: str
    """Module that the hook's own interpreter lacks; the file is then unchecked."""
    content: str
    """Where the serialized flows are: a file of several loads, first byte and length there, and their hash; with `:` between."""
    outside: dict[str, Optional[list[int]]]
    """Files outside of the repository and of the packages that were opened: time and size, None when missing."""
    fleeting: bool = False
    """True of a failure that may be gone the next time: a time-out, a signal, a network that was out of reach."""
    used: dict[str, str] = {}
    """What the load used of the tree: see `Facts`."""

    def findings(self, path: str) -> tuple[Finding, ...]:
        """What is wrong with the file, which is at this path."""
        return tuple(
            Finding(one.code, one.severity, one.message, one.hint, path, one.line, one.flow, None, one.detail)
            for one in self.known_findings
        )


def known_findings(findings: Sequence[Finding]) -> tuple[KnownFinding, ...]:
    """Findings as a verdict keeps them."""
    return tuple(
        KnownFinding(one.code, one.severity, one.message, one.hint, one.line, one.flow, one.detail) for one in findings
    )


def context_of(fingerprint: str, environment: Mapping[str, str], import_roots: Sequence[str], timeout: float, folder: str) -> str:
    """What all verdicts of a run rest on: interpreter, packages, the worker's environment, settings, and our own code."""
    content = hashlib.sha256(
        json.dumps([FORMAT, fingerprint, sorted(environment.items()), list(import_roots), timeout, folder]).encode()
    )
    for name in DECIDING:
        content.update(Path(__file__).with_name(name).read_bytes())
    # What a finding's code says of its severity is kept with the finding.
    content.update(Path(finding_codes.__file__).read_bytes())
    return content.hexdigest()[:32]


NAMES, CONTENTS = "/", "//"
"""Ends of keys of `Verdict.used` that stand for the names in a folder, and for names, modes and contents."""
NO_LINKS = ".."
"""The key that says that the tree has no symlinks: a path with `..` leads elsewhere behind one."""
PATHS = "*"
"""The key of all paths of the tree: what is said of a missing module or file rests on which there are."""
UNKNOWN = "?"
"""The fact of what the entries of a tree do not decide; it is never equal to one that is kept."""


class Facts:
    """What the entries of a tree say of a path: mode and blob, that it is a folder, or that it is absent.

    Of a work tree, ignored files are looked for, and contents read that have no object name. Nothing is made before a
    verdict first asks.
    """

    def __init__(self, entries: Sequence[TreeEntry], work_tree: Path | None = None) -> None:
        self._entries = entries
        self._work_tree = work_tree
        self._known: dict[str, str] = {}

    @functools.cached_property
    def _by_path(self) -> dict[str, TreeEntry]:
        return {entry.path: entry for entry in self._entries}

    @functools.cached_property
    def _folders(self) -> dict[str, set[str]]:
        folders: dict[str, set[str]] = {"": set()}
        for entry in self._entries:
            path = entry.path
            while path:
                folder, _, name = path.rpartition("/")
                names = folders.setdefault(folder, set())
                if name in names:
                    break
                names.add(name)
                path = folder
        return folders

    @functools.cached_property
    def _links(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self._entries if entry.mode == SYMLINK)

    @functools.cached_property
    def _folded(self) -> frozenset[str]:
        paths = (*self._by_path, *self._folders) if sys.platform == "darwin" else ()
        return frozenset(path.casefold() for path in paths)

    def of(self, key: str) -> str:
        """The fact of a path, or of a folder's content by a key that ends with `NAMES` or `CONTENTS`."""
        fact = self._known.get(key)
        if fact is None:
            fact = self._known[key] = self._fact(key)
        return fact

    def _fact(self, key: str) -> str:
        if key == NO_LINKS:
            return UNKNOWN if self._links else ""
        if key == PATHS:
            return _hash_of([entry.path + "/" * (entry.mode == SUBMODULE) for entry in self._entries])
        if key.endswith(NAMES):
            return self._listing(key.rstrip("/"), key.endswith(CONTENTS))
        entry = self._by_path.get(key)
        if entry is not None:
            blob = "" if entry.mode == SYMLINK else entry.blob or self._name_of(key)
            return f"{entry.mode} {blob}" if blob else UNKNOWN
        if key in self._folders:
            return "folder"
        return UNKNOWN if self._leads_over_link(key) or key.casefold() in self._folded else self._absent(key)

    def _absent(self, path: str) -> str:
        there = self._work_tree is not None and os.path.lexists(self._work_tree / path)
        return UNKNOWN if there else ""

    def _name_of(self, path: str) -> str:
        """The object name that a file of the work tree would have, so that its commit shares the verdict."""
        assert self._work_tree, "only a work tree has entries without a name"
        try:
            content = (self._work_tree / path).read_bytes()
        except OSError:
            return ""
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def _leads_over_link(self, path: str) -> bool:
        while self._links and path:
            path = path.rpartition("/")[0]
            if path in self._links:
                return True
        return False

    def _listing(self, folder: str, contents: bool) -> str:
        if folder not in self._folders:
            return UNKNOWN if self._leads_over_link(folder) or folder in self._links else self._absent(folder)
        names = sorted({*self._folders[folder], *self._ignored_in(folder)})
        if contents:
            below = folder + "/" if folder else ""
            facts = [self.of(below + name) for name in names]
            if UNKNOWN in facts:
                return UNKNOWN
            names += facts
        return _hash_of(names)


    def _ignored_in(self, folder: str) -> list[str]:
        """Names in a folder of the work tree, ignored ones too; what tools leave there counts as nothing."""
        if self._work_tree is None:
            return []
        try:
            names = os.listdir(self._work_tree / folder)
        except OSError:
            return [UNKNOWN]
        return [name for name in names if name[:1] != "." and name != "__pycache__"]


def _hash_of(names: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class _Kept(msgspec.Struct):
    """The file of a context."""

    format: int
    files: dict[str, Any]


class Store:
    """Verdicts of one context under the state folder. Reading never fails; writing that fails costs only time."""

    def __init__(self, state: Path, context: str | None) -> None:
        self._folder = state / "verdicts"
        self._context = context
        self._new: dict[str, list[Any]] = {}
        self._pack = os.urandom(16).hex()
        """Name of the one file for the flows of all loads of this run: that of another is never written to."""
        self._length = 0
        self._records = self._read_records()
        self.memory = Memory(self._folder)

    def get(self, path: str, blob: str, tree: str, facts: Facts, fleeting: bool = False) -> Verdict | None:
        """The verdict on a file; None when it has to be loaded. Fleeting ones count only when asked for, for minutes."""
        for verdict in self._verdicts(path):
            if verdict.blob != blob or verdict.tree not in ("", tree) or not -60 < time.time() - verdict.at < AGE_LIMIT:
                continue
            if verdict.fleeting and not (fleeting and time.time() - verdict.at < FLEETING_LIMIT):
                continue
            if any(facts.of(key) != fact for key, fact in verdict.used.items()):
                continue
            if all(_stat(file) == known for file, known in verdict.outside.items()):
                return verdict
        return None

    def _verdicts(self, path: str) -> Iterator[Verdict]:
        """What is known of a path, the newest first; what is not as we write it is left out."""
        found = (convert(record, Verdict) for record in self._records.get(path, ()))
        return (verdict for verdict in found if verdict is not None)

    def name_of_all(self, path: str, verdict: Verdict) -> str:
        """A name for all that a verdict rests on, time and network aside; empty without a context."""
        if self._context is None:
            return ""
        rests = [self._context, path, verdict.blob, verdict.tree, sorted(verdict.used.items()), sorted(verdict.outside.items())]
        return hashlib.sha256(json.dumps(rests).encode()).hexdigest()[:32]

    def flows(self, verdict: Verdict) -> tuple[LoadedFlow, ...] | None:
        """The flows of a verdict in full; None when they are no longer there."""
        data = self._content(verdict.content)
        return None if data is None else decode(data, tuple[LoadedFlow, ...])

    def _content(self, place: str) -> bytes | None:
        try:
            pack, start, length, known = place.split(":")
            with open(self._folder / "flows" / os.path.basename(pack), "rb") as file:
                file.seek(int(start))
                data = file.read(int(length))
        except (OSError, ValueError):
            return None
        return data if hashlib.sha256(data).hexdigest() == known else None

    def put(self, path: str, verdict: Verdict, flows: Sequence[LoadedFlow]) -> None:
        """Keep a verdict; it is written by `save`."""
        data = json.dumps([astuple(flow) for flow in flows], separators=(",", ":")).encode()
        place = self._kept(path, data)
        if not place:
            place = f"{self._pack}:{self._length}:{len(data)}:{hashlib.sha256(data).hexdigest()}"
            self._length += len(data)
            if self._context is not None:
                # Written at once: of a thousand files' flows none is held. What is not there is loaded again.
                with suppress(OSError):
                    state_files.append(self._folder / "flows" / self._pack, data)
        self._new.setdefault(path, []).insert(0, to_builtins(replace(verdict, content=place)))

    def _kept(self, path: str, data: bytes) -> str:
        """Where the same flows of a file are from an earlier load, which has to live on; empty when they are nowhere."""
        for verdict in self._verdicts(path):
            if self._content(verdict.content) == data:
                with suppress(OSError):
                    os.utime(self._folder / "flows" / verdict.content.partition(":")[0])
                    return verdict.content
        return ""

    def save(self) -> None:
        """Write what is new, in one go and beside others that do so at the same time."""
        try:
            with _locked(self._folder / "lock"):
                self.memory.save()
                if self._new and self._context is not None:
                    self._merge()
                if self._new:
                    _prune(self._folder)
        except OSError:
            pass

    def _merge(self) -> None:
        records = self._read_records()
        for path, new in self._new.items():
            replaced = [_rests_on(one) for one in new]
            old = [one for one in records.get(path, []) if isinstance(one, list) and _rests_on(one) not in replaced]
            records[path] = [*new, *old][:MOST_OF_A_PATH]
        limit = time.time() - AGE_LIMIT
        kept = {path: [one for one in found if _is_newer(one, limit)] for path, found in records.items()}
        kept = {path: found for path, found in sorted(kept.items(), key=lambda item: _newest(item[1])) if found}
        while len(kept) > MOST_PATHS:
            del kept[next(iter(kept))]
        _write(self._file(), json.dumps({"format": FORMAT, "files": kept}, separators=(",", ":")).encode())

    def _read_records(self) -> dict[str, list[Any]]:
        if self._context is None:
            return {}
        try:
            content = decode(self._file().read_bytes(), _Kept)
        except OSError:
            return {}
        if content is None or content.format != FORMAT:
            return {}
        return {path: found for path, found in content.files.items() if isinstance(found, list)}

    def _file(self) -> Path:
        return self._folder / f"context-{self._context}.json"


def _stat(path: str) -> list[int] | None:
    try:
        known = os.stat(path)
    except (OSError, ValueError):
        return None
    return [known.st_mtime_ns, known.st_size]


def _rests_on(record: list[Any]) -> list[Any]:
    """Blob, tree and used paths of a verdict as it is written: one of them replaces the one before."""
    return [*record[:2], *record[9:10]]


def _is_newer(record: Any, limit: float) -> bool:
    return isinstance(record, list) and len(record) > 2 and isinstance(record[2], (int, float)) and record[2] > limit


def _newest(records: Sequence[Any]) -> float:
    return max((record[2] for record in records), default=0.0)


def is_clean(findings: Sequence[Finding]) -> bool:
    """Whether an agent loads the file and the API takes its flows."""
    return all(one.severity != ERROR for one in findings)


# The files ------------------------------------------------------------------------------------------


def _prune(folder: Path) -> None:
    contexts = sorted(folder.glob("context-*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    now = time.time()
    limit = now - AGE_LIMIT
    # What a clock that was ahead has left would else outlive all others.
    contexts.sort(key=lambda file: file.stat().st_mtime > now + 60)
    for number, file in enumerate(contexts):
        if number >= MOST_CONTEXTS or file.stat().st_mtime < limit:
            file.unlink(missing_ok=True)
    with os.scandir(folder / "flows") as entries:
        for entry in entries:
            if entry.stat().st_mtime < limit - 3600:
                Path(entry.path).unlink(missing_ok=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with state_files.open_lock(file) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(file: Path, data: bytes) -> None:
    """A folder that cannot be written is none of the push's business."""
    with suppress(OSError):
        state_files.replace(file, data)
