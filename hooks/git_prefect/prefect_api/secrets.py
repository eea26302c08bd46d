"""How agents are given the secrets that their storage names."""

from __future__ import annotations

import json
import shlex

from .client import has_key, is_server

PREFIX = "PREFECT__CONTEXT__SECRETS__"
"""Before the name of a secret that is kept in a process's own environment."""


def how_to_set(name: str, value: str) -> str:
    """The command that gives agents a secret; `value` is a place-holder or no secret.

    With Prefect Server a secret lives in the environment of the process that loads the flow, with Prefect Cloud in
    the tenant (`Client.set_secret`). Where nobody has chosen a backend yet there is a line for each.
    """
    call = f"import prefect; prefect.Client().set_secret({json.dumps(name)}, {json.dumps(value)})"
    server = f"Prefect Server, where the agent runs: export {PREFIX}{name}={shlex.quote(value)}"
    cloud = f"Prefect Cloud: python -c {shlex.quote(call)}"
    lines = [server] if is_server() else [cloud] if has_key() else [server, cloud]
    if "TOKEN@" in value or "PASSWORD@" in value:
        lines.append("what takes the place-holder's place is quoted as in every URL: @ %40, / %2F, : %3A, % %25")
    return "\n".join(f"    {line}" for line in lines)
