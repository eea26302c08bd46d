"""Job templates and task definitions: read from the commit, and checked for what an agent would fail at.

A template that is wrong shows only when the agent starts a run: the run fails before its first task, with a
`KeyError` of Prefect's or a refusal of the cluster's in the agent's log.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional

from ..core.errors import UnusableCommit

ReadFile = Callable[[str], Optional[bytes]]
"""Content of a file of the commit that is registered by its path, None when it has no such file."""

SCHEMES = ("http", "https", "s3", "gs", "gcs", "agent")
"""Where an agent can read a template by itself, at every run: `prefect.utilities.filesystems.read_bytes_from_path`."""

Wrong = Iterator[tuple[str, str]]
"""Places in a document, each with what is wrong there."""


def read_template(place: str, path: str, read_file: ReadFile) -> Any:
    """The YAML or JSON of a template file of the commit.

    Raises:
        UnusableCommit: the commit lacks it, or it is no YAML that can be stored as JSON.
    """
    import yaml

    content = read_file(posixpath.normpath(path))
    if content is None:
        raise UnusableCommit(
            f"settings: {place}: the commit has no file {path!r}, so runs would start without their template",
            f"commit {path}, or name the file from the root of the repository",
        )
    try:
        template = yaml.safe_load(content)
        json.dumps(template)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        said = getattr(error, "problem", None) or str(error)
        raise UnusableCommit(
            f"settings: {place}: {where} is no YAML that can be stored: {said}", f"mend {path}"
        ) from error
    return template


def check_scheme(place: str, url: str) -> None:
    """See that an agent can read a template by its URL.

    Raises:
        UnusableCommit: it cannot; `file://` too is a file of whatever machine reads it.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise UnusableCommit(
            f"settings: {place}: agents cannot read {scheme}:// (Prefect knows {', '.join(SCHEMES)}), so no run would start",
            "name a file of the repository, from its root, or a URL that agents can read",
        )


def check_template(place: str, origin: str, kind: str, document: Any) -> None:
    """See that an agent can start a run from a template: the agent of a `kind` of run config.

    Raises:
        UnusableCommit: it cannot; all that is wrong is named.
    """
    check, what = (_job, "Kubernetes Job") if kind == "KubernetesRun" else (_task_definition, "ECS task definition")
    wrong = [f"{where}: {fact}" if where else fact for where, fact in check(document)]
    if wrong:
        raise UnusableCommit(
            f"settings: {place}: {origin} is no {what} that an agent can start: {'; '.join(wrong)}", f"mend {origin}"
        )


def _job(document: Any) -> Wrong:
    """What `KubernetesAgent.generate_job_spec` fails at, and what Kubernetes refuses of every Job."""
    if not isinstance(document, dict) or not document:
        yield "", "it has to be a mapping with kind: Job"
        return
    if document.get("kind") != "Job":
        yield "kind", f"has to be Job, not {_shown(document.get('kind'))}"
    if document.get("apiVersion") != "batch/v1":
        yield "apiVersion", f"has to be batch/v1, not {_shown(document.get('apiVersion'))}"
    yield from _metadata(document, "metadata")
    name = (document.get("metadata") or {}).get("name", "") if isinstance(document.get("metadata"), dict) else ""
    if not isinstance(name, str):
        yield "metadata.name", f"has to be text, not {_shown(name)}"
    pod = document
    for depth, key in enumerate(("spec", "template", "spec")):
        where = ".".join(("spec", "template", "spec")[: depth + 1])
        if not isinstance(pod.get(key), dict):
            yield where, "is missing" if key not in pod else f"has to be a mapping, not {_shown(pod[key])}"
            return
        pod = pod[key]
        if depth == 1:
            yield from _metadata(pod, "spec.template.metadata")
    yield from _pod("spec.template.spec", pod)


def _metadata(holder: Mapping[str, Any], where: str) -> Wrong:
    """Labels are added to it, so what is there has to be a mapping."""
    if "metadata" not in holder:
        return
    if not isinstance(holder["metadata"], dict):
        yield where, f"has to be a mapping, not {_shown(holder['metadata'])}"
    elif not isinstance(holder["metadata"].get("labels", {}), dict):
        yield f"{where}.labels", f"has to be a mapping, not {_shown(holder['metadata']['labels'])}"


def _pod(where: str, pod: Mapping[str, Any]) -> Wrong:
    if pod.get("restartPolicy", "Never") not in ("Never", "OnFailure"):
        yield f"{where}.restartPolicy", f"a Job takes Never or OnFailure, not {_shown(pod['restartPolicy'])}"
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        yield f"{where}.containers", "needs a container, which runs the flow"
        return
    for number, container in enumerate(containers):
        place = f"{where}.containers[{number}]"
        if not isinstance(container, dict):
            yield place, f"has to be a mapping, not {_shown(container)}"
        elif not isinstance(container.get("name"), str):
            yield f"{place}.name", "is missing" if "name" not in container else "has to be text"
    if isinstance(containers[0], dict):
        # The agent runs the flow in the first one.
        yield from _environment(f"{where}.containers[0].env", containers[0], "env")
        yield from _resources(f"{where}.containers[0].resources", containers[0])


def _environment(where: str, container: Mapping[str, Any], key: str) -> Wrong:
    entries = container.get(key, [])
    if not isinstance(entries, list):
        yield where, f"has to be a list of name and value, not {_shown(entries)}"
        return
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            yield f"{where}[{number}]", "needs a name"
        elif not isinstance(entry.get("value", ""), str):
            yield f"{where}[{number}].value", f"has to be text: write {json.dumps(str(entry['value']))}"


def _resources(where: str, container: Mapping[str, Any]) -> Wrong:
    if "resources" not in container:
        return
    resources = container["resources"]
    if not isinstance(resources, dict):
        yield where, f"has to be a mapping, not {_shown(resources)}"
        return
    for key in ("requests", "limits"):
        if not isinstance(resources.get(key, {}), dict):
            yield f"{where}.{key}", f"has to be a mapping, not {_shown(resources[key])}"


DESCRIBED = (
    "taskDefinition", "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
    "registeredBy", "deregisteredAt",
)  # fmt: skip
"""What `aws ecs describe-task-definition` tells, and registering one does not take."""


def _task_definition(document: Any) -> Wrong:
    """What `ECSAgent.generate_task_definition` fails at, and what AWS does not take of a described definition."""
    if not isinstance(document, dict) or not document:
        yield "", "it has to be a mapping with containerDefinitions"
        return
    described = [key for key in DESCRIBED if key in document]
    if described:
        yield ", ".join(described), "what describe-task-definition prints cannot be registered as it is"
    tags = document.get("tags", [])
    if not isinstance(tags, list):
        yield "tags", f"has to be a list of key and value, not {_shown(tags)}"
    containers = document.get("containerDefinitions", [])
    if not isinstance(containers, list):
        yield "containerDefinitions", f"has to be a list, not {_shown(containers)}"
        return
    for number, container in enumerate(containers):
        place = f"containerDefinitions[{number}]"
        if not isinstance(container, dict):
            yield place, f"has to be a mapping, not {_shown(container)}"
        else:
            yield from _environment(f"{place}.environment", container, "environment")


def _shown(value: Any) -> str:
    """A value as it stands in the file, short."""
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
