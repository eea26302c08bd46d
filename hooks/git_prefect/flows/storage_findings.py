"""The findings of flows that were loaded, of the storage that they declare, and of several that share a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..core.findings import finding
from ..core.model import Finding, GitStorage
from .refusals import not_serializable


def flow_findings(path: str, content: bytes, answer: dict[str, Any]) -> list[Finding]:
    """What is wrong with the flows of one load."""
    found = [
        finding(
            "duplicate-name",
            f"has two flows named {name!r}: agents run the later one for both",
            "give each flow a name of its own",
            path=path, flow=name,
        )
        for name in answer["twice"]
    ]  # fmt: skip
    for flow in answer["flows"]:
        if flow["error"] is not None:
            found.append(not_serializable(path, flow))
            continue
        missing = _unscheduled_parameters(flow["serialized"])
        if missing:
            found.append(finding(
                "schedule-needs-parameter",
                f"flow {flow['name']!r}: its schedule gives no value for the required {_names(missing)}, so the server leaves it inactive",
                "give the Parameter a default, or the clock `parameter_defaults`",
                path=path, flow=flow["name"],
            ))  # fmt: skip
        text = _label_text(flow, content)
        if text is not None:
            found.append(finding(
                "string-labels",
                f"flow {flow['name']!r}: its labels are the single characters {text}, which no agent has: runs would stay Scheduled",
                "write a list: labels=[\"name\"]",
                path=path, flow=flow["name"],
            ))  # fmt: skip
    return found


def _names(names: Sequence[str]) -> str:
    return ("parameter " if len(names) == 1 else "parameters ") + ", ".join(repr(name) for name in names)


def _unscheduled_parameters(serialized: dict[str, Any]) -> list[str]:
    """Required parameters without a value in some clock, as `Client.register` and the server look for them."""
    clocks = (serialized.get("schedule") or {}).get("clocks") or []
    required = [one["name"] for one in serialized.get("parameters") or [] if one.get("required")]
    return [name for name in required if any(name not in (clock.get("parameter_defaults") or {}) for clock in clocks)]


def _label_text(flow: dict[str, Any], content: bytes) -> str | None:
    labels = (flow["run_config"] or {}).get("labels") or []
    declared = bool(re.search(rb"\blabels\s*=\s*[fruFRU]?['\"]", content))
    if len(labels) > 1 and all(len(label) == 1 for label in labels) and (declared or len(labels) > 2):
        return ", ".join(repr(label) for label in sorted(labels))
    text = flow.get("storage_labels")
    return ", ".join(repr(one) for one in sorted(set(text))) if text else None


# Between files, and against the repository ----------------------------------------------------------


class Declared(msgspec.Struct, frozen=True):
    """A flow of the tree and the storage that its code sets."""

    path: str
    flow: str
    storage: dict[str, Any] | None
    made_by: str = ""
    """The module that makes it, when that is no flow file, or makes it where no agent finds it."""


def findings_of_storage(one: Declared, repository: GitStorage | None, replace: bool) -> list[Finding]:
    """What is wrong with a storage that the code sets; with `replace`, another than Git is no matter.

    A Git storage is replaced at registration, so a fault in it concerns only who registers by hand: a warning.
    """
    storage = one.storage
    if storage is None:
        return []
    if storage.get("type") != "Git":
        return [] if replace else [finding(
            "other-storage",
            f"flow {one.flow!r} declares {storage.get('type')} storage: its code does not come from git, so a push does not deploy it",
            "leave it so, or set storage = \"replace\" to register it with Git storage",
            path=one.path, flow=one.flow,
        )]  # fmt: skip
    found = []
    if storage.get("flow_path") != one.path:
        found.append(finding(
            "wrong-flow-path",
            f"flow {one.flow!r}: its storage says flow_path={storage.get('flow_path')!r}, but the flow is in {one.path!r}; "
            "a push registers it with the right path",
            f"write flow_path={quoted(one.path)}, or leave the storage out: a push sets it",
            path=one.path, flow=one.flow,
        ))  # fmt: skip
    if storage.get("commit"):
        found.append(finding(
            "commit-pin",
            f"flow {one.flow!r}: its storage says commit={storage['commit']!r}, which Prefect ignores: agents run the default branch; "
            "a push registers it with the pushed branch or tag",
            "pin a tag with tag=, or leave the storage out and push a tag",
            path=one.path, flow=one.flow,
        ))  # fmt: skip
    if repository is not None and storage.get("repo") and not storage.get("git_clone_url_secret_name"):
        declared = f"{storage.get('repo_host')}/{storage['repo']}"
        pushed = f"{repository.repo_host}/{repository.repo}"
        if repository.repo and declared.lower() != pushed.lower():
            found.append(finding(
                "wrong-repository",
                f"flow {one.flow!r}: its storage is {declared}, but this repository is {pushed}; a push registers it with {pushed}",
                "correct repo and repo_host, or leave the storage out: a push sets it",
                path=one.path, flow=one.flow,
            ))  # fmt: skip
    return found


def same_names(flows: Iterable[Declared], replace: bool) -> dict[str, list[Finding]]:
    """By path: flows whose name another file has too. What keeps another storage is not registered, and may."""
    places: dict[str, list[Declared]] = {}
    for one in flows:
        if replace or one.storage is None or one.storage.get("type") == "Git":
            places.setdefault(one.flow, []).append(one)
    found: dict[str, list[Finding]] = {}
    for named in places.values():
        for one in named if len(named) > 1 else []:
            others = ", ".join(other.path for other in named if other is not one)
            found.setdefault(one.path, []).append(_same_name(one, others))
    return found


def _same_name(one: Declared, others: str) -> Finding:
    if one.made_by:
        return finding(
            "duplicate-name",
            f"flow {one.flow!r} is made by {one.made_by}, where no agent finds it, and imported here as well as in {others}: "
            "each registration would replace the other",
            f"import it in one flow file only, or let {one.made_by} be a flow file that holds it in a global variable",
            path=one.path, flow=one.flow,
        )  # fmt: skip
    return finding(
        "duplicate-name",
        f"flow {one.flow!r} has the name of one in {others}: each registration would replace the other",
        "give each flow a name of its own",
        path=one.path, flow=one.flow,
    )  # fmt: skip


def quoted(text: str) -> str:
    """As a string in TOML or Python."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
