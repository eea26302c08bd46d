"""git prefect prune: what is gone is shown, asked about and archived; nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import requests
from msgspec.structs import replace
from prefect.engine.state import Success

from git_prefect.deploy import pending

from .conftest import Desk, flow, query
from .test_status import SCHEMA, an_update, register_by_hand


@pytest.fixture
def gone(desk: Desk) -> Desk:
    """Of four flows one has lost its file, one its branch, one its name; another repository has one of the same path."""
    desk.commit(etl=flow("etl"), nightly=flow("nightly"), weekly=flow("weekly"))
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=flow("etl") + "    extract()\n")
    desk.register("main", "feature/x")
    register_by_hand(desk, "elsewhere", repo_host="github.com", repo="another/etl", flow_path="flows/nightly.py")
    desk.clone.git("push", "--quiet", "origin", ":feature/x")
    desk.clone.git("switch", "--quiet", "main")
    desk.commit(nightly=None, weekly=flow("sunday"))
    return desk


BEFORE = [("P", "elsewhere"), ("P", "etl"), ("P", "nightly"), ("P", "weekly"), ("P-feature--x", "etl")]
AFTER = [("P", "elsewhere"), ("P", "etl")]


def listing(desk: Desk, verb: str, end: str) -> str:
    return f"""\
branch main
  {verb}: nightly → {desk.project}, version 1: flows/nightly.py is gone
    PAGE
  {verb}: weekly → {desk.project}, version 1: flows/weekly.py defines it no longer, but sunday
    PAGE
branch feature/x
  {verb}: etl → {desk.project}-feature--x, version 1: branch feature/x is gone from origin
    PAGE
{end}
"""


def test_what_is_gone_is_archived_and_nothing_else(gone: Desk) -> None:
    assert gone.active() == BEFORE
    assert gone("prune", "--yes") == (0, listing(gone, "archived", "3 archived"), "")
    assert gone.active() == AFTER
    assert gone("prune", "--yes") == (0, "nothing to archive: every flow's ref and file are there\n", "")


def test_without_a_terminal_it_shows_and_does_nothing(gone: Desk) -> None:
    assert gone("prune") == (
        2,
        listing(gone, "archive", "3 to archive"),
        "git-prefect: nothing was archived: there is no terminal to ask at\nhint: git prefect prune --yes\n",
    )
    assert gone("prune", "--dry-run") == (0, listing(gone, "archive", "3 to archive; nothing was changed"), "")
    assert gone.active() == BEFORE


@pytest.mark.parametrize(
    ("answer", "end", "left"), [("n", "nothing was archived", BEFORE), ("y", "3 archived", AFTER)]
)
def test_a_terminal_is_asked(gone: Desk, answer: str, end: str, left: list[tuple[str, str]]) -> None:
    code, shown = gone.in_terminal("prune", answer=answer, columns=160)
    question = f"There is no way back. Archive 3 flows in 2 projects? [y/N] {answer}\n"
    preview = listing(gone, "archive", "").rstrip("\n")
    # What the question was about is not told again.
    assert (code, shown) == (0, f"{preview}\n{question}{end}\n")
    assert gone.active() == left


def test_deleting_takes_the_runs_along(gone: Desk) -> None:
    gone.ran("nightly", Success())
    flow_id = gone.id_of("nightly")
    code, out, _ = gone("prune", "--yes", "--delete")
    assert (code, out) == (0, listing(gone, "deleted", "3 deleted"))
    assert query(f'flow(where: {{id: {{_eq: "{flow_id}"}}}})', "id") == []
    assert query(f'flow_run(where: {{flow_id: {{_eq: "{flow_id}"}}}})', "id") == []
    assert gone.active() == AFTER


def test_a_remote_that_cannot_be_asked_costs_no_flow(gone: Desk, remote: Path) -> None:
    remote.rename(remote.with_name("away.git"))
    code, out, err = gone("prune", "--yes")
    assert (code, out, err.startswith("git-prefect: origin: the remote could not be asked (")) == (4, "", True)
    assert gone.active() == BEFORE


def test_a_remote_without_branches_costs_no_flow(gone: Desk, remote: Path, tmp_path: Path) -> None:
    from ..repository import bare_remote

    remote.rename(remote.with_name("away.git"))
    bare_remote(remote)
    assert gone("prune", "--yes") == (
        2,
        "",
        "git-prefect: origin has no branch at all, so every flow of it would be gone: nothing is touched\n"
        "hint: is it the right remote? Name another with --remote\n",
    )
    assert gone.active() == BEFORE


def test_an_api_that_is_away(gone: Desk) -> None:
    from prefect.utilities.configuration import set_temporary_config

    with set_temporary_config({"cloud.api": "http://127.0.0.1:9"}):
        assert gone("prune", "--yes")[0] == 4


def test_what_has_moved_or_may_still_be_there_is_kept(desk: Desk) -> None:
    desk.commit(etl=flow("etl"), broken=flow("fragile"), other=flow("other"))
    desk.register("main")
    desk.commit(etl=None, moved=flow("etl"), broken=flow("fragile") + "flow.nothing()\n", other=None, third="fragile = 'other'\nno(")
    assert desk("prune", "--yes") == (
        0,
        f"branch main\n  archived: other → {desk.project}, version 1: flows/other.py is gone\n    PAGE\n1 archived\n",
        "",
    )
    assert desk.active() == [("P", "etl"), ("P", "fragile")]


def test_a_ref_whose_settings_cannot_be_read_is_left_alone(gone: Desk) -> None:
    gone.clone.write({"pyproject.toml": "[tool.git-prefect]\nfloes = []\n"})
    gone.clone.git("add", "pyproject.toml")
    gone.commit()
    code, out, err = gone("prune", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "1 archived")
    assert err.startswith("left alone: 3 flows of main: pyproject.toml: tool.git-prefect.floes: unknown key; known here:")


def test_a_ref_that_is_being_pushed_is_left_alone(gone: Desk) -> None:
    update = replace(an_update(gone, gone.clone.head()), ref="refs/heads/feature/x")
    pending.postpone(gone.clone.repository, pending.record(gone.clone.repository, update, None, None, None), "later")
    assert gone("prune", "--yes")[0] == 0
    assert gone.active() == [*AFTER, ("P-feature--x", "etl")]


def test_what_the_api_refuses_stops_no_other_and_is_told(gone: Desk, api_url: str) -> None:
    requests.post(f"{api_url}/_fault", json=[{"match": "archive_flow", "kind": "error", "message": "no"}], timeout=10)
    code, out, _ = gone("prune", "--yes")
    (failed,) = [line for line in out.splitlines() if line.startswith("  failed:")]
    assert failed.endswith(f": still active: the Prefect API at {api_url} refused it: no")
    assert (code, out.splitlines()[-1], len(gone.active())) == (1, "2 archived, 1 failed", len(AFTER) + 1)


def test_an_answer_that_was_lost_is_read_back(gone: Desk, api_url: str) -> None:
    requests.post(f"{api_url}/_fault", json=[{"match": "archive_flow", "kind": "drop-after"}], timeout=10)
    assert gone("prune", "--yes") == (0, listing(gone, "archived", "3 archived"), "")
    assert gone.active() == AFTER


def test_the_object_is_by_the_schema(gone: Desk) -> None:
    code, out, err = gone("prune", "--format", "json")
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    rows = [(row["ref"], row["flow"], row["action"]) for row in found["registrations"]]
    assert (code, found["exit"], found["command"], rows) == (
        2, 2, "prune --dry-run",
        [("main", "nightly", "archived"), ("main", "weekly", "archived"), ("feature/x", "etl", "archived")],
    )  # fmt: skip
    assert err.startswith("git-prefect: nothing was archived")
