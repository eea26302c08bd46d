"""A flow's graph as a Mermaid flowchart, as GitHub and GitLab draw it, with what comes and goes marked.

https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import re

from ..core.results import Edge, Graph, Node

MOST_NODES, MOST_EDGES = 60, 120
"""A larger graph cannot be read; Mermaid itself refuses 500 edges and 50,000 characters."""
LONGEST_NAME = 60

SIGNS = {"added": "+ ", "removed": "− "}
"""Marks do not live by colour alone."""
ARROWS = {"added": "==>", "removed": "-.->", "": "-->"}
CLASSES = """\
  classDef added fill:#dafbe1,stroke:#1a7f37,color:#116329
  classDef removed fill:#ffebe9,stroke:#cf222e,color:#82071e,stroke-dasharray:4"""


def flowchart(graph: Graph) -> tuple[str, str]:
    """The flowchart's source, and what it leaves out in words; empty when it is whole."""
    nodes, edges = _bounded(graph)
    ids = {node.slug: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart TD", *(_node(ids[node.slug], node) for node in nodes)]
    for edge in edges:
        label = f'|"{escape(edge.key)}"|' if edge.key else ""
        lines.append(f"  {ids[edge.upstream]} {ARROWS[edge.mark]}{label} {ids[edge.downstream]}")
    if any(node.mark for node in nodes):
        lines.append(CLASSES)
    missing = [
        f"{count} {what}"
        for count, what in ((len(graph.nodes) - len(nodes), "tasks"), (len(graph.edges) - len(edges), "dependencies"))
        if count
    ]
    return "\n".join(lines), f"left out of the drawing: {' and '.join(missing)}" if missing else ""


def _bounded(graph: Graph) -> tuple[list[Node], list[Edge]]:
    """What is drawn: all of it, or what changes and what touches that, up to the bounds."""
    nodes = list(graph.nodes)
    if len(nodes) > MOST_NODES:
        changed = {node.slug for node in nodes if node.mark}
        changed |= {end for edge in graph.edges if edge.mark for end in (edge.upstream, edge.downstream)}
        near = {
            end for edge in graph.edges for end in (edge.upstream, edge.downstream)
            if changed & {edge.upstream, edge.downstream}
        }  # fmt: skip
        # Sorting is stable: within a rank they stay in the flow's order.
        nodes.sort(key=lambda node: (node.slug not in changed, node.slug not in near))
        nodes = nodes[:MOST_NODES]
    drawn = {node.slug for node in nodes}
    edges = [edge for edge in graph.edges if {edge.upstream, edge.downstream} <= drawn]
    return nodes, sorted(edges, key=lambda edge: not edge.mark)[:MOST_EDGES]


def _node(name: str, node: Node) -> str:
    label = f'"{SIGNS.get(node.mark, "")}{escape(node.slug)}"'
    shape = f"([{label}])" if node.parameter else f"[{label}]"
    return f"  {name}{shape}" + (f":::{node.mark}" if node.mark else "")


def escape(name: str) -> str:
    """A name inside a quoted label: what Mermaid or its HTML would read as more than a letter is an entity code."""
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", short)
    return re.sub(r"""["#&<>`\\;:*_~|{}\[\]%$]""", lambda found: f"#{ord(found[0])};", plain)
