"""`git prefect register` as processes: beside each other, killed, interrupted; how much it asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest
import requests

from git_prefect.report.invocation import git_prefect

from ..repository import Clone, clone, known_checks

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
parallel = 2
[[tool.git-prefect.target]]
branch = "main"
project = "{project}"
create-project = true
"""
FLOWS = """\
from prefect import Flow, task

@task
def one(): ...

for number in range({flows}):
    with Flow(f"flow-{{number}}") as flow:
        one()
    globals()[f"flow_{{number}}"] = flow
"""
CREATE = "create_flow_from_compressed_string"


class Desk(NamedTuple):
    """A clone whose flows are pushed and not registered yet, and the API."""

    clone: Clone
    project: str
    url: str

    def start(self, *arguments: str, where: Clone | None = None) -> subprocess.Popen[str]:
        """`git prefect register` as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "git_prefect", "register", *arguments],
            cwd=(where or self.clone).path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def register(self, *arguments: str) -> str:
        """What it prints."""
        process = self.start(*arguments)
        out, error = process.communicate()
        assert process.returncode == 0, out + error
        return out

    def ask(self, query: str, **variables: Any) -> Any:
        answer = requests.post(self.url, json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def versions(self) -> list[tuple[str, int, bool]]:
        """Every version that was ever registered: name, version, whether it is active."""
        query = "query($p: String) { flow(where: {project: {name: {_eq: $p}}}) { name version archived } }"
        return sorted(
            (one["name"], one["version"], not one["archived"]) for one in self.ask(query, p=self.project)["flow"]
        )

    def asked(self) -> dict[str, int]:
        """How often each field was asked for since the last time."""
        fields: dict[str, int] = requests.get(f"{self.url}/_requests", timeout=60).json()["fields"]
        return fields

    def fault(self, **fault: Any) -> None:
        requests.post(f"{self.url}/_fault", json=[fault], timeout=60)


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "the condition did not come true in a minute"
        time.sleep(0.05)


@pytest.fixture
def desk(work: Clone, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Path) -> Iterator[Desk]:
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api_url)
    project = tmp_path.name
    work.commit({"pyproject.toml": SETTINGS.format(project=project), "flows.py": FLOWS.format(flows=4)})
    work.git("push", "--quiet")
    requests.delete(f"{api_url}/_requests", timeout=60)
    requests.delete(f"{api_url}/_fault", timeout=60)
    with known_checks(work, checks):
        yield Desk(work, project, api_url)


ONCE = [(f"flow-{number}", 1, True) for number in range(4)]


def test_one_query_tells_all_and_another_reads_it_back(desk: Desk) -> None:
    assert desk.register().splitlines()[-1] == "4 registered"
    assert {name: count for name, count in desk.asked().items() if name in ("flow", "create_project", CREATE)} == {
        "flow": 2, "create_project": 1, CREATE: 4,
    }  # fmt: skip
    requests.delete(f"{desk.url}/_requests", timeout=60)
    assert desk.register().splitlines()[-1] == "0 registered, 4 unchanged"
    assert desk.asked() == {"tenant": 1, "project": 1, "flow_aggregate": 1, "flow": 1}
    assert desk.versions() == ONCE


def test_a_plan_is_shown_before_anything_is_done(desk: Desk) -> None:
    desk.fault(match=CREATE, kind="delay", seconds=3, times=9)
    process = desk.start()
    assert process.stderr
    head = desk.clone.head()[:7]
    assert process.stderr.readline() == f"origin/main at {head} (from active branch), settings: pyproject.toml\n"
    assert process.stderr.readline() == f"  create: 4 flows → {desk.project}\n"
    assert desk.versions() == []
    process.kill()
    process.communicate()


def test_where_both_streams_are_read_in_one_place_nothing_is_told_twice(desk: Desk) -> None:
    desk.register()
    desk.clone.commit({"flows.py": FLOWS.format(flows=4).replace("        one()", "        one()\n        one()", 1)})
    desk.clone.git("push", "--quiet", "--no-verify")
    told = subprocess.run(
        [sys.executable, "-m", "git_prefect", "register"],
        cwd=desk.clone.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert told.stdout.splitlines() == [
        f"origin/main at {desk.clone.head()[:7]} (from active branch), settings: pyproject.toml",
        *(
            line
            for number in range(4)
            for line in (f"  update: flow-{number} → {desk.project}, version 2", "    task added: one-2")
        ),
        f"  registered: 4 flows → {desk.project}",
        "4 registered",
    ]


SHALLOW = """\
warning: where feature/x left main is not known in this shallow clone: all flows are registered, not only those that it \
changes [base-unknown]
  hint: in CI, fetch-depth: 0 (GitHub) or GIT_DEPTH: 0 (GitLab); here: git fetch --unshallow origin \
'+refs/heads/*:refs/remotes/origin/*'
"""


def test_a_shallow_clone_says_why_a_branch_registers_all_flows(desk: Desk, remote: Path, tmp_path: Path) -> None:
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    settings = SETTINGS.format(project=desk.project).replace('"main"', '"**"')
    desk.clone.commit({"other.py": FLOWS.format(flows=1).replace("flow-", "other-"), "pyproject.toml": settings})
    desk.clone.git("push", "--quiet", "--no-verify", "origin", "feature/x")
    job = tmp_path / "job"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", "--branch=feature/x", f"file://{remote}", str(job)], check=True
    )
    shallow = Clone(job)
    told = desk.start("--dry-run", where=shallow).communicate()[0]
    assert told.startswith(SHALLOW)
    assert told.endswith("5 to create; nothing was changed\n")
    # With the remedy that is told, only what the branch changes is registered.
    subprocess.run(SHALLOW.split("here: ")[1], shell=True, cwd=job, check=True, capture_output=True)
    told = desk.start("--dry-run", where=shallow).communicate()[0]
    assert "base-unknown" not in told
    assert told.endswith("1 to create; nothing was changed\n")


def test_a_shallow_clone_of_the_default_branch_is_as_good_as_any(desk: Desk, remote: Path, tmp_path: Path) -> None:
    desk.clone.commit({"pyproject.toml": SETTINGS.format(project=desk.project).replace('"main"', '"**"')})
    desk.clone.git("push", "--quiet", "--no-verify", "origin", "main:develop")
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/develop"], cwd=remote, check=True)
    job = tmp_path / "job"
    # As CI fetches it: one branch, and nothing that tells which is the default one.
    subprocess.run(["git", "init", "--quiet", "--initial-branch=develop", str(job)], check=True)
    here = Clone(job)
    here.git("remote", "add", "origin", f"file://{remote}")
    here.git("fetch", "--quiet", "--depth=1", "origin", "+refs/heads/develop:refs/remotes/origin/develop")
    here.git("checkout", "--quiet", "-B", "develop", "refs/remotes/origin/develop")
    told = desk.start("--dry-run", where=here).communicate()[0]
    assert "base-unknown" not in told
    assert told.endswith("4 to create; nothing was changed\n")


def test_a_flow_that_loses_the_image_of_its_docker_storage_is_told(desk: Desk) -> None:
    docker = (
        "from prefect.storage import Docker\n" + FLOWS.format(flows=1) + "    flow.storage = Docker(image_name='x')\n"
    )
    settings = SETTINGS.format(project=desk.project).replace("parallel", 'storage = "replace"\nparallel')
    desk.clone.commit({"pyproject.toml": settings, "flows.py": docker})
    desk.clone.git("push", "--quiet", "--no-verify")
    process = desk.start("--format", "json")
    report = json.loads(process.communicate()[0])
    assert process.returncode == 0
    assert [(one["code"], one["severity"], one["flow"], one["path"], one["ref"]) for one in report["findings"]] == [
        ("image-lost", "warning", "flow-0", "flows.py", "main")
    ]
    image = "\n[[tool.git-prefect.runtime]]\nflows = ['*.py']\nrun-config = { type = 'DockerRun', image = 'x:1' }\n"
    desk.clone.commit({"pyproject.toml": settings + image})
    desk.clone.git("push", "--quiet", "--no-verify")
    assert "image-lost" not in desk.register()


def test_processes_of_two_clones_register_one_after_the_other(desk: Desk, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    desk.fault(match=CREATE, kind="delay", seconds=1, times=4)
    processes = [desk.start(where=where) for where in (desk.clone, other, desk.clone, other)]
    outcomes = [process.communicate() for process in processes]
    sums = sorted(out.splitlines()[-1] for out, _ in outcomes)
    assert sums == ["0 registered, 4 unchanged"] * 3 + ["4 registered"], outcomes
    assert any("waiting for process" in error and f"project '{desk.project}'" in error for _, error in outcomes)
    assert desk.versions() == ONCE


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_in_the_middle_nothing_is_registered_twice_or_lost(desk: Desk, sign: signal.Signals) -> None:
    # Two at a time: the first pair is done, the second is under way.
    desk.fault(match=CREATE, kind="delay", seconds=0, times=2)
    desk.fault(match=CREATE, kind="delay", seconds=1.5, times=2)
    process = desk.start()
    until(lambda: desk.asked().get(CREATE, 0) >= 3 or process.poll() is not None)
    process.send_signal(sign)
    process.communicate()
    assert process.returncode == (-sign if sign == signal.SIGKILL else 130)
    if sign == signal.SIGKILL:
        # What was sent is applied; Ctrl-C has waited for that.
        until(lambda: len(desk.versions()) >= desk.asked()[CREATE])
    last = desk.register().splitlines()[-1]
    assert last in ("0 registered, 4 unchanged", "1 registered, 3 unchanged")
    assert desk.versions() == ONCE


def test_interrupted_before_its_request_was_sent_the_rest_is_not_begun(desk: Desk) -> None:
    desk.fault(match=CREATE, kind="delay", seconds=2, times=2)
    process = desk.start()
    until(lambda: desk.asked().get(CREATE, 0) >= 2)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert (process.returncode, desk.asked()[CREATE]) == (130, 2)
    assert desk.register().splitlines()[-1] == "2 registered, 2 unchanged"
    assert desk.versions() == ONCE


def test_explain_asks_nobody(desk: Desk, remote: Path) -> None:
    remote.rename(remote.with_name("away"))
    told = desk.register("--explain").splitlines()
    assert told == [
        "origin/main (from active branch), settings: pyproject.toml",
        '  target[1] branch = "main": takes it',
        f"    project: {desk.project}",
        "    create-project: it is created when it does not exist",
        '    schedule = "keep": what is paused stays paused, what is new is active',
        "    labels: none are added",
        "    take-over: flows of other branches and repositories are not replaced",
        "    prune: flows that it no longer defines stay active",
        "  flows: all, since it is the default branch",
    ]
    assert desk.asked() == {}


def test_the_description_says_where_a_version_comes_from(desk: Desk) -> None:
    desk.register()
    query = "query($p: String) { flow(where: {project: {name: {_eq: $p}}}, limit: 1) { description } }"
    (held,) = desk.ask(query, p=desk.project)["flow"]
    head = desk.clone.head()
    for line in (
        f"Registered from git at `{head[:7]}`.",
        "- **Branch:** `main`, followed: each run takes the branch's newest commit",
        "- **File:** `flows.py`",
        f"- **Commit:** `{head}`",
        r"- **By:** Ada Engineer \<ada@example.com\>",
    ):
        assert line in held["description"].splitlines()
    assert os.environ["HOME"] not in held["description"].replace(str(desk.clone.path.parent)[1:], "")


def test_a_flow_that_is_renamed_is_archived_under_its_old_name(desk: Desk) -> None:
    desk.register()
    desk.clone.commit({"flows.py": FLOWS.format(flows=3)})
    desk.clone.git("push", "--quiet")
    told = desk.register().splitlines()
    assert told[1] == (
        f"  left behind: flow-3 → {desk.project}, version 1: flows.py defines it no longer, but flow-0, flow-1, flow-2; "
        f"each run of it fails. Archive it with `{git_prefect('prune')}`, or set `prune = true` in the target"
    )
    desk.clone.commit({"pyproject.toml": SETTINGS.format(project=desk.project) + "prune = true\n"})
    desk.clone.git("push", "--quiet")
    assert desk.register().splitlines()[-1] == "0 registered, 3 unchanged, 1 archived"
    assert desk.versions() == [*ONCE[:3], ("flow-3", 1, False)]


def test_every_flow_is_loaded_before_the_first_is_registered(desk: Desk) -> None:
    looks = (
        "import json, urllib.request\nfrom prefect import Flow\n"
        f"asked = json.load(urllib.request.urlopen('{desk.url}/_requests'))['fields']\n"
        f"number = asked.get('{CREATE}', 0)\nwith Flow(f'after-{{number}}') as flow:\n    pass\n"
    )
    desk.clone.commit({f"{name}_last.py": looks.replace("after", name) for name in "xyz"})
    desk.clone.git("push", "--quiet")
    out = desk.register("--ref", "main")
    assert out.endswith("7 registered\n")
    assert [name for name, _, _ in desk.versions()] == [
        "flow-0", "flow-1", "flow-2", "flow-3", "x-0", "y-0", "z-0",
    ]  # fmt: skip
    assert desk.asked()[CREATE] == 7
