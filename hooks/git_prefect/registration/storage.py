"""The Git storage that a flow is registered with, as Prefect serializes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..model import GitStorage, LoadedFlow, RefUpdate


def git_storage(where: GitStorage, update: RefUpdate, path: str, flow: str) -> dict[str, Any]:
    """The serialized `prefect.storage.Git` of one flow: a branch is followed, a tag pins.

    `flow_name` is always set: without it an agent takes the first flow of the file, whichever was asked for.
    """
    import prefect
    from prefect.serialization.storage import StorageSchema

    with _without_warnings():
        storage = prefect.storage.Git(
            flow_path=path,
            flow_name=flow,
            branch_name=update.name if update.kind == "branch" else None,
            tag=update.cloned_name if update.kind == "tag" else None,
            **where._asdict(),
        )
    storage.flows[flow] = path
    serialized: dict[str, Any] = StorageSchema().dump(storage)
    return serialized


@contextmanager
def _without_warnings() -> Iterator[None]:
    # Beside a clone-URL secret Prefect warns that host and repository are ignored; they stay for people and for us.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def describe(storage: dict[str, Any]) -> str:
    """A registered storage as a person reads it: host, repository, path and ref."""
    if storage.get("type") != "Git":
        return f"{storage.get('type')} storage"
    ref = storage.get("branch_name") or storage.get("tag") or storage.get("commit") or "the default branch"
    return f"{storage.get('repo_host')}/{storage.get('repo')} {storage.get('flow_path')}@{ref}"


def with_storage(flow: LoadedFlow, storage: dict[str, Any], run_config: dict[str, Any]) -> dict[str, Any]:
    """What the API is sent for a flow; a copy, and proven to be readable by Prefect's own schema.

    Raises:
        ValueError: Prefect cannot read it back.
    """
    from prefect.serialization.flow import FlowSchema

    serialized: dict[str, Any] = json.loads(
        json.dumps({**flow.serialized, "storage": storage, "run_config": run_config})
    )
    try:
        with _without_warnings():
            FlowSchema().load(json.loads(json.dumps(serialized)))
    except Exception as error:
        raise ValueError(f"Prefect cannot read the serialized flow back: {error!r}") from error
    return serialized
