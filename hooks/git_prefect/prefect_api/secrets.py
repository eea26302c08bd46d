"""How agents are given the secrets that their storage names."""

from __future__ import annotations

import json
import shlex

PREFIX = "PREFECT__CONTEXT__SECRETS__"
"""Before the name of a secret that is kept in a process's own environment."""


def how_to_set(name: str, value: str) -> str:
    """The commands that give agents a secret, a line for each kind of backend; `value` is a place-holder or no secret.

    With Prefect Server a secret lives in the environment of the process that loads the flow, with Prefect Cloud in
    the tenant (`Client.set_secret`).
    """
    call = f"import prefect; prefect.Client().set_secret({json.dumps(name)}, {json.dumps(value)})"
    lines = [
        f"Prefect Server, where the agent runs: export {PREFIX}{name}={shlex.quote(value)}",
        f"Prefect Cloud: python -c {shlex.quote(call)}",
    ]
    if "TOKEN@" in value or "PASSWORD@" in value:
        lines.append("what takes the place-holder's place is quoted as in every URL: @ %40, / %2F, : %3A, % %25")
    return "\n".join(f"    {line}" for line in lines)
