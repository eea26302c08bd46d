"""A push whose registration switches on a schedule that is active from another branch shows it, with the remedy."""

from __future__ import annotations

from .conftest import Team, flow_file

DAILY = "from prefect.schedules import CronSchedule\n" + flow_file().replace('"etl")', '"etl", schedule=CronSchedule("0 6 * * *"))')


def test_the_push_that_causes_it_shows_it(native: Team) -> None:
    native.clone.commit({"flows/etl.py": DAILY})
    assert "active-twice" not in native.push("-u", "origin", "feature/x")
    native.clone.git("switch", "--quiet", "--create", "feature/y")
    head = native.clone.commit({"flows/etl.py": DAILY + "    extract()\n"})
    printed = native.push("-u", "origin", "feature/y").splitlines()
    shown = [line for line in printed if "/flow/" not in line]
    assert shown[shown.index(f"origin/feature/y at {head[:7]}: registering") :][:4] == [
        f"origin/feature/y at {head[:7]}: registering",
        f"  registered: etl → {native.project}-feature--y, version 1",
        f"  flows/etl.py: warning: its schedule is active from feature/x (project {native.project}-feature--x) as well: the work is "
        "done twice [active-twice]",
        '    hint: set schedule = "off" in the target of feature/y, or pause or archive one of them in Prefect\'s UI',
    ]
    native.settled()
    # The next version of it is not the cause.
    native.clone.commit({"flows/etl.py": DAILY + "    extract()\n    extract()\n"})
    printed_next = native.push("origin", "feature/y")
    assert "version 2" in printed_next
    assert "active-twice" not in printed_next
