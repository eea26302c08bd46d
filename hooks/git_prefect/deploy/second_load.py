"""What of a flow differs each time that its file is loaded, found by a second load under another hash seed."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import random
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from .. import git
from ..core import state_files
from ..core.findings import finding
from ..core.json_input import Seconds, decode
from ..core.model import ERROR, CheckedFile, Finding, LoadedFlow
from ..core.settings import Settings
from ..flows.checker import CheckOptions
from ..flows.discovery import Tree
from ..flows.verdicts import AGE_LIMIT
from ..prefect_api import structure
from .source_tree import check

CODE = "differs-each-load"
SEEDS = 3
"""Hash seeds under which a file that makes a set is loaded again; any other is loaded under one."""
MOST_SHOWN = 2
"""Differences that a finding names."""
FORMAT = 1
"""Of the file of loads that were the same."""
MOST_KEPT = 2000
"""Loads that are remembered to be the same the second time."""


class FirstLoad(msgspec.Struct, frozen=True):
    """Flow files that were checked, and how."""

    repository: git.Repository
    tree: Tree
    settings: Settings
    options: CheckOptions
    files: Sequence[CheckedFile]
    """With their flows in full."""


class _Repeated(msgspec.Struct, frozen=True):
    """The file of loads that were the same the second time."""

    format: int
    loads: dict[str, Seconds]
    """Their names, and when they were compared, in seconds since the epoch."""


def newly_differing(first: FirstLoad, paths: Collection[str]) -> list[Finding]:
    """As `differing`, without the files that an earlier second load found to be the same: at the attempt before, for another
    branch, for the release. The clone remembers it as long as a verdict.
    """
    now = time.time()
    known = {name: at for name, at in _repeated(first.repository).items() if -60 < now - at < AGE_LIMIT}
    names = {file.path: _name(file) for file in first.files if file.path in paths}
    found, compared = _compare(first, {path for path in names if names[path] not in known})
    new = {names[path]: now for path in compared - {one.path or "" for one in found} if names[path]}
    if new:
        kept = dict(sorted({**known, **new}.items(), key=lambda item: item[1])[-MOST_KEPT:])
        # What cannot be kept is loaded again.
        with suppress(OSError):
            state_files.replace(_file(first.repository), msgspec.json.encode(_Repeated(FORMAT, kept)))
    return found


def _repeated(repository: git.Repository) -> dict[str, float]:
    try:
        with open(_file(repository), "rb") as file:
            kept = decode(file.read(), _Repeated)
    except OSError:
        return {}
    return kept.loads if kept and kept.format == FORMAT else {}


def _file(repository: git.Repository) -> str:
    return os.path.join(repository.state_dir, "second-loads.json")


def _name(file: CheckedFile) -> str:
    """Of what a load rests on and gave; empty where something of it is unknown."""
    gave = json.dumps([flow.serialized for flow in (*file.flows, *file.imported)], sort_keys=True)
    return hashlib.sha256(f"{file.rests_on} {gave}".encode()).hexdigest()[:32] if file.rests_on else ""


def differing(first: FirstLoad, paths: Collection[str]) -> list[Finding]:
    """Load those of the files that have these paths once more, and compare.

    What only the interpreter keeps from loading tells nothing. A file that makes a set is tried under further seeds while
    nothing differs: of three names one in six orders is the first load's.
    """
    return _compare(first, paths)[0]


def _compare(first: FirstLoad, paths: Collection[str]) -> tuple[list[Finding], set[str]]:
    """What differs, and the files that were loaded each time that they should be."""
    left = {file.path: file for file in first.files if file.path in paths and not file.failed and not file.unchecked}
    compared = set(left)
    found: list[Finding] = []
    for number in range(SEEDS):
        if number == 1:
            sources = first.tree.read([file.blob for file in left.values()]) if left else {}
            left = {path: file for path, file in left.items() if _makes_a_set(sources[file.blob])}
        left = {path: file for path, file in left.items() if not any(one.path == path for one in found)}
        if not left:
            break
        seed = str(random.randrange(1, 2**32))
        options = replace(first.options, only=set(left), with_flows=True, hash_seed=seed)
        again = check(first.repository, first.tree, first.settings, options)
        second = {file.path: file for file in again}
        compared -= {file.path for file in again if file.unchecked}
        found += [one for path, file in left.items() for one in _compared(file, second.get(path))]
    return sorted(found, key=lambda one: one.path or ""), compared


def _makes_a_set(source: bytes) -> bool:
    """Whether a source makes a set, other than one whose order means nothing to Prefect."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    unordered = {id(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg in structure.UNORDERED}
    return any(
        (isinstance(node, (ast.Set, ast.SetComp)) and id(node) not in unordered)
        or (isinstance(node, ast.Name) and node.id in ("set", "frozenset"))
        for node in nodes
    )


def with_errors(files: Sequence[CheckedFile], found: Sequence[Finding]) -> list[CheckedFile]:
    """The files, each with those of the findings that are errors of its flows."""
    errors = [one for one in found if one.severity == ERROR]
    return [replace(file, findings=(*file.findings, *(one for one in errors if one.path == file.path))) for file in files]


def _compared(before: CheckedFile, after: CheckedFile | None) -> Iterator[Finding]:
    if after and after.unchecked:
        return
    failed = [one for one in after.findings if one.severity == ERROR and not one.flow and one.code != "no-flow"] if after else []
    if failed:
        hint = "let it load the same way each time: a run fails whenever its load does"
        yield finding(CODE, f"loads at one time and fails at the next ({failed[0].message})", hint, path=before.path)
        return
    flows = {flow.name: flow for flow in (*after.flows, *after.imported)} if after else {}
    new = sorted(flows.keys() - {flow.name for flow in (*before.flows, *before.imported)})
    for flow in before.flows:
        now = flows.get(flow.name)
        found = _of_flow(flow, now) if now else _unnamed(flow, new)
        if found:
            yield replace(found, path=before.path, flow=flow.name)


def _unnamed(flow: LoadedFlow, new: Sequence[str]) -> Finding:
    then = f", then {', '.join(map(repr, new[:MOST_SHOWN]))}" if new else ""
    return finding(
        CODE,
        f"flow {flow.name!r} has another name at each load{then}: an agent looks for the registered name, and every run fails",
        "give the flow a fixed name, without the time, random values or the order of a set",
        severity=ERROR,
    )


def _of_flow(before: LoadedFlow, after: LoadedFlow) -> Finding | None:
    lines = structure.differences(before.serialized, after.serialized)
    if not lines:
        return None
    more = f"; and {len(lines) - MOST_SHOWN} more" if len(lines) > MOST_SHOWN else ""
    what = f"flow {before.name!r} differs at each load ({'; '.join(lines[:MOST_SHOWN])}{more})"
    if structure.slugs(before.serialized) != structure.slugs(after.serialized):
        return finding(
            CODE,
            f"{what}: an agent runs tasks that are not registered, and the run fails",
            "give tasks fixed names and slugs, without the time and random values; make them from a list or sorted(…), not from a set",
            severity=ERROR,
        )
    return finding(
        CODE,
        f"{what}: each edit registers a new version, and `git prefect status` reports a difference that no registration settles",
        "make tasks from a list or sorted(…), not from a set; give schedules a fixed start_date; take the time and random values "
        "inside a task",
    )
