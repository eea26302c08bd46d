from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest
import requests

from git_prefect.devserver.process import running

COMMAND = [sys.executable, "-m", "git_prefect.devserver"]
URL = re.compile(r"http://127\.0\.0\.1:\d+\n")


@pytest.fixture
def started(environment):
    """Starts the command and gives the process and the line that it prints."""
    processes = []

    def call(*arguments):
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        processes.append(process)
        return process, process.stdout.readline()

    yield call
    for process in processes:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_on_a_signal(started, ending):
    process, line = started()
    assert URL.fullmatch(line)
    assert requests.post(line.strip(), json={"query": "{ hello }"}, timeout=30).json() == {"data": {"hello": "👋"}}
    process.send_signal(ending)
    assert (*process.communicate(timeout=10), process.returncode) == ("", "", 0)


def test_the_address_is_written_to_a_file(started, tmp_path):
    address = tmp_path / "address"
    _, line = started("--address-file", str(address))
    # the file comes after the line: wait for an answer, which comes after both
    requests.get(f"{line.strip()}/health", timeout=30)
    assert address.read_text() == line


def test_a_database_file_outlives_the_process(tmp_path):
    file = str(tmp_path / "prefect.sqlite")
    query = "{ tenant { id name slug } }"
    answers = []
    for _ in range(2):
        with running("--database", file) as url:
            answers.append(requests.post(url, json={"query": query}, timeout=30).json())
    assert answers[0] == answers[1]
    (tenant,) = answers[0]["data"]["tenant"]
    assert (tenant["name"], tenant["slug"]) == ("default", "default")


def test_a_port_in_use(environment):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--port", str(port)], env=environment, capture_output=True, text=True)
    message = f"git-prefect: cannot listen on port {port}: Address already in use\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_a_database_that_cannot_be(environment, tmp_path):
    done = subprocess.run([*COMMAND, "--database", str(tmp_path)], env=environment, capture_output=True, text=True)
    message = f"git-prefect: cannot use {tmp_path} as a database: unable to open database file\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


MISSING = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            raise ModuleNotFoundError("No module named '{missing}'", name="{missing}")

sys.meta_path.insert(0, Missing())
"""
"""A module on PYTHONPATH would not do: it takes the place of none that git-prefect needs."""


@pytest.mark.parametrize("module", ["graphql", "starlette", "uvicorn"])
def test_without_the_extra(environment, tmp_path, module):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(MISSING.format(module=module, missing=module))
    environment["PYTHONPATH"] = f"{blocked}:{environment['PYTHONPATH']}"
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60)
    message = (
        f"git-prefect: the development API needs {module}, which is not part of the base install, "
        "because only demos and tests use it. "
        "Install it with the extra that brings it: pip install 'git-prefect[demo]'\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_a_module_that_is_missing_elsewhere_is_told_as_it_is(environment, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(MISSING.format(module="uvicorn", missing="no_such_module_of_uvicorns"))
    environment["PYTHONPATH"] = f"{blocked}:{environment['PYTHONPATH']}"
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ModuleNotFoundError: No module named 'no_such_module_of_uvicorns'")


def test_help_says_what_it_is_not(environment):
    done = subprocess.run([*COMMAND, "--help"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "for demos and tests. It is not a Prefect Server." in " ".join(done.stdout.split())


def test_prefect_is_not_imported_at_the_start(environment):
    code = "import sys, git_prefect.devserver.app, git_prefect.devserver.gateway as it\n"
    code += "it.Gateway(it.Database()); print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_latency_is_added_to_every_request():
    with running("--latency", "150") as url:
        took = requests.post(url, json={"query": "{ hello }"}, timeout=30).elapsed.total_seconds()
    assert 0.15 <= took < 1


def test_what_does_not_start_says_why():
    with pytest.raises(RuntimeError, match="(?s)did not start: .*unrecognized arguments: --colour"):
        running("--colour").__enter__()
