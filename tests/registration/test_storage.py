"""The storage and run config that a flow is registered with, as Prefect itself reads them."""

from __future__ import annotations

import pytest
from prefect.serialization.run_config import RunConfigSchema
from prefect.serialization.storage import StorageSchema

from git_prefect.errors import UsageError
from git_prefect.model import GitStorage, LoadedFlow
from git_prefect.registration.storage import git_storage, run_config_of, run_configs
from git_prefect.settings import Runtime

from .conftest import update

BRANCH, TAG = update("refs/heads/feature/x"), update("refs/tags/v1.0")
TOKEN = GitStorage("gitlab.com", "team/sub/etl", False, "GITLAB_TOKEN", "oauth2", None)
TEMPLATE = b"apiVersion: batch/v1\nkind: Job\nmetadata: {labels: {team: ml}}\n"


def flow(run_config: dict[str, object] | None = None) -> LoadedFlow:
    return LoadedFlow("etl", 1, {}, None, run_config)


@pytest.mark.parametrize(
    ("where", "url"),
    [
        (TOKEN, "https://oauth2:t0ken@gitlab.com/team/sub/etl.git"),
        (GitStorage("github.com", "team/etl", True, None, None, None), "git@github.com:team/etl.git"),
        (GitStorage("localhost", "srv/etl", False, None, None, "CLONE"), "file:///srv/etl.git"),
    ],
)
def test_an_agent_gets_the_url_from_it(where: GitStorage, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect

    storage = StorageSchema().load(git_storage(where, BRANCH, "flows/etl.py", "etl"))
    secrets = {"GITLAB_TOKEN": "t0ken", "CLONE": "file:///srv/etl.git"}
    with prefect.context(secrets=secrets):
        assert storage.git_clone_url == url
    assert (storage.flow_path, storage.flow_name, storage.flows) == ("flows/etl.py", "etl", {"etl": "flows/etl.py"})


def test_a_branch_is_followed_and_a_tag_pins() -> None:
    branch, tag = (StorageSchema().load(git_storage(TOKEN, ref, "f.py", "etl")) for ref in (BRANCH, TAG))
    assert (branch.branch_name, branch.tag, branch.commit) == ("feature/x", None, None)
    assert (tag.branch_name, tag.tag, tag.commit) == (None, "v1.0", None)


def test_a_kubernetes_runtime_with_a_template_of_the_commit() -> None:
    runtime = Runtime(
        flows=["flows/ml/**"],
        run_config={
            "type": "KubernetesRun",
            "image": "registry/ml:py39",
            "job-template-path": "k8s/ml.yaml",
            "cpu-limit": 2,
            "labels": ["gpu"],
        },
    )
    configs = run_configs([runtime], {"k8s/ml.yaml": TEMPLATE}.get)
    found = RunConfigSchema().load(run_config_of(flow(), "flows/ml/train.py", [runtime], configs, ["dev"]))
    assert type(found).__name__ == "KubernetesRun"
    assert (found.image, found.cpu_limit, found.labels) == ("registry/ml:py39", "2", {"gpu", "dev"})
    assert found.job_template == {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"team": "ml"}}}
    other = run_config_of(flow(), "flows/etl.py", [runtime], configs, ["dev"])
    assert other == {"type": "UniversalRun", "env": None, "labels": ["dev"]}


def test_the_flows_own_run_config_wins_and_labels_are_added() -> None:
    runtime = Runtime(flows=["**"], run_config={"type": "DockerRun", "image": "theirs"})
    own = {"type": "DockerRun", "image": "own", "env": None, "labels": ["a"]}
    configs = run_configs([runtime], lambda path: None)
    assert run_config_of(flow(own), "f.py", [runtime], configs, ["b"]) == {**own, "labels": ["a", "b"]}


@pytest.mark.parametrize("kind", ["UniversalRun", "LocalRun", "DockerRun", "KubernetesRun", "ECSRun", "VertexRun"])
def test_every_run_config_of_prefect(kind: str) -> None:
    (config,) = run_configs([Runtime(flows=["**"], run_config={"type": kind, "env": {"A": "1"}})], lambda path: None)
    assert (config["type"], config["env"]) == (kind, {"A": "1"})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"type": "DockerRun", "env": "x"}, "settings: runtime[1].run-config: Prefect does not take it ("),
        (
            {"type": "KubernetesRun", "job-template-path": "date.yaml"},
            "settings: runtime[1].run-config.job-template-path: date.yaml is no YAML that can be stored: ",
        ),
        ({"type": "DockerRun", "imag": "x"}, "settings: runtime[1].run-config: Prefect does not take it ("),
        (
            {"type": "KubernetesRun", "job-template-path": "k8s/none.yaml"},
            "settings: runtime[1].run-config.job-template-path: the commit has no file 'k8s/none.yaml'",
        ),
        (
            {"type": "KubernetesRun", "job-template-path": "broken.yaml"},
            "settings: runtime[1].run-config.job-template-path: broken.yaml:1 is no YAML that can be stored: ",
        ),
    ],
)
def test_runtimes_that_prefect_does_not_take(config: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        run_configs(
            [Runtime(flows=["**"], run_config=config)], {"broken.yaml": b"a: [b", "date.yaml": b"a: 2020-01-01"}.get
        )
    assert raised.value.message.startswith(said)
    assert raised.value.hint
