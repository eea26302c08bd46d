"""A schedule that starts the same work twice is shown by the registration that switches it on."""

from __future__ import annotations

import json

import pytest

from .conftest import Desk, flow, mutate, query

DAILY = flow("etl", "0 6 * * *")


def warning(other: str, project: str, quiet: str) -> str:
    return (
        f"flows/etl.py: warning: its schedule is active from {other} (project {project}) as well: the work is done twice "
        f'[active-twice]\n  hint: set schedule = "off" in the target of {quiet}, or pause or archive one of them in Prefect\'s UI\n'
    )


def branches_keep_their_schedules(desk: Desk) -> None:
    settings = (desk.clone.path / "pyproject.toml").read_text()
    desk.clone.commit({"pyproject.toml": settings.replace('schedule = "off"\n', "")})
    desk.clone.git("push", "--quiet", "origin", "main")


def tagged(desk: Desk, name: str) -> None:
    desk.clone.git("tag", name)
    desk.clone.git("push", "--quiet", "origin", name)


def test_the_second_of_two_branches_and_the_remedy_pauses_it(desk: Desk) -> None:
    branches_keep_their_schedules(desk)
    desk.commit(etl=DAILY)
    assert "active-twice" not in "".join(desk("register")[1:])
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=DAILY.replace("...", "return 1", 1))
    said = warning("main", desk.project, "feature/x")
    # The plan says so before anything is registered.
    for arguments in (("register", "--dry-run"), ("register",)):
        code, out, _ = desk(*arguments)
        assert (code, said in out, out.count("[active-twice]")) == (0, True, 1), out
    # It was told by the registration that caused it.
    assert "active-twice" not in "".join(desk("register")[1:])
    desk.commit(etl=DAILY + "    extract()\n")
    assert "active-twice" not in "".join(desk("register")[1:])
    settings = (desk.clone.path / "pyproject.toml").read_text()
    quiet = settings.replace('branch = "feature/**"\n', 'branch = "feature/**"\nschedule = "off"\n')
    desk.clone.commit({"pyproject.toml": quiet})
    desk.clone.git("push", "--quiet", "origin", "feature/x")
    code, out, _ = desk("register")
    assert (code, "schedule paused" in out) == (0, True)
    assert "active-twice" not in desk("status")[1]


def test_a_release_beside_the_default_branch_and_the_next_release(desk: Desk) -> None:
    desk.commit(etl=DAILY)
    desk.register("main")
    tagged(desk, "v1.0")
    assert warning("main", desk.project, "main") in desk("register", "--ref", "v1.0")[1]
    # The next release takes the place of this one, in its own project.
    desk.commit(etl=DAILY + "    extract()\n")
    tagged(desk, "v1.1")
    assert "active-twice" not in "".join(desk("register", "--ref", "v1.1")[1:])


def test_the_default_branch_after_its_release_and_a_schedule_that_is_resumed(desk: Desk) -> None:
    desk.commit(etl=DAILY)
    tagged(desk, "v1.0")
    desk.register("v1.0")
    said = warning("v1.0", f"{desk.project}-production", "main")
    assert said in desk("register", "--ref", "main")[1]
    # `schedule = "on"` resumes what a person has paused.
    mutate("set_schedule_inactive", flow_id=desk.id_of("etl"))
    settings = (desk.clone.path / "pyproject.toml").read_text()
    desk.clone.commit({"pyproject.toml": settings.replace('branch = "main"\n', 'branch = "main"\nschedule = "on"\n')})
    desk.clone.git("push", "--quiet", "origin", "main")
    code, out, _ = desk("register", "--ref", "main")
    assert (code, "schedule resumed" in out, said in out) == (0, True, True)


def test_one_branch_in_two_projects(desk: Desk) -> None:
    desk.commit(etl=DAILY)
    desk.register("main")
    code, out, _ = desk("register", "--project", f"{desk.project}-copy")
    said = f"its schedule is active from main (project {desk.project}) as well: the work is done twice [active-twice]\n"
    hint = "hint: pause or archive one of them in Prefect's UI\n"
    assert (code, f"{said}  {hint}" in out) == (0, True), out
    code, out, _ = desk("status")
    assert (code, out.count("[active-twice]"), hint in out) == (0, 1, True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"other": DAILY}, id="another file"),
        pytest.param({"etl": flow("elt", "0 6 * * *")}, id="another name"),
        pytest.param({"etl": flow("etl")}, id="no schedule"),
    ],
)
def test_what_is_no_second_schedule_of_the_flow(desk: Desk, change: dict[str, str]) -> None:
    branches_keep_their_schedules(desk)
    desk.commit(etl=DAILY)
    desk.register("main")
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    if "other" in change:
        change = {**change, "etl": None}  # type: ignore[dict-item]
    desk.commit(**change)
    code, out, err = desk("register")
    assert (code, "active-twice" in out + err) == (0, False)


def test_what_is_paused_or_kept_quiet_is_no_second_schedule(desk: Desk) -> None:
    desk.commit(etl=DAILY)
    desk.register("main")
    # The target of branches has `schedule = "off"`.
    desk.clone.git("switch", "--quiet", "--create", "feature/x")
    desk.commit(etl=DAILY.replace("...", "return 1", 1))
    assert "active-twice" not in desk("register")[1]
    mutate("set_schedule_inactive", flow_id=desk.id_of("etl"))
    desk.clone.git("switch", "--quiet", "main")
    tagged(desk, "v1.0")
    assert "active-twice" not in desk("register", "--ref", "v1.0")[1]


def test_machines_read_it_too(desk: Desk) -> None:
    desk.commit(etl=DAILY)
    desk.register("main")
    tagged(desk, "v1.0")
    code, out, _ = desk("register", "--ref", "v1.0", "--format", "json")
    found = [one for one in json.loads(out)["findings"] if one["code"] == "active-twice"]
    assert (code, [(one["flow"], one["ref"], one["severity"]) for one in found]) == (0, [("etl", "v1.0", "warning")])
    assert len(query(f'flow(where: {{project: {{name: {{_eq: "{desk.project}-production"}}}}}})', "id")) == 1
