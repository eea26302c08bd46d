"""The Git storage and the run config that a flow is registered with, as Prefect serializes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional

from ..errors import UnusableCommit
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
        UnusableCommit: an argument that Prefect does not take, or a template that cannot be used.
    """
    files = templates(runtimes, read_file)
    return [_run_config(number, *both) for number, both in enumerate(zip(runtimes, files), start=1)]


def templates(runtimes: Sequence[Runtime], read_file: ReadFile) -> list[dict[str, Any]]:
    """The template files of each runtime, read from the commit: argument → content.

    Raises:
        UnusableCommit: the commit lacks one, or it is no YAML that can be stored as JSON.
    """
    return [
        {
            TEMPLATES[key]: _template(f"runtime[{number}].run-config.{key}", str(value), read_file)
            for key, value in runtime.run_config.items()
            if key in TEMPLATES and "://" not in str(value)
        }
        for number, runtime in enumerate(runtimes, start=1)
    ]


def _run_config(number: int, runtime: Runtime, files: dict[str, Any]) -> dict[str, Any]:
    import prefect
    from prefect.serialization.run_config import RunConfigSchema

    kind = runtime.run_config["type"]
    arguments = {
        key.replace("-", "_"): value
        for key, value in runtime.run_config.items()
        if key != "type" and TEMPLATES.get(key) not in files
    }
    try:
        serialized: dict[str, Any] = RunConfigSchema().dump(getattr(prefect.run_configs, kind)(**arguments, **files))
        json.dumps(serialized)
    except Exception as error:
        # Whatever Prefect's own constructors and schemas raise: it is the settings that they do not take.
        raise UnusableCommit(
            f"settings: runtime[{number}].run-config: Prefect does not take it ({error})",
            f"see the arguments of prefect.run_configs.{kind}; keys are written with dashes",
        ) from error
    return serialized


def _template(place: str, path: str, read_file: ReadFile) -> Any:
    import yaml

    content = read_file(path)
    if content is None:
        raise UnusableCommit(
            f"settings: {place}: the commit has no file {path!r}, so runs would start without their template",
            f"commit {path}, or name the file from the root of the repository",
        )
    try:
        template = yaml.safe_load(content)
        json.dumps(template)
    except (yaml.YAMLError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        said = getattr(error, "problem", None) or str(error)
        raise UnusableCommit(
            f"settings: {place}: {where} is no YAML that can be stored: {said}", f"mend {path}"
        ) from error
    return template


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
