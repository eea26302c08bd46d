"""`--format json`: one object, as docs/report.schema.json has it."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import asdict

from ..core.findings import CODES
from ..core.model import Finding
from ..core.results import Check, FlowStatus, Registration, Report, ReportedFlow, ReportedRef
from .style import Look

VERSION = 1


def render(report: Report, look: Look) -> str:
    """The report as indented JSON."""
    return json.dumps(document(report), indent=2, ensure_ascii=False)


def document(report: Report) -> dict[str, Any]:
    """The report's object."""
    return {
        "version": VERSION,
        "command": report.command,
        "refs": [_ref(one) for one in report.refs],
        "flows": [_flow(one) for one in report.flows],
        "findings": [_finding(one) for one in report.findings],
        "registrations": [_registration(one) for one in report.registrations],
        "registered": [_registered(one) for one in report.registered],
        "checks": [_check(one) for one in report.checks],
        **({"codes": [_code(code) for code in report.codes]} if report.codes else {}),
        "exit": int(report.exit),
    }


def _ref(one: ReportedRef) -> dict[str, Any]:
    return {"name": one.name, "kind": one.kind, "commit": one.commit, "source": one.source, "target": one.target}


def _flow(one: ReportedFlow) -> dict[str, Any]:
    return {**asdict(one), "ref": _name(one.ref)}


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "ref": _name(one.ref),
        "code": one.code,
        "severity": one.severity,
        "path": one.path,
        "line": one.line,
        "flow": one.flow,
        "message": one.message,
        "hint": one.hint,
    }


def _registration(one: Registration) -> dict[str, Any]:
    return {
        "ref": _name(one.ref),
        "flow": one.flow or None,
        "path": one.path or None,
        "project": one.project or None,
        "action": one.action,
        "version": one.version,
        "changes": list(one.changes),
        "reason": one.reason,
        "overrides": list(one.overrides),
    }


def _registered(one: FlowStatus) -> dict[str, Any]:
    return {
        "ref": _name(one.ref) or None,
        "flow": one.flow,
        "path": one.path,
        "project": one.project,
        "version": one.version,
        "schedule": one.schedule or None,
        "schedule_active": one.schedule_active,
        "runtime": one.runtime,
        "last_run": {"state": one.last_run, "due": one.last_run_at} if one.last_run else None,
        "url": one.url,
        "drift": [finding.code for finding in one.drift],
    }


def _check(one: Check) -> dict[str, Any]:
    return {"name": one.name, "facts": list(one.facts), "problem": one.problem or None, "remedy": one.remedy or None}


def _code(code: str) -> dict[str, Any]:
    return {"code": code, **asdict(CODES[code])}


def _name(ref: str | None) -> str | None:
    """The name that `refs` has it by: without `refs/heads/` and `refs/tags/`."""
    if ref is None:
        return None
    return ref.split("/", 2)[2] if ref.startswith("refs/") and ref.count("/") > 1 else ref
