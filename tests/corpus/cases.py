"""Small repositories, each with what an agent does with it. The agent itself confirms it in every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import prefect

from .repositories import Content, Link, Submodule

LOADS, FAILS, DIES, HANGS = "loads", "fails", "dies", "hangs"


READS_BYTES = tuple(map(int, prefect.__version__.split(".")[:3])) >= (1, 3, 1)
"""Whether agents obey a byte order mark and an encoding line; older ones read every flow file as text of the locale's encoding."""
FAILS_AS_TEXT: tuple[str, ...] = (LOADS,) if READS_BYTES else (FAILS, "does-not-load")
LOADS_AS_TEXT: tuple[str, ...] = (FAILS, "does-not-load") if READS_BYTES else (LOADS,)


class Case(NamedTuple):
    """A repository, the flow that an agent is asked for, and what becomes of it."""

    name: str
    files: Mapping[str, Content]
    agent: str
    """`loads`, `fails` (an exception), `dies` (the flow run's process ends) or `hangs`."""
    codes: tuple[str, ...] = ()
    """Codes of all findings of the file that is asked for."""
    path: str = "flow.py"
    flow: str = "flow"
    env: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    import_roots: tuple[str, ...] = ()
    """Folders that the runtime has on `sys.path`: the agent gets a copy of them, as an image would."""
    flow_path: str = ""
    """What the agent's storage says, when not `path`."""
    default_branch: Mapping[str, Content] = {"README": "flows\n"}
    """Files of the default branch, which an agent's clone has as well."""
    alone: bool = False
    """True when its path matters; else it is checked in one tree with others, below a folder of its own."""
    uncounted: str = ""
    """Why validate does not agree, and need not."""


FLOW = "from prefect import Flow, Parameter, case, task, unmapped, flatten\n"
TASK = "@task\ndef say(x=1):\n    return x\n\n"
ONE = FLOW + TASK + "with Flow('flow') as flow:\n    say(Parameter('x', default=1))\n"


def one(name: str, source: str | bytes, agent: str, *codes: str, **more: object) -> Case:
    """A repository with the one file `flow.py`."""
    return Case(name, {"flow.py": source}, agent, codes, **more)  # type: ignore[arg-type]


def flow_with(name: str, body: str, **more: object) -> Case:
    """A flow that every agent loads: `body` follows the imports and a task `say`."""
    return one(name, FLOW + TASK + body, LOADS, **more)


TEAM = FLOW + TASK + """
class TeamFlow(Flow):
    pass

def make(name):
    with TeamFlow(name) as made:
        say()
    return made

class Maker:
    def build(self, name):
        return make(name)

base = make("base")
"""
"""A module that an image has: flow files make their flows by it."""

IMPORTS = [
    Case("sibling import", {"flow.py": "from helper import x\n" + ONE, "helper.py": "x = 1\n"}, FAILS, ("import-not-on-agent",)),
    Case(
        "package import from the top", {"flows/flow.py": "from lib.io import x\n" + ONE, "lib/__init__.py": "", "lib/io.py": "x = 1\n"},
        FAILS, ("import-not-on-agent",), path="flows/flow.py",
    ),
    Case(
        "package import that import-roots allows",
        {"flows/flow.py": "from lib.io import x\n" + ONE, "src/lib/__init__.py": "", "src/lib/io.py": "x = 1\n"},
        LOADS, path="flows/flow.py", import_roots=("src",),
    ),
    Case(
        "sibling import that import-roots allows", {"flows/flow.py": "import helper\n" + ONE, "flows/helper.py": "x = 1\n"},
        LOADS, path="flows/flow.py", import_roots=("flows",),
    ),
    *(
        Case(f"in a package: {name}", {"flows/flow.py": source, "src/team/__init__.py": "", "src/team/core.py": TEAM}, LOADS,
             path="flows/flow.py", import_roots=("src",))
        for name, source in {
            "a subclass of Flow": "from team.core import TeamFlow, say\nwith TeamFlow('flow') as flow:\n    say()\n",
            "a function that makes a flow": "from team.core import make\nflow = make('flow')\n",
            "a copy of an imported flow": "from copy import deepcopy\nfrom team.core import base\nflow = deepcopy(base)\nflow.name = 'flow'\n",
            "a copy by its method": "from team import core\nflow = core.base.copy()\nflow.name = 'flow'\n",
            "an imported flow that is renamed": "from team.core import base as flow\nflow.name = 'flow'\n",
            "an imported flow with a name and a schedule of its own":
                "from prefect.schedules import CronSchedule\nfrom team.core import base\nbase.name = 'flow'\nbase.schedule = CronSchedule('0 1 * * *')\n",
            "a method that makes a flow": "from team.core import Maker\nflow = Maker().build('flow')\n",
        }.items()
    ),
    Case(
        "a module of import-roots imports one that is not there",
        {"flow.py": "import helper\n" + ONE, "src/helper.py": "import other\n", "other.py": ""},
        FAILS, ("import-not-on-agent",), import_roots=("src",),
    ),
    Case("relative import", {"flows/flow.py": "from .helper import x\n" + ONE, "flows/__init__.py": "", "flows/helper.py": "x = 1\n"},
         FAILS, ("import-not-on-agent",), path="flows/flow.py"),
    Case("relative import of the package", {"flow.py": "from . import helper\n" + ONE, "helper.py": ""}, FAILS, ("import-not-on-agent",)),
    Case(
        "sibling import by sys.path and __file__",
        {"flow.py": "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport helper\n" + ONE, "helper.py": "x = 1\n"},
        LOADS,
    ),
    Case("sibling import that is caught", {"flow.py": "try:\n    import helper\nexcept ImportError:\n    helper = None\n" + ONE, "helper.py": ""}, LOADS),
    Case(
        "importlib.import_module of a sibling",
        {"flow.py": "import importlib\nhelper = importlib.import_module('helper')\n" + ONE, "helper.py": ""},
        FAILS, ("import-not-on-agent",),
    ),
    Case(
        "a module loaded by its place",
        {"flow.py": "import importlib.util, os\nspec = importlib.util.spec_from_file_location('helper', os.path.join(os.path.dirname(__file__), 'helper.py'))\n"
         "helper = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(helper)\n" + ONE, "helper.py": "x = 1\n"},
        LOADS,
    ),
    Case("the import of a flow from a sibling", {"flow.py": "from other import flow\nfrom prefect import Flow\nsecond = Flow('second')\n", "other.py": ONE},
         FAILS, ("import-not-on-agent",)),
    Case("a module that is nowhere", {"flow.py": "import a_module_that_is_nowhere\n" + ONE}, FAILS, ("does-not-load",)),
    Case("an import inside a task", {"flow.py": FLOW + "@task\ndef say():\n    import helper\n\nwith Flow('flow') as flow:\n    say()\n", "helper.py": ""}, LOADS, ("import-in-task",)),
    Case("an imported flow of import-roots", {"flow.py": "from other import flow\nfrom prefect import Flow\nsecond = Flow('second')\n", "src/other.py": ONE},
         LOADS, import_roots=("src",)),
]  # fmt: skip

FILES = [
    Case("data by __file__", {"flow.py": "import pathlib\ntext = pathlib.Path(__file__).with_name('data.csv').read_text()\n" + ONE, "data.csv": "1\n"}, LOADS),
    Case("data by working directory", {"flow.py": "text = open('data.csv').read()\n" + ONE, "data.csv": "1\n"}, FAILS, ("file-not-on-agent",)),
    Case("data by working directory, in a folder", {"flows/flow.py": "text = open('flows/data.csv').read()\n" + ONE, "flows/data.csv": "1\n"}, FAILS,
         ("file-not-on-agent",), path="flows/flow.py"),
    Case("data by working directory, beside the file", {"flows/flow.py": "text = open('./data.csv').read()\n" + ONE, "flows/data.csv": "1\n"}, FAILS,
         ("file-not-on-agent",), path="flows/flow.py"),
    Case("data by working directory, inside a task", {"flow.py": FLOW + "@task\ndef say():\n    open('data.csv')\n\nwith Flow('flow') as flow:\n    say()\n",
         "data.csv": "1\n"}, LOADS),
    Case("data by __file__ that is not there", {"flow.py": "import os\nopen(os.path.join(os.path.dirname(__file__), 'missing.csv'))\n" + ONE}, FAILS, ("does-not-load",)),
    Case("a folder listed by working directory", {"flow.py": "import os\nos.listdir('sql')\n" + ONE, "sql/a.sql": ""}, FAILS, ("file-not-on-agent",)),
    Case("flows by what is there", {"flow.py": "import os\nfrom prefect import Flow\nnames = sorted(os.listdir(os.path.join(os.path.dirname(__file__), 'sql')))\n"
         "flow = Flow(names[0])\n", "sql/flow": "", "sql/other": ""}, LOADS),
    Case("os.path.exists by working directory", {"flow.py": "import os\nfrom prefect import Flow\nflow = Flow('flow' if not os.path.exists('data.csv') else 'here')\n", "data.csv": ""}, LOADS),
    Case("an LFS pointer as data", {"flow.py": "import os\nopen(os.path.join(os.path.dirname(__file__), 'data.bin')).read()\n" + ONE,
         "data.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", ".gitattributes": "*.bin filter=lfs\n"}, LOADS, ("lfs-pointer",)),
    Case("an LFS pointer that is parsed", {"flow.py": "import json, os\njson.load(open(os.path.join(os.path.dirname(__file__), 'data.json')))\n" + ONE,
         "data.json": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"}, FAILS, ("does-not-load", "lfs-pointer")),
    Case("a file of a submodule", {"flow.py": "import os\nopen(os.path.join(os.path.dirname(__file__), 'vendor', 'a.sql'))\n" + ONE,
         "vendor": Submodule("1" * 40), ".gitmodules": "[submodule \"vendor\"]\n\tpath = vendor\n\turl = https://example.com/vendor.git\n"},
         FAILS, ("does-not-load", "submodule")),
    Case("a symlink to a flow file", {"current.py": Link("flows/flow.py"), "flows/flow.py": ONE.replace("'flow'", "'flow'")}, LOADS, ("duplicate-name",), path="current.py"),
    Case("a symlink to nowhere", {"flow.py": Link("nowhere.py"), "other.py": ONE}, FAILS, ("unlisted",)),
    Case("data through a symlink", {"flow.py": "import os\nopen(os.path.join(os.path.dirname(__file__), 'link.csv'))\n" + ONE, "link.csv": Link("data.csv"), "data.csv": ""}, LOADS),
    Case("a file that only the default branch has", {"flow.py": "import os\nopen(os.path.join(os.path.dirname(__file__), 'old.csv'))\n" + ONE}, LOADS,
         ("does-not-load",), default_branch={"old.csv": ""}, uncounted="what survives from the default branch is not counted on"),
    Case("export-subst and eol attributes", {"flow.py": ONE.replace("\n", "\r\n"), ".gitattributes": "*.py eol=lf ident\n"}, LOADS),
]  # fmt: skip

PATHS = [
    Case("a deep folder", {"a/b/c/d/e/f/g/flow.py": ONE}, LOADS, path="a/b/c/d/e/f/g/flow.py"),
    Case("spaces in the path", {"my flows/the flow.py": ONE}, LOADS, path="my flows/the flow.py"),
    Case("unicode in the path", {"flüsse/été 流.py": ONE}, LOADS, path="flüsse/été 流.py"),
    Case("a leading slash in the storage", {"flow.py": ONE}, FAILS, path="flow.py", flow_path="/flow.py", uncounted="wrong-flow-path, see test_declared_storage"),
    Case("another case in the storage", {"flows/etl.py": ONE}, FAILS, path="flows/etl.py", flow_path="flows/ETL.py", uncounted="wrong-flow-path, see test_declared_storage"),
    Case("a backslash in the storage", {"flows/etl.py": ONE}, FAILS, path="flows/etl.py", flow_path="flows\\etl.py", uncounted="wrong-flow-path, see test_declared_storage"),
    Case("names that are those of the standard library", {"json.py": ONE, "logging.py": "1/0\n"}, LOADS, path="json.py"),
]  # fmt: skip

SOURCES = [
    one("CRLF line ends", ONE.replace("\n", "\r\n"), LOADS),
    one("a byte order mark", b"\xef\xbb\xbf" + ONE.encode(), *FAILS_AS_TEXT),
    one("a latin-1 encoding line", b"# -*- coding: latin-1 -*-\nname = '\xe9'\n" + ONE.encode(), *FAILS_AS_TEXT),
    one("latin-1 without an encoding line", b"name = '\xe9'\n" + ONE.encode(), FAILS, "does-not-load"),
    one("an unknown encoding", b"# coding: klingon\n" + ONE.encode(), *LOADS_AS_TEXT),
    one("a null byte", ONE.encode() + b"\x00\n", FAILS, "binary-source"),
    one("a syntax error", ONE + "def broken(:\n", FAILS, "does-not-load"),
    one("tabs and spaces mixed", ONE + "if True:\n\tx = 1\n        y = 2\n", FAILS, "does-not-load"),
    one("the Python 2 print statement", ONE + "print 'hello'\n", FAILS, "does-not-load"),
    one("no newline at the end", ONE + "x = 1", LOADS),
    one("a name that does not exist", ONE + "print(nowhere)\n", FAILS, "does-not-load"),
    one("a multi-line exception", ONE + "raise ValueError('first\\nsecond')\n", FAILS, "does-not-load"),
    one("an exception group of causes", ONE + "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise RuntimeError('no') from error\n", FAILS, "does-not-load"),
    one("an exception whose text cannot be made", ONE + "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd()\n", FAILS, "does-not-load"),
    one("endless recursion", ONE + "def f(): f()\nf()\n", FAILS, "does-not-load"),
]  # fmt: skip

EXEC = [
    one("a flow under __main__", FLOW + TASK + "if __name__ == '__main__':\n    with Flow('flow') as flow:\n        say()\n", FAILS, "no-flow"),
    one("a main function under __main__", FLOW + TASK + "def main():\n    with Flow('flow') as flow:\n        say()\n\nif __name__ == '__main__':\n    main()\n", FAILS, "no-flow"),
    one("__name__ is builtins", "assert __name__ == 'builtins', __name__\n" + ONE, LOADS),
    one("__name__ in the globals", "globals()['__name__']\n" + ONE, FAILS, "does-not-load"),
    one("__doc__ and __spec__", "'''A docstring.'''\nassert __doc__ == 'A docstring.'\n__spec__\n" + ONE, LOADS),
    one("__package__ in the globals", "globals()['__package__']\n" + ONE, FAILS, "does-not-load"),
    one("sys.modules of its own name", "import sys\nsys.modules[__name__].flow_file\n" + ONE, FAILS, "does-not-load"),
    one("inspect.getsource of its own function", "import inspect\ndef f(): pass\ninspect.getsource(f)\n" + ONE, FAILS, "does-not-load"),
    one("inspect.getfile of its own frame", "import inspect\nassert inspect.getfile(inspect.currentframe()) == '<string>'\n" + ONE, LOADS),
    one("a dataclass", "from dataclasses import dataclass\n@dataclass\nclass Row:\n    x: int = 1\nRow(2)\n" + ONE, LOADS),
    one("a dataclass with future annotations", "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
        "@dataclass\nclass Row:\n    x: ClassVar[int] = 1\n    y: int = 2\nRow(2)\n" + ONE, LOADS),
    one("an annotation that names nothing", "def f(x: Missing): pass\n" + ONE, FAILS, "does-not-load"),
    one("an annotation that only a type checker imports", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from decimal import Decimal\n"
        "def f(x: Decimal): pass\n" + ONE, FAILS, "does-not-load"),
    one("annotations are objects", "def f(x: int): pass\nassert f.__annotations__ == {'x': int}, f.__annotations__\n" + ONE, LOADS),
    one("a warning of the compiler", "'\\d'\n" + ONE, LOADS),
    one("a warning of the compiler that is an error", "import warnings\nwarnings.simplefilter('error')\nx = eval(\"'\\\\d'\")\n" + ONE, FAILS, "does-not-load"),
    one("typing.get_type_hints of its own class", "from __future__ import annotations\nimport typing\nclass A:\n    b: A\ntyping.get_type_hints(A)\n" + ONE, FAILS, "does-not-load"),
    one("a NamedTuple and an Enum", "import enum, typing\nclass P(typing.NamedTuple):\n    x: int\nclass E(enum.Enum):\n    A = 1\nP(1), E.A\n" + ONE, LOADS),
    one("pickling its own class", "import pickle\nclass A: pass\npickle.dumps(A())\n" + ONE, FAILS, "does-not-load"),
    one("cloudpickle of its own function", "import cloudpickle\ndef f(): return 1\ncloudpickle.loads(cloudpickle.dumps(f))()\n" + ONE, LOADS),
    one("argparse at the top level", "import argparse\nargparse.ArgumentParser().parse_args()\n" + ONE, DIES, "load-crashed"),
    one("the working directory is empty", "import os\nassert os.listdir('.') == [], os.listdir('.')\n" + ONE, LOADS),
    one("sys.path[0] is the working directory", "import os, sys\nassert os.path.samefile(sys.path[0], os.getcwd())\n" + ONE, LOADS),
    one("sys.argv", "import sys\nassert sys.argv[1:] == ['execute', 'flow-run'], sys.argv\n" + ONE, LOADS),
    one("a hidden parent frame", "import sys\nsys._getframe(1).f_globals['__name__']\n" + ONE, LOADS),
]  # fmt: skip

MANY = [
    one("two flows: the first", FLOW + "a = Flow('flow')\nb = Flow('second')\n", LOADS),
    one("two flows: the second", FLOW + "a = Flow('first')\nb = Flow('flow')\n", LOADS),
    one("two flows of one name", FLOW + TASK + "a = Flow('flow')\nwith Flow('flow') as b:\n    say()\n", LOADS, "duplicate-name"),
    one("one flow under two names", FLOW + "a = Flow('flow')\nb = a\n", LOADS),
    one("a variable that is used again", FLOW + "flow = Flow('first')\nflow = Flow('flow')\n", LOADS, "no-flow"),
    one("a flow that was replaced", FLOW + "flow = Flow('flow')\nflow = Flow('second')\n", FAILS, "no-flow"),
    one("flows in a list only", FLOW + "flows = [Flow('flow'), Flow('second')]\n", FAILS, "no-flow"),
    one("flows in a dictionary and in globals", FLOW + "for name in ('flow', 'second'):\n    globals()[name] = Flow(name)\n", LOADS),
    one("the last of a loop", FLOW + "for name in ('first', 'flow'):\n    flow = Flow(name)\n", LOADS, "no-flow"),
    one("a flow made by a function", FLOW + TASK + "def make(name):\n    with Flow(name) as flow:\n        say()\n    return flow\n\nmade = make('flow')\n", LOADS),
    one("a flow of a subclass", FLOW + "class Ours(Flow):\n    def __init__(self, name):\n        super().__init__(name + 'w')\n\nours = Ours('flo')\n", LOADS),
    one("a flow by its module", "import prefect as p\nflow = p.Flow('flow')\n", LOADS),
    one("a flow renamed at the end", FLOW + "flow = Flow('before')\nflow.name = 'flow'\n", LOADS),
    one("a flow that is deleted", FLOW + "flow = Flow('flow')\ndel flow\n", FAILS, "no-flow"),
    one("a name with unicode", FLOW + "flow = Flow('flüß 流')\n", LOADS, flow="flüß 流"),
    one("a proxy that breaks isinstance", ONE + "class Proxy:\n    @property\n    def __class__(self): raise RuntimeError('no')\nproxy = Proxy()\n", FAILS, "does-not-load"),
    one("a flow in a class body", FLOW + "class Flows:\n    flow = Flow('flow')\n", FAILS, "no-flow"),
    one("a flow that update() took in", FLOW + "first = Flow('first')\nflow = first.copy()\nflow.name = 'flow'\n", LOADS),
]  # fmt: skip

ENVIRONMENT = [
    one("a variable that is set", "import os\nos.environ['DATABASE']\n" + ONE, LOADS, env={"DATABASE": "db"}),
    one("a variable that is not set", "import os\nos.environ['DATABASE']\n" + ONE, FAILS, "does-not-load"),
    one("a variable with a default", "import os\nos.environ.get('DATABASE', 'x')\n" + ONE, LOADS),
    one("a secret that is set", "from prefect.client import Secret\nassert Secret('KEY').get() == 'v'\n" + ONE, LOADS, secrets={"KEY": "v"}),
    one("a secret that is not set", "from prefect.client import Secret\nSecret('KEY').get()\n" + ONE, FAILS, "does-not-load"),
    one("a secret in the flow", "from prefect.tasks.secrets import PrefectSecret\n" + FLOW + TASK + "with Flow('flow') as flow:\n    say(PrefectSecret('KEY'))\n", LOADS),
    one("the id of the flow run", "import prefect\nprefect.context.flow_run_id\n" + ONE, LOADS),
    one("prefect.context.loading_flow", "import prefect\nassert prefect.context.loading_flow\n" + ONE, LOADS),
    one("a file of the home folder", "import os\nopen(os.path.expanduser('~/.aws/credentials'))\n" + ONE, FAILS, "does-not-load"),
    one("the backend", "import prefect\nassert prefect.config.backend == 'server'\n" + ONE, LOADS),
]  # fmt: skip

CALLS = [
    one("register at the top level", ONE + "flow.register('project')\n", LOADS, "registers-on-import"),
    one("run at the top level", ONE + "flow.run()\n", LOADS, "runs-on-import"),
    one("the state of a run at the top level", ONE + "state = flow.run()\nprint(state.result)\n", FAILS, "does-not-load", "runs-on-import"),
    one("run under __main__", ONE + "if __name__ == '__main__':\n    flow.run()\n", LOADS),
    one("register inside the with block", FLOW + "with Flow('flow') as flow:\n    flow.register('project')\n", FAILS, "does-not-load", "registers-on-import"),
    one("a secret inside the with block", "from prefect.client import Secret\n" + FLOW + "with Flow('flow') as flow:\n    Secret('KEY').get()\n", FAILS, "does-not-load", secrets={"KEY": "v"}),
]  # fmt: skip

HARM = [
    one("a thread that goes on", "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n" + ONE, LOADS),
    one("a subprocess", "import subprocess\nsubprocess.run(['true'], check=True)\n" + ONE, LOADS),
    one("a subprocess that goes on", "import subprocess\nsubprocess.Popen(['sleep', '60'])\n" + ONE, LOADS),
    one("git in the working directory", "import subprocess\nsubprocess.run(['git', 'rev-parse', 'HEAD'], check=True)\n" + ONE, FAILS, "does-not-load"),
    one("multiprocessing", "import multiprocessing\nprocess = multiprocessing.get_context('fork').Process(target=print)\nprocess.start(); process.join()\n" + ONE, LOADS),
    one("sys.exit", "import sys\n" + ONE + "sys.exit(0)\n", DIES, "load-crashed"),
    one("os._exit", "import os\n" + ONE + "os._exit(0)\n", DIES, "load-crashed"),
    one("a segmentation fault", "import ctypes\n" + ONE + "ctypes.string_at(0)\n", DIES, "load-crashed"),
    one("a signal to itself", "import os, signal\n" + ONE + "os.kill(os.getpid(), signal.SIGTERM)\n", DIES, "load-crashed"),
    one("KeyboardInterrupt", ONE + "raise KeyboardInterrupt\n", DIES, "does-not-load"),
    one("an endless loop", ONE + "while True:\n    pass\n", HANGS, "load-timeout"),
    one("waiting for input that never comes", "import threading\n" + ONE + "threading.Event().wait()\n", HANGS, "load-timeout"),
    one("huge output", ONE + "print('x' * 20_000_000)\nimport sys; print('y' * 5_000_000, file=sys.stderr)\n", LOADS),
    one("reading stdin", "input()\n" + ONE, FAILS, "does-not-load"),
    one("changing directory", "import os, tempfile\nos.chdir(tempfile.gettempdir())\n" + ONE, LOADS),
    one("changing directory to its own folder", "import os\nos.chdir(os.path.dirname(__file__))\nopen('flow.py')\n" + ONE, LOADS),
    one("deleting its own folder", "import os, shutil\nshutil.rmtree(os.path.dirname(__file__))\n" + ONE, LOADS),
    one("deleting its working directory", "import os, shutil\nshutil.rmtree(os.getcwd())\n" + ONE, LOADS),
    one("writing beside itself", "import pathlib\npathlib.Path(__file__).with_name('out.txt').write_text('x')\n" + ONE, LOADS),
    one("closing all descriptors, that of the clone too", "import os\nos.closerange(0, 4096)\n" + ONE, FAILS, "does-not-load"),
    one("closing stdin, stdout and stderr", "import os\nos.closerange(0, 3)\n" + ONE, LOADS),
    one("atexit that fails", "import atexit, os\natexit.register(lambda: os._exit(9))\n" + ONE, LOADS),
    one("replacing builtins", "import builtins, json, os\nbuiltins.open = None\nos.write = None\n" + ONE, LOADS),
    one("replacing what removes the clone", "import os\nos.open = None\n" + ONE, FAILS, "does-not-load"),
    one("a fork that returns twice", "import os\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\n" + ONE, LOADS),
    one("a warning as an error", "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('x')\n" + ONE, FAILS, "does-not-load"),
    one("a lower recursion limit", "import sys\nsys.setrecursionlimit(200)\n" + ONE, LOADS),
]  # fmt: skip

KINDS = [
    flow_with("mapped", "with Flow('flow') as flow:\n    say.map(say.map([1, 2]))\n"),
    flow_with("mapped with unmapped and flatten", "with Flow('flow') as flow:\n    say.map(flatten([[1], [2]]))\n    say.map(unmapped(1))\n"),
    flow_with("nested results", "with Flow('flow') as flow:\n    say({'a': [say(1), (say(2), 3)]})\n"),
    flow_with("case", "with Flow('flow') as flow:\n    with case(say(1), True):\n        say(2)\n"),
    flow_with("merge and switch", "from prefect.tasks.control_flow import merge, switch\nwith Flow('flow') as flow:\n    a, b = say(1), say(2)\n    switch(say(3), {'a': a, 'b': b})\n    merge(a, b)\n"),
    flow_with("a resource manager", "from prefect import resource_manager\n@resource_manager\nclass R:\n    def setup(self): return 1\n    def cleanup(self, r): pass\n"
              "with Flow('flow') as flow:\n    with R() as r:\n        say(r)\n"),
    flow_with("imperative", "flow = Flow('flow')\nflow.add_task(say)\nflow.set_dependencies(say, keyword_tasks={'x': 1})\n"),
    flow_with("an edge by hand", "a, b = say.copy(), say.copy()\nflow = Flow('flow')\nflow.add_edge(a, b, key='x')\n"),
    flow_with("a task class", "from prefect import Task\nclass Double(Task):\n    def run(self, x): return 2 * x\nwith Flow('flow') as flow:\n    Double()(say())\n"),
    flow_with("task settings", "import datetime\n@task(max_retries=3, retry_delay=datetime.timedelta(seconds=1), timeout=5, tags=['a'], nout=2, log_stdout=True)\n"
              "def more(): return 1, 2\nwith Flow('flow') as flow:\n    a, b = more()\n"),
    flow_with("state handlers", "def handle(obj, old, new): return new\nflow = Flow('flow', state_handlers=[handle], on_failure=lambda *a: None)\n"),
    flow_with("a terminal state handler", "def end(flow, state, states): return state\nflow = Flow('flow', terminal_state_handler=end)\n"),
    flow_with("a local executor", "from prefect.executors import LocalDaskExecutor\nflow = Flow('flow', executor=LocalDaskExecutor())\n"),
    flow_with("a Dask executor", "from prefect.executors import DaskExecutor\nflow = Flow('flow', executor=DaskExecutor('tcp://nowhere:1'))\n"),
    flow_with("a local result", "from prefect.engine.results import LocalResult\nflow = Flow('flow', result=LocalResult(dir='/tmp'))\n"),
    flow_with("a result of a task", "from prefect.engine.results import PrefectResult\n@task(result=PrefectResult(), checkpoint=True)\ndef keep(): return 1\nwith Flow('flow') as flow:\n    keep()\n"),
    flow_with("a cron schedule", "from prefect.schedules import CronSchedule\nflow = Flow('flow', schedule=CronSchedule('0 0 * * *'))\n"),
    flow_with("an interval schedule", "import datetime\nfrom prefect.schedules import IntervalSchedule\nflow = Flow('flow', schedule=IntervalSchedule(interval=datetime.timedelta(hours=1)))\n"),
    flow_with("clocks, filters and adjustments", "import datetime, pendulum\nfrom prefect.schedules import Schedule, adjustments, clocks, filters\n"
              "flow = Flow('flow', schedule=Schedule(clocks=[clocks.CronClock('0 0 * * *', parameter_defaults={'x': 1}, labels=['a']), clocks.DatesClock([pendulum.datetime(2030, 1, 1)])], "
              "filters=[filters.is_weekday], or_filters=[filters.between_times(datetime.time(9), datetime.time(17))], adjustments=[adjustments.next_weekday]))\n"),
    flow_with("an RRule schedule", "import pendulum\nfrom dateutil import rrule\nfrom prefect.schedules import RRuleSchedule\n"
              "flow = Flow('flow', schedule=RRuleSchedule(rrule.rrule(rrule.DAILY, dtstart=pendulum.datetime(2024, 1, 1))))\n"),
    one("an interval under a minute", "import datetime\nfrom prefect.schedules import IntervalSchedule\n" + FLOW +
        "flow = Flow('flow', schedule=IntervalSchedule(interval=datetime.timedelta(seconds=10)))\n", LOADS, "not-serializable"),
    one("a schedule with a filter of its own", "from prefect.schedules import Schedule, clocks\n" + FLOW +
        "flow = Flow('flow', schedule=Schedule(clocks=[clocks.CronClock('0 0 * * *')], filters=[lambda d: True]))\n", LOADS, "not-serializable"),
    one("a schedule that lacks a parameter", "from prefect.schedules import CronSchedule\n" + FLOW + TASK +
        "with Flow('flow', schedule=CronSchedule('0 0 * * *')) as flow:\n    say(Parameter('x'))\n", LOADS, "schedule-needs-parameter"),
    flow_with("a universal run config", "from prefect.run_configs import UniversalRun\nflow = Flow('flow', run_config=UniversalRun(env={'A': '1'}, labels=['a', 'b']))\n"),
    flow_with("a local run config", "from prefect.run_configs import LocalRun\nflow = Flow('flow', run_config=LocalRun(working_dir='/srv'))\n"),
    flow_with("a docker run config", "from prefect.run_configs import DockerRun\nflow = Flow('flow', run_config=DockerRun(image='x:1', env={'A': '1'}))\n"),
    flow_with("a kubernetes run config", "from prefect.run_configs import KubernetesRun\nflow = Flow('flow', run_config=KubernetesRun(image='x', cpu_limit=2, job_template={'kind': 'Job'}))\n"),
    flow_with("an ECS run config", "from prefect.run_configs import ECSRun\nflow = Flow('flow', run_config=ECSRun(image='x', cpu='1 vcpu', memory='2 GB'))\n"),
    flow_with("a vertex run config", "from prefect.run_configs import VertexRun\nflow = Flow('flow', run_config=VertexRun(image='x'))\n"),
    one("labels as one text", "from prefect.run_configs import LocalRun\n" + FLOW + "flow = Flow('flow', run_config=LocalRun(labels='production'))\n", LOADS, "string-labels"),
    flow_with("parameters", "from prefect.core.parameter import DateTimeParameter\nwith Flow('flow') as flow:\n    say([Parameter('a'), Parameter('b', default={'c': [1, None]}), DateTimeParameter('d', required=False)])\n"),
    one("a default that is not JSON", FLOW + TASK + "import datetime\nwith Flow('flow') as flow:\n    say(Parameter('x', default=datetime.date(2020, 1, 1)))\n", LOADS, "not-serializable"),
    one("retries without a delay, set later", FLOW + TASK + "with Flow('flow') as flow:\n    said = say()\nsaid.max_retries = 3\n", LOADS, "not-serializable"),
    one("retries with a delay, set later", FLOW + TASK + "import datetime\nwith Flow('flow') as flow:\n    said = say()\nsaid.max_retries, said.retry_delay = 3, datetime.timedelta(seconds=1)\n", LOADS),
    one("a default that is not a number", FLOW + TASK + "with Flow('flow') as flow:\n    say(Parameter('x', default=float('nan')))\n", LOADS, "not-serializable"),
    one("two parameters of one name", FLOW + TASK + "with Flow('flow') as flow:\n    say([Parameter('x'), Parameter('x')])\n", FAILS, "does-not-load"),
    one("a cycle", FLOW + TASK + "a, b = say.copy(), say.copy()\nflow = Flow('flow')\nflow.add_edge(a, b)\nflow.add_edge(b, a)\n", LOADS, "not-serializable"),
    one("a flow without a name", FLOW + "flow = Flow('')\n", FAILS, "does-not-load"),
    flow_with("a flow of flows", "from prefect.tasks.prefect import create_flow_run, wait_for_flow_run\nwith Flow('flow') as flow:\n    wait_for_flow_run(create_flow_run(flow_name='x', project_name='y'))\n"),
    flow_with("a signal inside a task", "from prefect.engine.signals import SKIP\n@task\ndef skip(): raise SKIP('x')\nwith Flow('flow') as flow:\n    skip()\n"),
    flow_with("lambdas and closures as tasks", "double = task(lambda x: 2 * x, name='double')\nwith Flow('flow') as flow:\n    double(1)\n"),
    flow_with("an empty flow", "flow = Flow('flow')\n"),
    flow_with("the Git storage of its own", "from prefect.storage import Git\nflow = Flow('flow', storage=Git(flow_path='flow.py', repo='team/flows', flow_name='flow'))\n", alone=True),
    one("the docker storage of its own", "from prefect.storage import Docker\n" + FLOW + "flow = Flow('flow', storage=Docker(registry_url='r'))\n", LOADS, "other-storage"),
    one("the local storage of its own", "from prefect.storage import Local\n" + FLOW + "flow = Flow('flow', storage=Local())\n", LOADS, "other-storage"),
]  # fmt: skip

CASES: list[Case] = [*IMPORTS, *FILES, *PATHS, *SOURCES, *EXEC, *MANY, *ENVIRONMENT, *CALLS, *HARM, *KINDS]
