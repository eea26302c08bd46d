"""`--format markdown`: a summary for merge requests: problems, the plan with its differences, and the changed graphs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.model import ERROR, NOTE, WARNING, Finding
from ..core.results import FlowStatus, Graph, Registration, Report
from . import explanations, finding_text, status_table, terminal, text
from .mermaid import flowchart
from .style import Look

MOST_FINDINGS, MOST_ROWS, MOST_CHANGES, MOST_GRAPHS = 50, 100, 12, 10
"""What a reader gets through; what is beyond is counted."""
MOST_OPEN = 3
"""More graphs than these are folded."""

LONGEST = 60_000
"""Characters: GitHub takes 65,536 in a comment. Graphs are left out, the last first, until it fits."""


def render(report: Report, look: Look) -> str:
    """The report as GitHub's and GitLab's Markdown."""
    if report.codes:
        return explanations.markdown(report.codes)
    for count in range(min(len(report.graphs), MOST_GRAPHS), -1, -1):
        written = _document(report, report.graphs[:count])
        if len(written) <= LONGEST:
            break
    return written


def _document(report: Report, graphs: Sequence[Graph]) -> str:
    parts = [f"### git prefect {report.command}", _sums(report), *_refs(report), *_findings(report.findings)]
    parts += [
        *_registrations(report.registrations, report.is_plan),
        *_registered(report.registered),
        *(_graph(one, len(graphs) <= MOST_OPEN) for one in graphs),
    ]
    missing = len(report.graphs) - len(graphs)
    parts += [f"{text.plural(missing, 'more graph')}, not drawn here"] if missing else []
    return "\n\n".join(part for part in parts if part)


def _sums(report: Report) -> str:
    return "  \n".join(escape(line) for line in report.summary)


def _refs(report: Report) -> list[str]:
    return [_lines(ref.heading) for ref in report.refs if ref.heading]


def _findings(found: Sequence[Finding]) -> list[str]:
    if not found:
        return []
    counts = [(sum(one.severity == severity for one in found), severity) for severity in (ERROR, WARNING, NOTE)]
    head = f"**{', '.join(text.plural(count, severity) for count, severity in counts if count)}**"
    ordered = finding_text.ordered(found)
    lines = [_finding(one) for one in ordered[:MOST_FINDINGS]]
    if len(ordered) > MOST_FINDINGS:
        lines.append(f"- and {len(ordered) - MOST_FINDINGS} more")
    return [head, "\n".join(lines)]


def _finding(one: Finding) -> str:
    place = f"{one.path}:{one.line}" if one.path and one.line else one.path
    where = f"{code(place)} " if place else ""
    severity = "" if one.severity == ERROR else f"{one.severity}: "
    hint = f"  \n  hint: {_lines(one.hint, '  ')}" if one.hint else ""
    return f"- {where}{severity}{escape(one.message)} ({code(one.code)}){hint}"


def _registrations(rows: Sequence[Registration], plan: bool) -> list[str]:
    """A table of what changes, then what stays as it is in a sentence."""
    told = [row for row in rows if row.action not in ("unchanged", "skipped")]
    table = []
    if told:
        table = ["| flow | project | version | | what changes |", "|---|---|---|---|---|"]
        table += [_row(row, plan) for row in sorted(told, key=lambda row: row.action != "failed")[:MOST_ROWS]]
    rest = [f"and {text.plural(len(told) - MOST_ROWS, 'more flow')}"] if len(told) > MOST_ROWS else []
    rest += [
        f"{text.plural(count, 'flow')} {words}"
        for action, words in (("unchanged", "unchanged"), ("skipped", "left alone"))
        if (count := sum(row.action == action for row in rows))
    ]
    return ["\n".join(table), ", ".join(rest)]


def _row(row: Registration, plan: bool) -> str:
    changes = [*([row.reason] if row.reason else []), *row.changes[:MOST_CHANGES]]
    if len(row.changes) > MOST_CHANGES:
        changes.append(f"and {len(row.changes) - MOST_CHANGES} more")
    if row.action == "created" and not changes:
        changes = ["new"]
    flow = f"[{code(row.flow)}]({row.url})" if row.url else code(row.flow or "all")
    cells = [
        flow, code(row.project), str(row.version or ""), terminal.verb(row.action, plan),
        "<br>".join(escape(change) for change in changes),
    ]  # fmt: skip
    return _in_table(cells)


def _in_table(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _registered(flows: Sequence[FlowStatus]) -> list[str]:
    """A table of what Prefect holds, as `git prefect status` has it; what is wrong with each is among the findings."""
    if not flows:
        return []
    table = ["| flow | registered from | project | version | schedule | last run | |", "|---|---|---|---|---|---|---|"]
    for one in flows[:MOST_ROWS]:
        name, *told = status_table.cells_of(one)
        flow = f"[{code(name)}]({one.url})" if one.url else code(name)
        wrong = " ".join(code(found.code) for found in one.drift)
        cells = [flow, escape(status_table.ref_name(one.ref)), code(one.project), *map(escape, told), wrong]
        table.append(_in_table(cells))
    more = [f"and {text.plural(len(flows) - MOST_ROWS, 'more flow')}"] if len(flows) > MOST_ROWS else []
    return ["\n".join(table), *more, escape(status_table.runtimes(flows))]


def _graph(graph: Graph, unfolded: bool) -> str:
    source, missing = flowchart(graph)
    new = "" if graph.changes else ", new"
    note = f"\n\n{missing}" if missing else ""
    return (
        f"<details{' open' if unfolded else ''}><summary>{_html(graph.flow)} in {_html(graph.project)}{new}</summary>\n\n"
        f"```mermaid\n{source}\n```{note}\n\n</details>"
    )


def code(words: str) -> str:
    """Words as a code span, whatever backticks they have."""
    plain = re.sub(r"\s", " ", words)
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}" if plain else ""


def escape(sentence: str) -> str:
    """A sentence without markup but its own code spans: names in it are people's, and may look like markup."""
    parts = re.split(r"(`[^`]+`)", re.sub(r"\s+", " ", sentence.strip()))
    return "".join(part if number % 2 else _plain(part) for number, part in enumerate(parts))


def _lines(words: str, indent: str = "") -> str:
    """Sentences of a line each."""
    return f"  \n{indent}".join(escape(line) for line in words.splitlines())


def _plain(words: str) -> str:
    return re.sub(r"([\\*_\[\]~`#])", r"\\\1", _html(words))


def _html(words: str) -> str:
    plain = re.sub(r"\s+", " ", words)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
