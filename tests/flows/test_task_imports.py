"""Imports that run with a task: the clone is gone by then."""

from __future__ import annotations

import pytest

from git_prefect.core.settings import Settings

from .conftest import Checked

PLACE = "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[0]))\n"
START = PLACE + "from prefect import Flow, Task, task\n"
END = "with Flow('x') as flow:\n    run_it()\n"
LIB = {"lib/__init__.py": "", "lib/util.py": "x = 1\n", "docs/pack_of_the_image/x.py": "", "lib/late.py": "def helper():\n    import lib.util\n    return lib.util\n"}

WAYS = {
    "in a task": ("@task\ndef run_it():\n    from lib.util import x\n    return x\n", [("error", "flow 'x': task 'run_it' imports 'lib.util' when", 6)]),
    "in a function inside a task": (
        "@task\ndef run_it():\n    def inner():\n        import lib\n    return inner()\n",
        [("error", "flow 'x': task 'run_it' imports 'lib' when", 7)],
    ),
    "in a class": (
        "class Run(Task):\n    def run(self):\n        import lib.util as u\n        return u\nrun_it = Run(name='it')\n",
        [("error", "flow 'x': task 'it' imports 'lib.util' when", 6)],
    ),
    "in a helper": (
        "def helper():\n    import lib.util\n@task\ndef run_it():\n    helper()\n",
        [("warning", "flow 'x': task 'run_it' calls a function that imports 'lib.util' when", 5)],
    ),
    "in a helper of a module": (
        "from lib.late import helper\n@task\ndef run_it():\n    helper()\n",
        [("warning", "flow 'x': task 'run_it' calls a function that imports 'lib.util' (in lib/late.py:2) when", None)],
    ),
    "loaded before": ("import lib.util\n@task\ndef run_it():\n    import lib.util\n    from lib import util\n", []),
    "in a try": ("@task\ndef run_it():\n    try:\n        import lib.util\n    except ImportError:\n        pass\n", []),
    "in a try that catches nothing": (
        "@task\ndef run_it():\n    try:\n        import lib.util\n    finally:\n        pass\n",
        [("error", "flow 'x': task 'run_it' imports 'lib.util' when", 7)],
    ),
    "of what is installed": ("@task\ndef run_it():\n    import json, pendulum\n    import prefect.utilities.aws\n", []),
    "of a package whose name a folder elsewhere has": ("@task\ndef run_it():\n    import pack_of_the_image\n", []),
    "of what is nowhere": ("@task\ndef run_it():\n    import of_the_image_only\n", []),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_late_imports(repository: Checked, way: str) -> None:
    body, expected = WAYS[way]
    (file,) = repository.check({**LIB, "a.py": START + body + END}, Settings(exclude=["lib/"]))
    ends = " it runs; only the repository has it, and the clone is deleted by then: the task would fail"
    assert [(one.severity, one.message, one.line) for one in file.findings if one.code == "import-in-task"] == [
        (severity, said + ends, line) for severity, said, line in expected
    ]
    assert [one.code for one in file.findings if one.code != "import-in-task"] == []


def test_what_the_image_has_may_be_imported_late(repository: Checked) -> None:
    body = WAYS["in a task"][0]
    (file,) = repository.check({**LIB, "a.py": START + body + END}, Settings(exclude=["lib/"], import_roots=["."]))
    assert file.findings == ()


def test_without_the_place_on_sys_path(repository: Checked) -> None:
    """Nothing finds the module at load either, but nothing asks for it."""
    source = "from prefect import Flow, task\n" + WAYS["in a task"][0] + END
    (file,) = repository.check({**LIB, "a.py": source}, Settings(exclude=["lib/"]))
    assert [(one.code, one.severity) for one in file.findings] == [("import-in-task", "error")]


def test_a_module_that_the_repository_has_later(repository: Checked) -> None:
    """The flow file is the same: what it imports in a task is another question to each tree."""
    source = "from prefect import Flow, task\n@task\ndef run_it():\n    import later_zz\n" + END
    for more, codes in ({}, []), ({"later_zz.py": ""}, ["import-in-task"]), ({}, []):
        (file,) = repository.check({"a.py": source, **more})
        assert [one.code for one in file.findings] == codes
