"""`--format gitlab`: a code quality report, for `artifacts: reports: codequality` of GitLab CI.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Any

from ..core.model import ERROR, NOTE, WARNING, Finding
from ..core.results import Report
from .style import Look

SEVERITIES = {ERROR: "critical", WARNING: "minor", NOTE: "info"}


def render(report: Report, look: Look) -> str:
    """A JSON array with an object for each finding and each failed registration."""
    failed = [
        Finding("registration-failed", ERROR, f"{row.flow or row.ref}: {row.reason}", "", row.path or None, ref=row.ref)
        for row in report.registrations
        if row.action == "failed"
    ]
    seen: Counter[str] = Counter()
    return json.dumps([_violation(one, seen) for one in [*report.findings, *failed]], indent=2, ensure_ascii=False)


def _violation(one: Finding, seen: Counter[str]) -> dict[str, Any]:
    # A finding keeps its fingerprint when its line moves: GitLab tells by it what a merge request adds.
    identity = repr((one.code, one.path, one.flow, one.ref, re.sub(r"\bline \d+", "line", one.message)))
    seen[identity] += 1
    return {
        "description": f"{one.message}; {one.hint}" if one.hint else one.message,
        "check_name": one.code,
        "fingerprint": hashlib.sha256(f"{identity} {seen[identity]}".encode("utf-8", "surrogatepass")).hexdigest(),
        "severity": SEVERITIES[one.severity],
        # GitLab takes no violation without a place; what is no file's is the repository's.
        "location": {"path": one.path or ".", "lines": {"begin": one.line or 1}},
    }
