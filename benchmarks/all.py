"""`make bench`: every benchmark in one table, each ratio with its goal; `--keep` writes RESULTS.md beside this.

Times are the best of some runs, each ratio of one run on one machine. About a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import discovery
import package
import push
import register
import trigger
import validate
import whole
from prefect import __version__ as PREFECT
from table import Row, markdown, shown

RESULTS = Path(__file__).with_name("RESULTS.md")


def rows() -> Iterator[Row]:
    """All of them, the smaller ones first."""
    yield from push.rows()
    yield from whole.rows()
    yield from trigger.rows()
    yield from discovery.rows()
    yield from validate.rows(sizes=(1, 10, 100))
    yield from validate.rows(kinds=("small", "real"), sizes=(1000,))
    yield from package.rows()
    yield from register.rows()


def machine() -> str:
    """What it was measured on."""
    try:
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        model = model.partition(":")[2].strip()
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{os.cpu_count()} × {model}, {platform.system()}, Python {platform.python_version()}, Prefect {PREFECT}"


def main() -> None:
    """Print the table, and keep it when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write RESULTS.md")
    keep = parser.parse_args().keep
    found: list[Row] = []

    def measured() -> Iterator[Row]:
        for row in rows():
            found.append(row)
            yield row

    print(machine())
    for line in shown(measured()):
        print(line, flush=True)
    if keep:
        text = RESULTS.read_text()
        head, _, tail = text.partition("<!-- measured -->\n")
        _, _, tail = tail.partition("<!-- end -->\n")
        table = "\n".join(markdown(found))
        today = datetime.date.today().isoformat()
        RESULTS.write_text(f"{head}<!-- measured -->\n{today}: {machine()}.\n\n{table}\n<!-- end -->\n{tail}")


if __name__ == "__main__":
    main()
