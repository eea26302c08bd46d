"""A flow belongs to the file whose top level made it: what an import brings along is no flow of the importer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_prefect.core.settings import Settings

from ..corpus.agents import ask, served
from ..corpus.repositories import make_repository
from .conftest import Checked

HERE = Settings(import_roots=["."])
BASE = "from prefect import Flow, task\n@task\ndef say():\n    pass\nwith Flow('base') as base:\n    say()\n"
UNASKED = "from base import base\nfrom prefect import Flow\nflow = Flow('own')\n"

SHAPES = {
    "imported beside one of its own": ({"b.py": UNASKED}, {"base.py": ["base"], "b.py": ["own"]}),
    "a deep copy": (
        {"b.py": "from copy import deepcopy\nfrom base import base\nmine = deepcopy(base)\nmine.name = 'mine'\n"},
        {"base.py": ["base"], "b.py": ["mine"]},
    ),
    "a copy by its method": (
        {"b.py": "from base import base\nmine = base.copy()\nmine.name = 'mine'\n"}, {"base.py": ["base"], "b.py": ["mine"]},
    ),
    "a copy of a copy": (
        {"b.py": "from base import base\nmine = base.copy()\nmine.name = 'mine'\n",
         "c.py": "import copy\nfrom b import mine, base\nthird = copy.copy(mine)\nthird.name = 'third'\n"},
        {"base.py": ["base"], "b.py": ["mine"], "c.py": ["third"]},
    ),
    "imported and changed": (
        {"b.py": "from base import base\nbase.name = 'changed'\n"}, {"base.py": ["base"], "b.py": ["changed"]},
    ),
    "made by a function of a module": (
        {"lib.py": "from prefect import Flow\ndef make(name):\n    flow = Flow(name)\n    flow.name = name.upper()\n    return flow\n",
         "b.py": "from lib import make\nflow = make('x')\n", "c.py": "from lib import make\nflow = make('y')\nfrom b import flow as other\n"},
        {"base.py": ["base"], "b.py": ["X"], "c.py": ["Y"]},
    ),
    "of a module that is excluded, with one importer": (
        {"old/lib.py": BASE.replace("base", "old"), "b.py": "from old.lib import old\nfrom prefect import Flow\nx = Flow('x')\n"},
        {"base.py": ["base"], "b.py": ["old", "x"]},
    ),
    "of a module that does not load alone": (
        {"lib.py": "import builtins\nbuiltins.READY\n" + BASE.replace("base", "lib"),
         "b.py": "import builtins\nbuiltins.READY = 1\nfrom lib import lib\nfrom prefect import Flow\nx = Flow('x')\n"},
        {"base.py": ["base"], "lib.py": [], "b.py": ["lib", "x"]},
    ),
    "of a list that another file holds": (
        {"lib.py": "from prefect import Flow\nflows = {n: Flow(n) for n in 'ab'}\nown = Flow('own')\n",
         "b.py": "from lib import flows\nfrom prefect import Flow\na = flows['a']\nx = Flow('x')\n"},
        {"base.py": ["base"], "lib.py": ["own"], "b.py": ["a", "x"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_owner(repository: Checked, shape: str) -> None:
    more, owners = SHAPES[shape]
    files = {"base.py": BASE, **more}
    settings = Settings(import_roots=["."], exclude=["old/"])
    for cached in (False, True):
        checked = repository.check(files, settings)
        assert {file.path: sorted(flow.name for flow in file.flows) for file in checked} == owners
        assert all(file.cached for file in checked) is cached or shape == "of a module that does not load alone"
    # Prefect's own loader finds each flow in the file that has it.
    pairs = [(path, name) for path, names in owners.items() for name in names]
    assert found_by_agents(repository.place, files, pairs) == [name for _, name in pairs]


def found_by_agents(place: Path, files: dict[str, str], pairs: list[tuple[str, str]]) -> list[str]:
    """The names of the flows that `prefect.storage.Git` gives for these paths and names, in an image with all the files."""
    make_repository(place / "clone.git", {"main": files})
    for path, content in files.items():
        (place / "image" / path).parent.mkdir(parents=True, exist_ok=True)
        (place / "image" / path).write_text(content)
    with served(place) as url:
        answers = ask(place, [
            {"storage": {"flow_path": path, "flow_name": name, "branch_name": "main"}, "name": name, "url": f"{url}/clone.git",
             "secrets": {}, "env": {}, "sys_path": [str(place / "image")], "timeout": 30}
            for path, name in pairs
        ])  # fmt: skip
    return [answer.get("name", answer) for answer in answers]


def test_several_importers_of_a_flow_that_no_file_registers(repository: Checked) -> None:
    importer = "from old.lib import old\nfrom prefect import Flow\n"
    files = {"old/lib.py": BASE.replace("base", "old"), "b.py": importer + "x = Flow('x')\n", "c.py": importer + "y = Flow('y')\n"}
    checked = repository.check(files, Settings(import_roots=["."], exclude=["old/"]))
    assert [(file.path, one.code, one.flow, one.message, one.hint) for file in checked for one in file.findings] == [
        (
            path, "duplicate-name", "old",
            f"flow 'old' is made by old/lib.py, where no agent finds it, and imported here as well as in {other}: "
            "each registration would replace the other",
            "import it in one flow file only, or let old/lib.py be a flow file that holds it in a global variable",
        )
        for path, other in (("b.py", "c.py"), ("c.py", "b.py"))
    ]  # fmt: skip
    # What is wrong with one flow leaves out that flow, not the file.
    assert [[flow.name for flow in file.sound_flows] for file in checked] == [["x"], ["y"]]


def test_a_file_that_is_checked_alone_has_its_own_flows_only(repository: Checked) -> None:
    (file,) = repository.check({"base.py": BASE, "b.py": UNASKED}, HERE, only=["b.py"])
    assert ([flow.name for flow in file.flows], [flow.name for flow in file.imported]) == (["own"], ["base"])


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("from lib import make\nflows = [make('x')]\n", ["no-flow"]),
        ("from lib import make\nif False:\n    flow = make('x')\n", None),
        ("from lib import make\nglobals()['made'] = make('x')\n", []),
    ],
)
def test_what_calls_a_function_that_may_make_a_flow(repository: Checked, source: str, codes: list[str] | None) -> None:
    """It is told of only where a flow was made: else the function made none."""
    files = {"a.py": source, "lib.py": "from prefect import Flow\ndef make(name):\n    return Flow(name)\n"}
    found = {file.path: [one.code for one in file.findings] for file in repository.check(files, HERE)}
    assert found == ({} if codes is None else {"a.py": codes})


def test_an_imported_flow_with_another_schedule_is_a_flow_of_both_files(repository: Checked) -> None:
    change = "from base import base\nfrom prefect.schedules import CronSchedule\nbase.schedule = CronSchedule('0 1 * * *')\n"
    checked = repository.check({"base.py": BASE, "b.py": change}, HERE)
    assert [(file.path, [flow.name for flow in file.flows]) for file in checked] == [("b.py", ["base"]), ("base.py", ["base"])]
    assert [(one.code, one.flow) for file in checked for one in file.findings] == [("duplicate-name", "base")] * 2
