"""What runs a flow: the run config that it is registered with, its own or that of its runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pathspec import GitIgnoreSpec

from ..core.errors import UnusableCommit
from ..core.model import LoadedFlow
from ..core.settings import Runtime
from .templates import ReadFile, check_scheme, check_template, read_template

TEMPLATES = {"job-template-path": "job_template", "task-definition-path": "task_definition"}
"""Keys of a run config that name a file of the repository, and the argument that takes its content."""

_ANY = {"env", "labels"}
ARGUMENTS = {
    "UniversalRun": _ANY,
    "LocalRun": {*_ANY, "working-dir"},
    "DockerRun": {*_ANY, "image", "ports", "host-config"},
    "KubernetesRun": {
        *_ANY, "job-template-path", "job-template", "image", "cpu-limit", "cpu-request", "memory-limit",
        "memory-request", "service-account-name", "image-pull-secrets", "image-pull-policy",
    },
    "ECSRun": {
        *_ANY, "task-definition-path", "task-definition", "task-definition-arn", "image", "cpu", "memory",
        "task-role-arn", "execution-role-arn", "run-task-kwargs",
    },
    "VertexRun": {*_ANY, "image", "machine-type", "scheduling", "service-account", "network", "worker-pool-specs"},
}  # fmt: skip
"""The arguments of Prefect's run configs, as the settings spell them: a push is checked without importing Prefect."""

LISTS = ("labels", "image-pull-secrets", "ports", "worker-pool-specs")
"""Arguments that are lists: Prefect takes a text for the list of its letters."""


def of_runtimes(runtimes: Sequence[Runtime], read_file: ReadFile) -> list[dict[str, Any]]:
    """The serialized run config of each runtime, in the order of the settings.

    Template files are read from the commit that is registered, since agents do not have the repository.

    Raises:
        UnusableCommit: an argument that Prefect does not take, or a template that cannot be used.
    """
    checked = check_runtimes(runtimes, read_file)
    return [
        _run_config(f"runtime[{number}].run-config", runtime.run_config["type"], arguments)
        for number, (runtime, arguments) in enumerate(zip(runtimes, checked), start=1)
    ]


def check_runtimes(runtimes: Sequence[Runtime], read_file: ReadFile) -> list[dict[str, Any]]:
    """The arguments of each runtime's run config as Prefect takes them, template files in place of their paths.

    Does not need Prefect: this is what a push is checked with.

    Raises:
        UnusableCommit: an argument that its run config does not have, a value of another type, or a template
            that the commit lacks or that an agent could start no run from.
    """
    return [
        _arguments(f"runtime[{number}].run-config", runtime.run_config, read_file)
        for number, runtime in enumerate(runtimes, start=1)
    ]


def _arguments(place: str, table: dict[str, Any], read_file: ReadFile) -> dict[str, Any]:
    kind = table["type"]
    arguments: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{place}.{key}"
        if key == "type":
            continue
        if key not in ARGUMENTS[kind]:
            known = ", ".join(sorted(ARGUMENTS[kind]))
            raise UnusableCommit(f"settings: {where}: {kind} has no such argument; it has: {known}", f"mend {where}")
        if key in LISTS and not isinstance(value, list):
            raise UnusableCommit(
                f"settings: {where}: {value!r} is no list, and Prefect would take each of its letters for an entry",
                f"write {key} = [{json.dumps(value)}]",
            )
        if key == "env":
            _check_env(where, value)
        if key in TEMPLATES and "://" not in str(value):
            arguments[TEMPLATES[key]] = _checked(where, str(value), kind, read_template(where, str(value), read_file))
            continue
        if key in TEMPLATES:
            check_scheme(where, str(value))
        if key in TEMPLATES.values() or key.replace("-", "_") in TEMPLATES.values():
            value = _checked(where, key, kind, _parsed(where, value))
        arguments[key.replace("-", "_")] = value
    return arguments


def _check_env(where: str, value: Any) -> None:
    wrong = [name for name, text in value.items() if not isinstance(text, str)] if isinstance(value, dict) else [where]
    if wrong:
        raise UnusableCommit(
            f"settings: {where}: it is a table of texts, as an environment is; no text: {', '.join(wrong)}",
            f'write env = {{ NAME = "value" }} in {where}',
        )


def _parsed(where: str, value: Any) -> Any:
    """A template that is written into the settings: a table, or YAML in a text, which Prefect takes for jobs."""
    if not isinstance(value, str):
        return value
    return read_template(where, where, lambda path: value.encode())


def _checked(where: str, origin: str, kind: str, document: Any) -> Any:
    check_template(where, origin, kind, document)
    return document


def _run_config(place: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    import prefect
    from prefect.serialization.run_config import RunConfigSchema

    try:
        serialized: dict[str, Any] = RunConfigSchema().dump(getattr(prefect.run_configs, kind)(**arguments))
        json.dumps(serialized)
    except Exception as error:
        # Whatever Prefect's own constructors and schemas raise: it is the settings that they do not take.
        raise UnusableCommit(
            f"settings: {place}: Prefect does not take it ({error})",
            f"see the arguments of prefect.run_configs.{kind}; keys are written with dashes",
        ) from error
    return serialized


def run_config_of(
    flow: LoadedFlow,
    path: str,
    runtimes: Sequence[Runtime],
    configs: Sequence[dict[str, Any]],
    labels: Sequence[str],
) -> dict[str, Any]:
    """The run config that a flow gets: its own, else its runtime's, else Prefect's default; labels are added."""
    chosen = flow.declared_run_config
    if chosen is None:
        number = runtime_of(path, runtimes)
        # What `prefect register` gives a flow that sets none.
        chosen = {"type": "UniversalRun", "env": None, "labels": []} if number is None else configs[number]
    return {**chosen, "labels": sorted({*(chosen.get("labels") or []), *labels})}


def runtime_of(path: str, runtimes: Sequence[Runtime]) -> int | None:
    """Which runtime serves a flow file, counted from 0: the first whose patterns match; None: none does."""
    matching = (n for n, entry in enumerate(runtimes) if GitIgnoreSpec.from_lines(entry.flows).match_file(path))
    return next(matching, None)


def describe_runtime(run_config: Mapping[str, Any]) -> str:
    """A registered run config as a person names it: its type, and its image or else the template that it starts from."""
    kind = str(run_config.get("type") or "no run config")
    named = ("image", "task_definition_arn", "job_template_path", "task_definition_path")
    told = next((str(run_config[key]) for key in named if run_config.get(key)), "")
    return f"{kind} {told}".rstrip()
