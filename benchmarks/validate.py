"""Checking flow files beside `prefect build -p` on the same files, in one run, as ratios.

`python benchmarks/validate.py [--files 1,10,100,1000] [--kinds small,real,pandas] [--repeat 5]`

`prefect build` imports all files into one process and isolates nothing; we load each in a process of its
own. Times are the best of the repetitions; processor time and memory are those of all processes
together and of the largest one.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from table import Row, shown

SMALL = """from prefect import Flow, Parameter, task


@task
def extract(source):
    return [source] * {number}


@task
def transform(row):
    return row + 1


@task
def load(rows):
    print(rows)


with Flow("flow-{number}") as flow:
    load(transform.map(extract(Parameter("source", default={number}))))
"""

REAL = '''"""Loads orders of shop {number} into the warehouse."""
import datetime
import json
import logging
from typing import Any, Dict, List, Optional
{imports}
from prefect import Flow, Parameter, case, task, unmapped
from prefect.run_configs import KubernetesRun
from prefect.schedules import CronSchedule
from prefect.tasks.control_flow import merge

LOG = logging.getLogger(__name__)
TABLES = {{"orders": ["id", "customer", "total"], "customers": ["id", "name", "mail"]}}

{helpers}

@task(max_retries=3, retry_delay=datetime.timedelta(minutes=5), tags=["api"])
def fetch(table: str, day: Optional[str]) -> List[Dict[str, Any]]:
    """Rows of a table."""
    return [{{"id": n, "day": day}} for n in range({number})]


@task(log_stdout=True)
def clean(row: Dict[str, Any], columns: List[str]) -> Dict[str, Any]:
    """A row without what nobody asked for."""
    return {{name: row.get(name) for name in columns}}


@task
def is_full(mode: str) -> bool:
    return mode == "full"


@task
def write(rows: List[Dict[str, Any]], table: str) -> int:
    print(json.dumps(rows))
    return len(rows)


with Flow(
    "orders-{number}",
    schedule=CronSchedule("15 {hour} * * *"),
    run_config=KubernetesRun(image="registry/etl:{number}", cpu_request="500m", labels=["etl"]),
) as flow:
    day = Parameter("day", default="yesterday")
    mode = Parameter("mode", default="delta")
    for table, columns in TABLES.items():
        rows = fetch(table, day)
        with case(is_full(mode), True):
            full = clean.map(rows, columns=unmapped(columns))
        with case(is_full(mode), False):
            delta = clean.map(rows, columns=unmapped(columns))
        write(merge(full, delta), table)
'''

HELPER = '''def normalise_{n}(value: Optional[str], width: int = {n}) -> str:
    """Cut and pad a value as column {n} wants it."""
    if value is None:
        return " " * width
    text = str(value).strip()
    for old, new in (("\\t", " "), ("\\n", " "), ("  ", " ")):
        text = text.replace(old, new)
    return text[:width].ljust(width)

'''


class Cost(NamedTuple):
    """What a run took: seconds on the clock and of the processors, MB of the largest process."""

    wall: float
    cpu: float
    memory: float


def source(kind: str, number: int) -> str:
    """A flow file of a kind."""
    if kind == "small":
        return SMALL.format(number=number)
    imports = {
        "real": "",
        "requests": "import requests\nimport yaml",
        "pandas": "import numpy as np\nimport pandas as pd",
    }[kind]
    helpers = "\n".join(HELPER.format(n=n) for n in range(20))
    return REAL.format(number=number, hour=number % 24, imports=imports, helpers=helpers)


def measured(command: list[str], folder: Path) -> Cost:
    """Run a command and measure it with all that it starts."""
    script = (
        "import json,os,resource,subprocess,sys,time\n"
        "start=time.perf_counter()\n"
        "done=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.PIPE)\n"
        "wall=time.perf_counter()-start\n"
        "used=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "assert done.returncode==0,done.stderr.decode()\n"
        "print(json.dumps([wall,used.ru_utime+used.ru_stime,used.ru_maxrss/(1024 if sys.platform=='linux' else 1<<20)]))\n"
    )
    environment = {**os.environ, "PREFECT__HOME_DIR": str(folder / "prefect"), "HOME": str(folder)}
    # As installed: pip compiles a package once, and an editable one is compiled by its first run.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    answer = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(*json.loads(answer.stdout))


def best(command: list[str], folder: Path, repeat: int) -> Cost:
    """The quickest of several runs."""
    return min((measured(command, folder) for _ in range(repeat)), key=lambda cost: cost.wall)


def write_tree(folder: Path, kind: str, count: int, changed: str = "") -> None:
    """Flow files, and what git would list of them."""
    listing = []
    (folder / "tree" / "flows").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        content = (source(kind, number) + (changed if number == 0 else "")).encode()
        path = folder / "tree" / "flows" / f"flow_{number}.py"
        path.write_bytes(content)
        listing.append((f"flows/flow_{number}.py", hashlib.sha1(content).hexdigest()))
    (folder / "entries.json").write_text(json.dumps(listing))


KINDS = ("small", "real", "requests", "pandas")
SIZES = (1, 10, 100, 1000)
CHECK = Path(__file__).with_name("check_files.py")
"""Our side."""


def rows(kinds: Sequence[str] = KINDS, sizes: Sequence[int] = SIZES, repeat: int = 5) -> Iterator[Row]:
    """For each kind and number of files: all of them cold, one changed, none changed."""
    prefect = str(Path(sys.executable).with_name("prefect"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        imported = best([sys.executable, "-c", "import prefect"], place, 3)
        for kind in kinds:
            if kind == "pandas" and not importlib.util.find_spec("pandas"):
                print("pandas is not installed: pip install pandas", file=sys.stderr)
                continue
            for count in sizes:
                yield from row(place / f"{kind}-{count}", kind, count, repeat if count < 1000 else 1, prefect, imported)


def row(folder: Path, kind: str, count: int, repeat: int, prefect: str, imported: Cost) -> Iterator[Row]:
    """Measure one kind and number of files."""
    write_tree(folder, kind, count)
    state = folder / "state"
    ours = [sys.executable, str(CHECK), str(folder), str(state)]
    measured(ours, folder)  # the interpreter is asked once
    runs = []
    for _ in range(repeat):
        # In turn: what else the machine does then meets both.
        shutil.rmtree(state / "verdicts", ignore_errors=True)
        runs.append((measured(ours, folder), measured([prefect, "build", "-p", "tree/flows", "-o", "out.json"], folder)))
    cold, theirs = (min(costs, key=lambda cost: cost.wall) for costs in zip(*runs))
    known = best(ours, folder, repeat)
    changes = []
    for number in range(repeat):
        write_tree(folder, kind, count, f"# {number}\n")
        changes.append(measured(ours, folder))
    one = min(changes, key=lambda cost: cost.wall)
    what = f"{count} {kind} flow file{'s' if count > 1 else ''}"
    build = "prefect build"
    yield Row(f"{what}, cold", cold.wall, build, theirs.wall, {"pandas": 1.6}.get(kind, 1.2) if count == 100 else None)
    yield Row(f"{what}, cold: processors", cold.cpu, build, theirs.cpu)
    yield Row(
        f"{what}, cold: memory", cold.memory, "import prefect", imported.memory, 2 if count == 1000 else None, "MB"
    )
    yield Row(f"{what}, one changed", one.wall, "import prefect", imported.wall, 1.5 if count == 1000 else None)
    yield Row(f"{what}, none changed", known.wall, build, theirs.wall, 0.2 if count == 100 else None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", default=",".join(map(str, SIZES)))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    sizes = [int(size) for size in options.files.split(",")]
    for line in shown(rows(options.kinds.split(","), sizes, options.repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
