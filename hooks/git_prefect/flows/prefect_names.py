"""What Prefect 1 removed or renamed, and what takes its place.

Compared from the wheels of 0.9.8, 0.12.6, 0.13.19, 0.14.22 and 1.4.1, and from Prefect's changelog of 1.0.
"""

from __future__ import annotations

import re

RUN_CONFIGS = (
    "a run config, such as flow.run_config = KubernetesRun(…) of prefect.run_configs, and flow.executor = … of prefect.executors"
)
RESULTS = "a result of prefect.engine.results, such as GCSResult(…), as result= in place of result_handler="
EXECUTOR = 'LocalDaskExecutor(scheduler="synchronous") of prefect.executors'

RENAMED = {
    "prefect.agent.fargate": "prefect.agent.ecs",
    "prefect.agent.fargate.FargateAgent": "prefect.agent.ecs.ECSAgent",
    "prefect.agent.fargate.agent.FargateAgent": "prefect.agent.ecs.ECSAgent",
    "prefect.contrib.tasks": "prefect.tasks",
    "prefect.core.task.Parameter": "prefect.Parameter",
    "prefect.engine.executors": "prefect.executors",
    "prefect.engine.result.ResultInterface": "prefect.engine.result.Result",
    "prefect.engine.result.SafeResult": "prefect.engine.result.Result",
    "prefect.engine.signals.PrefectError": "prefect.exceptions.PrefectSignal",
    "prefect.environments.storage": "prefect.storage",
    "prefect.schedules.OneTimeSchedule": "prefect.schedules.clocks.DatesClock",
    "prefect.schedules.UnionSchedule": "prefect.schedules.Schedule",
    "prefect.schedules.schedules.OneTimeSchedule": "prefect.schedules.clocks.DatesClock",
    "prefect.schedules.schedules.UnionSchedule": "prefect.schedules.Schedule",
    "prefect.tasks.cloud": "prefect.tasks.prefect",
    "prefect.tasks.cloud.FlowRunTask": "prefect.tasks.prefect.StartFlowRun",
    "prefect.tasks.cloud.flow_run.FlowRunTask": "prefect.tasks.prefect.StartFlowRun",
    "prefect.tasks.google": "prefect.tasks.gcp",
    "prefect.tasks.great_expectations.RunGreatExpectationsCheckpoint":
        "prefect.tasks.great_expectations.RunGreatExpectationsValidation",
    "prefect.tasks.prefect.CancelFlowRunTask": "prefect.tasks.prefect.CancelFlowRun",
    "prefect.tasks.prefect.FlowRunTask": "prefect.tasks.prefect.StartFlowRun",
    "prefect.tasks.prefect.RenameFlowRunTask": "prefect.tasks.prefect.RenameFlowRun",
    "prefect.tasks.prefect.flow_run.FlowRunTask": "prefect.tasks.prefect.StartFlowRun",
    "prefect.tasks.secrets.Secret": "prefect.tasks.secrets.PrefectSecret",
    "prefect.tasks.secrets.base.Secret": "prefect.tasks.secrets.PrefectSecret",
    "prefect.utilities.exceptions": "prefect.exceptions",
    "prefect.utilities.exceptions.ContextError": "prefect.exceptions.PrefectException",
    "prefect.utilities.exceptions.PrefectError": "prefect.exceptions.PrefectException",
    "prefect.utilities.exceptions.SerializationError": "prefect.exceptions.PrefectException",
    "prefect.utilities.exceptions.StorageError": "prefect.exceptions.FlowStorageError",
    "prefect.utilities.exceptions.TaskTimeoutError": "prefect.exceptions.TaskTimeoutSignal",
    "prefect.utilities.exceptions.VersionLockError": "prefect.exceptions.VersionLockMismatchSignal",
    "prefect.utilities.executors.TaskTimeoutError": "prefect.exceptions.TaskTimeoutSignal",
    "prefect.utilities.tasks.unmapped": "prefect.unmapped",
}  # fmt: skip
"""Old name → new name; what is below a module that was renamed is below the new one."""

REPLACED = {
    "prefect.engine.executors.SynchronousExecutor": EXECUTOR,
    "prefect.engine.executors.sync": EXECUTOR,
    "prefect.engine.result_handlers": RESULTS,
    "prefect.engine.results.ResultHandlerResult": RESULTS,
    "prefect.engine.results.result_handler_result": RESULTS,
    "prefect.environments": RUN_CONFIGS,
    "prefect.environments.storage.Bytes": "prefect.storage.Local",
    "prefect.environments.storage.Memory": "prefect.storage.Local",
    "prefect.environments.storage.bytes": "prefect.storage.Local",
    "prefect.environments.storage.memory": "prefect.storage.Local",
}
"""Old name → what to use instead, as text; the same for all that is below it."""

ARGUMENTS = {
    "environment": RUN_CONFIGS,
    "result_handler": RESULTS,
    "local_processes": 'cluster_kwargs={"processes": True}',
}
"""Arguments that Flow, Task, Parameter and DaskExecutor have no more → what to use instead."""

LATER = frozenset({
    "prefect.allow_failure", "prefect.blocks", "prefect.concurrency", "prefect.deploy", "prefect.deployments", "prefect.events",
    "prefect.filesystems", "prefect.flow", "prefect.flows", "prefect.futures", "prefect.get_client", "prefect.get_run_logger",
    "prefect.infrastructure", "prefect.logging", "prefect.orion", "prefect.pause_flow_run", "prefect.runtime", "prefect.serve",
    "prefect.server", "prefect.states", "prefect.task_runners", "prefect.variables", "prefect.workers",
})  # fmt: skip
"""Names that Prefect has from version 2 on."""


def replacement(name: str) -> str:
    """What to use in place of a name that Prefect 1 does not have; empty where that is not known."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        known = ".".join(parts[:length])
        if known in RENAMED:
            return f"Prefect 1 has no {name} any more: use {'.'.join([RENAMED[known], *parts[length:]])}"
        if known in REPLACED:
            return f"Prefect 1 has no {name} any more: use {REPLACED[known]}"
        if known in LATER:
            return f"{known} is of Prefect 2; in Prefect 1 a flow is made by `with prefect.Flow(…)`"
    return ""


def of_error(kind: str, message: str) -> str:
    """What to use in place of the name or argument of Prefect that an exception says is not there; empty where not known."""
    if kind == "ImportError":
        found = re.search(r"cannot import name '(\w+)' from '(prefect[\w.]*)'", message)
        return replacement(f"{found[2]}.{found[1]}") if found else ""
    if kind == "AttributeError":
        found = re.search(r"module '(prefect[\w.]*)' has no attribute '(\w+)'", message)
        return replacement(f"{found[1]}.{found[2]}") if found else ""
    if kind == "TypeError":
        found = re.search(r"\b(?:Flow|Task|Parameter|DaskExecutor)\.__init__\(\) got an unexpected keyword argument '(\w+)'", message)
        if found and found[1] in ARGUMENTS:
            return f"Prefect 1 has no argument {found[1]} there any more: use {ARGUMENTS[found[1]]}"
    return ""
