"""Prefect's configuration on this machine: the keys that a person has set, and the variables that agents take them from."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "PREFECT__"
MOST_NAMED = 4
"""Variables that a hint names."""


def user_file(environ: Mapping[str, str]) -> str:
    """The file that Prefect takes a person's own keys from, with `~` for the home folder where it is named so."""
    return environ.get("PREFECT__USER_CONFIG_PATH") or "~/.prefect/config.toml"


def keys_here(environ: Mapping[str, str]) -> dict[str, str]:
    """The keys, with dots between, that the person's own file and environment set, each with what sets it.

    A file that cannot be read sets none.
    """
    file = user_file(environ)
    try:
        with open(os.path.expanduser(os.path.expandvars(file)), "rb") as stream:
            keys = dict.fromkeys(_flat(tomllib.load(stream)), f"in your {file}")
    except (OSError, ValueError):
        keys = {}
    names = [name for name in environ if name.startswith(PREFIX)]
    return {**keys, **{name[len(PREFIX) :].lower().replace("__", "."): f"by your variable {name}" for name in names}}


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key


def missing_keys(missed: str, line: str, content: str, here: Iterable[str]) -> list[str]:
    """The keys that a flow file needs, of which `missed` is the first that it has not found.

    Those of its section that are set `here`, as far as its text names them; else what its failing line goes on to read;
    else `missed` alone.
    """
    lacking = [key for key in sorted(here) if key == missed or key.startswith(f"{missed}.")]
    if lacking:
        section = [key for key in sorted(here) if key.startswith(f"{missed.split('.')[0]}.")]
        named = [key for key in section if re.search(rf"\b{re.escape(key.split('.')[-1])}\b", content)]
        return named if set(lacking) & set(named) else lacking
    read = re.search(rf"\b{re.escape(missed.split('.')[-1])}((?:\.[a-z_]\w*(?![\w(])|['\"]?\]\[['\"]\w+(?=['\"]))+)", line)
    return [missed + ".".join(["", *re.findall(r"\w+", read[1])])] if read else [missed]


def variable(key: str) -> str | None:
    """The variable that sets a key; None where there is none: Prefect makes lower case of all but the names of secrets."""
    sections, _, name = key.rpartition(".")
    if sections == "context.secrets":
        return f"{PREFIX}CONTEXT__SECRETS__{name}"
    return PREFIX + key.replace(".", "__").upper() if key == key.lower() and "__" not in key else None
