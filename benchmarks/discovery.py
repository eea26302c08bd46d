"""Finding flow files, without loading any, beside Python's own start and its parser, in one run, as ratios.

`python benchmarks/discovery.py [--repeat 5]`
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Callable

from package import files
from table import Row, shown
from validate import source

from git_prefect.core.model import TreeEntry
from git_prefect.core.settings import Settings
from git_prefect.flows.discovery import Tree, flow_files
from git_prefect.flows.source_memory import Memory

UNRELATED = '''"""Module {number} of a service."""

import dataclasses
import logging

LOG = logging.getLogger(__name__)


@dataclasses.dataclass
class Order{number}:
    """An order."""

    number: int
    total: float = 0.0

    def is_paid(self) -> bool:
        """Whether nothing is due."""
        LOG.info("order %s", self.number)
        return not self.total
'''
SETTINGS = Settings(import_roots=["."])


def tree_of(contents: dict[str, str]) -> Tree:
    """A tree that is held in memory."""
    raw = {path: text.encode() for path, text in contents.items()}
    entries = [TreeEntry(path, hashlib.sha1(content).hexdigest(), "100644") for path, content in raw.items()]
    by_blob = {entry.blob: raw[entry.path] for entry in entries}
    identity = hashlib.sha1(repr(entries).encode()).hexdigest()
    return Tree(identity, entries, lambda blobs: {blob: by_blob[blob] for blob in blobs}, lambda: nullcontext(Path()))


def best(measured: Callable[[], object], repeat: int) -> float:
    """Seconds of the quickest of several runs."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        measured()
        times.append(time.perf_counter() - start)
    return min(times)


def rows(repeat: int = 5) -> Iterator[Row]:
    """1,000 flow files of which nothing changed; 5,000 sources that have nothing to do with Prefect beside 200 flow files."""
    thousand = tree_of({f"flows/f{number}.py": source("real", number) for number in range(1000)})
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder))
        assert len(flow_files(thousand, SETTINGS, memory)) == 1000
        memory.save()
        known = best(lambda: flow_files(thousand, SETTINGS, Memory(Path(folder))), repeat)
    python = best(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), repeat)
    yield Row("discovery of 1000 flow files, none changed", known, "python -c pass", python, 3)

    # Half of them have to be followed to the package's own Flow.
    found = {path: text for path, text in files().items() if path.endswith(".py")}
    found.update({f"flows/f{number}.py": source("real", number) for number in range(100)})
    other = {f"service/m{number}.py": UNRELATED.format(number=number) for number in range(5000)}
    many = tree_of({**found, **other})
    assert len(flow_files(many, SETTINGS, Memory())) == 200
    cold = best(lambda: flow_files(many, SETTINGS, Memory()), repeat)
    parsed = best(lambda: [ast.parse(text) for text in found.values()], repeat)
    yield Row("discovery among 5000 other files, cold", cold, "ast.parse of candidates", parsed, 3)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    for line in shown(rows(parser.parse_args().repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
