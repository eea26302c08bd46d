"""Flow files as they are found in public repositories: what works with `prefect register` and fails on an agent."""

from __future__ import annotations

LEGACY = {
    "flows/orders.py": '''\
"""Registered by hand so far: `python flows/orders.py`."""

from prefect import Flow, task
from prefect.schedules import CronSchedule


@task
def extract():
    return [10, 20, 30]


@task(log_stdout=True)
def load(rows):
    print("revenue:", sum(rows))


with Flow("orders", schedule=CronSchedule("0 6 * * *")) as flow:
    load(extract())

flow.register(project_name="finance")
''',
    "flows/prices.py": """\
from prefect import Flow, task
from prefect.storage import Git


@task(log_stdout=True)
def price():
    print("prices: 3")


with Flow("prices") as flow:
    price()

flow.storage = Git(repo="team/etl", flow_path="/flows/prices.py", repo_host="github.com", branch_name="main")
flow.register(project_name="finance")
""",
    "flows/invoices.py": """\
from prefect import Flow, task
from prefect.run_configs import DockerRun
from prefect.storage import Docker


@task(log_stdout=True)
def send():
    print("invoices: 7")


with Flow(
    "invoices",
    storage=Docker(registry_url="registry.example.com/team", image_name="invoices", python_dependencies=["requests"]),
    run_config=DockerRun(),
) as flow:
    send()

if __name__ == "__main__":
    flow.register(project_name="finance")
""",
    "flows/refunds.py": """\
from prefect import Flow, task

from helpers import money


@task(log_stdout=True)
def refund():
    print("refunds:", money(4))


with Flow("refunds") as flow:
    refund()

state = flow.run()
print(state.result)
""",
    "flows/helpers.py": """\
def money(amount):
    return f"{amount} EUR"
""",
}
