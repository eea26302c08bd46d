from __future__ import annotations

import pytest
from contract_flows import hourly, serialized


@pytest.fixture
def select(ask, project, register):
    """Flows of a project that has a1 (archived), a2, b1 and C1, by what the query adds."""
    for name in ("a", "a", "b", "C"):
        register(serialized(name), description=None if name == "a" else f"about {name}")

    def call(where: str = "", rest: str = "order_by: [{name: asc}, {version: asc}]") -> list[str]:
        query = (
            "query($project: String) { flow(where: {project: {name: {_eq: $project}} "
            + where
            + "} "
            + rest
            + ") { name version } }"
        )
        return [f"{flow['name']}{flow['version']}" for flow in ask(query, project=project)["flow"]]

    return call


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('name: {_eq: "a"}', ["a1", "a2"]),
        ('name: {_neq: "a"}', ["C1", "b1"]),
        ('name: {_in: ["a", "C"]}', ["C1", "a1", "a2"]),
        ('name: {_nin: ["a", "C"]}', ["b1"]),
        ("name: {_in: []}", []),
        ('name: {_like: "c%"}', []),
        ('name: {_ilike: "c%"}', ["C1"]),
        ('name: {_gt: "a", _lte: "b"}', ["b1"]),
        ("version: {_gte: 2}", ["a2"]),
        ("version: {_lt: 2} archived: {_eq: true}", ["a1"]),
        ("description: {_is_null: true}", ["a1", "a2"]),
        ("description: {_is_null: false}", ["C1", "b1"]),
        ('_or: [{name: {_eq: "b"}}, {version: {_eq: 2}}]', ["a2", "b1"]),
        ('_and: [{name: {_eq: "a"}}, {archived: {_eq: false}}]', ["a2"]),
        ('_not: {name: {_eq: "a"}}', ["C1", "b1"]),
        ("_or: []", []),
        ("_and: []", ["C1", "a1", "a2", "b1"]),
        ("name: {_eq: null}", ["C1", "a1", "a2", "b1"]),
        ("version: null", ["C1", "a1", "a2", "b1"]),
        ('storage: {_has_key: "repo"}', ["C1", "a1", "a2", "b1"]),
        ('storage: {_has_key: "image"}', []),
        ('schedule: {_has_key: "clocks"}', []),
        ("flow_group: {flows: {version: {_eq: 2}}}", ["a1", "a2"]),
        ('tasks: {slug: {_like: "%ract-1"}}', ["C1", "a1", "a2", "b1"]),
        ("_not: {flow_group: {flows: {archived: {_eq: true}}}}", ["C1", "b1"]),
        (
            'storage: {_contains: {repo: "team/flows"}} flow_group: {name: {_is_null: false}}',
            ["C1", "a1", "a2", "b1"],
        ),
    ],
)
def test_where(select, where, found):
    # names are compared in the database's own collation: sort here
    assert sorted(select(where)) == sorted(found)


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("order_by: {created: asc}", ["a1", "a2", "b1", "C1"]),
        ("order_by: {version: desc, created: asc}", ["a2", "a1", "b1", "C1"]),
        ("order_by: [{version: asc}, {created: desc}]", ["C1", "b1", "a1", "a2"]),
        ("order_by: {name: null, created: asc}", ["a1", "a2", "b1", "C1"]),
        ("order_by: {created: asc}, limit: 2", ["a1", "a2"]),
        ("order_by: {created: asc}, limit: 2, offset: 1", ["a2", "b1"]),
        ("order_by: {created: asc}, offset: 3", ["C1"]),
        ("order_by: [{flow_group: {created: asc}}, {version: desc}]", ["a2", "a1", "b1", "C1"]),
        ("order_by: [{description: desc}, {created: asc}], limit: 2", ["a1", "a2"]),
        ("order_by: [{flow_group_id: asc}, {version: desc}], distinct_on: flow_group_id, limit: 0", []),
    ],
)
def test_order_and_paging(select, rest, found):
    assert select("", rest) == found


def test_distinct_on_takes_the_first_of_each(select):
    newest = select("", "order_by: {name: asc, version: desc}, distinct_on: name")
    oldest = select("", "order_by: {name: asc, version: asc}, distinct_on: name")
    assert (sorted(newest), sorted(oldest)) == (["C1", "a2", "b1"], ["C1", "a1", "b1"])


def test_aggregates(select, ask, project):
    query = """query($project: String) { project(where: {name: {_eq: $project}}) {
      flows_aggregate { aggregate { count max { version } min { name } } }
      names: flows_aggregate(distinct_on: name) { aggregate { count } }
      distinct: flows_aggregate { aggregate { count(columns: [name], distinct: true) } }
      described: flows_aggregate { aggregate { count(columns: [description]) } }
      active: flows_aggregate(where: {archived: {_eq: false}}) { nodes { name } aggregate { count } }
    } }"""
    (found,) = ask(query, project=project)["project"]
    assert sorted(node["name"] for node in found["active"].pop("nodes")) == ["C", "a", "b"]
    assert found["flows_aggregate"]["aggregate"].pop("min")["name"] in ("a", "C")
    assert found == {
        "flows_aggregate": {"aggregate": {"count": 4, "max": {"version": 2}}},
        "names": {"aggregate": {"count": 3}},
        "distinct": {"aggregate": {"count": 3}},
        "described": {"aggregate": {"count": 2}},
        "active": {"aggregate": {"count": 3}},
    }


def test_one_query_tells_the_whole_state_of_a_project(register, ask, project):
    sent = serialized("etl", labels=("x",), schedule=hourly())
    flow_id = register(sent, idempotency_key="key")
    query = """query($project: String!) {
      project(where: {name: {_eq: $project}}) {
        tenant { slug }
        flows(where: {archived: {_eq: false}}) {
          id name version archived is_schedule_active schedule storage run_config serialized_flow
          flow_group { settings labels schedule }
          flow_runs_aggregate { aggregate { count } }
        }
      }
    }"""
    (found,) = ask(query, project=project)["project"]
    assert found["flows"] == [
        {
            "id": flow_id,
            "name": "etl",
            "version": 1,
            "archived": False,
            "is_schedule_active": True,
            "schedule": sent["schedule"],
            "storage": sent["storage"],
            "run_config": sent["run_config"],
            "serialized_flow": sent,
            "flow_group": {
                "settings": {
                    "heartbeat_enabled": True,
                    "lazarus_enabled": True,
                    "version_locking_enabled": False,
                    "idempotency_key": "key",
                },
                "labels": None,
                "schedule": None,
            },
            "flow_runs_aggregate": {"aggregate": {"count": 10}},
        }
    ]


@pytest.mark.parametrize(
    "moment", ["2020-01-01", "2020-01-01T10:00+0130", "2020-01-01 10:00:00.5+02", "2020-01-01T10:00:00Z"]
)
def test_times_are_taken_in_every_iso_form(register, ask, moment):
    flow = register(serialized("etl"))
    query = "query($id: uuid, $t: timestamptz) { flow(where: {id: {_eq: $id}, created: {OPERATOR: $t}}) { id } }"
    assert ask(query.replace("OPERATOR", "_gt"), id=flow, t=moment)["flow"] == [{"id": flow}]
    assert ask(query.replace("OPERATOR", "_lt"), id=flow, t=moment)["flow"] == []


def test_what_is_no_time_is_refused(post):
    query = "query($t: timestamptz) { tenant(where: {created: {_gt: $t}}) { id } }"
    (error,) = post(query, t="nonsense").json()["errors"]
    assert error["message"] == 'invalid input syntax for type timestamp with time zone: "nonsense"'


def test_order_by_two_columns_is_in_the_order_that_is_written(register, ask, project):
    for name in ("b", "a", "b"):
        register({**serialized(name), "more": name + str(len(name))})
    where = f'where: {{project: {{name: {{_eq: "{project}"}}}}}}'

    def rows(order: str) -> list[tuple[str, int]]:
        found = ask(f"{{ flow({where}, order_by: {order}) {{ ...both }} }} fragment both on flow {{ name version }}")
        return [(row["name"], row["version"]) for row in found["flow"]]

    by_version = [("b", 2), ("a", 1), ("b", 1)]
    assert rows("{version: desc, name: asc}") == by_version
    assert rows("[{version: desc}, {name: asc}]") == by_version
    assert rows("[{archived: asc, version: desc}, {version: desc, name: asc}]") == by_version
    assert rows("{name: asc, version: desc}") == [("a", 1), ("b", 2), ("b", 1)]
    for declared, given in (("flow_order_by!", "[$order]"), ("[flow_order_by!]", "$order")):
        # What comes as a variable has no order of its own: here any is right.
        query = f"query($order: {declared}) {{ flow({where}, order_by: {given}) {{ name version }} }}"
        found = ask(query, order={"archived": "asc", "version": "desc"})["flow"]
        assert [(row["name"], row["version"]) for row in found] == by_version


def test_distinct_on_has_to_agree_with_the_order(post):
    (error,) = post("{ flow(distinct_on: [name], order_by: [{version: desc}]) { id } }").json()["errors"]
    assert error["message"] == '"distinct_on" columns must match initial "order_by" columns'


def test_json_contains_as_postgres_has_it(register, ask):
    flow = register({**serialized("etl"), "found": {"list": [{"a": 1, "b": 2}, 3]}})
    query = "query($id: uuid, $part: jsonb) { flow(where: {id: {_eq: $id}, serialized_flow: {_contains: $part}}) { id } }"
    for part, is_there in (
        ({"found": {"list": [{"a": 1}]}}, True), ({"found": {"list": [3]}}, True), ({"name": "etl"}, True),
        ({"found": {"list": [{"a": 2}]}}, False), ({"found": {"list": 3}}, False), ({"gone": 1}, False),
    ):  # fmt: skip
        assert ask(query, id=flow, part=part)["flow"] == [{"id": flow}] * is_there, part
