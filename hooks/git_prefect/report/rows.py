"""Rows of a report, from what was found and planned."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.deployment import Deployment, ResolvedRef
from ..core.model import CheckedFile
from ..core.results import PlannedFlow, Registration, ReportedFlow, ReportedRef
from . import text


def reported_flows(files: Sequence[CheckedFile], ref: str | None) -> tuple[ReportedFlow, ...]:
    """The flows of checked files as a report has them; a file without one that was found is a row by itself."""
    rows = []
    for file in files:
        status = "failed" if file.has_errors else "unchecked" if file.unchecked else "ok"
        sound = {flow.name for flow in file.sound_flows}
        rows += [
            ReportedFlow(ref, file.path, one.name, "ok" if one.name in sound else status, one.tasks, file.cached)
            for one in file.flows
        ]
        if not file.flows:
            rows.append(ReportedFlow(ref, file.path, None, status, None, file.cached))
    return tuple(rows)


def reported_ref(ref: ResolvedRef, heading: str = "") -> ReportedRef:
    """A ref as a report has it, with the project that it leads to."""
    update = ref.update
    project = ref.project if isinstance(ref, Deployment) else None
    return ReportedRef(update.name, update.kind, update.commit, update.source, project, heading)


def would_be(one: PlannedFlow, ref: str) -> Registration:
    """A planned flow as the row of a report, with the version that it would have."""
    version = (one.registered_version or 0) + one.new_version or None
    return Registration(
        ref, one.flow, one.path, one.project, one.action, version, one.changes, one.reason, overrides=one.overrides
    )


MANY = 20
"""With more flow files it is said how many of them were loaded, and how many had not changed."""


def files_in_words(files: Sequence[CheckedFile], errors: int, interpreter: str) -> str:
    """What checked files sum up to, with which interpreter they were loaded, and which of the flows are not registered."""
    if not files:
        return f"no flow files here ({interpreter})"
    unseen = ("binary-source", "lfs-pointer")
    good = [
        file for file in files
        if file.sound_flows
        or not (file.has_errors or file.unchecked or any(one.code in unseen for one in file.findings))
    ]  # fmt: skip
    count = sum(len(file.sound_flows) for file in good)
    unchecked = sum(file.unchecked for file in files)
    parts = [
        f"{text.plural(count, 'flow')} in {text.plural(len(good), 'file')} {'loads' if count == 1 else 'load'} as on an agent"
    ]
    parts += [text.plural(errors, "error")] if errors else []
    parts += [f"{text.plural(unchecked, 'file')} unchecked"] if unchecked else []
    lines = [f"{', '.join(parts)} ({interpreter})"]
    elsewhere = {(file.path, one.flow) for file in files for one in file.findings if one.code == "other-storage"}
    loaded = {(file.path, flow.name) for file in good for flow in file.sound_flows}
    if stay := len(elsewhere & loaded):
        own = "has a storage of its own" if stay == 1 else "have a storage of their own"
        lines.append(f"{count - stay} of them can be registered, {stay} {own} [other-storage]")
    return "\n".join(lines)


def loads_in_words(files: Sequence[CheckedFile]) -> str:
    """How many of many files were loaded, and how many had not changed; empty for few."""
    unchanged = sum(file.cached for file in files)
    if len(files) <= MANY:
        return ""
    return f"{text.plural(len(files) - unchanged, 'file')} loaded, {unchanged} unchanged since they were checked"
