"""Tasks that run in other processes: what they import by name there, and the clone is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from git_prefect.core.model import Finding
from git_prefect.core.settings import Settings

from ..corpus.repositories import make_repository
from .conftest import Checked

CORE = """\
from prefect import Task, task
from prefect.engine.results import LocalResult
def double(x):
    return 2 * x
@task
def load(x):
    return double(x)
class Load(Task):
    def run(self, x):
        return double(x)
class Kept(LocalResult):
    pass
def tell(task, old, new):
    return new
"""
LIB = {"lib/__init__.py": "", "lib/core.py": CORE, "text_unidecode/__init__.py": CORE}
"""The second is installed as well, under the same name."""
START = """\
import sys, pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from distributed import LocalCluster, Worker
from prefect import Flow, Parameter, Task, case, task, unmapped
from prefect.executors import DaskExecutor, LocalDaskExecutor, LocalExecutor
from prefect.run_configs import LocalRun
"""
EXECUTORS = START + """\
from lib.core import load
class Cluster(LocalCluster):
    pass
class Executor(DaskExecutor):
    pass
def env(**more):
    return LocalRun(env={f"PREFECT__ENGINE__EXECUTOR__{name}": value for name, value in more.items()})
DASK = "prefect.executors.DaskExecutor"
ways = {
    "none": {}, "local": {"executor": LocalExecutor()}, "threads": {"executor": LocalDaskExecutor()},
    "synchronous": {"executor": LocalDaskExecutor("synchronous")}, "forked": {"executor": LocalDaskExecutor("processes")},
    "in-process": {"executor": DaskExecutor(cluster_kwargs={"processes": False})},
    "worker threads": {"executor": DaskExecutor(cluster_kwargs={"worker_class": Worker})},
    "inproc": {"executor": DaskExecutor(address="inproc://127.0.0.1/1/1")},
    "a class": {"executor": DaskExecutor}, "env local": {"run_config": env(DEFAULT_CLASS="prefect.executors.LocalExecutor")},
    "env nowhere": {"run_config": env(DEFAULT_CLASS="nowhere.DaskExecutor")}, "env text": {"run_config": LocalRun(env={})},
    "dask": {"executor": DaskExecutor()}, "processes": {"executor": DaskExecutor(cluster_kwargs={"processes": True, "n_workers": 1})},
    "subclasses": {"executor": Executor(cluster_class=Cluster)}, "env": {"run_config": env(DEFAULT_CLASS=DASK)},
    "address": {"executor": DaskExecutor(address="tcp://dask:8786")}, "other cluster": {"executor": DaskExecutor(cluster_class=dict)},
    "env address": {"run_config": env(DEFAULT_CLASS=DASK, DASK__ADDRESS="tcp://dask:8786")},
}
for name, more in ways.items():
    globals()[name] = Flow(name, **more)
    globals()[name].add_task(load.copy(name="load"))
"""  # fmt: skip
NEEDS = START + """\
import lib.core, text_unidecode
from lib.core import Kept, Load, double, load, tell
def helper(x):
    return lib.core.double(x)
@task
def own(x):
    return double(x)
@task
def by_helper(x):
    return helper(x)
@task
def nothing(x):
    return x
handled = nothing.copy(state_handlers=[tell], name="handled")
kept = nothing.copy(result=Kept(), name="kept")
@task
def installed(x):
    return text_unidecode.double(x)
def flow(name, *tasks, value=1, **more):
    with Flow(name, executor=DaskExecutor(), **more) as made:
        for one in tasks:
            one(value)
    globals()[name] = made
double(1)
flow("task", load, nothing), flow("class", Load()), flow("function", own), flow("module", by_helper)
flow("handler", handled), flow("result", kept), flow("flow result", nothing, result=Kept())
flow("value", nothing, value=double)
with Flow("mapped", executor=DaskExecutor()) as mapped:
    nothing.map([1, 2], upstream_tasks=[unmapped(load(1))])
flow("of the file", nothing), flow("installed", installed), flow("unpicklable", nothing, value=sys._getframe())
"""
FORKED = START + """\
import multiprocessing
multiprocessing.set_start_method("{method}")
from lib.core import load
flow = Flow("{method}", executor=LocalDaskExecutor("processes"))
flow.add_task(load)
"""
BY_VALUE = START + """\
import cloudpickle, lib
from lib.core import Load, double
@task
def own(x):
    return double(x)
with Flow("sent 1", executor=DaskExecutor()) as first:
    own(1)
with Flow("sent 2", executor=DaskExecutor()) as flow:
    own(1)
with Flow("named", executor=DaskExecutor()) as other:
    Load()(1)
cloudpickle.register_pickle_by_value(lib)
"""
SPAWNED = "flow '{}': its tasks run in other processes ({}), which import {} by name; only the repository has that, and the clone is deleted by then: every run would fail, or never end"
CLUSTER = "flow '{}': its tasks run on a Dask cluster, whose workers import {} by name; only the repository has that, and the clone is deleted by then: runs fail unless the workers have it installed"
CORE_ONLY = "'lib.core'"
BY_VALUE_HINT = "add `import cloudpickle, lib; cloudpickle.register_pickle_by_value(lib)` after the imports; or "
THREADS = "use LocalDaskExecutor(), whose threads have it in memory; or "
IMAGE = 'install it in the image that runs the flow, and set import-roots = ["."]'


def said(findings: tuple[Finding, ...]) -> dict[str | None, tuple[str, str, str, str]]:
    """What is said of each flow; nothing else may be."""
    assert {one.code for one in findings} <= {"module-not-on-workers"}, findings
    return {one.flow: (one.severity, one.message, one.detail, one.hint) for one in findings}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Finding, ...]]:
    """The findings of all files, in one check."""
    repository = Checked(tmp_path_factory.mktemp("checked"))
    files = {"executors": EXECUTORS, "needs": NEEDS, "by_value": BY_VALUE}
    files |= {method: FORKED.format(method=method) for method in ("fork", "spawn", "forkserver")}
    tree = {**LIB, **{f"flows/{name}.py": text for name, text in files.items()}}
    return {Path(one.path).stem: one.findings for one in repository.check(tree, Settings(exclude=["lib/", "text_unidecode/"]))}


def test_which_executors_have_other_processes(checked: dict[str, tuple[Finding, ...]]) -> None:
    task, hint = "tasks with it: load", BY_VALUE_HINT + THREADS + IMAGE
    spawned = {"dask": "DaskExecutor", "processes": "DaskExecutor", "subclasses": "Executor", "env": "DaskExecutor"}
    expected = {name: ("error", SPAWNED.format(name, one, CORE_ONLY), task, hint) for name, one in spawned.items()}
    in_workers = BY_VALUE_HINT + IMAGE + ", and in that of the workers"
    for name in ("address", "other cluster", "env address"):
        expected[name] = ("warning", CLUSTER.format(name, CORE_ONLY), task, in_workers)
    assert said(checked["executors"]) == expected
    for method in ("spawn", "forkserver"):
        message = SPAWNED.format(method, "LocalDaskExecutor", CORE_ONLY)
        assert said(checked[method]) == {method: ("error", message, task, hint)}
    assert checked["fork"] == ()


def test_what_tasks_need_by_name(checked: dict[str, tuple[Finding, ...]]) -> None:
    needs = {
        "task": ("load", True), "class": ("Load", False), "function": ("own", True), "module": ("by_helper", True),
        "handler": ("handled", True), "result": ("kept", True), "flow result": ("", True), "value": ("", True), "mapped": ("load", True),
    }  # fmt: skip
    modules = {"module": "'lib', 'lib.core'"}
    expected = {
        name: (
            "error",
            SPAWNED.format(name, "DaskExecutor", modules.get(name, CORE_ONLY)),
            f"tasks with it: {tasks}" if tasks else "",
            (BY_VALUE_HINT if by_value else "") + THREADS + IMAGE,
        )
        for name, (tasks, by_value) in needs.items()
    }
    found = said(checked["needs"])
    for name in expected:
        assert found.get(name) == expected[name], name
    assert found.keys() == expected.keys()
    # What cloudpickle sends is not looked up; of a class, Dask's workers get the name all the same.
    assert said(checked["by_value"]).keys() == {"named"}


def test_what_the_image_has_is_no_finding(repository: Checked) -> None:
    settings = Settings(exclude=["lib/", "text_unidecode/"], import_roots=["."])
    for one in repository.check({**LIB, "flows/executors.py": EXECUTORS, "flows/needs.py": NEEDS}, settings):
        assert one.findings == ()


RUN = """\
import pickle, subprocess, sys

LOOK = '''
import pickle, sys
for name, sent in pickle.load(sys.stdin.buffer):
    try:
        print(name, pickle.loads(sent)[0].run(4))
    except Exception as error:
        print(name, repr(error))
'''

def main(repository, *methods):
    import multiprocessing, prefect
    from distributed.protocol import pickle as dask_pickle
    from prefect.executors import LocalDaskExecutor
    from prefect.storage import Git

    prefect.context.setdefault("secrets", {})["URL"] = repository
    storage = Git(flow_path="flows/flow.py", git_clone_url_secret_name="URL", flow_name="flow", branch_name="main")
    storage.flows["flow"] = "flow"
    flow = storage.get_flow("flow")
    import cloudpickle, lib

    sent = []
    for by_value in ("", " by value"):
        for task in sorted(flow.tasks, key=str):
            parts = (task, list(flow.edges_to(task)), flow.constants.get(task), flow.result)
            sent.append((task.name + by_value, dask_pickle.dumps(parts)))
        cloudpickle.register_pickle_by_value(lib)
    cloudpickle.unregister_pickle_by_value(lib)
    subprocess.run([sys.executable, "-c", LOOK], input=pickle.dumps(sent))
    for method in methods:
        multiprocessing.set_start_method(method, force=True)
        flow.executor = LocalDaskExecutor("processes", num_workers=1)
        state = flow.run()
        print(method, type(state).__name__, state.message)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
RUNS = START + """\
from lib.core import Load, load
@task
def own(x):
    return x
with Flow("flow") as flow:
    load(1), Load(name="Load")(1), own(1)
"""


def test_that_it_is_so(tmp_path: Path) -> None:
    """The flow as an agent gets it: what Dask's pickle of it needs in a process of its own, and what process pools make of it."""
    make_repository(tmp_path / "repo", {"main": {**LIB, "flows/flow.py": RUNS}})
    (tmp_path / "run.py").write_text(RUN)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), f"file://{tmp_path / 'repo'}", "fork", "spawn"],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PREFECT__LOGGING__LEVEL": "CRITICAL", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    missing = """ModuleNotFoundError("No module named 'lib'")"""
    assert ran.stdout.splitlines() == [
        f"Load {missing}",
        f"load {missing}",
        "own 4",
        f"Load by value {missing}",
        "load by value 8",
        "own by value 4",
        "fork Success All reference tasks succeeded.",
        f"spawn Failed Unexpected error: {missing}",
    ], ran.stderr
