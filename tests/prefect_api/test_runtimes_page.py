"""docs/runtimes.md: its settings are taken, with its templates, and its table is the code's."""

from __future__ import annotations

import re
from pathlib import Path

from git_prefect.core.settings import read
from git_prefect.prefect_api.run_configs import ARGUMENTS, of_runtimes

PAGE = (Path(__file__).parents[2] / "docs" / "runtimes.md").read_text()


def test_every_snippet_is_taken() -> None:
    templates = {
        path: content.encode() for path, content in re.findall(r"^`([^`]+)`:\n\n```yaml\n(.*?)```", PAGE, re.M | re.S)
    }
    assert set(templates) == {"k8s/ml.yaml", "ecs/task.yaml"}
    kinds = []
    for snippet in re.findall(r"^```toml\n(.*?)```", PAGE, re.M | re.S):
        runtimes = read({"pyproject.toml": snippet.encode()}).settings.runtime
        kinds += [config["type"] for config in of_runtimes(runtimes, templates.get)]
    assert kinds == [
        "KubernetesRun", "KubernetesRun", "KubernetesRun", "KubernetesRun", "DockerRun", "ECSRun", "VertexRun",
    ]  # fmt: skip


def test_the_table_names_every_argument() -> None:
    rows = dict(re.findall(r"^\| `(\w+Run)` \| (.*?) ?\|$", PAGE, re.M))
    told = {kind: {*re.findall(r"`([a-z-]+)`", arguments)} for kind, arguments in rows.items()}
    assert told == {kind: arguments - {"env", "labels"} for kind, arguments in ARGUMENTS.items()}
