"""What the API is asked and told, through the real client."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.configuration import set_temporary_config

from git_prefect.prefect_api.client import ApiRefused
from git_prefect.prefect_api.queries import Api

from .conftest import WHERE, update

BRANCH, OTHER, TAG = update("refs/heads/feature/x"), update("refs/heads/feature/y"), update("refs/tags/v1")


def test_one_query_finds_flows_by_name_and_by_storage(api: Api, wanted: Any) -> None:
    project = f"dev-{uuid.uuid4().hex}"
    registered = api.registered([project], [])
    assert (registered.project_ids, registered.flows) == ({}, ())
    identity = api.create_project(project, registered.tenant_id)
    for name, ref in (("named", OTHER), ("ours", BRANCH), ("theirs", OTHER), ("pinned", TAG)):
        api.create_flow(identity, wanted(Flow(name), ref).serialized, True, f"about {name}")
    found = api.registered([project], ["named"], [{"branch_name": "feature/x", "repo": WHERE.repo}])
    assert sorted((one.name, one.version, one.description) for one in found.flows) == [
        ("named", 1, "about named"),
        ("ours", 1, "about ours"),
    ]
    assert found.flows[0].group == {"labels": None, "schedule": None, "run_config": None, "default_parameters": {}}
    assert sorted(one.name for one in api.registered([project]).flows) == ["named", "ours", "pinned", "theirs"]


def test_an_archived_version_is_gone_and_archiving_again_changes_nothing(api: Api, wanted: Any) -> None:
    project = f"dev-{uuid.uuid4().hex}"
    identity = api.create_project(project, api.registered([project], []).tenant_id)
    flow = api.create_flow(identity, wanted(Flow("etl"), BRANCH).serialized, True)
    assert [api.archive(flow), api.archive(flow), api.archive(str(uuid.uuid4()))] == [True, True, False]
    assert api.registered([project]).flows == ()
    assert [api.delete(flow), api.delete(flow)] == [True, False]


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("https://api.prefect.io", "https://cloud.prefect.io/team/flow/1"),
        ("https://api-hybrid.prefect.io", "https://hybrid.prefect.io/team/flow/1"),
        ("http://localhost:4200", "http://localhost:8080/team/flow/1"),
    ],
)
def test_the_page_of_a_flow_is_where_prefect_register_links_to(address: str, page: str, tmp_path: Path) -> None:
    settings = {"backend": "server", "server.endpoint": address, "cloud.api": address, "home_dir": str(tmp_path)}
    with set_temporary_config({**settings, "cloud.api_key": None}):
        made = Api()
        assert made.page("team", "1") == page
        assert made.page("", "1") == page.replace("/team", "")


def test_a_project_that_another_client_has_made_meanwhile_is_found(api: Api) -> None:
    project = f"dev-{uuid.uuid4().hex}"
    tenant = api.registered([], []).tenant_id
    made = api.create_project(project, tenant)
    assert api.create_project(project, tenant) == made
    with pytest.raises(ApiRefused):
        api.create_project(project, str(uuid.uuid4()))
