"""`--format markdown`: whole summaries, bounded, and names that cannot break out of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from git_prefect.core.model import Finding
from git_prefect.core.results import Edge, Graph, Node, Registration, Report, ReportedRef
from git_prefect.report.markdown import LONGEST, code, escape, render
from git_prefect.report.mermaid import MOST_EDGES, MOST_NODES, flowchart
from git_prefect.report.style import Look

from .conftest import FLOW, Desk

NODE_MODULES = os.environ.get("GIT_PREFECT_MERMAID")
SUMMARY = ("nothing was changed: 1 to register",)
HOSTILE = (
    'say "x"', "a#b;c", "<b>bold</b>", "`tick`", "a|b", "[x]", "{y}", "x --> y", "end", "class", "%%{init: {}}%%",
    '"]; n1["', "subgraph", "**x**", "$$x$$", "fa:fa-car", "back\\slash", "new\nline", "&amp;", "größe → 🜚", "1. list",
)  # fmt: skip


def row(flow: str, action: str, version: int | None = 1, **more: object) -> Registration:
    made = Registration("refs/heads/main", flow, f"flows/{flow}.py", "dev", action, version, (), "")
    return replace(made, **more)  # type: ignore[arg-type]


def plan(*rows: Registration, graphs: tuple[Graph, ...] = (), findings: tuple[Finding, ...] = ()) -> Report:
    ref = ReportedRef("main", "branch", None, "--ref", "dev", "origin/main at 1234567 (from --ref)")
    return Report("register --dry-run", 0, (ref,), (), findings, rows, graphs=graphs, summary=SUMMARY)


def chain(length: int, mark: str = "") -> Graph:
    nodes = tuple(Node(f"task-{number}", mark if number == length // 2 else "") for number in range(length))
    edges = tuple(Edge(one.slug, two.slug) for one, two in zip(nodes, nodes[1:]))
    return Graph("chain", "dev", nodes, edges)


def test_the_plan_of_a_real_change(desk: Desk) -> None:
    source = FLOW.format(name="etl")
    desk.commit(etl=source, more=FLOW.format(name="more"))
    desk.run("register")
    changed = source.replace("load(extract())", "load(tax(extract()))").replace(
        "with Flow", "@task\ndef tax(rows): ...\n\nwith Flow"
    )
    head = desk.commit(etl=changed)
    result = desk.run("register", "--dry-run", "--format", "markdown")
    assert (result.returncode, result.stderr) == (0, "")
    assert (
        result.stdout
        == f"""\
### git prefect register --dry-run

1 to update, 1 unchanged; nothing was changed

origin/main at {head[:7]} (from active branch), settings: pyproject.toml

| flow | project | version | | what changes |
|---|---|---|---|---|
| `etl` | `{desk.project}` | 2 | update | task added: tax-1<br>edge removed: extract-1 → load-1 (rows) |

1 flow unchanged

<details open><summary>etl in {desk.project}</summary>

```mermaid
flowchart TD
  n0["extract-1"]
  n1["load-1"]
  n2["+ tax-1"]:::added
  n0 -.->|"rows"| n1
  n0 ==>|"rows"| n2
  n2 ==>|"rows"| n1
  classDef added fill:#dafbe1,stroke:#1a7f37,color:#116329
  classDef removed fill:#ffebe9,stroke:#cf222e,color:#82071e,stroke-dasharray:4
```

</details>
"""
    )


def test_problems_come_first() -> None:
    found = (
        Finding(
            "string-labels", "warning", "flow 'a_b': labels are <letters>", 'labels=["x"] | `y_z`', "flows/a`b.py", 3
        ),
        Finding("not-on-remote", "error", "origin/main does not exist", ""),
    )
    held = row("held", "failed", 7, reason="branch 'x' | is what runs")
    assert render(plan(row("etl", "created"), held, findings=found), Look()) == (
        "### git prefect register --dry-run\n\n"
        "nothing was changed: 1 to register\n\n"
        "origin/main at 1234567 (from --ref)\n\n"
        "**1 error, 1 warning**\n\n"
        "- origin/main does not exist (`not-on-remote`)\n"
        "- ``flows/a`b.py:3`` warning: flow 'a\\_b': labels are &lt;letters&gt; (`string-labels`)  \n"
        '  hint: labels=\\["x"\\] | `y_z`\n\n'
        "| flow | project | version | | what changes |\n"
        "|---|---|---|---|---|\n"
        "| `held` | `dev` | 7 | refused | branch 'x' \\| is what runs |\n"
        "| `etl` | `dev` | 1 | create | new |"
    )


def test_what_is_too_much_to_read_is_counted() -> None:
    rows = [row(f"f{number}", "updated", 2, changes=tuple(f"c{line}" for line in range(30))) for number in range(150)]
    found = tuple(Finding("string-labels", "warning", "m", "", f"f{number:03}.py") for number in range(60))
    graphs = tuple(chain(50) for _ in range(12))
    shown = render(plan(*rows, graphs=graphs, findings=found), Look())
    assert "\n- and 10 more\n" in shown
    assert "<br>c11<br>and 18 more |\n" in shown
    assert "\n\nand 50 more flows\n" in shown
    assert shown.count("```mermaid") == 10
    assert "<details><summary>chain in dev, new</summary>" in shown
    assert shown.endswith("2 more graphs, not drawn here")


def test_a_summary_fits_into_a_comment() -> None:
    wide = Graph("wide", "dev", tuple(Node("n" * 59 + str(number)) for number in range(60)), ())
    names = tuple(Edge(one.slug, two.slug, "k" * 60) for one, two in zip(wide.nodes, wide.nodes[1:]))
    rows = [row("f" * 300 + str(number), "created") for number in range(100)]
    shown = render(plan(*rows, graphs=(replace(wide, edges=names),) * 10), Look())
    assert len(shown) <= LONGEST
    assert 0 < shown.count("```mermaid") < 10
    assert shown.endswith(f"{10 - shown.count('```mermaid')} more graphs, not drawn here")


def test_of_a_large_graph_what_changes_and_what_touches_it_is_drawn() -> None:
    source, missing = flowchart(chain(1000, "added"))
    assert missing == f"left out of the drawing: {1000 - MOST_NODES} tasks and 941 dependencies"
    assert '["+ task-500"]:::added' in source
    assert '["task-499"]' in source and '["task-501"]' in source
    assert source.count("-->") <= MOST_EDGES


@given(st.text())
def test_no_name_breaks_out_of_its_label(name: str) -> None:
    graph = Graph("f", "p", (Node(name, "added"), Node(f"{name}2")), (Edge(name, f"{name}2", name, "added"),))
    source, _ = flowchart(graph)
    lines = source.splitlines()
    assert len(lines) == 6
    letters = r"""(?:[^"&<>`\\;:*_~|{}\[\]%$#\n]|#\d+;)*"""
    assert re.fullmatch(rf'  n0\["\+ {letters}"\]:::added', lines[1])
    assert re.fullmatch(rf'  n1\["{letters}"\]', lines[2])
    assert re.fullmatch(rf'  n0 ==>(?:\|"{letters}"\|)? n1', lines[3])


@given(st.text())
def test_no_name_breaks_out_of_its_code_span_or_sentence(name: str) -> None:
    span = code(name)
    fence = re.match("`*", span)[0]  # type: ignore[index]
    inner = span[len(fence) : len(span) - len(fence)]
    assert fence not in re.findall("`+", inner)
    assert "\n" not in span + escape(name)
    outside = re.sub(r"`[^`]+`", "", escape(name))
    assert not re.search(r"(?<!\\)[*_\[\]~`#]|[<>]", outside.replace("\\\\", ""))


@pytest.mark.skipif(not NODE_MODULES or not shutil.which("node"), reason="GIT_PREFECT_MERMAID names no node_modules")
def test_mermaid_itself_reads_it(tmp_path: Path) -> None:
    """With `npm install mermaid jsdom` somewhere, and GIT_PREFECT_MERMAID set to its node_modules."""
    nodes = tuple(
        Node(name, ("added", "removed", "")[number % 3], number % 5 == 0) for number, name in enumerate(HOSTILE)
    )
    edges = tuple(
        Edge(one, two, HOSTILE[-number], ("", "added", "removed")[number % 3])
        for number, (one, two) in enumerate(zip(HOSTILE, HOSTILE[1:]))
    )
    source, _ = flowchart(Graph("hostile", "dev", nodes, edges))
    (tmp_path / "graph.mmd").write_text(source)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES or "")
    (tmp_path / "check.mjs").write_text(
        'import { JSDOM } from "jsdom"; import { readFileSync } from "fs";\n'
        'const page = new JSDOM("<body></body>"); globalThis.window = page.window; globalThis.document = page.window.document;\n'
        'const mermaid = (await import("mermaid")).default;\n'
        'await mermaid.parse(readFileSync("graph.mmd", "utf8"));\n'
    )
    checked = subprocess.run(["node", "check.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
