"""Each setting, and where its value comes from: the environment, git's configuration, the file, or the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...core.results import Check
from ...core.settings import PER_MACHINE, Keys, Settings, Source


def settings(
    source: Source, machine: Mapping[str, str], environ: Mapping[str, str], uncommitted: Source | None = None
) -> Check:
    """What is set, a line each with its origin, and what has its default, in one line; what does not count yet."""
    plain = Settings()
    lines, defaults = [], []
    for field in msgspec.structs.fields(Keys):
        value = getattr(source.settings, field.name)
        if value == getattr(plain, field.name):
            defaults.append(field.encode_name)
        else:
            origin = _origin(field.encode_name, machine, environ) or source.origin
            lines.append(f"{field.encode_name} = {shown(field.encode_name, value)} ({origin})")
    lines.append(f"default: {', '.join(defaults)}")
    if uncommitted is None:
        return Check("settings", tuple(lines))
    file = uncommitted.origin
    problem = f"{file} is not committed as it is here: a push goes by what is committed"
    return Check("settings", tuple(lines), problem, f"git add {file} && git commit")


def _origin(key: str, machine: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """What of this machine sets a key; None when nothing does."""
    if key not in PER_MACHINE:
        return None
    variable = "GIT_PREFECT_" + key.upper().replace("-", "_")
    if environ.get(variable):
        return variable
    spelled = next((name for name in machine if name.replace("-", "") == key.replace("-", "")), None)
    return f"git config prefect.{spelled}" if spelled else None


def shown(key: str, value: Any) -> str:
    """A setting's value, as it may be printed."""
    if key == "env":
        # Dummy secrets are what it is for, and not all of them will be dummies.
        return f"{{{', '.join(value)}}}, values not shown"
    if key in ("target", "runtime"):
        return f"{len(value)} of them"
    return msgspec.json.encode(value).decode()
