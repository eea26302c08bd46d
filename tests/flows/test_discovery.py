"""Which files may define a flow."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from git_prefect.core.settings import Settings
from git_prefect.flows.discovery import flow_files, flow_paths, leading_imports, looks_around, what_it_tells

from ..corpus.repositories import Link, Submodule
from .conftest import FLOW, Checked

BUILD = {
    "from prefect import Flow\nflow = Flow('x')": "flow",
    "from prefect import Flow as F\nwith F('x') as flow:\n    pass": "flow",
    "from prefect import *\nflow = Flow('x')": "flow",
    "from prefect.core import Flow\nflow = Flow('x')": "flow",
    "from prefect.core.flow import Flow\nflow = Flow('x')": "flow",
    "from prefect.core import flow as core\nx = core.Flow('x')": "flow",
    "import prefect\nflow = prefect.Flow('x')": "flow",
    "import prefect as p\nwith p.Flow('x') as flow: pass": "flow",
    "import prefect.core.flow\nflow = prefect.core.flow.Flow('x')": "flow",
    "from prefect import Flow\nflows = [Flow(n) for n in 'ab']": "flow",
    "from prefect import Flow\nif __name__ == '__main__':\n    flow = Flow('x')": "flow",
    "from prefect import Flow\ndef make():\n    return Flow('x')\nflow = make()": "flow",
    "from prefect import Flow\ndef make():\n    return Flow('x')\ndef main():\n    make()\nif __name__ == '__main__':\n    main()": "flow",
    "from prefect import Flow\nclass Ours(Flow): pass\nflow = Ours('x')": "flow",
    "from prefect import Flow\nclass Maker:\n    def build(self):\n        return Flow('x')\nflow = Maker().build()": "flow",
    "from prefect import Flow\ndef f(flow=Flow('x')): pass": "flow",
    "from prefect import Flow\nfrom functools import partial\nOurs = partial(Flow, schedule=None)\nwith Ours('x') as flow: pass": "flow",
    "import prefect, functools\nOurs = functools.partial(prefect.Flow, 'x')\nflow = Ours()": "flow",
    "from functools import partial\nfrom prefect import Flow\ndef make(name):\n    return Flow(name)\neu = partial(make, 'eu')\nflow = eu()": "flow",
    "import prefect\nFlow = prefect.Flow\nflow = Flow('x')": "flow",
    "from prefect import Flow\nmake = lambda name: Flow(name)\nflow = make('x')": "flow",
    "from prefect import Flow\nflow = (lambda name: Flow(name))('x')": "flow",
    "from prefect import Flow\ndef a_flow(f):\n    return Flow(f.__name__)\n@a_flow\ndef x(): pass": "flow",
    "from prefect import Flow\ndef named(name):\n    def decorate(f):\n        return Flow(name)\n    return decorate\n@named('x')\ndef x(): pass": "flow",
    "from prefect import Flow\ndef make():\n    return Flow('x')\nflow = make()\nclass T:\n    def make(self): pass": "flow",
    "from prefect import Flow\nclass Maker:\n    @classmethod\n    def build(cls):\n        return Flow('x')\nflow = Maker.build()": "flow",
    "from prefect import Flow\na = b = a\nflow = a('x')": "none",
    "import os\nfrom prefect import Flow\nE = os.environ.get('E')\nclass Registry:\n    def get(self, name):\n        return Flow(name)": "none",
    "from prefect import Flow\nfrom functools import partial\nOurs = partial(Flow, schedule=None)": "none",
    "from prefect import Flow\nmake = lambda name: Flow(name)": "none",
    "from prefect import Flow\ndef make():\n    return Flow('x')": "none",
    "from prefect import Flow\ndef test_it():\n    with Flow('x') as flow: pass": "none",
    "from prefect import task, Flow\n@task\ndef f(flow: Flow): pass": "none",
    "from flask import Flow\nflow = Flow('x')  # not prefect": "none",
    "import prefect\nprefect.Workflow": "none",
    "from prefect import task": "none",
    "# prefect Flow": "none",
    "from prefect import Flow\nflow = Flow('x'\n": "mentions",
    "print 'prefect Flow'": "mentions",
}


@pytest.mark.parametrize("source", BUILD)
def test_what_a_source_tells(source: str) -> None:
    assert what_it_tells(source.encode()) == BUILD[source]


FILES = {
    "a.py": FLOW, "flows/b.py": FLOW, "flows/deep/c.py": FLOW, "flows/helper.py": "x = 1\n", "flows/notes.txt": FLOW,
    "archive/d.py": FLOW, "link.py": Link("link-2"), "link-2": Link("flows/b.py"), "loop.py": Link("loop.py"), "dead.py": Link("nowhere.py"), "out.py": Link("../out.py"),
    "vendor": Submodule("1" * 40), "flows/broken.py": FLOW + "def (", "été/f l.py": FLOW,
}  # fmt: skip


@pytest.mark.parametrize(
    ("flows", "exclude", "found"),
    [
        ([], [], ["a.py", "archive/d.py", "flows/b.py", "flows/broken.py", "flows/deep/c.py", "link.py", "été/f l.py"]),
        ([], ["archive/**"], ["a.py", "flows/b.py", "flows/broken.py", "flows/deep/c.py", "link.py", "été/f l.py"]),
        (["flows/*.py"], [], ["flows/b.py", "flows/broken.py", "flows/helper.py"]),
        (["flows/**/*.py"], ["helper.py"], ["flows/b.py", "flows/broken.py", "flows/deep/c.py"]),
        (["/*.py"], [], ["a.py", "link.py"]),
        (["flows/**", "!flows/deep/**"], [], ["flows/b.py", "flows/broken.py", "flows/helper.py"]),
        (["nothing/**"], [], []),
    ],
)
def test_patterns(repository: Checked, flows: list[str], exclude: list[str], found: list[str]) -> None:
    assert flow_paths(repository.tree(FILES), Settings(flows=flows, exclude=exclude)) == sorted(found)


def test_what_is_known_is_not_read_again(repository: Checked) -> None:
    tree = repository.tree({path: content for path, content in FILES.items() if not isinstance(content, Link)})
    memory: dict[str, str] = {}
    first = flow_files(tree, Settings(), memory)
    unread = replace(tree, read=lambda _: pytest.fail("a blob was read"))
    assert flow_files(unread, Settings(), memory) == first


@pytest.mark.parametrize(
    ("source", "around"),
    [
        ("x = 1", False), ("open('data.csv')", False), ("import os; os.path.exists('x')", False), ("import pandas", False),
        ("__file__", True), ("import inspect", True), ("sys._getframe()", True), ("globals()['x']", True), ("import subprocess", True),
        ("from os import system", True), ("os.popen('x')", True), ("import ctypes", True), ("sys . path", True), ("__\ufb01le__", True),
        ("# -*- coding: utf-7 -*-\n+AF8AXwBm-ile__", True), ("# coding: latin-1\nx = 1", False), ("# été", False),
    ],
)  # fmt: skip
def test_looks_around(source: str, around: bool) -> None:
    assert looks_around(source.encode()) is around


def test_leading_imports() -> None:
    source = "'''Doc.'''\nfrom __future__ import annotations\nimport os, a.b as c\nfrom d.e import f\nimport os\nx = 1\nimport late\n"
    assert leading_imports(source.encode()) == ["os", "a.b", "d.e"]
    assert leading_imports(b"import a\nfrom . import b\nimport c\n") == ["a"]
    assert leading_imports(b"def (") == []
