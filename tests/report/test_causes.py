"""Many findings with one cause: it is told once, with the number of files, three places and the hint."""

from __future__ import annotations

from git_prefect.core.model import Finding
from git_prefect.core.results import Report
from git_prefect.report import causes
from git_prefect.report.invocation import git_prefect
from git_prefect.report.style import Look
from git_prefect.report.terminal import render

PLAIN, VERBOSE = Look(), Look(verbose=True)
EACH = f"each by itself: {git_prefect('validate', '-v')}"


def missing(number: int, module: str = "requests", frame: str = "lib/core.py:2 in <module>") -> Finding:
    path = f"flows/f{number}.py"
    detail = f"{path}:{number}\n    import lib.core\n{frame}" if frame else f"{path}:{number}\n    import {module}"
    return Finding(
        "does-not-load", "error", f"does not load: ModuleNotFoundError: No module named '{module}'", f"install '{module}'",
        path, number, detail=detail,
    )  # fmt: skip


def elsewhere(number: int) -> Finding:
    return Finding(
        "other-storage", "note", f"flow 'f{number}' declares GCS storage: a push does not deploy it", "leave it so",
        f"flows/f{number // 2}.py", flow=f"f{number}",
    )  # fmt: skip


def test_one_cause_is_one_paragraph_and_a_table_follows() -> None:
    found = (*map(elsewhere, range(6)), *map(missing, range(1, 6)), missing(9, "pandas", ""))
    assert render(Report("validate", 1, findings=found, summary=("the end",)), PLAIN) == (
        "error: does not load: ModuleNotFoundError: No module named 'requests' [does-not-load]\n"
        "        import lib.core\n"
        "    lib/core.py:2 in <module>\n"
        "    5 files: flows/f1.py:1, flows/f2.py:2, flows/f3.py:3 and 2 more\n"
        "  hint: install 'requests'\n"
        "flows/f9.py:9: does not load: ModuleNotFoundError: No module named 'pandas' [does-not-load]\n"
        "        import pandas\n"
        "  hint: install 'pandas'\n"
        "note: 6 flows in 3 files: flow '…' declares GCS storage: a push does not deploy it [other-storage]; leave it so\n"
        "  does-not-load  error  6 files\n"
        "  other-storage  note   6 flows in 3 files\n"
        f"{EACH}\n"
        "the end"
    )


def test_verbose_names_each() -> None:
    found = tuple(map(missing, range(1, 6)))
    shown = render(Report("validate", 1, findings=found), VERBOSE).splitlines()
    assert [line.partition(":")[0] for line in shown if "[does-not-load]" in line] == [one.path for one in found]
    assert EACH not in shown


def test_other_frames_and_other_modules_are_other_causes() -> None:
    frames = [missing(number, frame=f"lib/core.py:{number} in <module>") for number in range(1, 5)]
    modules = [missing(number, module=f"m{number}") for number in range(5, 9)]
    assert [len(same) for same in causes.by_cause([*frames, *modules])] == [1] * 8
    # In the flow files themselves, each at a line of its own, it is one.
    assert [len(same) for same in causes.by_cause(missing(number, frame="") for number in range(1, 5))] == [4]


def test_of_one_code_a_few_causes_are_told_and_the_rest_counted() -> None:
    found = tuple(missing(number, module=f"m{number}") for number in range(1, 13))
    shown = render(Report("validate", 1, findings=found), PLAIN).splitlines()
    assert sum("[does-not-load]" in line for line in shown) == 9
    assert shown[-3:] == ["and 4 more [does-not-load]", "  does-not-load  error  12 files", EACH]


def test_a_name_is_taken_out_where_it_stands_for_itself() -> None:
    one = Finding("x", "error", "flow 'a': has a task 'a-b', in a.py and lib/a.py:3", "", "lib/a.py", flow="a")
    assert causes.without_names(one, one.message) == "flow '…': has a task 'a-b', in a.py and …:3"


def test_three_hundred_findings_of_a_hundred_and_fifty_flows_take_forty_lines() -> None:
    found = [missing(number) for number in range(50)] + [elsewhere(number) for number in range(150)]
    found += [
        Finding("wrong-flow-path", "warning", f"flow 'f{n}': its storage says flow_path='old/{n}.py'", "leave it out", f"flows/f{n}.py", flow=f"f{n}")
        for n in range(100)
    ]  # fmt: skip
    shown = render(Report("validate", 1, findings=tuple(found), summary=("1", "2", "3")), PLAIN).splitlines()
    assert len(found) == 300 and len(shown) <= 40
    assert shown[-7:] == [
        "  does-not-load    error    50 files", "  wrong-flow-path  warning  100 flows in 100 files",
        "  other-storage    note     150 flows in 75 files", EACH, "1", "2", "3",
    ]  # fmt: skip


def test_lines_of_a_log() -> None:
    found = [*map(missing, range(1, 6)), missing(9, "pandas")]
    assert causes.headlines(found) == [
        "5 files: does not load: ModuleNotFoundError: No module named 'requests' [does-not-load] "
        "(flows/f1.py:1, flows/f2.py:2, flows/f3.py:3 and 2 more)",
        "flows/f9.py:9: does not load: ModuleNotFoundError: No module named 'pandas' [does-not-load]",
    ]
    assert causes.remarks(found[-1:]) == [
        "flows/f9.py:9: does not load: ModuleNotFoundError: No module named 'pandas' [does-not-load]\n    hint: install 'pandas'"
    ]
