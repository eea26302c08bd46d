"""The whole text of findings, as people see them."""

from __future__ import annotations

import pytest

from git_prefect.core.model import GitStorage
from git_prefect.core.settings import Settings
from git_prefect.report import finding_text
from git_prefect.report.invocation import git_prefect
from git_prefect.report.style import PLAIN

from .conftest import FLOW, Checked

TEAM = GitStorage("gitlab.com", "team/flows", False, None, None, None)


def told(repository: Checked, files: dict[str, str], **more: object) -> str:
    return finding_text.findings([one for file in repository.check(files, **more) for one in file.findings], PLAIN)  # type: ignore[arg-type]


def test_a_traceback_is_cut_to_the_flow_file(repository: Checked) -> None:
    source = FLOW + "def read(name):\n    import json\n    return json.loads(name)\n\nsettings = read('{')\n"
    assert told(repository, {"flows/etl.py": source}) == (
        "flows/etl.py:5: does not load: JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1);"
        " every run would fail before its first task [does-not-load]\n"
        "    flows/etl.py:7\n"
        "        settings = read('{')\n"
        "    flows/etl.py:5 in read\n"
        "        return json.loads(name)\n"
        f"  hint: mend it; `{git_prefect('explain', 'does-not-load')}` tells how agents load a file"
    )


def test_what_is_in_the_repository(repository: Checked) -> None:
    files = {
        "flows/etl.py": "from lib.io import x\n" + FLOW,
        "src/lib/io.py": "",
        "flows/near.py": "import sql\n" + FLOW,
        "flows/sql/__init__.py": "",
        "other/sql.py": "",
        "flows/data.py": "import os\n" + FLOW + "rows = open('sql/rows.csv')\n",
        "flows/sql/rows.csv": "",
    }
    assert told(repository, files) == (
        "flows/data.py:4: opens 'sql/rows.csv' by a relative path, and agents load the file from another folder: every run would fail [file-not-on-agent]\n"
        "        rows = open('sql/rows.csv')\n"
        '  hint: while the file loads, open it by its place: pathlib.Path(__file__).parent / "sql/rows.csv"; '
        "tasks run after the clone is deleted, for them put it into the image or a bucket\n"
        "flows/etl.py:1: imports 'lib.io', which is in this repository but not where agents look: every run would fail with ModuleNotFoundError [import-not-on-agent]\n"
        "        from lib.io import x\n"
        '  hint: put the clone on sys.path before this import: sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src")); or install it in the image that runs the flow, and set import-roots = ["src"]\n'
        "flows/near.py:1: imports 'sql', which is in this repository but not where agents look: every run would fail with ModuleNotFoundError [import-not-on-agent]\n"
        "        import sql\n"
        '  hint: put the clone on sys.path before this import: sys.path.insert(0, str(Path(__file__).resolve().parents[0])); or install it in the image that runs the flow, and set import-roots = ["flows"]'
    )


def test_flows_that_no_variable_holds(repository: Checked) -> None:
    loop = "from prefect import Flow\nfor name in 'abc':\n    flow = Flow(name)\nkept = [flow]\n"
    assert told(repository, {"a.py": loop, "b.py": loop.replace("'abc'", "'xyz'").replace("flow =", "globals()[name] =").replace("[flow]", "1")}) == (
        "a.py: warning: builds 'a', 'b', which no global variable holds: an agent does not find them, so nothing of that is "
        "registered [no-flow]\n"
        '  hint: give each flow a variable of its own at the top level; in a loop: globals()[f"flow_{name}"] = flow'
    )


def test_half_a_letter_is_nothing_that_the_api_takes(repository: Checked) -> None:
    said = told(repository, {"a.py": "from prefect import Flow\nflow = Flow('half\\ud800')\n"})
    assert "[not-serializable]" in said and "surrogates not allowed" in said


SCHEDULE = 'write CronSchedule("0 6 * * *"), IntervalSchedule(interval=…) or Schedule(clocks=[…]) of prefect.schedules'
ZONE = 'name the time zone: pendulum.datetime(2024, 1, 1, tz="Europe/Berlin"), or tz="UTC"'
OFFSET = "its schedule has a date with the bare UTC offset +02:00, and Prefect stores a time zone by its name"
OWN = "that is not Prefect's, and the API stores the name of Prefect's only"
PLAIN_VALUES = "use text, numbers, lists and dictionaries"
RETRIES = "give a task both where it is made: @task(max_retries=3, retry_delay=timedelta(minutes=1))"
HEAD = """\
import datetime
import pendulum
from prefect import Flow, Parameter, task
from prefect.run_configs import KubernetesRun, UniversalRun
from prefect.schedules import *
from prefect.schedules.clocks import CronClock, DatesClock
@task
def say(): ...
with Flow('flow') as flow:
    said = say()
offset = datetime.timezone(datetime.timedelta(hours=2))
start = datetime.datetime(2024, 1, 1, tzinfo=offset)
"""


@pytest.mark.parametrize(
    ("line", "fact", "remedy"),
    [
        ("flow.schedule = CronClock('0 6 * * *')", "its schedule is a clock (CronClock), not a schedule", "write schedule=Schedule(clocks=[CronClock(…)])"),
        ("flow.schedule = '0 6 * * *'", "its schedule is of type str, which is no schedule of Prefect", SCHEDULE),
        ("flow.schedule = [CronClock('0 6 * * *')]", "its schedule is of type list, which is no schedule of Prefect", SCHEDULE),
        ("flow.schedule = CronSchedule", "its schedule is CronSchedule itself, which is not called", "write CronSchedule(…)"),
        ("flow.schedule = CronSchedule('0 6 * * *', start_date=start)", OFFSET, ZONE),
        ("flow.schedule = CronSchedule('0 6 * * *', end_date=start)", OFFSET, ZONE),
        ("flow.schedule = Schedule([DatesClock([start])])", OFFSET, ZONE),
        ("flow.schedule = IntervalSchedule(pendulum.parse('2024-01-01T00:00+02:00'), datetime.timedelta(hours=1))", OFFSET, ZONE),
        ("flow.schedule = CronSchedule('0 6 * * *', start_date=start.date())", "its schedule has a date without a time",
         "give it a datetime: pendulum.datetime(2024, 1, 1)"),
        ("flow.schedule = IntervalSchedule(interval=datetime.timedelta(seconds=9))",
         "its schedule has an interval of less than a minute, which the API does not take", "give it a minute at least"),
        ("flow.schedule = Schedule([CronClock('0 6 * * *')], filters=[lambda day: True])", f"its schedule has a function in `filters` {OWN}",
         "use a function of prefect.schedules.filters, or write clocks that need none"),
        ("flow.schedule = Schedule([CronClock('0 6 * * *')], adjustments=[lambda day: day])", f"its schedule has a function in `adjustments` {OWN}",
         "use a function of prefect.schedules.adjustments, or write clocks that need none"),
        ("flow.schedule = Schedule([CronClock('0 6 * * *', parameter_defaults={'n': {1}})])",
         "its clock has {1} in `parameter_defaults`, which is not JSON", PLAIN_VALUES),
        ("flow.run_config = UniversalRun", "its run config is UniversalRun itself, which is not called", "write UniversalRun(…)"),
        ("flow.run_config = 'docker'", "its run config is of type str, which is no run config of Prefect",
         "write UniversalRun(…), or another of prefect.run_configs"),
        ("flow.run_config = KubernetesRun(job_template={'a': {1}})", "its run config has {'a': {1}} in `job_template`, which is not JSON", PLAIN_VALUES),
        ("flow.run_config = UniversalRun(env={'A': say})",
         "its run config has a value that is not JSON (TypeError: Object of type FunctionTask is not JSON serializable)", PLAIN_VALUES),
        ("flow.add_task(Parameter('day', default=datetime.date(2024, 1, 1)))",
         "the default of parameter 'day' is datetime.date(2024, 1, 1), which is not JSON", f"{PLAIN_VALUES}; for a date, a DateTimeParameter"),
        ("flow.add_task(Parameter('n', default=float('nan')))",
         "the default of parameter 'n' is not JSON (ValueError: Out of range float values are not JSON compliant)",
         f"{PLAIN_VALUES}; for a date, a DateTimeParameter"),
        ("said.max_retries = 3", "task 'say' has `max_retries` without a `retry_delay`", RETRIES),
        ("said.retry_delay = datetime.timedelta(1)", "task 'say' has a `retry_delay` without `max_retries`", RETRIES),
        ("said.cache_for = 5", "task 'say' has a `retry_delay` or `cache_for` of type int", "write datetime.timedelta(seconds=…)"),
        ("said.timeout = datetime.timedelta(1)", "task 'say' has a `timeout` that is no number", "write the seconds as a number: timeout=60"),
        ("other = say.copy(); flow.add_edge(said, other); flow.add_edge(other, said)", "its tasks wait for each other in a circle", "take out one of the edges"),
        ("flow.storage = 'git'", "its storage is of type str, which is no storage of Prefect", "leave it out: a push sets it"),
    ],
)  # fmt: skip
def test_what_prefect_does_not_store_is_named(repository: Checked, line: str, fact: str, remedy: str) -> None:
    said = told(repository, {"a.py": f"{HEAD}{line}\n"})
    assert said == f"a.py: flow 'flow': {fact}, so it cannot be registered [not-serializable]\n  hint: {remedy}"


def test_a_sentence_ends_once(repository: Checked) -> None:
    said = told(repository, {"a.py": FLOW + "raise ValueError('This is not in a Flow.')\n"})
    assert ": does not load: ValueError: This is not in a Flow; every run would fail before its first task [" in said


def test_hints_that_know_the_cause(repository: Checked) -> None:
    files = {
        "a.py": "import os\n" + FLOW + "os.environ['DATABASE']\n",
        "b.py": "from prefect.client import Secret\n" + FLOW + "Secret('KEY').get()\n",
        "c.py": FLOW + "print(flow.run().result)\n",
        "d.py": FLOW + "x = (\n",
        "e.py": "import pandas_of_the_team\n" + FLOW,
    }
    hints = [one.hint for file in repository.check(files) for one in file.findings if one.code == "does-not-load"]
    python = repository.python.describe()
    assert hints == [
        'read it inside a task, or give what the runtime has at load time: env = { DATABASE = "…" }',
        'read the secret inside a task, or give a dummy one for loading: env = { PREFECT__CONTEXT__SECRETS__KEY = "…" }',
        'under an agent flow.run() returns None: put the call, and what uses its state, under `if __name__ == "__main__":`',
        f"mend the line; the file is read by {python}, as the agent's Python would",
        f"install 'pandas_of_the_team' in {python} and in the image that runs the flow",
    ]


def storage(arguments: str, kind: str = "Git") -> str:
    return f"from prefect import Flow\nfrom prefect.storage import {kind}\nflow = Flow('flow', storage={kind}({arguments}))\n"


def test_declared_storage(repository: Checked) -> None:
    files = {
        "a.py": storage("flow_path='/a.py', repo='team/flows', repo_host='gitlab.com'").replace("'flow',", "'a',"),
        "b.py": storage("flow_path='b.py', repo='team/flows', repo_host='gitlab.com', commit='1234'").replace(
            "'flow',", "'b',"
        ),
        "c.py": storage("flow_path='c.py', repo='Team/Flows', repo_host='gitlab.com'").replace("'flow',", "'c',"),
        "d.py": storage("flow_path='d.py', repo='other/flows'").replace("'flow',", "'d',"),
        "e.py": storage("flow_path='e.py', git_clone_url_secret_name='URL'").replace("'flow',", "'e',"),
        "f.py": storage("bucket='b'", "S3").replace("'flow',", "'f',"),
        # A subclass counts as Prefect's own.
        "g.py": storage("flow_path='x.py', repo='team/flows', repo_host='gitlab.com'").replace("'flow',", "'g',").replace(
            "flow =", "class Ours(Git): pass\nflow =").replace("storage=Git(", "storage=Ours("),
        "h.py": storage("bucket='b'", "S3").replace("'flow',", "'h',").replace(
            "flow =", "class Ours(S3): pass\nflow =").replace("storage=S3(", "storage=Ours("),
    }  # fmt: skip
    found = [
        (file.path, [(one.code, one.flow) for one in file.findings])
        for file in repository.check(files, storage=TEAM)
    ]
    assert found == [
        ("a.py", [("wrong-flow-path", "a")]), ("b.py", [("commit-pin", "b")]), ("c.py", []), ("d.py", [("wrong-repository", "d")]),
        ("e.py", []), ("f.py", [("other-storage", "f")]),
        ("g.py", [("wrong-flow-path", "g")]), ("h.py", [("other-storage", "h")]),
    ]  # fmt: skip
    again = repository.check({name: files[name] for name in ("a.py", "b.py", "d.py")}, storage=TEAM)
    assert [file.cached for file in again] == [True, True, True]
    assert "\n".join(finding_text.findings(file.findings, PLAIN) for file in again) == (
        "a.py: warning: flow 'a': its storage says flow_path='/a.py', but the flow is in 'a.py'; a push registers it with "
        "the right path [wrong-flow-path]\n"
        '  hint: write flow_path="a.py", or leave the storage out: a push sets it\n'
        "b.py: warning: flow 'b': its storage says commit='1234', which Prefect ignores: agents run the default branch; a push "
        "registers it with the pushed branch or tag [commit-pin]\n"
        "  hint: pin a tag with tag=, or leave the storage out and push a tag\n"
        "d.py: warning: flow 'd': its storage is github.com/other/flows, but this repository is gitlab.com/team/flows; a push "
        "registers it with gitlab.com/team/flows [wrong-repository]\n"
        "  hint: correct repo and repo_host, or leave the storage out: a push sets it"
    )


def test_names_are_unique_over_the_repository(repository: Checked) -> None:
    docker = "from prefect import Flow\nfrom prefect.storage import S3\nflow = Flow('flow', storage=S3(bucket='b'))\n"
    files = {"a.py": FLOW, "b.py": FLOW, "c.py": docker, "d.py": FLOW.replace("'flow'", "'other'")}
    found = [(file.path, sorted(one.code for one in file.findings)) for file in repository.check(files)]
    assert found == [
        ("a.py", ["duplicate-name"]),
        ("b.py", ["duplicate-name"]),
        ("c.py", ["other-storage"]),
        ("d.py", []),
    ]
    found = [
        (file.path, sorted(one.code for one in file.findings))
        for file in repository.check(files, Settings(storage="replace"))
    ]
    assert found[2] == ("c.py", ["duplicate-name"])
    only = repository.check(files, only={"d.py"})
    assert [file.path for file in only] == ["d.py"]


def test_no_flow(repository: Checked) -> None:
    files = {
        "hidden.py": "from prefect import Flow\nif __name__ == '__main__':\n    flow = Flow('x')\n",
        "helper.py": "x = 1\n",
        "odd.py": "# prefect Flow\nmatch = 1\nprint 'x'\n",
    }
    assert [(file.path, [(one.code, one.severity) for one in file.findings]) for file in repository.check(files)] == [
        ("hidden.py", [("no-flow", "error")]), ("odd.py", [("does-not-load", "error")]),
    ]  # fmt: skip
    explicit = repository.check(files, Settings(flows=["h*.py"]))
    assert [(file.path, [(one.code, one.severity) for one in file.findings]) for file in explicit] == [
        ("helper.py", [("no-flow", "warning")]), ("hidden.py", [("no-flow", "error")]),
    ]  # fmt: skip


def test_a_flow_file_that_is_a_pointer_of_lfs(repository: Checked) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    files = repository.check({"a.py": pointer}, Settings(flows=["*.py"]))
    assert [[one.code for one in file.findings] for file in files] == [["lfs-pointer", "does-not-load"]]


def test_a_relative_path_into_a_folder_of_the_repository(repository: Checked) -> None:
    """What the folder holds says that it is the repository's; a file of nobody's is merely missing."""
    files = {
        "flows/a.py": "import os\n" + FLOW + "os.listdir('sql')\n",
        "flows/sql/rows.csv": "",
        "b.py": FLOW + "open('nowhere/rows.csv')\n",
    }
    found = {file.path: [one.code for one in file.findings] for file in repository.check(files)}
    assert found == {"flows/a.py": ["file-not-on-agent"], "b.py": ["does-not-load"]}
