"""`--format json`: every command's object, whole, valid by docs/report.schema.json, and with the command's exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from git_prefect.cli import main

from .conftest import FLOW, SCHEMA, Desk

ETL = FLOW.format(name="etl")
WIDER = ETL.replace("    load(extract())", "    load(extract())\n    extract()")


def flow(name: str | None = "etl", status: str = "ok", tasks: int | None = 2, **more: Any) -> dict[str, Any]:
    return {"ref": None, "path": "flows/etl.py", "name": name, "status": status, "tasks": tasks, "cached": True, **more}


def main_branch(desk: Desk, **more: Any) -> dict[str, Any]:
    return {
        "name": "main", "kind": "branch", "commit": desk.clone.head(), "source": "active branch", "target": None, **more,
    }  # fmt: skip


def row(desk: Desk, **more: Any) -> dict[str, Any]:
    return {
        "ref": "main", "flow": "etl", "path": "flows/etl.py", "project": desk.project, "action": "created",
        "version": 1, "changes": [], "reason": "", "overrides": [], **more,
    }  # fmt: skip


def report(command: str, exit: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "version": 1, "command": command, "refs": [], "flows": [], "findings": [], "registrations": [], "registered": [],
        "checks": [], "exit": exit, **more,
    }  # fmt: skip


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_validate(desk: Desk) -> None:
    desk.clone.write({"flows/etl.py": ETL})
    assert desk.object("validate") == report("validate", flows=[flow(cached=False)])
    assert desk.object("validate") == report("validate", flows=[flow()])
    desk.clone.write({"flows/etl.py": ETL + "flow.nothing()\n"})
    found = desk.object("validate")
    hint = found["findings"][0].pop("hint")
    assert found == report(
        "validate",
        1,
        flows=[flow(None, "failed", None, cached=False)],
        findings=[
            {
                "ref": None, "code": "does-not-load", "severity": "error", "path": "flows/etl.py", "line": 11,
                "flow": None,
                "message": "does not load: AttributeError: 'Flow' object has no attribute 'nothing'; every run would "
                "fail before its first task",
            }
        ],
    )  # fmt: skip
    assert hint.startswith("mend it; ")


def test_validate_what_the_interpreter_cannot_tell(desk: Desk) -> None:
    desk.clone.write({"flows/etl.py": "import no_such_module\n" + ETL})
    found = desk.object("validate")
    assert (found["exit"], found["flows"]) == (1, [flow(None, "unchecked", None, cached=False)])
    assert [(one["code"], one["severity"]) for one in found["findings"]] == [("environment-broken", "warning")]


def test_validate_a_ref(desk: Desk) -> None:
    desk.commit(etl=ETL)
    assert desk.object("validate", "--ref", "main") == report(
        "validate",
        refs=[main_branch(desk, source="--ref", target=desk.project)],
        flows=[flow(ref="main", cached=False)],
    )


def test_check_pushed(desk: Desk) -> None:
    pushed = desk.commit(etl=ETL)
    assert desk.object("check-pushed") == report("check-pushed", refs=[main_branch(desk)])
    desk.clone.commit({"flows/etl.py": WIDER})
    assert desk.object("check-pushed") == report(
        "check-pushed",
        1,
        refs=[main_branch(desk)],
        findings=[
            {
                "ref": "main", "code": "remote-differs", "severity": "error", "path": None, "line": None, "flow": None,
                "message": f"origin/main is 1 commit behind: agents run {pushed[:7]}, not what is here",
                "hint": "git push origin main",
            }
        ],
    )  # fmt: skip


def test_register(desk: Desk) -> None:
    desk.commit(etl=ETL)
    refs = [main_branch(desk, target=desk.project)]
    planned = report("register --dry-run", refs=refs, flows=[flow(ref="main", cached=False)], registrations=[row(desk)])
    assert desk.object("register", "--dry-run") == planned
    done = {**planned, "command": "register", "flows": [flow(ref="main")]}
    assert desk.object("register") == done
    same = [row(desk, action="unchanged", reason="the branch's HEAD is what runs")]
    assert desk.object("register") == {**done, "registrations": same}
    desk.commit(etl=WIDER)
    changed = [row(desk, action="updated", version=2, changes=["task added: extract-2"])]
    assert desk.object("register") == report(
        "register",
        refs=[main_branch(desk, target=desk.project)],
        flows=[flow(ref="main", tasks=3, cached=False)],
        registrations=changed,
    )


def test_a_flow_that_another_branch_holds_is_a_failed_row(desk: Desk) -> None:
    desk.commit(etl=ETL)
    desk.object("register")
    desk.clone.git("switch", "--quiet", "--create", "other")
    desk.clone.commit({"flows/etl.py": WIDER})
    desk.clone.git("push", "--quiet", "--no-verify", "-u", "origin", "other")
    for command in (["register", "--dry-run"], ["register"]):
        found = desk.object(*command)
        (failed,) = found["registrations"]
        reason = failed.pop("reason")
        assert reason.startswith(f"branch 'main' is what project '{desk.project}' runs under this name (version 1); ")
        expected = row(desk, ref="other", action="failed")
        del expected["reason"]
        assert (found["exit"], failed) == (1, expected)


def test_a_usage_error_is_an_object_too(desk: Desk) -> None:
    def usage(message: str, hint: str) -> list[dict[str, Any]]:
        return [
            {
                "ref": None, "code": "usage", "severity": "error", "path": None, "line": None, "flow": None,
                "message": message, "hint": hint,
            }
        ]  # fmt: skip

    assert desk.object("validate", "--nope") == report(
        "validate", 2, findings=usage("unrecognized arguments: --nope", "git prefect validate -h")
    )
    assert desk.object("register", "--remote", "nope") == report(
        "register", 2, findings=usage("there is no remote 'nope' here", "name one of: origin")
    )


def test_an_error_with_a_code_of_its_own_keeps_it(desk: Desk) -> None:
    desk.clone.git("switch", "--quiet", "--create", "new")
    found = desk.object("register")
    assert [(one["code"], one["message"]) for one in found["findings"]] == [
        ("not-on-remote", "origin/new does not exist, and agents clone from there")
    ]
    assert found["exit"] == 2


def test_an_api_out_of_reach_is_an_object_too(desk: Desk) -> None:
    found = desk.object("register", PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9")
    assert (found["exit"], [one["code"] for one in found["findings"]]) == (4, ["out-of-reach"])
    assert found["findings"][0]["message"] == "the Prefect API at http://127.0.0.1:9 is out of reach: no connection"


def test_a_bug_is_an_object_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(argv: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("git_prefect.commands.status.main", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["status", "--format=json"]) == 70
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    assert (found["exit"], [one["code"] for one in found["findings"]]) == (70, ["bug"])


def test_what_is_skipped_is_an_object_too(desk: Desk) -> None:
    assert desk.object("validate", GIT_PREFECT_SKIP="1") == report("validate")


def test_names_that_no_encoding_of_the_terminal_can_show_are_still_json(desk: Desk) -> None:
    desk.clone.write({"flows/etl.py": FLOW.format(name="größe → 🜚")})
    found = desk.object("validate", PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert [one["name"] for one in found["flows"]] == ["größe → 🜚"]
