"""What of a flow differs each time that its file is loaded, found by a second load under another hash seed."""

from __future__ import annotations

import ast
import random
from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from .. import git
from ..core.findings import finding
from ..core.model import ERROR, CheckedFile, Finding, LoadedFlow
from ..core.settings import Settings
from ..flows.checker import CheckOptions
from ..flows.discovery import Tree
from ..prefect_api import structure
from .source_tree import check

CODE = "differs-each-load"
SEEDS = 3
"""Hash seeds under which a file that makes a set is loaded again; any other is loaded under one."""
MOST_SHOWN = 2
"""Differences that a finding names."""


def differing(
    repository: git.Repository,
    tree: Tree,
    settings: Settings,
    options: CheckOptions,
    files: Sequence[CheckedFile],
    paths: Collection[str],
) -> list[Finding]:
    """Load those of the files that have these paths once more, and compare; `files` have their flows in full.

    `options` are those that `files` were checked with. What only the interpreter keeps from loading tells nothing. A file
    that makes a set is tried under further seeds while nothing differs: of three names one in six orders is the first load's.
    """
    first = {file.path: file for file in files if file.path in paths and not file.failed and not file.unchecked}
    found: list[Finding] = []
    for number in range(SEEDS):
        if number == 1:
            sources = tree.read([file.blob for file in first.values()]) if first else {}
            first = {path: file for path, file in first.items() if _makes_a_set(sources[file.blob])}
        first = {path: file for path, file in first.items() if not any(one.path == path for one in found)}
        if not first:
            break
        seed = str(random.randrange(1, 2**32))
        again = check(repository, tree, settings, replace(options, only=set(first), with_flows=True, hash_seed=seed))
        second = {file.path: file for file in again}
        found += [one for path, file in first.items() for one in _compared(file, second.get(path))]
    return sorted(found, key=lambda one: one.path or "")


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
