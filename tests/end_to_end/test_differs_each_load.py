"""A push of flows that differ each time that they are loaded: a second load finds it before anything is registered."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import Team, flow_file

OF_A_SET = """\
    last = extract()
    for name in {"a", "b", "c", "d", "e", "f", "g", "h"}:
        last = task(lambda rows: rows, name=name)(last)
"""
FILES = {
    "flows/good.py": flow_file("good"),
    "flows/set.py": flow_file("set") + OF_A_SET,
    "flows/slugs.py": "import uuid\n" + flow_file("slugs") + "    task(lambda: 1, name=str(uuid.uuid4()))()\n",
    "flows/time.py": "import time\n" + flow_file("time").replace('"time"', 'f"time-{time.time_ns()}"'),
}
VERSIONS = "each edit registers a new version, and `git prefect status` reports a difference that no registration settles"
SLUGS = (
    "left out: flows/slugs.py: flow 'slugs' differs at each load (task renamed: UUID-1 → UUID-1): an agent runs tasks that are not "
    "registered, and the run fails [differs-each-load]"
)
TIME = (
    "left out: flows/time.py: flow 'time-N' has another name at each load, then 'time-N': an agent looks for the registered name, "
    "and every run fails [differs-each-load]"
)
SET = f"flows/set.py: warning: flow 'set' differs at each load (EDGES): {VERSIONS} [differs-each-load]"


def steady(printed: str) -> list[str]:
    """The lines, without what differs at each load."""
    printed = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", re.sub(r"time-\d+", "time-N", printed))
    printed = re.sub(r"\((edge (?:added|removed): \w+-\d → \w-1 \(rows\); ){2}and \d+ more\)", "(EDGES)", printed)
    return [line.strip() for line in printed.splitlines()]


def test_what_no_agent_would_run_is_left_out_and_the_rest_is_registered(native: Team) -> None:
    native.clone.commit(FILES)
    printed = steady(native.push("-u", "origin", "feature/x"))
    assert f"registered: set → {native.project}-feature--x, version 1" in printed
    assert printed[printed.index(SLUGS) :] == [
        SLUGS,
        "hint: give tasks fixed names and slugs, without the time and random values; make them from a list or sorted(…), not from a set",
        TIME,
        "hint: give the flow a fixed name, without the time, random values or the order of a set",
        SET,
        "hint: make tasks from a list or sorted(…), not from a set; give schedules a fixed start_date; take the time and random "
        "values inside a task",
    ]
    native.settled()
    (line,) = native.log()
    assert [flow["flow"] for flow in line["flows"]] == ["good", "set"]  # type: ignore[attr-defined]
    shown = steady(native.prefect("status", check=False))
    assert [told for told in shown if "differs-each-load" in told] == [SLUGS, TIME, SET]


def test_by_hand_as_well_and_a_plan_shows_it(native: Team) -> None:
    native.clone.commit(FILES)
    native.push("--no-verify", "-u", "origin", "feature/x")
    for arguments in ("--dry-run",), ():
        printed = steady(native.prefect("register", "--ref", "feature/x", *arguments, check=False))
        found = [line for line in printed if line.endswith("[differs-each-load]")]
        assert found == [SLUGS.removeprefix("left out: "), TIME.removeprefix("left out: "), SET]


def test_a_flow_that_is_mended_is_registered(native: Team) -> None:
    native.clone.commit({"flows/slugs.py": FILES["flows/slugs.py"]})
    assert "nothing to register" in native.push("-u", "origin", "feature/x")
    native.settled()
    native.clone.commit({"flows/slugs.py": flow_file("slugs") + "    task(lambda: 1, name='one')()\n"})
    printed = native.push("origin", "feature/x")
    assert "registered: slugs" in printed
    assert "differs" not in printed


def test_only_what_gets_a_new_version_is_loaded_a_second_time(native: Team, tmp_path: Path) -> None:
    loads = tmp_path / "loads"
    loads.touch()
    # Only a second load has a hash seed that is set: what the first one opens would belong to its verdict.
    note = f"import os\nif os.environ.get('PYTHONHASHSEED'):\n    open({str(loads)!r}, 'a').write('x\\n')\n"

    def second_loads() -> int:
        native.settled()
        found = len(loads.read_text().split())
        loads.write_text("")
        return found

    native.clone.commit({"flows/etl.py": note + flow_file(), "flows/more.py": flow_file("more")})
    native.push("-u", "origin", "feature/x")
    assert second_loads() == 1
    native.clone.commit({"flows/etl.py": note + flow_file().replace("[1, 2, 3]", "[4]")})
    native.push("origin", "feature/x")
    assert second_loads() == 0
    native.clone.commit({"flows/more.py": flow_file("more") + "    extract()\n"})
    native.push("origin", "feature/x")
    assert second_loads() == 0
    native.clone.commit({"flows/etl.py": note + flow_file() + "    extract()\n"})
    native.push("origin", "feature/x")
    assert second_loads() == 1
    # The same load in another project: a release.
    native.clone.git("tag", "v1")
    native.push("origin", "v1")
    assert second_loads() == 0
    assert [flow["action"] for flow in native.log()[-1]["flows"]] == ["created", "created"]  # type: ignore[attr-defined]
    (Path(native.clone.repository.state_dir) / "second-loads.json").write_text('{"format": 1, "loads": 3}')
    native.clone.commit({"pyproject.toml": (native.clone.path / "pyproject.toml").read_text() + "# more\n"})
    native.push("origin", "HEAD:refs/heads/feature/y")
    assert second_loads() == 1
