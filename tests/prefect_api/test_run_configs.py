"""Runtimes by path patterns, and templates that are refused when, and only when, Prefect's own agents choke on them."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any

import botocore
import prefect
import pytest
import yaml
from botocore.exceptions import ParamValidationError
from prefect.agent.ecs.agent import ECSAgent
from prefect.agent.kubernetes.agent import KubernetesAgent
from prefect.serialization.run_config import RunConfigSchema
from prefect.serialization.storage import StorageSchema
from prefect.storage import Git
from prefect.utilities.graphql import GraphQLResult

from git_prefect.core.errors import UsageError
from git_prefect.core.model import LoadedFlow
from git_prefect.core.settings import RUN_CONFIGS, Runtime
from git_prefect.prefect_api.run_configs import ARGUMENTS, describe_runtime, of_runtimes, run_config_of

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {labels: {team: ml}}
spec:
  template:
    spec:
      containers:
      - name: flow
        env: [{name: TEAM, value: ml}]
"""
TASK = "family: ours\ncpu: 512\ncontainerDefinitions: [{name: flow, memory: 100}]\n"


def flow(run_config: dict[str, object] | None = None) -> LoadedFlow:
    return LoadedFlow("etl", 1, {}, None, run_config)


def runtime(pattern: str = "**", **run_config: object) -> Runtime:
    return Runtime(flows=[pattern], run_config={key.replace("_", "-"): value for key, value in run_config.items()})


def config_of(files: dict[str, str], **run_config: object) -> dict[str, Any]:
    content = {path: text.encode() for path, text in files.items()}
    (found,) = of_runtimes([runtime(**run_config)], content.get)
    return found


def refused(files: dict[str, str], **run_config: object) -> str:
    with pytest.raises(UsageError) as raised:
        config_of(files, **run_config)
    return str(raised.value)


def test_a_kubernetes_runtime_with_a_template_of_the_commit() -> None:
    entry = runtime(
        "flows/ml/**", type="KubernetesRun", image="registry/ml:py39", job_template_path="./k8s/ml.yaml", cpu_limit=2,
        labels=["gpu"],
    )  # fmt: skip
    configs = of_runtimes([entry], {"k8s/ml.yaml": JOB.encode()}.get)
    found = RunConfigSchema().load(run_config_of(flow(), "flows/ml/train.py", [entry], configs, ["dev"]))
    assert type(found).__name__ == "KubernetesRun"
    assert (found.image, found.cpu_limit, found.labels) == ("registry/ml:py39", "2", {"gpu", "dev"})
    assert found.job_template == yaml.safe_load(JOB)
    other = run_config_of(flow(), "flows/etl.py", [entry], configs, ["dev"])
    assert other == {"type": "UniversalRun", "env": None, "labels": ["dev"]}


def test_the_first_runtime_that_matches_serves_a_flow() -> None:
    entries = [
        runtime("flows/ml/**", type="DockerRun", image="ml"), runtime("flows/**/*.py", type="LocalRun", env={"A": "1"}),
    ]  # fmt: skip
    configs = of_runtimes(entries, lambda path: None)
    kinds = {
        path: run_config_of(flow(), path, entries, configs, [])["type"]
        for path in ("flows/ml/deep/train.py", "flows/etl.py", "etl.py")
    }
    assert kinds == {"flows/ml/deep/train.py": "DockerRun", "flows/etl.py": "LocalRun", "etl.py": "UniversalRun"}


def test_the_flows_own_run_config_wins_and_labels_are_added() -> None:
    entry = runtime(type="DockerRun", image="theirs")
    own = {"type": "DockerRun", "image": "own", "env": None, "labels": ["a"]}
    configs = of_runtimes([entry], lambda path: None)
    assert run_config_of(flow(own), "f.py", [entry], configs, ["b"]) == {**own, "labels": ["a", "b"]}


@pytest.mark.parametrize("kind", RUN_CONFIGS)
def test_every_run_config_of_prefect_with_every_argument(kind: str) -> None:
    parameters = set(inspect.signature(getattr(prefect.run_configs, kind)).parameters) - {"self"}
    assert {name.replace("-", "_") for name in ARGUMENTS[kind]} == parameters
    config = config_of({}, type=kind, env={"A": "1"}, labels=["x"])
    assert (config["type"], config["env"], config["labels"]) == (kind, {"A": "1"}, ["x"])


@pytest.mark.parametrize(
    ("config", "called"),
    [
        ({"type": "KubernetesRun", "image": "ml:1", "job_template_path": "s3://b/t.yaml"}, "KubernetesRun ml:1"),
        ({"type": "KubernetesRun", "job_template_path": "s3://b/t.yaml"}, "KubernetesRun s3://b/t.yaml"),
        ({"type": "ECSRun", "task_definition_arn": "etl:3"}, "ECSRun etl:3"),
        ({"type": "UniversalRun"}, "UniversalRun"),
    ],
)
def test_what_a_runtime_is_called(config: dict[str, Any], called: str) -> None:
    assert describe_runtime(config) == called


AT = "settings: runtime[1].run-config"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"type": "DockerRun", "imag": "x"},
            f"{AT}.imag: DockerRun has no such argument; it has: env, host-config, image, labels, ports\n"
            "hint: mend runtime[1].run-config.imag",
        ),
        (
            {"type": "DockerRun", "labels": "gpu"},
            f"{AT}.labels: 'gpu' is no list, and Prefect would take each of its letters for an entry\n"
            'hint: write labels = ["gpu"]',
        ),
        (
            {"type": "DockerRun", "env": {"A": 1, "B": "2"}},
            f"{AT}.env: it is a table of texts, as an environment is; no text: A\n"
            'hint: write env = { NAME = "value" } in runtime[1].run-config.env',
        ),
        (
            {"type": "KubernetesRun", "image-pull-policy": "Sometimes"},
            f"{AT}: Prefect does not take it (Invalid image_pull_policy 'Sometimes'.  Expected 'Always', "
            "'IfNotPresent', or 'Never')\n"
            "hint: see the arguments of prefect.run_configs.KubernetesRun; keys are written with dashes",
        ),
        (
            {"type": "ECSRun", "task-definition-arn": "etl:3", "image": "x"},
            f"{AT}: Prefect does not take it (Cannot provide both `task_definition_arn` and `image`, since an ECS "
            "task's `image` can only be configured as part of the task definition)\n"
            "hint: see the arguments of prefect.run_configs.ECSRun; keys are written with dashes",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "k8s/none.yaml"},
            f"{AT}.job-template-path: the commit has no file 'k8s/none.yaml', so runs would start without their template\n"
            "hint: commit k8s/none.yaml, or name the file from the root of the repository",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "file:///etc/job.yaml"},
            f"{AT}.job-template-path: agents cannot read file:// (Prefect knows http, https, s3, gs, gcs, agent), so no run "
            "would start\nhint: name a file of the repository, from its root, or a URL that agents can read",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "broken.yaml"},
            f"{AT}.job-template-path: broken.yaml:1 is no YAML that can be stored: expected ',' or ']', but got "
            "'<stream end>'\nhint: mend broken.yaml",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "two.yaml"},
            f"{AT}.job-template-path: two.yaml:2 is no YAML that can be stored: but found another document\n"
            "hint: mend two.yaml",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "date.yaml"},
            f"{AT}.job-template-path: date.yaml is no YAML that can be stored: Object of type date is not JSON "
            "serializable\nhint: mend date.yaml",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "cron.yaml"},
            f"{AT}.job-template-path: cron.yaml is no Kubernetes Job that an agent can start: kind: has to be Job, not "
            '"CronJob"; spec.template: is missing\nhint: mend cron.yaml',
        ),
        (
            {"type": "KubernetesRun", "job-template": {"kind": "Job", "apiVersion": "batch/v1"}},
            f"{AT}.job-template: job-template is no Kubernetes Job that an agent can start: spec: is missing\n"
            "hint: mend job-template",
        ),
        (
            {"type": "ECSRun", "task-definition-path": "described.json"},
            f"{AT}.task-definition-path: described.json is no ECS task definition that an agent can start: "
            "taskDefinitionArn, revision: what describe-task-definition prints cannot be registered as it is\n"
            "hint: mend described.json",
        ),
    ],
)  # fmt: skip
def test_runtimes_that_no_agent_could_start(config: dict[str, object], said: str) -> None:
    files = {
        "broken.yaml": "a: [b",
        "two.yaml": "a: 1\n---\nb: 1\n",
        "date.yaml": "a: 2020-01-01",
        "cron.yaml": "kind: CronJob\napiVersion: batch/v1\nspec: {schedule: '* * * * *'}\n",
        "described.json": '{"taskDefinitionArn": "arn:…", "revision": 3}',
    }
    assert refused(files, **config) == said


@pytest.mark.parametrize("scheme", ["https", "s3", "gs", "agent"])
def test_a_template_by_url_is_left_to_the_agent(scheme: str) -> None:
    url = f"{scheme}://bucket/job.yaml"
    assert config_of({}, type="KubernetesRun", **{"job-template-path": url})["job_template_path"] == url
    assert config_of({}, type="ECSRun", **{"task-definition-path": url})["task_definition_path"] == url


RUN = GraphQLResult(
    id="r", name="run", flow=GraphQLResult(
        id="f", name="etl", version=1, core_version="1.4.1", storage=StorageSchema().dump(Git(repo="team/etl", flow_path="f.py")),
    ),
)  # fmt: skip


def as_prefect_makes_it(agent: type, template: Any, argument: str, kind: str) -> Any:
    """What an agent makes of a template, without its connection to a cluster; raises what it raises."""

    class Bare(agent):  # type: ignore[misc]
        service_account_name = image_pull_secrets = task_role_arn = execution_role_arn = None
        job_template_path, launch_type = "", "FARGATE"

        def __init__(self) -> None:
            prefect.agent.Agent.__init__(self)

    config = {"type": kind, "labels": [], "env": {"A": "1"}, argument: template, "image": "ml:1"}
    if kind == "KubernetesRun":
        config |= {"memory_limit": "1Gi", "cpu_request": "1"}
    run = GraphQLResult({**RUN, "run_config": config})
    if kind == "KubernetesRun":
        return Bare().generate_job_spec(run)
    return Bare().generate_task_definition(run, RunConfigSchema().load(config))


NOTHING, REMOVED = None, object()
CHANGES: list[tuple[str, Any]] = [
    ("metadata", NOTHING), ("metadata", "x"), ("metadata.labels", NOTHING), ("metadata.labels", []), ("metadata.name", 3),
    ("spec", REMOVED), ("spec", NOTHING), ("spec.template", REMOVED), ("spec.template", []),
    ("spec.template.metadata", NOTHING), ("spec.template.metadata", {"labels": NOTHING}), ("spec.template.spec", REMOVED),
    ("spec.template.spec", NOTHING), ("spec.template.spec.containers", NOTHING), ("spec.template.spec.containers", ["flow"]),
    ("spec.template.spec.containers", [{"name": "flow", "env": NOTHING}]),
    ("spec.template.spec.containers", [{"name": "flow", "env": {"A": "1"}}]),
    ("spec.template.spec.containers", [{"name": "flow", "env": [{"value": "1"}]}]),
    ("spec.template.spec.containers", [{"name": "flow", "resources": NOTHING}]),
    ("spec.template.spec.containers", [{"name": "flow", "resources": {"limits": NOTHING}}]),
]  # fmt: skip


def changed(document: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    made = deepcopy(document)
    *parents, last = place.split(".")
    holder = made
    for key in parents:
        holder = holder.setdefault(key, {})
    holder[last] = value
    if value is REMOVED:
        del holder[last]
    return made


@pytest.mark.parametrize(("place", "value"), CHANGES)
def test_what_the_kubernetes_agent_chokes_on_is_refused(place: str, value: Any) -> None:
    if (place, value) == ("metadata.name", 3) and prefect.__version__ < "1.3":
        pytest.skip("the agent of Prefect 1.2 does not look at the name")
    template = changed(yaml.safe_load(JOB), place, value)
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        as_prefect_makes_it(KubernetesAgent, deepcopy(template), "job_template", "KubernetesRun")
    said = refused({"job.yaml": yaml.safe_dump(template)}, type="KubernetesRun", job_template_path="job.yaml")
    assert f": {place}" in said


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("kind", "Pod"),
        ("apiVersion", "v1"),
        ("spec.template.spec.restartPolicy", "Always"),
        ("spec.template.spec.containers", []),
        ("spec.template.spec.containers", [{"image": "x"}]),
        ("spec.template.spec.containers", [{"name": "flow", "env": [{"name": "A", "value": 1}]}]),
    ],
)
def test_what_the_agent_passes_on_and_the_cluster_refuses(place: str, value: Any) -> None:
    template = changed(yaml.safe_load(JOB), place, value)
    as_prefect_makes_it(KubernetesAgent, deepcopy(template), "job_template", "KubernetesRun")
    assert f": {place}" in refused(
        {"j.yaml": yaml.safe_dump(template)}, type="KubernetesRun", job_template_path="j.yaml"
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("metadata", REMOVED),
        ("metadata.name", "ml"),
        ("spec.backoffLimit", 0),
        ("spec.template.spec.restartPolicy", "OnFailure"),
        ("spec.template.spec.containers", [{"name": "flow", "resources": {"limits": {"nvidia.com/gpu": 1}}}]),
        ("spec.template.spec.containers", [{"name": "a", "env": [{"name": "B", "valueFrom": {"secretKeyRef": {}}}]}]),
    ],
)
def test_a_template_that_the_agent_takes_is_taken(place: str, value: Any) -> None:
    template = changed(yaml.safe_load(JOB), place, value)
    made = as_prefect_makes_it(KubernetesAgent, deepcopy(template), "job_template", "KubernetesRun")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "ml:1"
    found = config_of({"j.yaml": yaml.safe_dump(template)}, type="KubernetesRun", job_template_path="j.yaml")
    assert found["job_template"] == template


def register_task_definition(definition: dict[str, Any]) -> None:
    """What boto3 says of it before anything is sent."""
    import boto3

    client = boto3.client("ecs", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    shape = client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    from botocore.validate import validate_parameters

    validate_parameters(definition, shape)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("tags", NOTHING), ("containerDefinitions", NOTHING), ("containerDefinitions", ["flow"]),
        ("containerDefinitions", [{"name": "flow", "environment": NOTHING}]),
        ("containerDefinitions", [{"name": "flow", "environment": [{"value": "1"}]}]),
        ("containerDefinitions", [{"name": "flow", "environment": [{"name": "A", "value": 1}]}]),
        ("revision", 3), ("status", "ACTIVE"), ("taskDefinition", {}), ("registeredBy", "ada"),
    ],
)  # fmt: skip
def test_what_the_ecs_agent_or_aws_chokes_on_is_refused(place: str, value: Any) -> None:
    template = changed(yaml.safe_load(TASK), place, value)
    with pytest.raises((KeyError, TypeError, AttributeError, ParamValidationError)):
        register_task_definition(as_prefect_makes_it(ECSAgent, deepcopy(template), "task_definition", "ECSRun"))
    said = refused({"task.yaml": yaml.safe_dump(template)}, type="ECSRun", task_definition_path="task.yaml")
    assert f": {place}" in said


@pytest.mark.skipif(
    tuple(map(int, botocore.__version__.split(".")[:2])) < (1, 12),
    reason="a botocore that does not know tags: on Python 3.9 pip may choose it, for the urllib3 of others",
)
@pytest.mark.parametrize(("place", "value"), [("tags", []), ("containerDefinitions", REMOVED), ("cpu", "1024")])
def test_a_task_definition_that_the_ecs_agent_takes_is_taken(place: str, value: Any) -> None:
    template = changed(yaml.safe_load(TASK), place, value)
    made = as_prefect_makes_it(ECSAgent, deepcopy(template), "task_definition", "ECSRun")
    register_task_definition(made)
    assert made["containerDefinitions"][-1]["image"] == "ml:1"
    found = config_of({"t.yaml": yaml.safe_dump(template)}, type="ECSRun", task_definition_path="t.yaml")
    assert found["task_definition"] == template
