"""Modules that tasks in other processes import by name: of those that only the clone has, every such import fails.

Dask and process pools pickle tasks, and name the modules of what can be imported. A forked process has these in its memory; any other
looks them up, and an agent has deleted its clone by then (prefect/utilities/git.py). Beside the worker and child; Python 3.8
syntax, standard library, Prefect and what its executors use.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
from collections.abc import Iterator
from typing import Any

SPAWNED, CLUSTER = "spawned", "cluster"
"""Processes that the flow run starts beside itself, and a Dask cluster with an environment of its own."""
DEFAULT_EXECUTOR = "PREFECT__ENGINE__EXECUTOR__DEFAULT_CLASS"
"""The variable that names the executor of flows which have none."""
DASK_ADDRESS = "PREFECT__ENGINE__EXECUTOR__DASK__ADDRESS"
"""The variable with the address of the cluster for a `DaskExecutor()`."""


def of_flow(flow: Any, root: str, image: list[str]) -> dict[str, Any] | None:
    """What a flow's tasks need by name in other processes and only the clone has; None where there is no such thing.

    `{"executor", "where", "modules", "tasks", "folders", "by_value"}`: `where` is `SPAWNED` or `CLUSTER`, `tasks` are those with a
    module in them, `folders` where it is imported from, `by_value` the packages that cloudpickle can send along instead.
    `image` is `sys.path` before the load.
    """
    from prefect.executors import DaskExecutor

    executor = executor_of(flow)
    where = place_of_tasks(executor)
    if not where:
        return None
    ways = dask_ways() if isinstance(executor, DaskExecutor) else dask_ways()[1:]
    named = set().union(*(names_in(pickled(sent_with(flow, task), ways)) for task in flow.tasks))
    modules = sorted(name for name in named if is_below(name, root) and not is_found(name, image))
    if not modules:
        return None
    return {
        "executor": type(executor).__name__, "where": where, "modules": modules,
        "tasks": sorted(str(task.name) for task in flow.tasks if names_in(pickled(task, ways)).intersection(modules)),
        "folders": sorted({folder_of(name, root) for name in modules}),
        "by_value": [] if is_still_named(flow, modules, ways) else sorted({name.partition(".")[0] for name in modules}),
    }  # fmt: skip


# Where tasks run ------------------------------------------------------------------------------------


def executor_of(flow: Any) -> Any:
    """The executor of a flow, else what its run config or Prefect's configuration names (prefect/engine/flow_runner.py)."""
    import prefect
    from prefect.utilities.serialization import from_qualified_name

    executor = getattr(flow, "executor", None)
    if executor is not None:
        return executor
    env = getattr(flow.run_config, "env", None)
    variables = env if isinstance(env, dict) else {}
    name = variables.get(DEFAULT_EXECUTOR) or prefect.config.engine.executor.default_class
    if not isinstance(name, str) or name.endswith(".LocalExecutor"):
        return None
    try:
        kind = from_qualified_name(name)
        return kind(address=variables[DASK_ADDRESS]) if variables.get(DASK_ADDRESS) else kind()
    except Exception:
        # Prefect takes its LocalExecutor for what it cannot import.
        return None


def place_of_tasks(executor: Any) -> str:
    """`SPAWNED` or `CLUSTER`; empty where tasks share the memory of the flow run, or a copy of it."""
    from prefect.executors import DaskExecutor, LocalDaskExecutor

    if isinstance(executor, LocalDaskExecutor):
        return SPAWNED if executor.scheduler == "processes" and spawns() else ""
    if not isinstance(executor, DaskExecutor):
        return ""
    if executor.address is not None:
        return "" if str(executor.address).startswith("inproc:") else CLUSTER
    import dask
    from distributed import LocalCluster, Nanny

    kind, options = executor.cluster_class, executor.cluster_kwargs
    if not (isinstance(kind, type) and issubclass(kind, LocalCluster)):
        return CLUSTER
    worker = options.get("worker_class")
    processes = options.get("processes")
    if processes is None:
        processes = worker is None or (isinstance(worker, type) and issubclass(worker, Nanny))
    forks = dask.config.get("distributed.worker.multiprocessing-method", "spawn") == "fork"
    return SPAWNED if processes and not forks else ""


def spawns() -> bool:
    """Whether the flow file has chosen that new processes are not forked; unchosen, it is the agent's system that decides."""
    module = sys.modules.get("multiprocessing")
    return module is not None and module.get_start_method(allow_none=True) in ("spawn", "forkserver")


# What is sent there ---------------------------------------------------------------------------------


def dask_ways() -> list[Any]:
    """How Dask's workers get an object: as `pickle` makes it, else as cloudpickle does (distributed/protocol/pickle.py)."""
    import cloudpickle

    return [pickle.dumps, cloudpickle.dumps]


def sent_with(flow: Any, task: Any) -> tuple[Any, ...]:
    """What goes along when a task is sent to be run, its context apart (prefect/engine/flow_runner.py)."""
    return (task, list(flow.edges_to(task)), flow.constants.get(task), flow.result)


def pickled(thing: Any, ways: list[Any]) -> bytes:
    """The first pickle that can be made; empty where there is none."""
    for dumps in ways:
        try:
            data: bytes = dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
            return data
        except Exception:
            continue
    return b""


def is_still_named(flow: Any, modules: list[str], ways: list[Any]) -> bool:
    """Whether a module is looked up by name, or cannot be pickled, although cloudpickle is to send its contents."""
    import cloudpickle

    added = []
    try:
        for name in {name.partition(".")[0] for name in modules} - cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(sys.modules[name])
            added.append(sys.modules[name])
        sent = [pickled(sent_with(flow, task), ways) for task in flow.tasks]
        return not all(sent) or any(names_in(data).intersection(modules) for data in sent)
    except Exception:
        # Older than 2.0, it has no such function.
        return True
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


class Anything(type):
    """The class of `Nothing`, which takes the place of whatever a pickle makes."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        return cls

    def __setitem__(cls, key: Any, value: Any) -> None:
        pass


class Nothing(metaclass=Anything):
    """Made of nothing, changed by nothing: reading a pickle runs no code of the flow's."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return cls

    @classmethod
    def ignore(cls, *_: Any) -> None:
        """What a pickle gives to what it has made."""

    __setstate__ = append = extend = add = ignore


class Names(pickle.Unpickler):
    """Reads a pickle for the modules that it names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.modules: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """A function or class is looked up; cloudpickle looks up modules by a function of its own."""
        self.modules.add(module)
        if name == "subimport" and module.startswith("cloudpickle"):
            return self.modules.add
        return Nothing


def names_in(data: bytes) -> set[str]:
    """The modules that whoever loads a pickle has to import."""
    names = Names(data)
    # What was named until an error is named.
    with contextlib.suppress(Exception):
        names.load()
    return names.modules


# Where modules are ----------------------------------------------------------------------------------


def places_of(name: str) -> list[str]:
    """The file of a loaded module, or the folders of a namespace package."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))
    return [os.path.normpath(place) for place in places if isinstance(place, str)]


def is_below(name: str, root: str) -> bool:
    """Whether a loaded module comes from the clone."""
    places = places_of(name)
    return bool(places) and all(place.startswith(root) for place in places)


def folder_of(name: str, root: str) -> str:
    """The folder that a module of the clone is imported from, from the root."""
    place = places_of(name)[0]
    up = name.count(".") + (os.path.basename(place).partition(".")[0] == "__init__")
    for _ in range(up + 1):
        place = os.path.dirname(place)
    return os.path.relpath(place, root)


def is_found(name: str, image: list[str]) -> bool:
    """Whether a module would be imported from elsewhere, had the flow file added nothing to `sys.path`."""
    added = sys.path[:]
    sys.path[:] = image
    try:
        path = None
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            spec = next(specs_of(".".join(parts[:length]), path), None)
            if spec is None:
                return False
            path = spec.submodule_search_locations
        return True
    except Exception:
        return False
    finally:
        sys.path[:] = added


def specs_of(name: str, path: Any) -> Iterator[Any]:
    """What the finders of modules say of a name."""
    for finder in sys.meta_path:
        spec = getattr(finder, "find_spec", lambda *_: None)(name, path)
        if spec is not None:
            yield spec
