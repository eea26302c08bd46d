from __future__ import annotations

import uuid

import pytest
from contract_flows import project_id, serialized
from prefect.exceptions import ClientError


def test_a_project_is_made_once_in_a_tenant(client, project, mutate):
    identity = project_id(client, project)
    with pytest.raises(ClientError, match="'Uniqueness violation.'"):
        mutate("create_project", "id", name=project, tenant_id=client.tenant_id)
    assert client.create_project(project) == identity


def test_a_name_alone_crosses_tenants(client, project, mutate, ask):
    slug = uuid.uuid4().hex
    tenant = mutate("create_tenant", "id", name="Other", slug=slug)["id"]
    theirs = mutate("create_project", "id", name=project, tenant_id=tenant)["id"]
    ours = project_id(client, project)
    query = "query($name: String) { project(where: {name: {_eq: $name}}, order_by: {created: asc}) { %s } }"
    assert ask(query % "id tenant { name slug }", name=project)["project"] == [
        {
            "id": ours,
            "tenant": ask("{ tenant(limit: 1, order_by: {created: asc}) { name slug } }")["tenant"][0],
        },
        {"id": theirs, "tenant": {"name": "Other", "slug": slug}},
    ]
    scoped = "query($t: uuid) { project(where: {tenant_id: {_eq: $t}}) { id } }"
    assert ask(scoped, t=tenant)["project"] == [{"id": theirs}]
    mutate("delete_project", project_id=theirs)
    mutate("delete_tenant", tenant_id=tenant, confirm=True)


def test_a_tenant_slug_is_slugified_and_unique(mutate):
    slug = uuid.uuid4().hex
    tenant = mutate("create_tenant", "id", name="Other", slug=slug)["id"]
    with pytest.raises(ClientError, match="Uniqueness violation"):
        mutate("create_tenant", "id", name="Other", slug=slug)
    with pytest.raises(ClientError, match="Slug must be"):
        mutate("create_tenant", "id", name="Other", slug="Not A Slug")
    mutate("delete_tenant", tenant_id=tenant, confirm=True)


def test_a_project_goes_with_its_flows(client, project, register, mutate, ask):
    name = f"{project}-gone"
    other = client.create_project(name, "soon gone")
    flow_id = register(serialized("etl"), project_id=other)
    client.create_flow_run(flow_id)
    assert client.delete_project(name) is True
    query = "query($id: uuid!) { flow_by_pk(id: $id) { id } project_by_pk(id: $id) { id } }"
    assert ask(query, id=flow_id) == {"flow_by_pk": None, "project_by_pk": None}
    assert mutate("delete_project", project_id=other) == {"success": False}


def test_a_project_can_be_renamed_and_described(client, project, mutate, ask):
    name = f"{project}-new"
    identity = client.create_project(f"{project}-old", "before")
    mutate("set_project_name", "id", project_id=identity, name=name)
    mutate("set_project_description", "id", project_id=identity, description="after")
    query = "query($id: uuid!) { project_by_pk(id: $id) { name description } }"
    assert ask(query, id=identity)["project_by_pk"] == {"name": name, "description": "after"}
    client.delete_project(name)


def test_an_unknown_project_takes_no_flow(register):
    with pytest.raises(ClientError, match="Invalid project"):
        register(serialized("etl"), project_id=str(uuid.uuid4()))


def test_a_flow_can_move_to_another_project(client, project, register, mutate, ask):
    name = f"{project}-target"
    target = client.create_project(name)
    flow_id = register(serialized("etl"))
    assert mutate("update_flow_project", "id", flow_id=flow_id, project_id=target) == {"id": flow_id}
    query = "query($id: uuid!) { flow_by_pk(id: $id) { project { name } } }"
    assert ask(query, id=flow_id)["flow_by_pk"] == {"project": {"name": name}}
    client.delete_project(name)


def test_a_tenant_is_renamed_has_settings_and_goes_when_that_is_confirmed(mutate, ask, project):
    slug = project.lower().replace("_", "-")
    tenant = mutate("create_tenant", "id", name="Other", slug=f"{slug}-a")["id"]
    with pytest.raises(ClientError, match="slugified"):
        mutate("update_tenant_slug", "id", tenant_id=tenant, slug="No slug")
    assert mutate("update_tenant_name", "id", tenant_id=tenant, name="Ours") == {"id": tenant}
    assert mutate("update_tenant_slug", "id", tenant_id=tenant, slug=f"{slug}-b") == {"id": tenant}
    mutate("update_tenant_settings", "id", tenant_id=tenant, settings={"a": 1})
    mutate("update_tenant_settings", "id", tenant_id=tenant, settings={"b": 2})
    query = "query($id: uuid!) { tenant_by_pk(id: $id) { name slug settings } }"
    assert ask(query, id=tenant)["tenant_by_pk"] == {"name": "Ours", "slug": f"{slug}-b", "settings": {"a": 1, "b": 2}}
    with pytest.raises(ClientError, match="Must pass `confirm=True` to proceed."):
        mutate("delete_tenant", tenant_id=tenant, confirm=False)
    assert mutate("delete_tenant", tenant_id=tenant, confirm=True) == {"success": True}
    with pytest.raises(ClientError, match="Invalid tenant id"):
        mutate("update_tenant_name", "id", tenant_id=tenant, name="Ours")
