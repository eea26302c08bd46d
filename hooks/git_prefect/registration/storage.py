"""The Git storage and the run config that a flow is registered with, as Prefect serializes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional

from ..errors import UsageError
from ..model import GitStorage, LoadedFlow, RefUpdate
from ..settings import Runtime

TEMPLATES = {"job-template-path": "job_template", "task-definition-path": "task_definition"}
"""Keys of a run config that name a file of the repository, and the argument that takes its content."""


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
            tag=update.name if update.kind == "tag" else None,
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


ReadFile = Callable[[str], Optional[bytes]]
"""Content of a file of the commit that is registered by its path, None when it has no such file."""


def run_configs(runtimes: Sequence[Runtime], read_file: ReadFile) -> list[dict[str, Any]]:
    """The serialized run config of each runtime, in the order of the settings.

    Template files are read from the commit that is registered, since agents do not have the repository.

    Raises:
        UsageError: an unknown type or argument, or a template that the commit lacks or that is no YAML.
    """
    return [_run_config(number, runtime, read_file) for number, runtime in enumerate(runtimes, start=1)]


def _run_config(number: int, runtime: Runtime, read_file: ReadFile) -> dict[str, Any]:
    import prefect
    from prefect.serialization.run_config import RunConfigSchema

    place = f"runtime[{number}].run-config"
    kinds = sorted(RunConfigSchema.type_schemas)
    kind = runtime.run_config["type"]
    if kind not in kinds:
        raise UsageError(
            f"settings: {place}.type: Prefect has no run config {kind!r}", f"use one of {', '.join(kinds)}"
        )
    arguments: dict[str, Any] = {}
    for key, value in runtime.run_config.items():
        if key == "type":
            continue
        if key in TEMPLATES and "://" not in str(value):
            arguments[TEMPLATES[key]] = _template(f"{place}.{key}", str(value), read_file)
        else:
            arguments[key.replace("-", "_")] = value
    try:
        serialized: dict[str, Any] = RunConfigSchema().dump(getattr(prefect.run_configs, kind)(**arguments))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"settings: {place}: Prefect does not take it ({error})",
            f"see the arguments of prefect.run_configs.{kind}; keys are written with dashes",
        ) from error
    return serialized


def _template(place: str, path: str, read_file: ReadFile) -> Any:
    import yaml

    content = read_file(path)
    if content is None:
        raise UsageError(
            f"settings: {place}: the commit has no file {path!r}, so runs would start without their template",
            f"commit {path}, or name the file from the root of the repository",
        )
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise UsageError(
            f"settings: {place}: {path} is not valid YAML ({error})", f"mend {path} and commit it"
        ) from error


def run_config_of(
    flow: LoadedFlow,
    path: str,
    runtimes: Sequence[Runtime],
    configs: Sequence[dict[str, Any]],
    labels: Sequence[str],
) -> dict[str, Any]:
    """The run config that a flow gets: its own, else its runtime's, else Prefect's default; labels are added."""
    from pathspec import GitIgnoreSpec

    chosen = flow.declared_run_config
    if chosen is None:
        runtime = next(
            (
                config
                for entry, config in zip(runtimes, configs)
                if GitIgnoreSpec.from_lines(entry.flows).match_file(path)
            ),
            None,
        )
        # What `prefect register` gives a flow that sets none.
        chosen = runtime or {"type": "UniversalRun", "env": None, "labels": []}
    return {**chosen, "labels": sorted({*(chosen.get("labels") or []), *labels})}


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
