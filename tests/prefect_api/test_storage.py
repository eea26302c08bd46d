"""The storage that a flow is registered with, as Prefect itself reads it."""

from __future__ import annotations

import pytest
from prefect.serialization.storage import StorageSchema

from git_prefect.core.model import GitStorage
from git_prefect.prefect_api.storage import git_storage

from .conftest import update

BRANCH, TAG = update("refs/heads/feature/x"), update("refs/tags/v1.0")
TOKEN = GitStorage("gitlab.com", "team/sub/etl", False, "GITLAB_TOKEN", "oauth2", None)


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
