"""A repository whose flows live in a package, beside `prefect build -p` on the same files, in one run, as ratios.

`python benchmarks/package.py [--repeat 3]`

100 flow files in 20 packages; shared modules that import 1.5 s of third-party code, a subclass of Flow, tasks, schedules and
data of each area, flows that are imported and copied. The folder is an import root, as where the image has the package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from table import Row, shown
from validate import CHECK, Cost, best, measured

AREAS, DATASETS = 20, 5
IMPORT_SECONDS = 1.5
"""Of the processor, for what the shared modules import of others."""

THIRD_PARTY = f"""import time

start = time.process_time()
while time.process_time() - start < {IMPORT_SECONDS}:
    pass


def client(table):
    return table
"""

SHARED = {
    "company/__init__.py": "",
    "company/core/__init__.py": "",
    "company/core/constants.py": "from enum import Enum\n\n\nclass Layer(Enum):\n    RAW = 'raw'\n    MART = 'mart'\n",
    "company/core/flow.py": (
        "from prefect import Flow\nfrom prefect.run_configs import KubernetesRun\n\n\n"
        "class TeamFlow(Flow):\n    def __init__(self, name, area, **more):\n"
        "        super().__init__(f'{area}: {name}', run_config=KubernetesRun(image='registry/company', labels=[area]), **more)\n"
    ),
    "company/core/tasks.py": (
        "import warehouse_client\nfrom prefect import task\n\nfrom company.core.constants import Layer\n\n\n"
        "@task\ndef load(rows, table):\n    warehouse_client.client(table)\n    return len(rows), Layer.RAW.value\n"
    ),
    "company/core/unused.py": "",
    "README.md": "",
}
AREA = {
    "__init__.py": "",
    "constants.py": "AREA = 'area {area}'\nTABLES = ['orders', 'customers']\n",
    "schedules.py": "from prefect.schedules import CronSchedule\n\nnightly = CronSchedule('15 {area} * * *')\n",
    "tasks.py": (
        "import json\nfrom pathlib import Path\n\nfrom prefect import task\n\n"
        "COLUMNS = json.loads(Path(__file__).with_name('columns.json').read_text())\n\n\n"
        "@task\ndef extract(table, day):\n    return [{{column: day for column in COLUMNS}}]\n"
    ),
    "columns.json": '["id", "day"]\n',
}
FLOWS = """from prefect import Parameter

from company.area_{area}.constants import AREA, TABLES
from company.area_{area}.schedules import nightly
from company.area_{area}.tasks import extract
from company.core.flow import TeamFlow
from company.core.tasks import load

with TeamFlow("set {number}", AREA, schedule=nightly) as flow:
    day = Parameter("day", default="yesterday")
    for table in TABLES:
        load(extract(table, day), table)
"""
COPY = """from copy import deepcopy

from company.area_{area}.set_0.flows import flow as first

backfill = deepcopy(first)
backfill.name = "area {area}: backfill {number}"
backfill.schedule = None
"""


def files() -> dict[str, str]:
    """Every file of the repository by its path."""
    found = dict(SHARED)
    for area in range(AREAS):
        found.update({f"company/area_{area}/{name}": text.format(area=area) for name, text in AREA.items()})
        for number in range(DATASETS):
            folder = f"company/area_{area}/set_{number}"
            found[f"{folder}/__init__.py"] = ""
            found[f"{folder}/flows.py"] = (COPY if number == DATASETS - 1 else FLOWS).format(area=area, number=number)
    return found


def write(place: Path, contents: dict[str, str]) -> None:
    """The files, and what git would list of them."""
    listing = []
    for path, text in contents.items():
        file = place / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        listing.append((path, hashlib.sha1(text.encode()).hexdigest()))
    (place / "entries.json").write_text(json.dumps(listing))


def environment(place: Path) -> str:
    """An environment with the packages of this one and the third-party code; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (site,) = (place / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "warehouse_client.py").write_text(THIRD_PARTY)
    return str(place / "bin" / "python")


def rows(repeat: int = 3) -> Iterator[Row]:
    """Cold, nothing changed, a flow file changed, a file changed that nobody imports."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        contents = files()
        write(place, contents)
        python = environment(place / "venv")
        state = place / "state"
        ours = [sys.executable, str(CHECK), str(place), str(state), python, "."]
        build = [python, "-c", BUILD, *sorted(path for path in contents if path.endswith("flows.py"))]
        measured(ours, place)
        runs = []
        for _ in range(repeat):
            shutil.rmtree(state / "verdicts", ignore_errors=True)
            runs.append((measured(ours, place), measured(build, place)))
        cold, theirs = (min(costs, key=lambda cost: cost.wall) for costs in zip(*runs))
        alone = best([*build[:3], "company/area_0/set_0/flows.py"], place, repeat)
        known = best(ours, place, repeat)
        changed = _changed(place, contents, ours, repeat)
        what, beside = f"package of {AREAS * DATASETS} flow files", "prefect build"
        yield Row(f"{what}, cold", cold.wall, beside, theirs.wall, 1.2)
        yield Row(f"{what}, cold: processors", cold.cpu, beside, theirs.cpu)
        yield Row(f"{what}, none changed", known.wall, beside, theirs.wall, 0.05)
        for path, cost in changed.items():
            yield Row(f"{what}, {path.rpartition('/')[2]} changed", cost.wall, "build of one", alone.wall, 1.2)


BUILD = (
    "import sys; sys.path.insert(0, 'tree'); from prefect.cli import cli; "
    "sys.argv[1:] = ['build', '-o', 'out.json', *(part for path in sys.argv[1:] for part in ('-p', 'tree/' + path))]; cli()"
)
"""`prefect build` with the package on `sys.path`, as an image has it."""


def _changed(place: Path, contents: dict[str, str], ours: list[str], repeat: int) -> dict[str, Cost]:
    found = {}
    for path in ("company/area_7/set_3/flows.py", "company/core/unused.py", "README.md"):
        costs = []
        for number in range(repeat):
            contents[path] += f"# {number}\n"
            write(place, contents)
            costs.append(measured(ours, place))
        found[path] = min(costs, key=lambda cost: cost.wall)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    for line in shown(rows(parser.parse_args().repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
