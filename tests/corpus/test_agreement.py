"""What validate passes, the agent loads; what it fails, the agent fails."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from git_prefect.core.model import CheckedFile
from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter
from git_prefect.flows.checker import CheckOptions, check_flow_files

from .agents import ask, served
from .cases import CASES, LOADS, Case
from .repositories import Link, make_repository, tree_of

TIMEOUT = 4.0
BRANCH = "feature/new"
NOT_OF_THE_LOAD = {"duplicate-name", "import-in-task", "not-serializable"}
"""Errors for which the API, not the agent, would refuse a flow, or run another, or of a task that runs later."""


class Told(NamedTuple):
    """What both said of each case, by its name."""

    agent: dict[str, dict[str, Any]]
    ours: dict[str, CheckedFile | None]


@pytest.fixture(scope="session")
def told() -> Iterator[Told]:
    """Every case served by `git daemon`, loaded by an agent's storage, and checked by us."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        repositories = {
            case.name: make_repository(
                place / f"{number}.git", {"main": case.default_branch, BRANCH: case.files}
            )
            for number, case in enumerate(CASES)
        }  # fmt: skip
        with served(place) as url, ThreadPoolExecutor(2) as pool:
            agent = pool.submit(_ask_agent, place, url, repositories)
            ours = _check_all(place, repositories)
            yield Told(agent.result(), ours)


def _ask_agent(place: Path, url: str, repositories: dict[str, Path]) -> dict[str, dict[str, Any]]:
    requests = []
    for case in CASES:
        image = place / f"{repositories[case.name].name}.image"
        for path, content in case.files.items():
            if path.startswith(tuple(f"{root}/" for root in case.import_roots)):
                (image / path).parent.mkdir(parents=True, exist_ok=True)
                (image / path).write_text(str(content))
        requests.append({
            "storage": {"flow_path": case.flow_path or case.path, "flow_name": case.flow, "branch_name": BRANCH},
            "name": case.flow,
            "url": f"{url}/{repositories[case.name].name}",
            "secrets": dict(case.secrets),
            "env": dict(case.env),
            "sys_path": [str(image / root) for root in case.import_roots],
            "timeout": TIMEOUT,
        })  # fmt: skip
    answers = ask(place, requests)
    return {case.name: answer for case, answer in zip(CASES, answers)}


def _check_all(place: Path, repositories: dict[str, Path]) -> dict[str, CheckedFile | None]:
    """What we say. Cases of a single file are checked in one tree, each below a folder of its own."""
    found: dict[str, CheckedFile | None] = {}
    together = [
        case for case in CASES
        if list(case.files) == ["flow.py"] and isinstance(case.files["flow.py"], (str, bytes))
        and not isinstance(case.files["flow.py"], Link) and not (case.env or case.secrets or case.alone)
    ]  # fmt: skip
    for case in CASES:
        if case not in together:
            files = _check(place, repositories[case.name], BRANCH, case)
            found[case.name] = next((file for file in files if file.path == case.path), None)
    common = {f"{number}/flow.py": case.files["flow.py"] for number, case in enumerate(together)}
    repository = make_repository(place / "together.git", {"main": common})
    checked = {file.path: file for file in _check(place, repository, "main", together[0])}
    for number, case in enumerate(together):
        file = checked.get(f"{number}/flow.py")
        if file is not None:
            # Nearly all flows are called "flow".
            own = [one for one in file.findings if "has the name of one in" not in one.message]
            file = replace(file, findings=tuple(own))
        found[case.name] = file
    return found


def _check(place: Path, repository: Path, branch: str, case: Case) -> list[CheckedFile]:
    state = place / "state"
    python = interpreter.find(place, sys.executable, state)
    secrets = {f"PREFECT__CONTEXT__SECRETS__{name}": value for name, value in case.secrets.items()}
    settings = Settings(timeout=TIMEOUT, env={**case.env, **secrets}, import_roots=list(case.import_roots))
    tree = tree_of(repository, branch)
    return check_flow_files(tree, settings, replace(python, own=False), state, CheckOptions(with_flows=True))


def loads(file: CheckedFile | None, flow: str) -> bool:
    """Whether validate says that an agent which is asked for this flow gets it."""
    return (
        file is not None
        and all(one.severity != "error" or one.code in NOT_OF_THE_LOAD for one in file.findings)
        and any(one.name == flow for one in (*file.flows, *file.imported))
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_agreement(case: Case, told: Told, record_property: pytest.RecordProperty) -> None:  # type: ignore[name-defined]
    agent, ours = told.agent[case.name], told.ours[case.name]
    assert agent["does"] == case.agent, agent
    codes = sorted(one.code for one in ours.findings) if ours else ["unlisted"]
    assert codes == sorted(case.codes), ours
    if case.uncounted:
        return
    record_property("agreement", loads(ours, case.flow) == (case.agent == LOADS))
    assert loads(ours, case.flow) == (case.agent == LOADS), (agent, ours)
    if case.agent == LOADS and ours is not None and "not-serializable" not in codes:
        (mine,) = [flow for flow in (*ours.flows, *ours.imported) if flow.name == case.flow]
        assert mine.serialized == agent["serialized"]
