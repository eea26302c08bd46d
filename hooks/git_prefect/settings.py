"""`[tool.git-prefect]` in pyproject.toml, or `.git-prefect.toml`: one typed structure."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, Optional

import msgspec

from .errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = (".git-prefect.toml", "pyproject.toml")
"""Where settings live, from the root of the repository; the first that has any is the one."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of the settings file: keys in kebab case, unknown keys refused."""


class Target(Table, frozen=True):
    """The rule that says where a ref is registered; the first that matches wins."""

    project: str
    branch: Optional[str] = None
    tag: Optional[str] = None
    schedule: Literal["keep", "on", "off"] = "keep"
    labels: list[str] = []
    create_project: bool = False

    def __post_init__(self) -> None:
        if (self.branch is None) == (self.tag is None):
            raise ValueError('needs either `branch` or `tag`, a pattern such as "feature/**"')
        if not self.project.strip():
            raise ValueError("needs a `project` that is not empty")


def with_project(target: Target, project: str) -> Target:
    """The same rule, leading to another project."""
    return msgspec.structs.replace(target, project=project)


class Runtime(Table, frozen=True):
    """A runtime image: the run config of the flows whose files match."""

    flows: list[str]
    run_config: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.run_config.get("type"), str):
            raise ValueError('`run-config` needs a `type`, such as "KubernetesRun" or "DockerRun"')


class Settings(Table, frozen=True):
    """Everything that can be set; the README lists each key with its default."""

    flows: list[str] = []
    exclude: list[str] = []
    python: Optional[str] = None
    import_roots: list[str] = []
    env: dict[str, str] = {}
    timeout: float = 30.0
    strict: bool = False
    default_branch: Optional[str] = None
    token_secret: Optional[str] = None
    token_username: Optional[str] = None
    clone_url_secret: Optional[str] = None
    storage: Literal["keep", "replace"] = "keep"
    target: list[Target] = []
    runtime: list[Runtime] = []

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("`timeout` is in seconds and has to be above 0")
        if self.clone_url_secret and (self.token_secret or self.token_username):
            raise ValueError("`clone-url-secret` is the whole URL: it goes without `token-secret` and `token-username`")


class Source(msgspec.Struct, frozen=True):
    """Settings, and where they come from."""

    settings: Settings
    origin: str
    """`pyproject.toml`, `.git-prefect.toml`, or `defaults` when the commit has none."""


def read(files: Mapping[str, bytes], machine: Mapping[str, str] | None = None) -> Source:
    """Settings as a commit has them, with what differs per machine laid over.

    `files` are those of `FILES` that the commit has. `machine` holds `git config prefect.*` (key without the prefix → value). The environment
    (`GIT_PREFECT_PYTHON`, `GIT_PREFECT_TIMEOUT`, …) wins over it, and it over the file.

    Raises:
        UsageError: a file that is no TOML, an unknown key or a wrong type, with the key's full name.
    """
    table: dict[str, Any] = {}
    origin = "defaults"
    for name in FILES:
        found = _table_of(name, files[name]) if name in files else None
        if found is not None:
            table, origin = found, name
            break
    overlay = _machine_table(machine or {}, os.environ)
    return Source(_convert({**table, **overlay}, origin), origin)


def _table_of(name: str, content: bytes) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if name == "pyproject.toml" and b"tool.git-prefect" not in content:
            return None
        raise UsageError(
            f"{name}: not valid TOML ({error}), so no settings can be read",
            f"mend {name}, commit it, and push again",
        ) from error
    if name == "pyproject.toml":
        table = document.get("tool", {}).get("git-prefect")
        return table if isinstance(table, dict) else None
    return document


_PER_MACHINE = {
    "python": str,
    "timeout": float,
    "token-secret": str,
    "token-username": str,
    "clone-url-secret": str,
}


def _machine_table(config: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, kind in _PER_MACHINE.items():
        variable = "GIT_PREFECT_" + key.upper().replace("-", "_")
        # git config keys have no case: `prefect.tokenSecret` and `prefect.token-secret` are both written.
        configured = config.get(key) or config.get(key.replace("-", ""))
        value, where = (
            (environ[variable], variable) if environ.get(variable) else (configured, f"git config prefect.{key}")
        )
        if not value:
            continue
        try:
            table[key] = kind(value)
        except ValueError as error:
            raise UsageError(
                f"{where}: expected a number of seconds, got {value!r}",
                f"set {where} to a number, or unset it",
            ) from error
    return table


def _convert(table: dict[str, Any], origin: str) -> Settings:
    # One entry of a list at a time: msgspec names the key that is wrong, but not the entry of the list.
    prefix = "tool.git-prefect." if origin == "pyproject.toml" else ""
    for name, kind in (("target", Target), ("runtime", Runtime)):
        entries = table.get(name, [])
        if not isinstance(entries, list):
            raise _refused(origin, f"{prefix}{name}", f"write [[{prefix}{name}]], with two brackets")
        for number, entry in enumerate(entries, start=1):
            _checked(entry, kind, origin, f"{prefix}{name}[{number}]")
    _checked(table, Settings, origin, prefix.rstrip("."))
    return msgspec.convert(table, Settings)


def _checked(value: Any, kind: type[Table], origin: str, place: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        unknown = re.search(r"unknown field `([^`]*)`", message)
        at = re.search(r" - at `\$\.?(.*)`$", message)
        key = ".".join(part for part in (place, at.group(1) if at else "", unknown.group(1) if unknown else "") if part)
        if unknown:
            known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
            raise _refused(origin, key, f"unknown key; known here: {known}") from error
        raise _refused(origin, key, message[: at.start()] if at else message) from error


def _refused(origin: str, key: str, fact: str) -> UsageError:
    return UsageError(
        f"{origin}: {key}: {fact[0].lower()}{fact[1:]}" if key else f"{origin}: {fact}",
        f"mend {key or 'it'} in {origin} (the README lists all settings), commit, and push again",
    )
