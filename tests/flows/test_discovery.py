"""Which files may define a flow."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from git_prefect.core.settings import Settings
from git_prefect.flows.definitions import plainly_builds
from git_prefect.flows.discovery import (
    Packages,
    flow_files,
    flow_paths,
    imports_from_its_place,
    knows_its_place,
    looks_unseen,
)
from git_prefect.flows.imports import Imports
from git_prefect.flows.source_memory import Memory

from ..corpus.repositories import Link, Submodule
from .conftest import FLOW, Checked, sources_only, what_it_tells

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
    "from prefect import Flow\nflow = Flow('x'\n": "flow",
    "print 'prefect Flow'": "mentions",
}


@pytest.mark.parametrize("source", BUILD)
def test_what_a_source_tells(source: str) -> None:
    assert what_it_tells(source) == BUILD[source]


SUBCLASS = "import prefect\nclass TeamFlow(prefect.Flow):\n    pass\n"
MAKE = "from prefect import Flow\ndef make(name):\n    with Flow(name) as flow:\n        pass\n    return flow\n"
BASE = "from prefect import Flow\nwith Flow('base') as base:\n    pass\n"
CALLS = {
    "a subclass of a shared module": (
        {"a/flows.py": "from lib.core import TeamFlow\nwith TeamFlow('x') as f:\n    pass\n", "lib/core.py": SUBCLASS},
        {"a/flows.py": "flow"},
    ),
    "a function of a shared module": (
        {"a/flows.py": "from lib.core import make\nflow = make('x')\n", "lib/core.py": MAKE}, {"a/flows.py": "makes"},
    ),
    "a re-export, a star and an alias": (
        {"a/flows.py": "import lib as l\nF = l.TeamFlow\nf = F('x')\n", "lib/__init__.py": "from .names import *\n",
         "lib/names.py": "from .core import TeamFlow as TeamFlow\n", "lib/core.py": SUBCLASS},
        {"a/flows.py": "flow"},
    ),
    "a subclass of a subclass": (
        {"a.py": "import lib.two\nf = lib.two.Two('x')\n", "lib/__init__.py": "", "lib/one.py": SUBCLASS,
         "lib/two.py": "from lib.one import TeamFlow\nclass Two(TeamFlow):\n    pass\n"},
        {"a.py": "flow"},
    ),
    "copies of an imported flow": (
        {"base.py": BASE, "b.py": "from copy import deepcopy\nfrom base import base\nmine = deepcopy(base)\n",
         "c.py": "import base as other\nmine = other.base.copy(name='c')\n", "d.py": "from base import base\nbase.run()\n",
         "e.py": "import copy, base\nmine = copy.copy(base.base)\nmore = copy.deepcopy(mine)\n", "f.py": "from e import more\nx = more.copy()\n"},
        {"base.py": "flow", "b.py": "flow", "c.py": "flow", "e.py": "flow", "f.py": "flow"},
    ),
    "an imported flow that is changed": (
        {"base.py": BASE, "b.py": "from base import base\nbase.schedule = None\n"}, {"base.py": "flow", "b.py": "flow"},
    ),
    "a function that returns a copy, and one that is a context": (
        {"base.py": BASE + "from contextlib import contextmanager\ndef copy_of(name):\n    return base.copy(name=name)\n"
         "@contextmanager\ndef team(name):\n    with Flow(name) as f:\n        yield f\n",
         "b.py": "from base import copy_of\nx = copy_of('b')\n", "c.py": "from base import team\nwith team('c') as f:\n    pass\n"},
        {"base.py": "flow", "b.py": "makes", "c.py": "makes"},
    ),
    "a method of an imported class": (
        {"m.py": "from prefect import Flow\nclass Base:\n    def build(self):\n        return Flow('x')\n    def log(self): pass\nclass Maker(Base): pass\n",
         "b.py": "from m import Maker\nflow = Maker().build()\n", "c.py": "from m import Maker\nmaker = Maker()\nflow = maker.build()\n",
         "d.py": "from m import Maker\nMaker().log()\n"},
        {"b.py": "makes", "c.py": "makes"},
    ),
    "lists and dicts": (
        {"lib.py": SUBCLASS, "a.py": "from lib import TeamFlow\nflows = [TeamFlow(n) for n in 'ab']\n",
         "b.py": "from lib import TeamFlow\nflows = {n: TeamFlow(n) for n in 'ab'}\n"},
        {"a.py": "flow", "b.py": "flow"},
    ),
    "an import in a cycle": (
        {"a.py": "from b import make\nflow = make()\n", "b.py": "import a\nfrom c import make\n", "c.py": "from b import make\n"}, {},
    ),
    "what returns no flow": (
        {"lib.py": "from prefect import Flow\ndef check():\n    Flow('x')\n    return 1\ndef helper(): return 2\n",
         "script.py": "from lib import check, helper\ncheck()\nhelper()\n"},
        {},
    ),
    "a folder on sys.path": (
        {"src/flows/a.py": "from shared.core import TeamFlow\nf = TeamFlow('a')\n", "src/shared/core.py": SUBCLASS}, {"src/flows/a.py": "flow"},
    ),
    "tests, conftest and setup.py": (
        {"lib.py": SUBCLASS, **dict.fromkeys(["test_a.py", "a_test.py", "conftest.py", "setup.py", "tests/b.py"],
                                             "from lib import TeamFlow\nf = TeamFlow('a')\n"),
         **dict.fromkeys(["test_c.py", "lib/conftest.py", "lib/setup.py"], "import prefect\nfrom lib import TeamFlow\nf = TeamFlow('a')\n"),
         "tests/own.py": BASE},
        {"tests/own.py": "flow"},
    ),
    "a virtual environment that is committed": (
        {"env/pyvenv.cfg": "home = /usr\n", "env/lib/python3.9/site-packages/x.py": BASE, "a.py": BASE}, {"a.py": "flow"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CALLS)
def test_what_is_called_is_followed(what: str) -> None:
    files, found = CALLS[what]
    assert {file.path: file.builds for file in flow_files(sources_only(files), Settings(), Memory())} == found


def test_a_chain_of_any_length() -> None:
    files = {f"m{number}.py": f"from m{number + 1} import F\n" for number in range(3000)}
    files.update({"m3000.py": "from prefect import Flow as F\n", "flow.py": "from m0 import F\nf = F('x')\n"})
    assert flow_paths(sources_only(files), Settings()) == ["flow.py"]


@pytest.mark.parametrize("metadata", ["", "Name: team\nRequires-Dist: prefect<2\n", "Name: team\nRequires-Dist: middle\n", "Name: team\n"])
def test_an_installed_package(tmp_path: Path, metadata: str) -> None:
    """Without metadata its sources are searched; with them it is followed where it requires Prefect, directly or not."""
    site = tmp_path / "lib" / "site-packages"
    (site / "team" / "core").mkdir(parents=True)
    (site / "team" / "__init__.py").write_text("from .core.flows import *\n")
    (site / "team" / "core" / "flows.py").write_text("from prefect import Flow\nclass TeamFlow(Flow): pass\nraise SystemExit('executed')\n")
    if metadata:
        for name, text in (("team", metadata), ("middle", "Name: middle\nRequires-Dist: Prefect[git] (>=1)\n")):
            (site / f"{name}-1.dist-info").mkdir()
            (site / f"{name}-1.dist-info" / "METADATA").write_text(text)
            (site / f"{name}-1.dist-info" / "RECORD").write_text(f"{name}/__init__.py,,\n")
    tree = sources_only({"a.py": "import team\nwith team.TeamFlow('x') as flow: pass\n"})
    found = flow_files(tree, Settings(), Memory(), Packages([str(site)], "1"))
    assert [file.path for file in found] == ([] if metadata == "Name: team\n" else ["a.py"])


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


@pytest.mark.parametrize(
    ("source", "plainly"),
    [
        (FLOW, True), ("from prefect import (\n    task,\n    Flow,\n)\nwith Flow('x') as flow:\n    pass\n", True),
        ("from prefect import Flow as F\nflow = Flow('x')\n", False), ("from prefect import Flow\nflow = make()\n", False),
        ("from prefect import Flow\n'''\nflow = Flow('x')\n'''\n", False), ("'''\nfrom prefect import Flow\n'''\nflow = Flow('x')\n", False),
        ("from prefect import Flow\nFlow = print\nflow = Flow('x')\n", False), ("from prefect import Flow\nclass Flow: pass\nflow = Flow('x')\n", False),
        ("from prefect import Flow\nfrom other import (\n    Flow)\nflow = Flow('x')\n", False),
        ("from prefect import Flow\nfrom other import Flow\nflow = Flow('x')\n", False),
        ("from prefect import Flow\ndef f():\n    flow = Flow('x')\n", False), ("from prefect import Flow\nx = 'a'  # '''\nflow = Flow('x')\n", True),
    ],
)  # fmt: skip
def test_flow_files_that_need_not_be_parsed(source: str, plainly: bool) -> None:
    assert plainly_builds(source.encode()) is plainly


def test_what_is_known_is_not_read_again(repository: Checked) -> None:
    tree = repository.tree({path: content for path, content in FILES.items() if not isinstance(content, Link)})
    memory = Memory()
    first = flow_files(tree, Settings(), memory)
    unread = replace(tree, read=lambda _: pytest.fail("a blob was read"))
    assert flow_files(unread, Settings(), memory) == first


@pytest.mark.parametrize(
    ("source", "knows", "unseen"),
    [
        ("x = 1", False, False), ("open('data.csv')", False, False), ("import pandas", False, False),
        ("import os; os.path.exists('x')", False, False), ("import traceback; traceback.format_exc()", False, False),
        ("globals()['x'] = vars(y)", False, False), ("import subprocess", False, False), ("os.popen('x')", False, False),
        ("sys.path.insert(0, os.path.dirname(__file__))", False, False), ("x.stack()", False, False),
        ("sys.path.insert(0, here)  # for lib", False, False), ("here = __file__", True, False), ("sys . path", True, False),
        ("if 1: sys.path.insert(0, __file__)", True, False), ("inspect.stack()", True, False), ("inspect.getfile(x)", True, False),
        ("from inspect import stack", True, False), ("sys._getframe()", True, False), ("__\ufb01le__", True, False),
        ("import ctypes", False, True), ("from cffi import FFI", False, True), ("# coding: latin-1\nx = 1", False, False),
        ("# -*- coding: utf-8 -*-", False, False), ("#!/bin/python\n# -*- coding: utf-7 -*-\n+AF8AXwBm-ile__", True, True),
        ("# \u00e9t\u00e9", False, False),
    ],
)  # fmt: skip
def test_what_nobody_sees(source: str, knows: bool, unseen: bool) -> None:
    assert (knows_its_place(source.encode()), looks_unseen(source.encode())) == (knows, unseen)


def test_sources_that_nobody_can_read() -> None:
    assert (knows_its_place(b"\xff"), looks_unseen(b"\xff")) == (True, True)
    assert [imports_from_its_place(one) for one in (b"sys.path.append(x)", b"__file__", b"import pandas")] == [True, True, False]


def test_modules_over_symlinks(repository: Checked) -> None:
    """A folder that is shared by a link in each project, a link to a link, one to a module, and links in a circle."""
    files = {
        "shared/core.py": SUBCLASS, "shared/deep/__init__.py": "from ..core import TeamFlow\n",
        "a/flow.py": "from common.core import TeamFlow\nf = TeamFlow('a')\n", "a/common": Link("../shared"),
        "b/flow.py": "from common.deep import TeamFlow\nf = TeamFlow('b')\n", "b/common": Link("../a/common"),
        "c/flow.py": "from core import TeamFlow\nf = TeamFlow('c')\n", "c/core.py": Link("../shared/core.py"),
        "d/flow.py": "from d.up.up.nothing import TeamFlow\nf = TeamFlow('d')\n", "d/up": Link(".."), "e": Link("g"), "g": Link("e"),
        "h": Link("/etc"), "i": Link("../.."), "k": Link("nowhere"),
    }  # fmt: skip
    tree = repository.tree(files)
    assert [(file.path, file.builds) for file in flow_files(tree, Settings(), Memory())] == [(f"{name}/flow.py", "flow") for name in "abc"]
    # What changes is the module, wherever it is imported by; a link that leads elsewhere is another tree.
    among = [f"{name}/flow.py" for name in "abcd"]
    found = Imports(tree, []).importers(["shared/core.py"], among)
    assert found == {f"{name}/flow.py": ["shared/core.py"] for name in "abc"}
    memory = Memory()
    other = repository.tree({**files, "a/common": Link("../d")})
    assert [[file.path for file in flow_files(one, Settings(), memory)] for one in (tree, other)] == [["a/flow.py", "b/flow.py", "c/flow.py"], ["c/flow.py"]]
