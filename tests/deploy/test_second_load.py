"""`git prefect validate --twice`: what of a flow differs each time that its file is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ..repository import Clone
from ..test_cli import FLOW, git_prefect

pytestmark = pytest.mark.slow

IMPORTS = "import datetime, itertools, random, time, uuid\nimport pendulum\nfrom prefect import Flow, Parameter, task\n"
MADE = IMPORTS + 'from prefect.schedules import IntervalSchedule\n\n@task\ndef one(rows=None): ...\n\nwith Flow("etl") as flow:\n'
OF_A_SET = """\
    last = one()
    for name in {"a", "b", "c", "d", "e", "f", "g", "h"}:
        last = task(lambda rows: rows, name=name)(last)
"""
VERSIONS = "each edit registers a new version, and `git prefect status` reports a difference that no registration settles"
RUN_FAILS = "an agent runs tasks that are not registered, and the run fails"


def validated(work: Clone, source: str, *arguments: str, **environ: str) -> tuple[int, list[str]]:
    """Exit code, and the lines of what differs, of `validate --twice` on one flow file; its hint has to follow."""
    work.commit({"etl.py": source})
    code, out, err = git_prefect(work.path, "validate", "--twice", *arguments, **environ)
    assert err == ""
    lines = out.splitlines()
    found = [number for number, line in enumerate(lines) if line.endswith("[differs-each-load]")]
    assert all(lines[number + 1].startswith("  hint: ") for number in found)
    return code, [lines[number] for number in found]


@pytest.mark.parametrize(
    ("body", "severity", "differs", "said"),
    [
        (OF_A_SET, "warning: ", r"edge added: .* → .* \(rows\)", VERSIONS),
        ("    one(task(lambda: 1, name=str(uuid.uuid4()))())\n", "", "task renamed: .*-1 → .*-1", RUN_FAILS),
        ("    one(rows=Parameter(f'day-{time.time_ns()}', default=1))\n", "", "parameter added: day-.*; parameter removed: day-.*", RUN_FAILS),
        (
            "    one(rows=Parameter('day', default=str(datetime.datetime.now())))\n", "warning: ",
            "parameter day: default .* → .*", VERSIONS,
        ),
        (
            "    one()\nflow.schedule = IntervalSchedule(pendulum.now(), datetime.timedelta(hours=1))\n", "warning: ",
            "schedule every 1 h.*: start_date .* → .*", VERSIONS,
        ),
        ("    task(lambda: 1, name='x', max_retries=0, timeout=time.time_ns() % 10**9)()\n", "warning: ", "task x-1: timeout .* → .*", VERSIONS),
    ],
)  # fmt: skip
def test_what_differs_is_named(work: Clone, body: str, severity: str, differs: str, said: str) -> None:
    code, found = validated(work, MADE + body)
    assert code == (1 if not severity else 0)
    pattern = rf"etl\.py: {severity}flow 'etl' differs at each load \({differs}.*\): {re.escape(said)} \[differs-each-load\]"
    assert [bool(re.fullmatch(pattern, line)) for line in found] == [True], found


def test_a_name_with_the_time(work: Clone) -> None:
    code, found = validated(work, f"import time\n{FLOW.replace('{name}', 'etl-').replace('-' + chr(39), '-' + chr(39) + ' + str(time.time_ns())')}")
    (line,) = found
    assert code == 1
    assert re.fullmatch(
        r"etl\.py: flow 'etl-\d+' has another name at each load, then 'etl-\d+': an agent looks for the registered name, and "
        r"every run fails \[differs-each-load\]", line,
    )  # fmt: skip


def test_a_flow_that_is_there_only_at_times(work: Clone) -> None:
    """Only a second load has a hash seed that is set."""
    source = FLOW.format(name="etl") + "import os\nif os.environ.get('PYTHONHASHSEED'):\n    del flow\n"
    code, (line,) = validated(work, source)
    assert (code, line) == (
        1,
        "etl.py: flow 'etl' has another name at each load: an agent looks for the registered name, and every run fails "
        "[differs-each-load]",
    )


def test_a_load_that_fails_only_at_times(work: Clone) -> None:
    source = FLOW.format(name="etl") + "import os\nif os.environ.get('PYTHONHASHSEED'):\n    1 / 0\n"
    code, (line,) = validated(work, source)
    assert (code, line) == (
        0,
        "etl.py: warning: loads at one time and fails at the next (does not load: ZeroDivisionError: division by zero; every run "
        "would fail before its first task) [differs-each-load]",
    )


@pytest.mark.parametrize(
    "body",
    [
        OF_A_SET.replace('in {"a"', 'in sorted({"a"').replace('"h"}', '"h"})'),
        # The same tasks and edges, in whatever order.
        "    for name in {'a', 'b', 'c', 'd', 'e', 'f'}:\n        task(lambda: 1, name=name, tags={'x', 'y', 'z', name})()\n",
        "    one(rows=Parameter('day', default=None))\n    now = datetime.datetime.now()\n",
    ],
)
def test_what_is_the_same_each_time(work: Clone, body: str) -> None:
    assert validated(work, MADE + body) == (0, [])


@pytest.mark.parametrize(
    ("makes", "found"),
    [
        ("for name in {'a', 'b'}: pass\n", True), ("set('ab')\n", True), ("{x for x in 'ab'}\n", True),
        ("task(lambda: 1, tags={'a', 'b'})\n", False), ("{'a': 1}\n", False),
    ],
)  # fmt: skip
def test_a_file_that_makes_a_set_is_loaded_under_further_seeds(
    work: Clone, tmp_path: Path, makes: str, found: bool
) -> None:
    """A set of few names may be in the same order by chance: here the third load is the first that differs."""
    loads = tmp_path / "loads"
    loads.touch()
    source = f"number = len(open({str(loads)!r}).readlines())\nopen({str(loads)!r}, 'a').write('x\\n')\n"
    source += FLOW.replace("'{name}'", "'etl' if number < 2 else 'other'") + makes
    assert validated(work, source)[0] == int(found)
    assert len(loads.read_text().split()) == (3 if found else 2)


def test_the_hash_seed_that_the_settings_give_is_the_agents(work: Clone) -> None:
    work.commit({"pyproject.toml": '[tool.git-prefect]\nenv = { PYTHONHASHSEED = "7" }\n'})
    assert validated(work, MADE + OF_A_SET) == (0, [])


def test_named_files_a_ref_and_other_formats(work: Clone) -> None:
    work.commit({"other.py": MADE.replace("etl", "other") + OF_A_SET, "lib/made.py": "from prefect import Flow\n"})
    code, found = validated(work, MADE + OF_A_SET, "etl.py")
    assert (code, [line.split(":")[0] for line in found]) == (0, ["etl.py"])
    code, found = validated(work, MADE + OF_A_SET + "#\n", "--ref", "main")
    assert (code, [line.split(":")[0] for line in found]) == (0, ["etl.py", "other.py"])
    code, out, _ = git_prefect(work.path, "validate", "--twice", "--format", "json")
    assert [(one["code"], one["flow"], one["severity"]) for one in json.loads(out)["findings"]] == [
        ("differs-each-load", "etl", "warning"), ("differs-each-load", "other", "warning"),
    ]  # fmt: skip
    assert git_prefect(work.path, "validate", "--twice", "--since", "HEAD~1") == (
        2, "", "git-prefect: --since loads flow files once, and --twice is given\nhint: leave out --twice, or --since\n",
    )  # fmt: skip


def test_the_second_load_is_never_a_known_one_and_never_kept(work: Clone) -> None:
    assert validated(work, MADE + OF_A_SET)[1]
    kept = {file: file.read_bytes() for file in (work.path / ".git" / "git-prefect" / "verdicts").rglob("*") if file.is_file()}
    for _ in range(2):
        # The first load is the known one by now.
        assert len(validated(work, MADE + OF_A_SET)[1]) == 1
    now = {file: file.read_bytes() for file in (work.path / ".git" / "git-prefect" / "verdicts").rglob("*") if file.is_file()}
    assert now == kept
    # And without --twice nothing is told.
    code, out, _ = git_prefect(work.path, "validate")
    assert (code, "differs" in out) == (0, False)
