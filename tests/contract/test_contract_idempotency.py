from __future__ import annotations

import pytest
from contract_flows import hourly, serialized
from prefect.exceptions import ClientError


def test_only_the_last_key_counts(register, flows):
    for key in ("A", "A", "B", "A"):
        register(serialized("etl"), idempotency_key=key)
    assert flows("version archived") == [
        {"version": 1, "archived": True},
        {"version": 2, "archived": True},
        {"version": 3, "archived": False},
    ]


def test_a_registration_without_a_key_forgets_the_last_one(register, flows):
    for key in ("A", None, "A"):
        register(serialized("etl"), idempotency_key=key)
    assert [flow["version"] for flow in flows("version")] == [1, 2, 3]


def test_with_a_known_key_everything_else_is_ignored(register, mutate, flows):
    first = register(serialized("etl"), idempotency_key="A")
    changed = serialized("etl", labels=("other",), schedule=hourly())
    assert register(changed, idempotency_key="A", description="new", set_schedule_active=True) == first
    assert flows("id version description is_schedule_active schedule run_config flow_runs { id }") == [
        {
            "id": first,
            "version": 1,
            "description": None,
            "is_schedule_active": False,
            "schedule": None,
            "run_config": serialized("etl")["run_config"],
            "flow_runs": [],
        }
    ]


def test_a_known_key_of_an_archived_flow_does_not_count(register, mutate, flows):
    first = register(serialized("etl"), idempotency_key="A")
    mutate("archive_flow", flow_id=first)
    second = register(serialized("etl"), idempotency_key="A")
    assert flows("id version archived") == [
        {"id": first, "version": 1, "archived": True},
        {"id": second, "version": 2, "archived": False},
    ]


def test_after_a_failed_registration_its_key_answers_with_the_old_flow(register, flows):
    old = register(serialized("etl"), idempotency_key="A")
    broken = serialized("etl")
    broken["edges"][0]["upstream_task"]["slug"] = "gone"
    with pytest.raises(ClientError, match="An internal API error occurred"):
        register(broken, idempotency_key="B")
    assert register(serialized("etl", labels=("new",)), idempotency_key="B") == old
    assert flows("id version archived flow_group { settings }") == [
        {
            "id": old,
            "version": 1,
            "archived": False,
            "flow_group": {
                "settings": {
                    "heartbeat_enabled": True,
                    "lazarus_enabled": True,
                    "version_locking_enabled": False,
                    "idempotency_key": "B",
                }
            },
        }
    ]


def test_a_flow_run_is_created_once_for_a_key(client, register, flows):
    flow_id = register(serialized("etl"))
    first = client.create_flow_run(flow_id, idempotency_key="one")
    assert client.create_flow_run(flow_id, idempotency_key="one") == first
    assert flows("flow_runs { id }") == [{"flow_runs": [{"id": first}]}]
