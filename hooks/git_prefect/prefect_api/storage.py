"""The Git storage that a flow is registered with, as Prefect serializes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from msgspec.structs import asdict

from ..core.model import GitStorage, LoadedFlow, RefUpdate


def git_storage(where: GitStorage, update: RefUpdate, path: str, flow: str) -> dict[str, Any]:
    """The serialized `prefect.storage.Git` of one flow: a branch is followed, a tag pins.

    `flow_name` is always set: without it an agent takes the first flow of the file, whichever was asked for.
    """
    serialized = _of_ref(where, update.kind, update.cloned_name)
    return {**serialized, "flow_path": path, "flow_name": flow, "flows": {flow: path}}


@lru_cache(maxsize=8)
def _of_ref(where: GitStorage, kind: str, name: str) -> dict[str, Any]:
    """What the storages of all flows of a ref have in common, as Prefect serializes it."""
    import prefect
    from prefect.serialization.storage import StorageSchema

    with _without_warnings():
        storage = prefect.storage.Git(
            flow_path="",
            branch_name=name if kind == "branch" else None,
            tag=name if kind == "tag" else None,
            **asdict(where),
        )
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


def describe(storage: Mapping[str, Any]) -> str:
    """A registered storage as a person reads it: host, repository, path and ref."""
    if storage.get("type") != "Git":
        return f"{storage.get('type')} storage"
    ref = storage.get("branch_name") or storage.get("tag") or storage.get("commit") or "the default branch"
    return f"{storage.get('repo_host')}/{storage.get('repo')} {storage.get('flow_path')}@{ref}"


def with_storage(flow: LoadedFlow, storage: dict[str, Any], run_config: dict[str, Any]) -> dict[str, Any]:
    """What the API is sent for a flow. That Prefect's own schema reads it back, the load of the file has proven."""
    return {**flow.serialized, "storage": storage, "run_config": run_config}
