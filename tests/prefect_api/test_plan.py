"""What a registration would do, and does: planned, carried out by the real client and read back from an API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.errors import NotAuthorised, UsageError
from git_prefect.core.results import Registration
from git_prefect.core.settings import Target
from git_prefect.devserver.process import running
from git_prefect.prefect_api.apply import apply_plan
from git_prefect.prefect_api.plan import Circumstances, plan_flows
from git_prefect.prefect_api.queries import Api
from git_prefect.report import terminal
from git_prefect.report.invocation import git_prefect
from git_prefect.report.rows import would_be

from .conftest import BRANCH, HOURLY, OTHER, WHERE, active, deployment, etl, mutate, outcome, planned, update


def rule(target: Target, **changes: Any) -> Target:
    """The same target with other settings."""
    return Target(**{"project": target.project, "branch": "**", "create_project": True, **changes})


def test_first_registration_says_all(register: Any, wanted: Any, target: Target) -> None:
    (row,) = register([wanted(etl(), BRANCH)])
    group = row.url.rsplit("/", 1)[1]
    assert row == Registration(
        ref="refs/heads/feature/x",
        flow="etl",
        path="flows/etl.py",
        project=target.project,
        action="created",
        version=1,
        changes=(),
        reason="",
        storage="github.com/team/etl flows/etl.py@feature/x",
        url=f"http://localhost:8080/default/flow/{group}",
    )


def test_the_same_structure_is_left_alone_and_another_is_a_new_version(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    assert [outcome(row) for row in register([wanted(etl(), BRANCH)])] == [
        ("unchanged", 1, (), "the branch's HEAD is what runs")
    ]
    assert [outcome(row) for row in register([wanted(etl(3), BRANCH)])] == [("updated", 2, ("task added: load-2",), "")]


def test_structures_decide_not_the_last_registration(register: Any, wanted: Any) -> None:
    for tasks in (2, 3, 2):
        register([wanted(etl(tasks), BRANCH)])
    assert [outcome(row)[:3] for row in register([wanted(etl(2), BRANCH)])] == [("unchanged", 3, ())]


def test_the_plan_in_words(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(name=name), BRANCH) for name in ("same", "more", "gone", "paused")])
    register([wanted(etl(name="theirs"), OTHER)], OTHER)
    register([wanted(etl(name="dead"), update("refs/heads/old"))], update("refs/heads/old"))
    (same,) = api.registered([target.project], ["same"]).flows
    mutate(api, "set_flow_group_labels", flow_group_id=same.flow_group_id, labels=["gpu", "berlin"])
    flows = [
        *(wanted(etl(name=name), BRANCH) for name in ("same", "new", "theirs", "dead")),
        wanted(etl(3, HOURLY, "more"), BRANCH),
        wanted(etl(name="untouched"), BRANCH, concerned=False),
        wanted(etl(name="paused"), BRANCH),
    ]
    plan = planned(
        api, flows, BRANCH, target,
        living_refs={"refs/heads/feature/x", "refs/heads/feature/y"},
        lost=lambda path, flow: f"{path} is gone",
    )  # fmt: skip
    where = target.project
    assert terminal.registrations([would_be(one, BRANCH.ref) for one in plan], plan=True) == [
        f"  refused: theirs → {where}, version 1: branch 'feature/y' is what project '{where}' runs under this name (version 1); "
        "registering feature/x of github.com/team/etl would archive it. Give feature/x a target with another project, rename "
        "the flow, or set `take-over = true` in the target",
        f"  create: new → {where}, version 1",
        f"  take over: dead → {where}, version 2: from branch 'old', which is gone",
        "    storage: branch_name old → feature/x",
        f"  update: more → {where}, version 2",
        "    task added: load-2",
        "    schedule added: every 1 h",
        f"  left behind: gone → {where}, version 1: flows/gone.py is gone; each run of it fails. Archive it with "
        f"`{git_prefect('prune')}`, or set `prune = true` in the target",
        f"  unchanged: same → {where}, version 1: the branch's HEAD is what runs",
        "    set in Prefect's UI, wins over the code: labels gpu, berlin",
        f"  unchanged: paused → {where}, version 1: the branch's HEAD is what runs",
        "  left alone: 1 flow that this branch does not change",
    ]


def test_a_branch_does_not_take_a_flow_from_another(register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    assert [outcome(row) for row in register([wanted(etl(3), OTHER)], OTHER)] == [
        (
            "failed",
            1,
            (),
            f"branch 'feature/x' is what project '{target.project}' runs under this name (version 1); registering "
            "feature/y of github.com/team/etl would archive it. Give feature/y a target with another project, rename the "
            "flow, or set `take-over = true` in the target",
        )
    ]


def test_a_target_may_allow_to_take_over(register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    (row,) = register([wanted(etl(), OTHER)], OTHER, rule(target, take_over=True))
    assert outcome(row) == ("taken-over", 2, ("storage: branch_name feature/x → feature/y",), "from branch 'feature/x'")
    other = replace(WHERE, repo="other/etl")
    (row,) = register([wanted(etl(), OTHER, other)], OTHER, rule(target, take_over=True))
    assert (row.action, row.version, row.reason) == ("taken-over", 3, "from repository github.com/team/etl")


def test_a_branch_that_is_gone_may_be_replaced(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    (row,) = register([wanted(etl(), OTHER)], OTHER, living_refs={"refs/heads/feature/y"})
    assert outcome(row) == (
        "taken-over", 2, ("storage: branch_name feature/x → feature/y",), "from branch 'feature/x', which is gone"
    )  # fmt: skip


def test_another_repository_is_not_replaced(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    (row,) = register([wanted(etl(), BRANCH, replace(WHERE, repo="other/etl"))], BRANCH, living_refs=set())
    assert row.action == "failed"
    assert row.reason.startswith("repository github.com/team/etl is what project")


def test_a_move_from_file_to_file_is_no_take_over(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    moved = wanted(etl(), BRANCH)
    moved.serialized["storage"] = {**moved.serialized["storage"], "flow_path": "flows/moved.py"}
    (row,) = register([replace(moved, path="flows/moved.py")])
    assert outcome(row) == ("updated", 2, ("storage: flow_path flows/etl.py → flows/moved.py",), "")


@pytest.mark.parametrize(
    ("storage", "default", "expected"),
    [
        ({"type": "Docker"}, None, ("taken-over", "from Docker storage")),
        ({"branch_name": None}, "feature/x", ("updated", "")),
        ({"branch_name": None}, "main", ("failed", "branch 'main' is what project")),
        ({"branch_name": None, "commit": "4f2a"}, "main", ("failed", "branch 'main' is what project")),
        ({"repo_host": "GitHub.com:443", "repo": "/Team/ETL.git"}, None, ("updated", "")),
    ],
)
def test_who_holds_what_was_registered_by_hand(
    api: Api, register: Any, wanted: Any, target: Target, storage: Any, default: Any, expected: Any
) -> None:
    held = wanted(etl(), BRANCH).serialized
    held["storage"] = {**held["storage"], **storage}
    identity = api.create_project(target.project, api.registered([], []).tenant_id)
    api.create_flow(identity, held, True)
    (row,) = register([wanted(etl(), BRANCH)], default_branch=default)
    assert row.action == expected[0]
    assert row.reason.startswith(expected[1])


@pytest.mark.parametrize(
    ("first", "then", "source", "action"),
    [
        ("v1.9", "v1.10", "push", "updated"),
        ("v1.10", "v1.9", "push", "failed"),
        ("v1.10", "v1.9", "--ref", "updated"),
        ("v2", "v2", "push", "unchanged"),
    ],
)
def test_a_newer_tag_follows_an_older_one(
    register: Any, wanted: Any, first: str, then: str, source: str, action: str
) -> None:
    older, newer = update(f"refs/tags/{first}"), update(f"refs/tags/{then}", source)
    register([wanted(etl(), older)], older)
    assert [row.action for row in register([wanted(etl(), newer)], newer)] == [action]


def test_a_flow_that_the_branch_does_not_change_is_left_alone_unless_it_is_registered_from_it(
    register: Any, wanted: Any
) -> None:
    assert [outcome(row) for row in register([wanted(etl(), BRANCH, concerned=False)])] == [
        ("skipped", None, (), "feature/x does not change its file")
    ]
    register([wanted(etl(), BRANCH)])
    assert [row.action for row in register([wanted(etl(3), BRANCH, concerned=False)])] == ["updated"]
    assert [row.action for row in register([wanted(etl(3), OTHER, concerned=False)], OTHER)] == ["skipped"]


# Schedules -------------------------------------------------------------------------------------------


def test_keep_leaves_a_paused_schedule_paused(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(2, HOURLY), BRANCH)])
    assert active(api, target) == [("etl", 1, True)]
    (held,) = api.registered([target.project]).flows
    api.set_schedule(held.id, False)
    register([wanted(etl(3, HOURLY), BRANCH)])
    assert active(api, target) == [("etl", 2, False)]


def test_keep_leaves_a_schedule_of_the_ui_paused(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    (held,) = api.registered([target.project]).flows
    mutate(api, "set_flow_group_schedule", flow_group_id=held.flow_group_id, cron_clocks=[{"cron": "0 5 * * *"}])
    api.set_schedule(held.id, False)
    register([wanted(etl(3), BRANCH)])
    assert active(api, target) == [("etl", 2, False)]


@pytest.mark.parametrize(("policy", "expected"), [("keep", True), ("on", True), ("off", False)])
def test_schedule_policies_for_a_new_flow(
    api: Api, register: Any, wanted: Any, target: Target, policy: Any, expected: bool
) -> None:
    register([wanted(etl(2, HOURLY), BRANCH)], rule=rule(target, schedule=policy))
    assert active(api, target) == [("etl", 1, expected)]


def test_a_policy_that_changes_pauses_and_resumes_without_a_new_version(
    api: Api, register: Any, wanted: Any, target: Target
) -> None:
    register([wanted(etl(2, HOURLY), BRANCH)])
    (row,) = register([wanted(etl(2, HOURLY), BRANCH)], rule=rule(target, schedule="off"))
    assert (outcome(row), active(api, target)) == (("updated", 1, ("schedule paused",), ""), [("etl", 1, False)])
    (row,) = register([wanted(etl(2, HOURLY), BRANCH)], rule=rule(target, schedule="on"))
    assert (outcome(row), active(api, target)) == (("updated", 1, ("schedule resumed",), ""), [("etl", 1, True)])


def test_what_is_set_in_the_ui_is_shown_in_the_plan(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    (held,) = api.registered([target.project]).flows
    group = {"flow_group_id": held.flow_group_id}
    mutate(api, "set_flow_group_labels", **group, labels=["gpu"])
    mutate(api, "set_flow_group_schedule", **group, cron_clocks=[{"cron": "0 5 * * *"}], timezone="Europe/Rome")
    mutate(api, "set_flow_group_run_config", **group, run_config={"type": "DockerRun", "image": "etl:2"})
    mutate(api, "set_flow_group_default_parameters", **group, parameters={"day": "monday"})
    (row,) = register([wanted(etl(3), BRANCH)])
    assert row.overrides == (
        "labels gpu",
        "schedule cron 0 5 * * * (Europe/Rome)",
        "run config DockerRun with image etl:2",
        "parameter day = 'monday', which the flow no longer has",
    )


# What the commit no longer defines -------------------------------------------------------------------


def gone(path: str, flow: str) -> str | None:
    return None if flow == "unsure" else f"{path} is gone"


def test_what_the_commit_no_longer_defines_is_archived_where_the_target_says_so(
    api: Api, register: Any, wanted: Any, target: Target
) -> None:
    names = ("kept", "dropped", "unsure")
    register([wanted(etl(name=name), BRANCH) for name in names])
    register([wanted(etl(name="theirs"), OTHER)], OTHER)
    left, pruned = (
        register([wanted(etl(name="kept"), BRANCH)], rule=rule(target, prune=prune), lost=gone)
        for prune in (False, True)
    )
    why = "; each run of it fails. Archive it with `git prefect prune`, or set `prune = true` in the target"
    assert [outcome(row) for row in left[1:]] == [("left-behind", 1, (), f"flows/dropped.py is gone{why}")]
    assert [outcome(row) for row in pruned[1:]] == [("archived", 1, (), "flows/dropped.py is gone")]
    assert [name for name, *_ in active(api, target)] == ["kept", "theirs", "unsure"]
    assert terminal.total(pruned) == "0 registered, 1 unchanged, 1 archived"
    assert terminal.total(left) == "0 registered, 1 unchanged, 1 left behind"


def test_nothing_is_archived_while_another_flow_fails(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(name="before"), BRANCH)])
    after = wanted(etl(name="after"), BRANCH)
    after.serialized["edges"][0]["upstream_task"]["slug"] = "nobody"
    rows = register([after], rule=rule(target, prune=True), lost=gone)
    assert [row.action for row in rows] == ["failed", "left-behind"]
    assert rows[1].reason == "flows/before.py is gone; not archived while a flow of this ref fails"
    assert [name for name, *_ in active(api, target)] == ["before"]


def test_a_release_archives_what_older_tags_of_its_target_defined(
    api: Api, register: Any, wanted: Any, target: Target
) -> None:
    release = rule(target, branch=None, tag="v*", prune=True)
    for tag, name in (("v1", "dropped"), ("v3", "newer"), ("test-1", "elsewhere")):
        ref = update(f"refs/tags/{tag}")
        register([wanted(etl(name=name), ref)], ref, release)
    ref = update("refs/tags/v2")
    rows = register([wanted(etl(name="kept"), ref)], ref, release, lost=gone)
    assert [(row.flow, row.action) for row in rows] == [("kept", "created"), ("dropped", "archived")]
    assert [name for name, *_ in active(api, target)] == ["elsewhere", "kept", "newer"]


# Projects and tenants --------------------------------------------------------------------------------


def test_a_project_that_does_not_exist(api: Api, register: Any, wanted: Any) -> None:
    with pytest.raises(UsageError) as raised:
        register([wanted(etl(), BRANCH)], rule=Target(project="nowhere", branch="**"))
    assert str(raised.value) == (
        f"project 'nowhere' does not exist at {api.address}\n"
        "hint: create it with `prefect create project 'nowhere'`, or set `create-project = true` in its target"
    )


KEY = "cloud-style-key"


def test_a_cloud_style_key_and_tenant_are_passed_on(tmp_path: Path, wanted: Any) -> None:
    with running("--api-key", KEY) as url:
        settings = {"backend": "cloud", "home_dir": str(tmp_path), "cloud.api": url, "cloud.tenant_id": None}
        given = Circumstances(deployment(BRANCH, Target(project="dev", branch="**", create_project=True)))
        with set_temporary_config({**settings, "cloud.api_key": KEY}):
            cloud = Api()
            registered = cloud.registered(["dev"], ["etl"])
            rows = apply_plan(cloud, plan_flows([wanted(etl(), BRANCH)], registered, given), registered, given)
        assert [outcome(row) for row in rows] == [("created", 1, (), "")]
        with set_temporary_config({**settings, "cloud.api_key": "another"}), pytest.raises(NotAuthorised) as raised:
            Api().registered(["dev"])
    assert str(raised.value) == (
        f"the Prefect API at {url} does not accept the API key (HTTP 401)\n"
        "hint: log in with `prefect auth login --key KEY`, or set PREFECT__CLOUD__API_KEY"
    )


def test_nothing_is_archived_that_this_ref_has_not_registered(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(name="of the branch"), BRANCH)])
    known = api.registered([target.project])
    ours = wanted(etl(), BRANCH).serialized["storage"]
    for name, storage in (
        ("in an image", {"type": "Docker", "flows": {"in an image": "/flow.py"}}),
        ("of another repository", {**ours, "repo": "others/etl"}),
        ("of another branch", {**ours, "branch_name": "feature/y"}),
    ):
        serialized = {**wanted(etl(name=name), BRANCH).serialized, "storage": storage}
        api.create_flow(known.project_ids[target.project], serialized, True)

    def archived(ref: str, **rules: Any) -> list[str]:
        given = Circumstances(
            deployment(update(ref), rule(target, prune=True, **rules)), lost=lambda path, flow: f"{path} is gone",
        )  # fmt: skip
        return [one.flow for one in plan_flows([], api.registered([target.project]), given) if one.action == "archived"]

    assert archived("refs/tags/v1", branch=None, tag="v*") == []
    assert archived("refs/heads/feature/z") == []
    assert archived("refs/heads/feature/x") == ["of the branch"]
