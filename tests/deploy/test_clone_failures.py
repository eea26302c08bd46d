"""What is said of a clone that failed."""

from __future__ import annotations

import pytest

from git_prefect.core.model import GitStorage, RefUpdate
from git_prefect.deploy.clone_failures import explain

MAIN = RefUpdate("origin", "https://git.corp/team/etl", "refs/heads/main", None, None, None, "push")


@pytest.mark.parametrize("kind", ["no-tls", "no-answer"])
def test_no_hint_proposes_the_secret_that_is_set(kind: str) -> None:
    unset = explain(kind, "https://git.corp/team/etl", "x", GitStorage("git.corp", "team/etl", False, None, None, None), MAIN, MAIN.url)
    by_url = explain(kind, "https://git.corp/team/etl", "x", GitStorage("git.corp", "team/etl", False, None, None, "THE_URL"), MAIN, MAIN.url)
    assert ("clone-url-secret" in unset.hint, "clone-url-secret" in by_url.hint, "THE_URL" in by_url.hint) == (True, False, True)


@pytest.mark.parametrize("kind", ["ssh-key", "no-ssh"])
def test_the_way_to_https_is_by_the_secret_that_is_set(kind: str) -> None:
    hints = [
        explain(kind, "git@git.corp:team/etl", "x", GitStorage("git.corp", "team/etl", True, None, None, secret), MAIN, MAIN.url).hint
        for secret in (None, "THE_URL")
    ]
    assert [hint.rpartition(", or ")[2].rpartition(" or ")[2] for hint in hints] == ["set `token-secret` to clone over https", "put an https URL into THE_URL"]
