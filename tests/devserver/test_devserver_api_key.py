from __future__ import annotations

import pytest
import requests
from prefect import Client
from prefect.backend import kv_store
from prefect.utilities.configuration import set_temporary_config

from git_prefect.devserver.process import running


@pytest.fixture(scope="module")
def cloud_url():
    with running("--api-key", "sesame") as url:
        yield url


@pytest.fixture
def cloud(cloud_url, tmp_path):
    settings = {
        "backend": "cloud",
        "home_dir": str(tmp_path),
        "cloud.api": cloud_url,
        "cloud.api_key": "sesame",
        "cloud.tenant_id": None,
    }
    with set_temporary_config(settings):
        yield Client()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}])
def test_without_the_key_nothing_is_answered(cloud_url, post, headers):
    answer = post("{ hello }", url=cloud_url, headers=headers)
    assert (answer.status_code, answer.json()) == (
        401,
        {"errors": [{"message": "Invalid or missing API key", "extensions": {"code": "UNAUTHENTICATED"}}]},
    )


def test_a_wrong_key_is_an_http_error_of_the_client(cloud):
    with pytest.raises(requests.HTTPError, match="401"):
        Client(api_key="wrong").graphql("{ hello }")


def test_the_key_has_a_tenant(cloud):
    tenants = cloud.get_available_tenants()
    assert [tenant["slug"] for tenant in tenants] == ["default"]
    assert cloud.tenant_id == tenants[0]["id"]
    assert cloud.switch_tenant(tenant_slug="default") == tenants[0]["id"]


def test_a_tenant_that_is_not_there_is_not_authorised(cloud_url, post):
    headers = {"Authorization": "Bearer sesame", "X-Prefect-Tenant-Id": "00000000-0000-4000-8000-000000000000"}
    answer = post("{ auth_info { tenant_id } }", url=cloud_url, headers=headers).json()
    assert [(one["message"], one["extensions"]["code"]) for one in answer["errors"]] == [("Unauthorized", "UNAUTHENTICATED")]


def test_key_value_store(cloud):
    first = kv_store.set_key_value("a", {"x": [1]})
    assert kv_store.set_key_value("a", {"x": [2]}) == first
    assert (kv_store.get_key_value("a"), kv_store.list_keys()) == ({"x": [2]}, ["a"])
    assert kv_store.delete_key("a") is True
    assert kv_store.list_keys() == []


def test_what_is_cloud_only_is_unknown_to_a_server(post):
    assert post("{ auth_info { tenant_id } }").status_code == 400
    assert post("{ key_value { key } }").status_code == 400
