"""Where a registered version comes from, in its description, and what a person wrote there."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from git_prefect import __version__
from git_prefect.core.settings import Target
from git_prefect.prefect_api.descriptions import describe_version, merge_descriptions
from git_prefect.prefect_api.queries import Api

from .conftest import BRANCH, etl, mutate, update

OURS = f"""\
<!-- git-prefect -->
Registered from git at `c`.

- **Branch:** `feature/x`, followed: each run takes the branch's newest commit
- **Repository:** `github.com/team/etl`
- **File:** `flows/etl.py`
- **Commit:** `c`
- **By:** Ada Engineer \\<ada@example.com\\>
- **Tool:** git-prefect {__version__}
<!-- /git-prefect -->"""


def of(ref: str = "refs/heads/feature/x", commit: str = "c") -> str:
    return describe_version(
        replace(update(ref), commit=commit), "github.com/team/etl", "flows/etl.py", "Ada Engineer <ada@example.com>"
    )


def test_what_a_version_says() -> None:
    assert of() == OURS
    assert "- **Tag:** `v1.0`, pinned\n" in of("refs/tags/v1.0")
    assert "- **Branch:** `` a`b ``, followed" in of("refs/heads/a`b")


def test_what_a_person_wrote_is_kept_and_ours_replaced() -> None:
    assert merge_descriptions(OURS, "") == OURS
    first = merge_descriptions(OURS, "Owned by *finance*.\n")
    assert first == f"Owned by *finance*.\n\n---\n\n{OURS}"
    newer = of(commit="d" * 40)
    assert merge_descriptions(newer, first) == f"Owned by *finance*.\n\n---\n\n{newer}"
    assert merge_descriptions(newer, f"{first}\n\nCall Ada.") == f"Owned by *finance*.\n\nCall Ada.\n\n---\n\n{newer}"
    assert merge_descriptions(newer, OURS) == newer


def test_it_is_registered_and_no_difference(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([replace(wanted(etl(), BRANCH), provenance=OURS)])
    (held,) = api.registered([target.project]).flows
    assert held.description == OURS
    newer = of(commit="d" * 40)
    (row,) = register([replace(wanted(etl(), BRANCH), provenance=newer)])
    assert row.action == "unchanged"
    mutate(api, "set_flow_group_description", flow_group_id=held.flow_group_id, description="Owned by finance.")
    register([replace(wanted(etl(3), BRANCH), provenance=newer)])
    query = "query($id: uuid) { flow(where: {id: {_eq: $id}}) { description flow_group { description } } }"
    (now,) = api.registered([target.project]).flows
    (told,) = api.ask(query, {"id": now.id})["flow"]
    assert told == {"description": newer, "flow_group": {"description": "Owned by finance."}}


def test_what_another_client_described_is_kept(api: Api, register: Any, wanted: Any, target: Target) -> None:
    identity = api.create_project(target.project, api.registered([], []).tenant_id)
    api.create_flow(identity, wanted(etl(), BRANCH).serialized, True, "By hand.")
    register([replace(wanted(etl(3), BRANCH), provenance=OURS)])
    (held,) = api.registered([target.project]).flows
    assert held.description == f"By hand.\n\n---\n\n{OURS}"
