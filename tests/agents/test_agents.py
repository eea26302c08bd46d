"""Up to the cluster's edge: what Prefect's own agents ask Kubernetes, Docker and AWS for, for flows that we registered.

The agents are started by their command line and find the run by its labels. Their clients are the real ones and talk
to an HTTP server that keeps what it is asked for. What the container would execute is then executed here, with the
container's environment: it clones the remote and runs the flow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import prefect
import pytest
import yaml
from prefect.agent.vertex.agent import VertexAgent

from ..end_to_end.conftest import until
from .conftest import World
from .recorder import Edge

KUBE_CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: edge, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: edge, context: {{cluster: edge, user: nobody}}}}]
users: [{{name: nobody, user: {{}}}}]
current-context: edge
"""


def environment(entries: list[dict[str, Any]], secrets: dict[str, str]) -> dict[str, str]:
    """Variables of a container; those out of a cluster's secret from `secrets`, as the cluster fills them in."""
    return {one["name"]: one["value"] if "value" in one else secrets[one["name"]] for one in entries}


def test_kubernetes(registered: World, edge: Edge, world: Path) -> None:
    (world / ".kube").mkdir()
    (world / ".kube" / "config").write_text(KUBE_CONFIG.format(port=edge.port))
    run = registered.start("ml")
    registered.agent("kubernetes", "--namespace", "etl")
    job = edge.only("apis/batch/v1/namespaces/etl/jobs").body
    identifier = job["metadata"]["labels"]["prefect.io/identifier"]
    name = "training" if prefect.__version__ >= "1.3" else "prefect-job"  # Prefect 1.2 does not look at the template's
    assert (job["kind"], job["apiVersion"], job["metadata"]["name"]) == ("Job", "batch/v1", f"{name}-{identifier}")
    assert job["metadata"]["labels"]["team"] == "ml"
    assert job["metadata"]["labels"]["prefect.io/flow_run_id"] == run
    pod = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], pod["nodeSelector"]) == (0, {"pool": "gpu"})
    assert pod["serviceAccountName"] == "trainer"
    (container,) = pod["containers"]
    assert (container["name"], container["image"]) == ("flow", "registry.example.com/ml:py39")
    assert container["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi"}}
    assert {"name": "TEAM", "value": "ml"} in container["env"]

    secrets = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"file://{registered.remote}"}
    assert container["args"] == ["prefect", "execute", "flow-run"]
    registered.execute(container["args"], environment(container["env"], secrets))
    assert registered.became(run) == ("Success", ["ml of team ml in registry.example.com/ml:py39"])


def test_docker(registered: World, edge: Edge) -> None:
    run = registered.start("web")
    secret = f"PREFECT__CONTEXT__SECRETS__CLONE_URL=file://{registered.remote}"
    registered.agent("docker", "--base-url", f"tcp://127.0.0.1:{edge.port}", "--env", secret)
    pulled = edge.only("images/create").query
    assert f"{pulled['fromImage']}:{pulled['tag']}" == "registry.example.com/web:3"
    container = edge.only("containers/create").body
    assert container["Image"] == "registry.example.com/web:3"
    assert container["Labels"]["io.prefect.flow-name"] == "web"
    assert container["Labels"]["io.prefect.flow-run-id"] == run
    assert "TEAM=web" in container["Env"]
    assert [one.what for one in edge.asked][-1] == "containers/c0ffee/start"

    assert container["Cmd"] == ["prefect", "execute", "flow-run"]
    # The agent names this machine as a container sees it.
    variables = dict(one.split("=", 1) for one in container["Env"])
    variables["PREFECT__CLOUD__API"] = variables["PREFECT__CLOUD__API"].replace("host.docker.internal", "127.0.0.1")
    registered.execute(container["Cmd"], variables)
    assert registered.became(run) == ("Success", ["web of team web in registry.example.com/web:3"])


def test_ecs(registered: World, edge: Edge) -> None:
    run = registered.start("aws")
    registered.agent(
        "ecs", "--cluster", "etl", "--launch-type", "EC2",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{edge.port}", AWS_DEFAULT_REGION="eu-west-1", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x",
    )  # fmt: skip
    definition = edge.only("RegisterTaskDefinition").body
    (container,) = definition["containerDefinitions"]
    assert (container["name"], container["image"]) == ("flow", "registry.example.com/aws:7")
    assert (container["memory"], container["logConfiguration"]["options"]) == (1024, {"awslogs-group": "etl"})
    assert (definition["networkMode"], definition["cpu"]) == ("bridge", "512")
    asked = edge.only("RunTask").body
    assert (asked["cluster"], asked["launchType"]) == ("etl", "EC2")
    assert asked["taskDefinition"].endswith("task-definition/ours:1")
    overrides = asked["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("1024", "2048")
    assert overrides["taskRoleArn"] == "arn:aws:iam::1:role/etl"
    (override,) = overrides["containerOverrides"]
    assert {"name": "TEAM", "value": "aws"} in override["environment"]

    assert override["command"] == ["/bin/sh", "-c", "prefect execute flow-run"]
    variables = environment([*container["environment"], *override["environment"]], {})
    secret = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"file://{registered.remote}"}
    registered.execute(override["command"], {**variables, **secret})
    assert registered.became(run) == ("Success", ["aws of team aws in registry.example.com/aws:7"])


def test_vertex(registered: World) -> None:
    class Vertex(VertexAgent):  # type: ignore[misc]
        """Without Google's client, which this agent makes when it starts: what it would give to it."""

        service_account = None

        def __init__(self, labels: list[str]) -> None:
            prefect.agent.Agent.__init__(self, labels=labels)

    run = registered.start("gcp")
    agent = Vertex([registered.project])
    (flow_run,) = agent._get_flow_run_metadata([run])
    (pool,) = agent.generate_task_definition(flow_run)["job_spec"]["worker_pool_specs"]
    assert pool["machine_spec"] == {"machine_type": "e2-highmem-2"}
    container = pool["container_spec"]
    assert container["image_uri"] == "registry.example.com/gcp:1"
    assert {"name": "TEAM", "value": "gcp"} in container["env"]

    secret = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"file://{registered.remote}"}
    assert container["command"] == ["prefect", "execute", "flow-run"]
    registered.execute(container["command"], {**environment(container["env"], {}), **secret})
    assert registered.became(run) == ("Success", ["gcp of team gcp in None"])


@pytest.mark.parametrize(("flow", "team"), [("vm", "vm"), ("plain", None)])
def test_local_and_universal(registered: World, flow: str, team: str | None) -> None:
    run = registered.start(flow)
    registered.agent(
        "local", "--no-hostname-label", PREFECT__CONTEXT__SECRETS__CLONE_URL=f"file://{registered.remote}"
    )  # fmt: skip
    # The agent leaves the run to a process of its own.
    until(lambda: registered.became(run)[0] in ("Success", "Failed"))
    until(lambda: registered.became(run)[1])
    assert registered.became(run) == ("Success", [f"{flow} of team {team} in None"])


def test_what_was_pushed_is_registered_and_not_what_lies_in_the_work_tree(registered: World) -> None:
    data: Any = prefect.Client().graphql(
        {"query": {f'flow(where: {{project: {{name: {{_eq: "{registered.project}"}}}}}})': {"name", "run_config"}}}
    )
    configs = {row.name: row.run_config.to_dict() for row in data.data.flow}
    assert configs["ml"]["job_template"] == yaml.safe_load(registered.clone.git("show", "HEAD:k8s/ml.yaml"))
    assert {name: config["type"] for name, config in configs.items()} == {
        "ml": "KubernetesRun", "web": "DockerRun", "aws": "ECSRun", "gcp": "VertexRun", "vm": "LocalRun", "plain": "UniversalRun",
    }  # fmt: skip
    assert configs["ml"]["labels"] == ["gpu", registered.project]
