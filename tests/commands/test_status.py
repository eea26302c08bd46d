"""git prefect status: every flow of the repository, held against what the remote has now."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import prefect
import pytest
from prefect.engine.state import Failed, Success
from prefect.utilities.configuration import set_temporary_config

from git_prefect.deploy import pending
from git_prefect.git.process import ancestors
from git_prefect.prefect_api.client import Connection

from ..repository import clone
from .conftest import Desk, flow, mutate

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())


def short(commit: str) -> str:
    return commit[:7]


def test_every_flow_with_ref_project_version_schedule_and_last_run(desk: Desk) -> None:
    desk.commit(etl=flow("etl", "0 6 * * *"), nightly=flow("nightly", "0 1 * * *"), ml__train=flow("train"))
    desk.clone.git("tag", "v1.0")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("main", "v1.0")
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=flow("etl", "0 7 * * *"))
    desk.register("feature/x")
    mutate("set_schedule_inactive", flow_id=desk.id_of("nightly"))
    mutate("set_schedule_inactive", flow_id=desk.id_of("etl"))
    desk.ran("etl", Success(), "-production")
    desk.ran("train", Failed("no"), "-production")
    assert desk("status") == (
        0,
        f"""\
main → {desk.project}
  etl      v1  cron 0 6 * * *, paused  never ran
  nightly  v1  cron 0 1 * * *, paused  never ran
  train    v1  no schedule             never ran
tag v1.0 → {desk.project}-production
  etl      v1  cron 0 6 * * *          Success now
  nightly  v1  cron 0 1 * * *          never ran
  train    v1  no schedule             Failed now
feature/x → {desk.project}-feature--x
  etl      v1  cron 0 7 * * *, paused  never ran
2 runtimes serve 7 flows: UniversalRun (5), DockerRun registry/ml:1 (2)
""",
        "",
    )


def test_the_same_in_markdown(desk: Desk) -> None:
    desk.commit(etl=flow("etl", "0 6 * * *"), ml__train=flow("train"))
    desk.register("main")
    head = desk.commit(etl=flow("etl", "0 6 * * *").replace("extract", "fetch"))
    code, out, _ = desk("status", "--format", "markdown")
    lines = re.sub(r"http://\S+/flow/[0-9a-f-]+", "PAGE", out).splitlines()
    assert code == 1
    assert lines[-6:] == [
        "| flow | registered from | project | version | schedule | last run | |",
        "|---|---|---|---|---|---|---|",
        f"| [`etl`](PAGE) | main | `{desk.project}` | v1 | cron 0 6 \\* \\* \\* | never ran | `structure-drift` |",
        f"| [`train`](PAGE) | main | `{desk.project}` | v1 | no schedule | never ran |  |",
        "",
        "2 runtimes serve 2 flows: UniversalRun (1), DockerRun registry/ml:1 (1)",
    ]
    assert [line for line in lines if short(head) in line and "structure-drift" in line]


def test_the_last_run_is_of_whatever_version_and_one_that_failed_to_load_counts(desk: Desk) -> None:
    desk.commit(etl=flow("etl", "0 6 * * *"))
    desk.register("main")
    desk.ran("etl", Success())
    desk.ran("etl", Failed("does not load"))
    desk.commit(etl=flow("etl") + "    extract()\n")
    desk.register("main")
    assert f"main → {desk.project}\n  etl  v2  no schedule  Failed now\n" in desk("status")[1]


GONE = "archive it with git prefect prune"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            {"etl": flow("etl") + "    extract()\n"},
            "flows/etl.py: HEAD (HEAD) has a task that is not registered: extract-2; the next run fails [structure-drift]\n"
            "      hint: git prefect register --ref main",
            id="a task more",
        ),
        pytest.param(
            {"etl": flow("etl").replace("load(extract())", "extract()")},
            "flows/etl.py: HEAD (HEAD) has no longer load-1, which is registered; the next run fails [structure-drift]\n"
            "      hint: git prefect register --ref main",
            id="a task less",
        ),
        pytest.param(
            {"etl": flow("etl").replace("load", "store")},
            "flows/etl.py: HEAD (HEAD) has a task that is not registered: store-1 and no longer load-1, which is "
            "registered; the next run fails [structure-drift]\n      hint: git prefect register --ref main",
            id="a task renamed",
        ),
        pytest.param(
            {"etl": flow("etl", "0 6 * * *")},
            "flows/etl.py: warning: HEAD (HEAD) differs from what is registered, and runs start as it is registered "
            "[settings-drift]\n        schedule added: cron 0 6 * * *\n      hint: git prefect register --ref main",
            id="another schedule",
        ),
        pytest.param(
            {"etl": None},
            "flows/etl.py: is gone from HEAD (HEAD): every run of etl fails [file-gone]\n"
            f"      hint: {GONE}; if it has moved: git prefect register --ref main",
            id="the file gone",
        ),
        pytest.param(
            {"etl": flow("elt")},
            "flows/etl.py: does not define etl at HEAD (HEAD), but elt: every run fails [flow-gone]\n"
            f"      hint: {GONE}, or give the flow its name back",
            id="the flow renamed",
        ),
        pytest.param({"etl": flow("etl").replace("...", "return 7")}, "", id="another task body"),
    ],
)
def test_drift(desk: Desk, change: dict[str, str | None], said: str) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    head = desk.commit(**change)
    drift = f"    {said.replace('(HEAD)', f'({short(head)})')}\n" if said else ""
    code = 1 if said and "warning" not in said else 0
    assert desk("status") == (
        code,
        f"main → {desk.project}\n  etl  v1  no schedule  never ran\n{drift}1 runtime serves 1 flow: UniversalRun (1)\n",
        "",
    )


def test_a_file_that_does_not_load_any_more(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    desk.commit(etl=flow("etl") + "flow.nothing()\n")
    code, out, _ = desk("status")
    assert code == 1
    assert "    flows/etl.py:12: does not load: AttributeError: 'Flow' object has no attribute 'nothing'" in out


def test_what_the_settings_leave_out_is_loaded_by_agents_all_the_same(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    settings = (desk.clone.path / "pyproject.toml").read_text()
    left_out = settings.replace("clone-url-secret", 'exclude = ["flows/**"]\nclone-url-secret')
    desk.clone.commit({"pyproject.toml": left_out})
    desk.commit(etl=flow("etl") + "    extract()\n")
    assert "[structure-drift]" in desk("status")[1]


def test_a_branch_and_a_tag_that_are_gone(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.clone.git("tag", "v1.0")
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=flow("etl") + "    extract()\n")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("feature/x", "v1.0")
    desk.clone.git("push", "--quiet", "origin", ":feature/x", ":v1.0")
    code, out, _ = desk("status")
    assert (code, out) == (
        1,
        f"""\
tag v1.0 → {desk.project}-production
  etl  v1  no schedule  never ran
    flows/etl.py: tag v1.0 on origin is gone: every run fails, since no agent finds it [ref-gone]
      hint: archive it with git prefect prune, or push the tag again
feature/x → {desk.project}-feature--x
  etl  v1  no schedule  never ran
    flows/etl.py: origin/feature/x is gone: every run fails, since no agent finds it [ref-gone]
      hint: archive it with git prefect prune, or push the branch again
1 runtime serves 2 flows: UniversalRun (2)
""",
    )


def test_a_tag_that_was_made_annotated_since(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.clone.git("tag", "v1.0")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("v1.0")
    desk.clone.git("tag", "--force", "-a", "-m", "release", "v1.0")
    desk.clone.git("push", "--quiet", "--force", "origin", "v1.0")
    code, out, _ = desk("status")
    assert (code, out.splitlines()[2].endswith("[annotated-tag]")) == (1, True)


def test_heads_that_others_pushed_are_fetched_and_no_ref_is_moved(desk: Desk, remote: Path, tmp_path: Path) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    other = clone(remote, tmp_path / "other")
    head = other.commit({"flows/etl.py": flow("etl") + "    extract()\n"})
    other.git("push", "--quiet")
    refs = desk.clone.git("for-each-ref")
    code, out, _ = desk("status")
    assert (code, f"HEAD ({short(head)}) has a task that is not registered" in out) == (1, True)
    assert desk.clone.git("for-each-ref") == refs


def test_a_schedule_that_is_active_from_two_refs(desk: Desk) -> None:
    desk.commit(etl=flow("etl", "0 6 * * *"), other=flow("other"))
    desk.clone.git("tag", "v1.0")
    desk.clone.git("push", "--quiet", "origin", "v1.0")
    desk.register("main", "v1.0")
    code, out, _ = desk("status")
    twice = (
        f"    flows/etl.py: warning: its schedule is active from main (project {desk.project}) as well: the work is done "
        "twice [active-twice]\n      hint: set schedule = \"off\" in the target of main, or pause or archive one of them in Prefect's UI\n"
    )
    assert (code, out.count("[active-twice]"), twice in out) == (0, 1, True)
    mutate("set_schedule_inactive", flow_id=desk.id_of("etl"))
    assert "active-twice" not in desk("status")[1]


RETRY = "  next retry: by a push or command SOON; by git prefect status as soon as the API is back\n"


def test_what_waits_is_told_and_marked(desk: Desk) -> None:
    head = desk.commit(etl=flow("etl"))
    desk.register("main")
    # Its push is still under way, so that nothing settles it.
    pusher = ancestors()[0][0]
    entry = pending.record(desk.clone.repository, an_update(desk, head), None, pusher, None)
    pending.postpone(desk.clone.repository, entry, "the API was away")
    code, out, _ = desk("status")
    assert (code, out) == (
        1,
        f"origin/main at {short(head)}: not registered yet, tried 1 time: the API was away\n{RETRY}"
        "  hint: try now with git prefect register --pending\n"
        f"main → {desk.project}, queued\n  etl  v1  no schedule  never ran\n1 runtime serves 1 flow: UniversalRun (1)\n",
    )


def an_update(desk: Desk, head: str) -> Any:
    from git_prefect.core.model import RefUpdate

    url = str(desk.clone.path.parent / "remote.git")
    return RefUpdate("origin", url, "refs/heads/main", head, head, None, "push")


def test_nothing_is_held(desk: Desk) -> None:
    assert desk("status") == (0, "Prefect holds no flow of this repository\n", "")


def test_nobody_has_chosen_an_api(desk: Desk) -> None:
    with set_temporary_config({"backend": "cloud", "cloud.api": "https://api.prefect.io", "cloud.api_key": None}):
        assert desk("status") == (
            3,
            "error: the Prefect API at https://api.prefect.io is Prefect Cloud's, and no API key is set [not-authorised]\n"
            "  hint: log in with `prefect auth login --key KEY`, or choose a server of your own with `prefect backend server`\n",
            "",
        )


def test_without_the_api_the_queue_is_told(desk: Desk) -> None:
    head = desk.commit(etl=flow("etl"))
    entry = pending.record(desk.clone.repository, an_update(desk, head), None, None, None)
    pending.postpone(desk.clone.repository, entry, "the API was away")
    with set_temporary_config({"cloud.api": "http://127.0.0.1:9", "server.endpoint": "http://127.0.0.1:9"}):
        code, out, _ = desk("status")
    assert (code, out) == (
        4,
        "error: the Prefect API at http://127.0.0.1:9 is out of reach: no connection [out-of-reach]\n"
        "  hint: is it the right one? It is set by `prefect backend …` and PREFECT__SERVER__ENDPOINT\n"
        f"origin/main at {short(head)}: not registered yet, tried 1 time: the API was away\n{RETRY}"
        "  hint: try now with git prefect register --pending\n",
    )
    # Asked without an API, it is tried no more than before, and does not wait for longer.
    (waiting,) = pending.entries(desk.clone.repository)
    assert waiting.attempts == 1
    # The API is back: it is not waited for any longer.
    code, out, _ = desk("status")
    assert (code, out) == (
        0,
        f"origin/main at {short(head)}: registered now\n  registered: etl → {desk.project}, version 1\n    PAGE\n"
        f"main → {desk.project}\n  etl  v1  no schedule  never ran\n1 runtime serves 1 flow: UniversalRun (1)\n",
    )
    assert pending.entries(desk.clone.repository) == []


def test_a_reason_is_told_once(desk: Desk) -> None:
    head = desk.commit(etl=flow("etl"))
    pending.record(desk.clone.repository, an_update(desk, head), None, None, None)
    with set_temporary_config({"cloud.api": "http://127.0.0.1:9", "server.endpoint": "http://127.0.0.1:9"}):
        assert desk("status") == (
            4,
            "error: the Prefect API at http://127.0.0.1:9 is out of reach: no connection [out-of-reach]\n"
            "  hint: is it the right one? It is set by `prefect backend …` and PREFECT__SERVER__ENDPOINT\n"
            f"origin/main at {short(head)}: not registered yet, tried 1 time, for the reason above\n{RETRY}"
            "  hint: try now with git prefect register --pending\n",
            "",
        )


def test_without_the_remote_the_flows_are_told(desk: Desk, remote: Path) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    remote.rename(remote.with_name("away.git"))
    code, out, _ = desk("status")
    first, hint, *rest = out.splitlines()
    assert (code, first.endswith("[out-of-reach]"), hint.startswith("  hint: ")) == (4, True, True)
    assert rest == [
        f"main → {desk.project}",
        "  etl  v1  no schedule  never ran",
        "1 runtime serves 1 flow: UniversalRun (1)",
    ]


def test_only_this_repository_by_whatever_spelling(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    desk.register("main")
    path = str(desk.clone.path.parent / "remote")
    register_by_hand(desk, "by-hand", repo_host="LOCALHOST:22", repo=f"{path}.git", flow_path="flows/etl.py")
    register_by_hand(desk, "elsewhere", repo_host="github.com", repo=path.strip("/"), flow_path="flows/etl.py")
    register_by_hand(desk, "another", repo_host="localhost", repo="another/etl", flow_path="flows/etl.py")
    out = desk("status")[1]
    assert [line.split()[0] for line in out.splitlines() if "never ran" in line] == ["by-hand", "etl"]


def test_a_storage_that_names_no_flow_runs_the_first_of_its_file(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    where = {"repo_host": "localhost", "repo": str(desk.clone.path.parent / "remote").strip("/")}
    prefect.Client().create_project(desk.project)
    register_by_hand(desk, "first", **where, flow_path="flows/etl.py")
    register_by_hand(desk, "named", **where, flow_path="flows/etl.py", flow_name="named")
    code, out, _ = desk("status")
    head = short(desk.clone.head())
    assert (code, out) == (
        1,
        f"""\
main → {desk.project}
  first  v1  no schedule  never ran
    flows/etl.py: HEAD ({head}) has 2 tasks that are not registered: extract-1, load-1; the next run fails [structure-drift]
      hint: git prefect register --ref main
  named  v1  no schedule  never ran
    flows/etl.py: does not define named at HEAD ({head}), but etl: every run fails [flow-gone]
      hint: archive it with git prefect prune, or give the flow its name back
1 runtime serves 2 flows: UniversalRun (2)
""",
    )
    assert "archived: named" in desk("prune", "--yes")[1]
    assert desk.active() == [("P", "first")]


def register_by_hand(desk: Desk, name: str, **storage: Any) -> None:
    """As somebody does who calls `flow.register()` with a storage of their own."""
    from prefect import Flow
    from prefect.storage import Git

    with Flow(name, storage=Git(**storage)) as made:
        pass
    made.storage.add_flow(made)
    made.register(project_name=desk.project, build=False, no_url=True)


def test_one_query_and_one_look_at_the_remote(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"flow-{number}" for number in range(12)]
    desk.commit(**{name: flow(name) for name in names})
    desk.register("main")
    asked: list[str] = []
    real = Connection.ask

    def counted(self: Connection, query: str, variables: dict[str, Any], *fields: str) -> dict[str, Any]:
        asked.append(query)
        return real(self, query, variables, *fields)

    monkeypatch.setattr(Connection, "ask", counted)
    trace = desk.clone.path.parent / "trace"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    assert desk("status")[0] == 0
    commands = [one["argv"] for one in map(json.loads, trace.read_text().splitlines()) if one["event"] == "start"]
    network = [words for words in commands if {"ls-remote", "fetch"} & {*words} and "--get-url" not in words]
    assert (len(asked), [words[-4:] for words in network]) == (1, [["ls-remote", "--symref", "--", "origin"]])


def test_the_object_is_by_the_schema(desk: Desk) -> None:
    desk.commit(etl=flow("etl", "0 6 * * *"))
    desk.register("main")
    desk.ran("etl", Success())
    desk.commit(etl=flow("etl", "0 6 * * *") + "    extract()\n")
    code, out, _ = desk("status", "--format", "json")
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    (row,) = found["registered"]
    assert row.pop("last_run").pop("state") == "Success"
    assert row == {
        "ref": "main", "flow": "etl", "path": "flows/etl.py", "project": desk.project, "version": 1,
        "schedule": "cron 0 6 * * *", "schedule_active": True, "runtime": "UniversalRun", "url": "PAGE",
        "drift": ["structure-drift"],
    }  # fmt: skip
    assert (code, [(one["code"], one["ref"], one["flow"]) for one in found["findings"]]) == (
        1, [("structure-drift", "main", "etl")],
    )  # fmt: skip


def test_it_fits_into_80_columns(desk: Desk) -> None:
    long = "a-rather-long-name-of-a-flow-that-trains-the-model-of-last-week"
    desk.commit(etl=flow("etl", "0 6 * * *"), long=flow(long, "15,45 6-18 * * MON-FRI"))
    desk.register("main")
    desk.commit(etl=flow("etl", "0 6 * * *").replace("load", "store"))
    code, shown = desk.in_terminal("status")
    head = short(desk.clone.head())
    assert (code, shown) == (
        1,
        f"""\
main → {desk.project}
  {long}
       v1  cron 15,45 6-18 * * MON-FRI  never ran
  etl  v1  cron 0 6 * * *               never ran
    flows/etl.py: HEAD ({head}) has a task that is not registered: store-1 and
        no longer load-1, which is registered; the next run fails
        [structure-drift]
      hint: git prefect register --ref main
1 runtime serves 2 flows: UniversalRun (2)
""",
    )
    assert max(map(len, shown.splitlines())) <= 80


def test_a_path_that_no_agent_finds(desk: Desk) -> None:
    desk.commit(etl=flow("etl"))
    where = {"repo_host": "localhost", "repo": str(desk.clone.path.parent / "remote").strip("/")}
    prefect.Client().create_project(desk.project)
    register_by_hand(desk, "etl", **where, flow_path="/flows/etl.py")
    code, out, _ = desk("status")
    assert (code, out) == (
        1,
        f"""\
main → {desk.project}
  etl  v1  no schedule  never ran
    /flows/etl.py: is registered as '/flows/etl.py': agents join that to their clone and find no such file [wrong-flow-path]
      hint: git prefect register --ref main
1 runtime serves 1 flow: UniversalRun (1)
""",
    )
