"""The prefect command line and a local agent, as users have them, against the development API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time

import pytest

FLOW = """
    from datetime import timedelta

    import prefect
    from prefect import Flow, Parameter, task
    from prefect.run_configs import UniversalRun
    from prefect.storage import Local

    @task
    def numbers(n):
        return list(range(n))

    @task
    def double(x):
        prefect.context.logger.info("doubling %s", x)
        return 2 * x

    @task(max_retries=1, retry_delay=timedelta(seconds=0))
    def total(xs):
        if prefect.context.task_run_count < 2:
            raise ValueError("not yet")
        prefect.context.logger.info("total %s", sum(xs))

    with Flow("mapped") as flow:
        total(double.map(numbers(Parameter("n", default=3))))

    flow.storage = Local(path=__file__, stored_as_script=True, add_default_labels=False)
    flow.run_config = UniversalRun(labels=["blue"])
"""

ENDLESS = """
    import time

    from prefect import Flow, task
    from prefect.storage import Local

    @task
    def endless():
        while True:
            time.sleep(0.1)

    with Flow("endless", storage=Local(path=__file__, stored_as_script=True)) as flow:
        endless()
"""
# what an agent sets for the process that it starts
AS_BY_AN_AGENT = {
    "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
    "PREFECT__ENGINE__TASK_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudTaskRunner",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mapped.py"
    path.write_text(textwrap.dedent(FLOW))
    return path


@pytest.fixture
def prefect(api_url, environment):
    """Runs the prefect command and gives its output."""
    environment.update(
        PREFECT__BACKEND="server",
        PREFECT__SERVER__ENDPOINT=api_url,
        PREFECT__CLOUD__HEARTBEAT_MODE="thread",
        PREFECT__LOGGING__LEVEL="INFO",
    )

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture
def start_agent(prefect, environment, tmp_path):
    """Starts an agent that has more labels than the flow asks for, and gives its log."""
    log = tmp_path / "agent.log"
    processes = []

    def call():
        labels = ["--no-hostname-label", "-l", "blue", "-l", "green"]
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "agent", "local", "start", *labels],
                env=environment,
                stdout=output,
                stderr=output,
            )
        processes.append(process)
        return log

    yield call
    for process in processes:
        process.terminate()
        process.wait()


def table(output):
    """Rows of a printed table, without its header and without ages."""
    return [re.split(r"\s{2,}", line) for line in output.splitlines()[1:]]


def test_register_run_and_look(prefect, start_agent, file):
    for _ in ("the first time", "and when it exists"):
        assert prefect("create", "project", "agents") == "agents created\n"
    assert prefect("create", "project", "agents", "--skip-if-exists") == "agents already exists\n"
    registered = prefect("register", "-p", str(file), "--project", "agents")
    assert registered.splitlines()[-1].strip("= ") == "1 registered"
    again = prefect("register", "-p", str(file), "--project", "agents")
    assert again.splitlines()[-1].strip("= ") == "0 registered, 1 skipped"

    agent = start_agent()
    watched = prefect("run", "--name", "mapped", "--project", "agents", "--param", "n=2", "--watch")
    assert watched.splitlines()[-1] == "Flow run succeeded!"
    run_id = re.search(r"UUID: (\S+)", watched).group(1)
    messages = [line.split("| INFO    | ")[1] for line in watched.splitlines() if "| INFO    | " in line]
    assert [text for text in messages if text.startswith(("doubling", "total"))] == [
        "doubling 0",
        "doubling 1",
        "total 2",
    ]
    entered = [re.search("<(.*)>", text).group(1) for text in messages if text.startswith("Entered state")]
    assert entered == ["Pending", "Scheduled", "Submitted", "Running", "Success"]

    logs = prefect("get", "logs", "--id", run_id)
    assert "Task 'total': Finished task run for task with final state: 'Retrying'" in logs
    assert logs.splitlines()[-1].endswith("Flow run SUCCESS: all reference tasks succeeded")
    (run,) = table(prefect("get", "flow-runs", "--flow", "mapped", "--project", "agents"))
    assert (run[1], run[2], run[-1]) == ("mapped", "Success", run_id)
    described = json.loads(prefect("describe", "flow-runs", "--name", run[0]))
    assert (described["parameters"], described["serialized_state"]["type"]) == ({"n": 2}, "Success")
    assert run_id in agent.read_text()


def test_listing_and_describing(prefect, file):
    prefect("create", "project", "lists")
    prefect("register", "-p", str(file), "--project", "lists")
    prefect("register", "-p", str(file), "--project", "lists", "--force")
    shown = table(prefect("get", "flows", "--project", "lists"))
    assert [(row[0], row[1], row[-1]) for row in shown] == [("mapped", "2", "lists")]
    both = table(prefect("get", "flows", "--project", "lists", "--all-versions"))
    assert [(row[0], row[1]) for row in both] == [("mapped", "2"), ("mapped", "1")]
    assert [row[:2] for row in table(prefect("get", "projects", "--name", "lists"))] == [["lists", "1"]]
    tasks = table(prefect("get", "tasks", "--flow-name", "mapped", "--flow-version", "2", "--project", "lists"))
    assert sorted((row[0], row[4]) for row in tasks) == [
        ("double", "True"),
        ("n", "False"),
        ("numbers", "False"),
        ("total", "False"),
    ]
    described = json.loads(prefect("describe", "flows", "--name", "mapped", "--project", "lists"))
    assert (described["name"], described["version"], described["project"]) == ("mapped", 2, {"name": "lists"})
    described = json.loads(prefect("describe", "tasks", "--name", "mapped", "--project", "lists"))
    assert sorted((task["slug"], task["max_retries"], task["retry_delay"]) for task in described) == [
        ("double-1", 0, None),
        ("n", 0, None),
        ("numbers-1", 0, None),
        ("total-1", 1, "00:00:00"),
    ]
    assert "deleted" in prefect("delete", "project", "lists").lower()
    assert table(prefect("get", "projects", "--name", "lists")) == []


def test_execute_without_an_agent(prefect, environment, file):
    prefect("create", "project", "executes")
    prefect("register", "-p", str(file), "--project", "executes")
    output = prefect("run", "--name", "mapped", "--project", "executes", "--execute")
    assert output.splitlines()[-1] == "Flow run succeeded!"
    created = prefect("run", "--name", "mapped", "--project", "executes", "--quiet").strip()
    environment.update(AS_BY_AN_AGENT, PREFECT__CONTEXT__FLOW_RUN_ID=created)
    prefect("execute", "flow-run")
    runs = table(prefect("get", "flow-runs", "--flow", "mapped", "--project", "executes"))
    assert [run[2] for run in runs] == ["Success", "Success"]


def test_a_running_flow_can_be_cancelled(prefect, environment, post, tmp_path):
    path = tmp_path / "endless.py"
    path.write_text(textwrap.dedent(ENDLESS))
    prefect("create", "project", "endless")
    prefect("register", "-p", str(path), "--project", "endless")
    run_id = prefect("run", "--name", "endless", "--project", "endless", "--quiet").strip()
    environment.update(
        AS_BY_AN_AGENT,
        PREFECT__CONTEXT__FLOW_RUN_ID=run_id,
        PREFECT__CLOUD__CHECK_CANCELLATION_INTERVAL="0.2",
    )

    def states():
        query = "query($id: uuid!) { flow_run_by_pk(id: $id) { state task_runs { state } } }"
        run = post(query, id=run_id).json()["data"]["flow_run_by_pk"]
        return [run["state"], *(task["state"] for task in run["task_runs"])]

    executing = subprocess.Popen(
        [sys.executable, "-m", "prefect", "execute", "flow-run"], env=environment, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while states() != ["Running", "Running"]:
        assert time.monotonic() < deadline
    cancel = "mutation($input: cancel_flow_run_input!) { cancel_flow_run(input: $input) { state } }"
    answer = post(cancel, input={"flow_run_id": run_id}).json()
    assert answer == {"data": {"cancel_flow_run": {"state": "Cancelling"}}}
    executing.wait(timeout=30)
    assert states() == ["Cancelled", "Cancelled"]
