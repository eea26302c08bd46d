"""Which flows a ref registers and where to, on real repositories; what a push leaves behind."""

from __future__ import annotations

import os
from typing import Any

import pytest
from msgspec.structs import replace

from git_prefect.commands.register import explain_targets
from git_prefect.core.deployment import NotDeployed, Resolution
from git_prefect.core.errors import UnusableCommit
from git_prefect.core.model import CheckedFile, Finding, LoadedFlow, RefUpdate
from git_prefect.core.settings import Settings, Source, Target
from git_prefect.deploy import pending, removed_flows, selection
from git_prefect.deploy.registration import who_registers
from git_prefect.deploy.resolver import deployed, resolve_by
from git_prefect.flows.flow_names import literal_names
from git_prefect.git import configuration

from ..repository import Clone

TARGETS = [
    Target(project="production", tag="v*"),
    Target(project="dev-{branch}", branch="feature/**", labels=["dev"], schedule="off", create_project=True),
    Target(project="{branch}", branch="*", prune=True),
    Target(project="main", branch="main"),
]
SETTINGS = Settings(clone_url_secret="CLONE_URL", target=TARGETS)


def update(clone: Clone, ref: str, before: str | None = None) -> RefUpdate:
    head = clone.head()
    return RefUpdate("origin", "", ref, head, head, before, "push")


def resolved(clone: Clone, ref: str, settings: Settings = SETTINGS, project: str | None = None) -> Resolution:
    return resolve_by(clone.repository, update(clone, ref), Source(settings, "pyproject.toml"), project)


def test_explain_says_which_target_takes_a_ref_and_why(work: Clone) -> None:
    work.git("switch", "--quiet", "--create", "feature/prices")
    work.commit({"flows/etl.py": "", "README": "more"})
    found = resolved(work, "refs/heads/feature/prices")
    assert deployed(found).project == "dev-feature--prices"
    assert explain_targets(work.repository, found) == [
        'target[1] tag = "v*": takes tags only',
        'target[2] branch = "feature/**": takes it',
        '  project: dev-feature--prices, from "dev-{branch}"',
        "  create-project: it is created when it does not exist",
        '  schedule = "off": every schedule is paused',
        "  labels: dev",
        "  take-over: flows of other branches and repositories are not replaced",
        "  prune: flows that it no longer defines stay active",
        'target[3] branch = "*": not asked, the first that matches wins',
        'target[4] branch = "main": not asked, the first that matches wins',
        "flows: those in files changed since origin/main (1 .py), and those registered from this branch",
    ]


def test_explain_says_when_none_does(work: Clone) -> None:
    only = Settings(clone_url_secret="CLONE_URL", target=TARGETS[:2])
    found = resolved(work, "refs/heads/main", only)
    assert isinstance(found, NotDeployed)
    assert explain_targets(work.repository, found) == [
        'target[1] tag = "v*": takes tags only',
        "target[2] branch = \"feature/**\": does not match 'main'",
        "no target takes main, so it is not registered [no-target]",
        '  hint: add a target with branch = "main" and a project to the settings',
    ]


@pytest.mark.parametrize("project", [None, "production"])
def test_a_project_that_a_target_names_is_reached_by_that_target_only(work: Clone, project: str | None) -> None:
    refused = resolved(work, "refs/heads/production", project=project)
    assert isinstance(refused, NotDeployed) and refused.reason.refuses_push
    with pytest.raises(UnusableCommit) as raised:
        deployed(refused)
    assert str(raised.value) == (
        "production: project 'production' is named by target[1] (tag = \"v*\"), which does not take this branch; nothing "
        "else may register there\nhint: let that target take production, or lead it to another project"
    )
    assert deployed(resolved(work, "refs/tags/v1", project=project)).project == "production"
    assert deployed(resolved(work, "refs/heads/production", project="elsewhere")).project == "elsewhere"


def loaded(name: str) -> LoadedFlow:
    return LoadedFlow(name, 1, {}, None, None)


def checked(path: str, *flows: str, failed: bool = False, unchecked: bool = False) -> CheckedFile:
    findings = (Finding("does-not-load", "error", "", ""),) if failed else ()
    return CheckedFile(path, "", tuple(map(loaded, flows)), findings, False, unchecked)


def test_what_a_commit_no_longer_defines(work: Clone) -> None:
    builds = "from prefect import Flow\nflow = Flow('{}')\n"
    head = work.commit(
        {
            "etl.py": builds.format("etl"),
            "library.py": "x = 1\n",
            "factory.py": "from lib import make  # a prefect Flow\nflow = make('factory')\n",
            "excluded.py": builds.format("excluded"),
            "of_a_package.py": "from company.core import TeamFlow\nteam = TeamFlow('of_a_package')\n",
            "broken.py": builds.format("moved") + "nope\n",
            "unknown.py": "import nowhere\n" + builds.format("unknown"),
        }
    )
    files = [
        checked("etl.py", "etl", "new"),
        checked("broken.py", failed=True),
        checked("unknown.py", unchecked=True),
    ]
    why = selection.no_longer_defined(work.repository, head, files)
    asked = {
        ("etl.py", "etl"): None,
        ("etl.py", "old"): "etl.py defines it no longer, but etl, new",
        ("gone.py", "other"): "gone.py is gone",
        ("/gone.py", "other"): "gone.py is gone",
        ("gone.py", "etl"): None,
        ("gone.py", "moved"): None,
        ("library.py", "other"): "library.py builds no flow any more",
        ("factory.py", "factory"): None,
        ("excluded.py", "excluded"): None,
        ("of_a_package.py", "of_a_package"): None,
        ("broken.py", "other"): None,
        ("unknown.py", "other"): None,
    }
    assert {key: why(*key) for key in asked} == asked


@pytest.mark.parametrize("name", ["'a' + b", "f'{a}'", "NAME", "name=NAME", "*names", "'plain', x"])
def test_a_broken_file_that_computes_names_may_define_any_flow(work: Clone, name: str) -> None:
    plain = name.startswith("'plain")
    head = work.commit({"broken.py": f"from prefect import Flow\nFlow('plain')\nFlow({name})\nnope\n"})
    why = selection.no_longer_defined(work.repository, head, [checked("broken.py", failed=True)])
    assert why("gone.py", "moved") == ("gone.py is gone" if plain else None)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("with Flow('a') as f: pass\nprefect.Flow(name='b')\nMyFlow('c', schedule=None)", {"a", "b", "c"}),
        ("Flow(name)\nTask('x')", set()),
        ("Flow('a'", set()),
    ],
)
def test_names_in_a_source(source: str, names: set[str]) -> None:
    assert literal_names(source.encode()) == names


def test_a_push_that_removes_or_renames_flows_says_what_it_leaves_behind(
    work: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    flow = "from prefect import Flow\nFlow('{}')\n"
    before = work.commit(
        {f"{name}.py": flow.format(name) for name in ("same", "renamed", "removed", "moved", "broken")}
    )
    work.git("rm", "--quiet", "removed.py")
    work.git("mv", "moved.py", "elsewhere.py")
    work.commit({"renamed.py": flow.format("better"), "broken.py": flow.format("broken") + "nope"})
    push = update(work, "refs/heads/main", before)
    names = ["same", "better", "moved"]
    lines = removed_flows.by_change(work.repository, push, TARGETS[3], names)
    assert [line.partition(";")[0] for line in lines] == [
        "removed.py: flow 'removed' is removed",
        "renamed.py: flow 'renamed' is renamed to better",
    ]
    assert (
        lines[0].partition("; ")[2].startswith("what Prefect has of it stays active, and each run fails. Archive with ")
    )
    known = {"result": "registered", "ref": push.ref, "remote": "origin", "commit": "c"}
    pending.log(work.repository, {**known, "flows": [{"flow": "removed", "path": "a.py", "project": "dev", "action": "created"}]})
    assert removed_flows.by_change(work.repository, push, TARGETS[3], names) == lines[:1]
    pending.log(work.repository, {**known, "flows": [{"flow": "renamed", "path": "a.py", "project": "dev", "action": "updated"}]})
    assert removed_flows.by_change(work.repository, push, TARGETS[3], names) == lines
    (_, pruned) = removed_flows.by_change(work.repository, push, TARGETS[2], names)
    assert pruned.endswith("; what Prefect has of it is archived once origin has the commit, as `prune = true` says")
    assert removed_flows.by_change(work.repository, replace(push, remote_commit=None), TARGETS[3], names) == []


def test_a_deletion_names_what_this_clone_has_registered(work: Clone) -> None:
    push = replace(update(work, "refs/heads/feature/x"), commit=None)
    assert removed_flows.by_deletion(work.repository, push) == "flows registered from it cannot be loaded any more"

    def log(**rows: Any) -> None:
        flows = [{"flow": name, "path": "a.py", "project": "dev", "action": action} for name, action in rows.items()]
        line = {"result": "registered", "ref": push.ref, "remote": "origin", "commit": "c", "flows": flows}
        pending.log(work.repository, line)

    log(old="created")
    log(etl="updated", kept="unchanged", gone="archived", refused="failed")
    assert removed_flows.by_deletion(work.repository, push).startswith(
        "etl → dev, kept → dev: active in Prefect still, and each run fails. Archive with "
    )


def test_who_registers(work: Clone) -> None:
    assert who_registers(work.repository, {}) == "Ada Engineer <ada@example.com>"
    work.git("config", "--global", "--unset", "user.name")
    configuration.cache_clear()
    assert who_registers(work.repository, {}) == "ada@example.com"
    work.git("config", "--global", "--unset", "user.email")
    configuration.cache_clear()
    assert who_registers(work.repository, {"GITLAB_USER_NAME": "Ada", "USER": "root"}) == "Ada"
    assert who_registers(work.repository, {}) == f"user {os.getuid()}"
