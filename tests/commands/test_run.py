"""git prefect run: the flow of this branch, run by Prefect's own local agent; what it will not do is said before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pendulum
import prefect
import pytest
from prefect.engine.state import Failed, Success

from git_prefect.commands.run import followed
from git_prefect.deploy import pending

from .conftest import Desk, flow, query
from .test_status import an_update, short

GREETING = """\
import prefect
from prefect import Flow, Parameter, task

@task
def greet(name):
    if name == "nobody":
        raise ValueError("nobody to greet")
    prefect.context.logger.info("hello %s", name)

with Flow("greeting") as flow:
    greet(Parameter("name", default="you"))
"""


@pytest.fixture
def agent(desk: Desk, remote: Path, tmp_path: Path) -> Iterator[None]:
    """Prefect's local agent, with the clone URL as its local secret."""
    environ = {
        **os.environ, "PREFECT__BACKEND": "server", "PREFECT__CLOUD__API": prefect.config.cloud.api,
        "PREFECT__SERVER__ENDPOINT": prefect.config.cloud.api, "PREFECT__CONTEXT__SECRETS__CLONE_URL": f"file://{remote}",
    }  # fmt: skip
    with open(tmp_path / "agent.log", "wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "prefect", "agent", "local", "start", "--no-hostname-label"],
            cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def test_a_run_is_followed_to_its_end_and_the_exit_code_is_its_result(desk: Desk, agent: None) -> None:
    desk.commit(greeting=GREETING)
    desk.register("main")
    code, out, err = desk("run", "greeting", "--param", "name=Ada")
    assert (code, out.splitlines()[-1], err) == (0, "Flow run succeeded!", "")
    assert "└── Parameters: {'name': 'Ada'}" in out
    assert "| INFO    | hello Ada\n" in out
    code, out, _ = desk("run", "greeting", "--param", "name=nobody")
    assert (code, out.splitlines()[-1]) == (1, "Flow run failed!")


def test_what_a_run_logs_after_its_final_state_is_told_too(desk: Desk) -> None:
    def log(message: str) -> None:
        now = pendulum.now("utc").isoformat()
        client.write_run_logs([{"flow_run_id": run, "timestamp": now, "level": "INFO", "message": message}])

    desk.commit(etl=flow("etl"))
    desk.register("main")
    client = prefect.Client()
    run = client.create_flow_run(flow_id=desk.id_of("etl"))
    log("begun")
    said = []
    for line in followed(run, stream_logs=True):
        said.append(line.message)
        if line.message == "begun":
            client.set_flow_run_state(run, Success("well"))
        if line.message == "Entered state <Success>: well":
            log("sent when the process ended")
    assert said[-3:] == ["begun", "Entered state <Success>: well", "sent when the process ended"]


def test_it_stops_where_the_next_run_would_fail_and_offers_to_register_first(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    renamed = flow("etl").replace("load", "store")
    head = desk.commit(etl=renamed)
    drift = (
        f"before the run: flows/etl.py: HEAD ({short(head)}) has a task that is not registered: store-1 and no longer "
        "load-1, which is registered; the next run fails [structure-drift]\n"
        "  hint: git prefect register --ref main\n"
    )
    stopped = (
        "git-prefect: not started: the next run would fail\n"
        "hint: register first: git prefect register --remote origin --ref main; to run it anyway: git prefect run --force etl --no-watch\n"
    )
    assert desk("run", "etl", "--no-watch") == (1, "", drift + stopped)
    named = ["run", "etl", "--no-watch", "--project", desk.project]
    assert f" register --remote origin --ref main --project {desk.project}; to run it anyway: " in desk(*named)[2]
    code, out, err = desk("run", "--force", "etl", "--no-watch")
    assert (code, "Creating run for flow 'etl'... Done" in out, err) == (0, True, drift)
    # At a terminal it asks.
    question = "The next run would fail. Register origin/main first? [Y/n] "
    code, shown = desk.in_terminal("run", "etl", "--no-watch", answer="n", columns=300)
    assert (code, shown.endswith(f"{question}n\n{stopped}")) == (1, True), shown
    code, shown = desk.in_terminal("run", "etl", "--no-watch", answer="y", columns=300)
    assert (code, f"{question}y\n" in shown, "registered: etl" in shown, "Creating run for flow 'etl'..." in shown) == (0, True, True, True)
    assert desk("run", "etl", "--no-watch")[2] == ""
    # What no registration settles is not offered.
    desk.commit(etl=None)
    code, out, err = desk("run", "etl", "--no-watch")
    assert (code, out, err.splitlines()[-1]) == (1, "", "hint: see above; to run it anyway: git prefect run --force etl --no-watch")
    assert "[file-gone]" in err


def test_a_run_waits_for_an_agent_and_doctor_is_named_after_a_failed_clone(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    client = prefect.Client()
    run = client.create_flow_run(flow_id=desk.id_of("etl"), labels=["ml", "dev"])
    said = []
    for line in followed(run, doctor="git prefect doctor --ref main", stream_logs=True):
        said.append(line.message)
        if line.message.startswith("waiting"):
            # As the process that an agent starts does where it cannot clone.
            client.set_flow_run_state(run, Failed("Failed to load and execute flow run: HTTPUnauthorized('', '')"))
    assert said == [
        "Entered state <Pending>: Flow run created",
        "Entered state <Scheduled>: Flow run scheduled.",
        "waiting for an agent that takes runs with labels dev, ml",
        "Entered state <Failed>: Failed to load and execute flow run: HTTPUnauthorized('', '')",
        "the agent could not clone or load the flow; git prefect doctor --ref main does as an agent does, and says what is wrong",
    ]


@pytest.fixture
def created(desk: Desk) -> Callable[..., tuple[int, str]]:
    """Runs with `--no-watch`: exit code and what is said before."""

    def run(*arguments: str) -> tuple[int, str]:
        code, out, err = desk("run", *arguments, "--no-watch")
        assert "Creating run for flow" in out or code
        return code, err

    return run


def test_changes_that_are_not_pushed_are_said_before(desk: Desk, created: Callable[..., tuple[int, str]]) -> None:
    head = desk.commit(etl=flow("etl"))
    desk.register("main")
    assert created("etl") == (0, "")
    desk.clone.commit({"flows/etl.py": flow("etl").replace("...", "return 1", 1)})
    desk.clone.write({"flows/etl.py": flow("etl").replace("...", "return 2")})
    assert created("etl") == (
        0,
        f"before the run: error: origin/main is 1 commit behind: agents run {short(head)}, not what is here "
        "[remote-differs]\n  hint: git push origin main\n"
        "before the run: flows/etl.py: has changes that are in no commit: agents pull from the remote, these changes will "
        "not run [uncommitted-flow]\n  hint: git add flows/etl.py && git commit && git push\n",
    )
    # Another ref than the one that is checked out has nothing to do with the work tree.
    desk.clone.git("tag", "v1.0", head)
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("v1.0")
    assert created("etl", "--ref", "v1.0") == (0, "")


def test_a_remote_that_cannot_be_asked_keeps_no_run_from_starting(
    desk: Desk, remote: Path, created: Callable[..., tuple[int, str]]
) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    remote.rename(remote.with_name("away.git"))
    code, said = created("etl")
    assert (code, said.splitlines()[0].startswith("before the run: warning: origin: the remote could not be asked")) == (0, True)


def test_it_runs_that_very_version_with_options_of_prefect_run(desk: Desk, created: Callable[..., tuple[int, str]]) -> None:
    desk.commit(etl=flow("etl"))
    desk.clone.git("tag", "v1.0")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("main", "v1.0")
    code, out, _ = desk("run", "etl", "--no-watch", "--ref", "v1.0", "--", "--run-name", "by-hand", "--label", "x")
    assert code == 0, out
    flow_id = desk.id_of("etl", "-production")
    assert query(f'flow_run(where: {{flow_id: {{_eq: "{flow_id}"}}}})', "name labels") == [{"name": "by-hand", "labels": ["x"]}]


def test_an_annotated_tag_runs_as_the_lightweight_one_beside_it(desk: Desk, created: Callable[..., tuple[int, str]]) -> None:
    settings = (desk.clone.path / "pyproject.toml").read_text()
    beside = settings.replace("clone-url-secret", 'companion-tag = "flows/{tag}"\nclone-url-secret')
    desk.clone.commit({"pyproject.toml": beside})
    desk.commit(etl=flow("etl"))
    desk.clone.git("tag", "-a", "-m", "release", "v1.0")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("v1.0")
    assert created("etl", "--ref", "v1.0") == (0, "")
    assert f"tag flows/v1.0 → {desk.project}-production\n  etl  v1" in desk("status")[1]


def test_a_push_that_is_not_registered_yet_is_registered_before_the_run(
    desk: Desk, created: Callable[..., tuple[int, str]]
) -> None:
    head = desk.commit(etl=flow("etl"))
    pending.record(desk.clone.repository, an_update(desk, head), None, None, None)
    assert created("etl") == (0, "")
    assert pending.entries(desk.clone.repository) == []


def test_what_is_not_registered_is_not_run(desk: Desk) -> None:
    desk.commit(etl=flow("the daily etl"))
    assert desk("run", "the daily etl") == (
        2,
        "",
        "git-prefect: the daily etl is not registered from origin/main\n"
        "hint: register what the remote has: git prefect register --ref main; what there is: git prefect status\n",
    )
    desk.register("main")
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(other=flow("other"))
    assert desk("run", "the daily etl") == (
        2,
        "",
        f"git-prefect: the daily etl is not registered from origin/feature/x; it is from: main ({desk.project})\n"
        "hint: git prefect run 'the daily etl' --ref main; a branch registers the flows whose files it changes\n",
    )


def test_of_several_projects_one_is_chosen(desk: Desk, created: Callable[..., tuple[int, str]]) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    other = f"{desk.project}-other"
    prefect.Client().create_project(other)
    assert desk("register", "--project", other)[0] == 0
    assert desk("run", "etl") == (
        2,
        "",
        f"git-prefect: etl is registered from origin/main in several projects: {desk.project}, {other}\n"
        f"hint: choose one: git prefect run etl --project {desk.project}\n",
    )
    assert created("etl", "--project", other)[0] == 0
    assert query(f'flow_run(where: {{flow_id: {{_eq: "{desk.id_of("etl", "-other")}"}}}})', "state") != []


def test_an_api_that_is_away(desk: Desk) -> None:
    from prefect.utilities.configuration import set_temporary_config

    with set_temporary_config({"cloud.api": "http://127.0.0.1:9"}):
        code, _, err = desk("run", "etl")
    assert (code, err.splitlines()[0]) == (
        4, "git-prefect: the Prefect API at http://127.0.0.1:9 is out of reach: no connection",
    )  # fmt: skip


def test_parameters_that_prefect_does_not_take(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    code, out, _ = desk("run", "etl", "--param", 'rows={"a":')
    assert (code, "Failed to parse JSON for parameter 'rows'" in out) == (1, True)


def test_who_interrupts_a_run_that_is_cancelled_finds_130(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    code, shown = desk.in_terminal("run", "etl", answer="y", interrupt_at="Watching flow run execution")
    (run,) = query(f'flow_run(where: {{flow_id: {{_eq: "{desk.id_of("etl")}"}}}})', "state")
    assert (code, run, "Cancelled flow run." in shown) == (130, {"state": "Cancelled"}, True)

