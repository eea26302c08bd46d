"""Prefect: the API, its tenant, the project of the target, and agents that would run what is registered there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Optional

import msgspec

from ...core.deployment import Deployment, Resolution
from ...core.errors import GitPrefectError
from ...core.results import Check
from ...prefect_api import agents
from ...prefect_api.queries import Api, Registered
from ...report import text


class _Version(msgspec.Struct):
    version: Optional[str] = None


class _Api(msgspec.Struct):
    api: Optional[_Version] = None


class _Tenants(msgspec.Struct):
    tenant: list[Any]


def api() -> tuple[Check, Api | None]:
    """The API that Prefect is set to, which is ours as well, and which backend it is."""
    import prefect

    backend = str(prefect.config.backend)
    try:
        found = Api()
        facts = [f"{found.address} (backend {backend}, Prefect {prefect.__version__} here)"]
        if backend == "server":
            version = (found.ask("query { api { version } }", {}, _Api).get("api") or {}).get("version")
            facts += [f"Prefect Server {version}"] * bool(version)
        else:
            found.ask("query { tenant { id } }", {}, _Tenants)
    except GitPrefectError as error:
        return Check("api", (), error.message, error.hint), None
    return Check("api", tuple(facts)), found


def tenant_and_project(found: Api, ref: Resolution) -> tuple[list[Check], Registered | None]:
    """The tenant, and whether the project that a ref is registered in exists."""
    name = ref.project if isinstance(ref, Deployment) else None
    try:
        registered = found.registered([name] if name else [], [])
    except GitPrefectError as error:
        return [Check("tenant", (), error.message, error.hint)], None
    tenant = Check("tenant", (f"{registered.tenant_slug or 'without a slug'}, {registered.tenant_id}",))
    if not isinstance(ref, Deployment) or name is None:
        return [tenant], registered
    if name in registered.project_ids:
        return [tenant, Check("project", (f"{name} exists",))], registered
    if ref.target.create_project:
        return [tenant, Check("project", (f"{name} is created with the first registration",))], registered
    missing = Check(
        "project", (), f"{name} does not exist, so nothing can be registered",
        f"`prefect create project {shlex.quote(name)}`, or `create-project = true` in the target",
    )  # fmt: skip
    return [tenant, missing], registered


def agents_for(found: Api, tenant_id: str, wanted: Sequence[tuple[str, tuple[str, ...]]]) -> Check:
    """Whether each of these runs (type of run config, labels) has an agent that takes it, and can run it."""
    try:
        known = agents.agents_of(found, tenant_id)
    except GitPrefectError as error:
        return Check("agents", (), error.message, error.hint)
    living = [one for one in known if one.living]
    facts = [f"{one.name} ({one.kind}), {agents.describe(one.labels)}, {_ago(one)}" for one in living]
    gone = len(known) - len(living)
    facts += [f"{text.plural(gone, 'agent')} not seen for {agents.GONE / 60:.0f} minutes or more"] * bool(gone)
    problems, remedies = [], []
    for run_config, labels in wanted:
        taking = [one for one in living if one.takes(labels)]
        wrong = [one for one in taking if not one.runs(run_config)]
        if not taking:
            has = f"has the {agents.describe(labels)}" if labels else "takes runs without labels"
            problems.append(f"no agent {has}: runs would wait forever")
            remedies.append(agents.start(run_config, labels))
        elif wrong:
            problems.append(
                f"{wrong[0].name} ({wrong[0].kind}) takes runs with {agents.describe(labels)} and cannot run a {run_config}: "
                "they would fail"
            )
            remedies.append(f"give it other labels; {agents.start(run_config, labels)}")
        else:
            facts.append(f"runs with {agents.describe(labels)}: {text.plural(len(taking), 'agent')} would take them")
    return Check("agents", tuple(facts), "; ".join(problems), "; ".join(dict.fromkeys(remedies)))


def _ago(one: agents.Agent) -> str:
    return f"seen {one.seconds_ago or 0:.0f} s ago"
