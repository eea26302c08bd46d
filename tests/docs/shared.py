"""Flow files that share code, as docs/shared-code.md shows them."""

from __future__ import annotations

SHARED = {
    ".git-prefect.toml": """\
token-secret = "GIT_TOKEN"
import-roots = ["src"]

[[target]]
branch = "**"
project = "etl"
create-project = true
""",
    "lib/__init__.py": "",
    "lib/money.py": """\
def shown(amount):
    return f"{amount} EUR"
""",
    "flows/orders.py": """\
import sys
from pathlib import Path

import prefect
from prefect import Flow, task

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.money import shown


@task
def report():
    prefect.context.logger.info("revenue: %s", shown(60))


with Flow("orders") as flow:
    report()
""",
    "src/team/__init__.py": "",
    "src/team/rates.py": """\
def rate(country):
    return 19
""",
    "flows/taxes.py": """\
import prefect
from prefect import Flow, task
from team.rates import rate


@task
def report():
    prefect.context.logger.info("rate: %s", rate("DE"))


with Flow("taxes") as flow:
    report()
""",
}
