"""`[tool.git-prefect]` in pyproject.toml, or `.git-prefect.toml`: one typed structure."""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Optional

import msgspec
from pathspec import GitIgnoreSpec

from .errors import UnusableCommit, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = (".git-prefect.toml", "pyproject.toml")
"""Where settings live: in the root of the repository, else in its only folder that has any; the first is the one."""


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
    take_over: bool = False
    prune: bool = False


def with_project(target: Target, project: str) -> Target:
    """The same rule, leading to another project."""
    return msgspec.structs.replace(target, project=project)


class Runtime(Table, frozen=True):
    """A runtime image: the run config of the flows whose files match."""

    flows: list[str]
    run_config: dict[str, Any]


MOST_PARALLEL = 64
"""Flows that may be registered at once: more open connections would be an attack."""

RUN_CONFIGS = ("DockerRun", "ECSRun", "KubernetesRun", "LocalRun", "UniversalRun", "VertexRun")
"""The run configs of Prefect 1."""


class Keys(Table, frozen=True):
    """Everything that can be set; docs/settings.md lists each key with its default."""

    flows: list[str] = []
    exclude: list[str] = []
    python: Optional[str] = None
    import_roots: list[str] = []
    env: dict[str, str] = {}
    timeout: float = 30.0
    strict: bool = False
    default_branch: Optional[str] = None
    ssh: Optional[bool] = None
    token_secret: Optional[str] = None
    token_username: Optional[str] = None
    clone_url_secret: Optional[str] = None
    companion_tag: Optional[str] = None
    verify_clone: bool = False
    storage: Literal["keep", "replace"] = "keep"
    parallel: int = 16
    target: list[Target] = []
    runtime: list[Runtime] = []


class Settings(Keys, frozen=True):
    """What is set, with paths and patterns from the root of the repository."""

    folder: str = ""
    """The folder that the settings' own paths are relative to; empty: the root."""


def path_as_written(path: str, folder: str) -> str:
    """A path from the root of the repository as settings in a folder have it."""
    return posixpath.relpath(path, folder) if folder else path


def leaving_out(paths: Iterable[str], settings: Settings) -> str:
    """The edit by which settings leave out these paths, or patterns of folders; empty where their folder has none of them."""
    top = f"{settings.folder}/" if settings.folder else ""
    inside = [path[len(top) :] for path in paths if path.startswith(top)]
    patterns = ", ".join(json.dumps(f"/{literal_pattern(path)}", ensure_ascii=False) for path in inside)
    if not patterns:
        return ""
    return f"add {patterns} to `exclude`" if settings.exclude else f"exclude = [{patterns}]"


def giving(variables: Iterable[str], settings: Settings) -> str:
    """The edit by which settings give variables to a load; empty where they give all of them already."""
    new = ", ".join(f'{name} = "…"' for name in variables if name not in settings.env)
    if not new:
        return ""
    return f"add {new} to `env`" if settings.env else f"env = {{ {new} }}"


class Source(msgspec.Struct, frozen=True):
    """Settings, and where they come from."""

    settings: Settings
    origin: str
    """Path of the file, such as `pyproject.toml` or `etl/.git-prefect.toml`, or `defaults` when the commit has none."""
    folder: str = ""
    """The folder of that file, from the root of the repository; empty: the root."""


def read(files: Mapping[str, bytes], machine: Mapping[str, str] | None = None, folder: str = "") -> Source:
    """Settings as a commit has them, with what differs per machine laid over.

    `files` are those of `FILES` that `folder` has in the commit; their paths are relative to it, and from the root of the
    repository in what is returned. `machine` holds `git config prefect.*` (key without the
    prefix → value). The environment (`GIT_PREFECT_PYTHON`, `GIT_PREFECT_TIMEOUT`, …) wins over it, and it over the file.

    Raises:
        UnusableCommit: a file that is no TOML, an unknown key, a wrong type or value, with the key's full name.
        UsageError: the same of what is set on this machine.
    """
    for name in FILES:
        place = posixpath.join(folder, name)
        table = _table_of(place, files[name]) if name in files else None
        if table is not None:
            settings, origin = _convert(table, place), place
            break
    else:
        settings, origin = Settings(), "defaults"
    return Source(_with_machine(settings, machine or {}, os.environ), origin, folder)


def missing_import_root(source: Source, root: str, where: str) -> UnusableCommit:
    """The refusal of settings that name an import root, a path from the root of the repository, which is no folder there."""
    prefix = "tool.git-prefect." if posixpath.basename(source.origin) == "pyproject.toml" else ""
    written = posixpath.relpath(root, source.folder or ".")
    return UnusableCommit(
        f"{source.origin}: {prefix}import-roots: {written!r} is no folder of {where}, so what flow files import from it is not found",
        f"correct {prefix}import-roots in {source.origin}, or add and commit the folder",
    )


LARGEST_FILE, MOST_PARTS = 500_000, 32
"""Bytes of a settings file, and parts of a dotted key: what a parser of TOML needs grows with their product, and beyond."""

_NO_KEYS = re.compile(
    r'''"""(?:\\.?|[^\\])*?(?:"""|\Z)|\'{3}.*?(?:\'{3}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|#[^\n]*''', re.DOTALL
)
"""Strings and comments of TOML: what is left between its signs is a key, a number or a date."""


class ConflictMarkers(ValueError):
    """A file is no TOML since a merge has left its conflict markers in it."""


def how_to_mend(name: str, error: ValueError) -> str:
    """The hint for a file that `parse` does not take."""
    return f"resolve the conflict in {name} and commit it" if isinstance(error, ConflictMarkers) else f"mend {name}"


def conflict_marker(text: str) -> str | None:
    """Where a conflict begins, as git marks it; None when there is no whole one."""
    found = [(number, line[:7]) for number, line in enumerate(text.splitlines(), 1) if line[7:8] in ("", " ")]
    begins = [number for number, sign in found if sign == "<" * 7]
    ends = [number for number, sign in found if sign == ">" * 7]
    return f"line {begins[0]} has a conflict marker of a merge" if begins and ends and begins[0] < ends[-1] else None


def parse(content: bytes) -> dict[str, Any]:
    """A TOML document, in bounded time and memory.

    Raises:
        ConflictMarkers: a merge has left some.
        ValueError: it is no TOML, or too large, or too deep.
    """
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it has {len(content)} bytes, and {LARGEST_FILE} are the most that are read")
    text = content.decode("utf-8")
    dots = max(one.count(".") for one in re.split(r"[=,\n\[\]{}]", _NO_KEYS.sub("_", text)))
    if dots >= MOST_PARTS:
        raise ValueError(f"a key of {dots + 1} parts, and {MOST_PARTS} are the most that are read")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        conflict = conflict_marker(text)
        if conflict is None:
            raise
        raise ConflictMarkers(conflict) from None


def _table_of(name: str, content: bytes) -> dict[str, Any] | None:
    in_project = posixpath.basename(name) == "pyproject.toml"
    if in_project and b"git-prefect" not in content:
        return None
    try:
        document = parse(content)
    except ValueError as error:
        raise UnusableCommit(f"{name}: cannot be read as TOML ({error}), so no settings can be read", how_to_mend(name, error)) from error
    if not in_project:
        if "tool" in document:
            raise UnusableCommit(
                f"{name}: tool: unknown key; the settings are at the top level of this file",
                f"write [[runtime]] and [[target]] in {name}: [[tool.git-prefect.…]] is for pyproject.toml",
            )
        return document
    tool = document.get("tool")
    table: Any = tool.get("git-prefect") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise _refused(name, "tool.git-prefect", "is a table: write [tool.git-prefect], and the keys below it")
    return table


PER_MACHINE = ("python", "timeout", "token-secret", "token-username", "clone-url-secret")
"""What `git config prefect.<key>` and `GIT_PREFECT_<KEY>` can set."""

LOGIN = {"token-secret", "token-username", "clone-url-secret"}
"""Those of them that say how agents log in when they clone."""


def _with_machine(settings: Settings, config: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    # git config keys have no case: `prefect.tokenSecret` and `prefect.token-secret` are both written.
    spelled = {key.replace("-", ""): key for key in PER_MACHINE}
    found: dict[str, tuple[str, str]] = {}
    for name, value in config.items():
        if name.replace("-", "") not in spelled:
            raise UsageError(
                f"git config prefect.{name}: unknown key; known here: {', '.join(PER_MACHINE)}",
                f"mend it, or take it out with `git config --unset prefect.{name}`",
            )
        found[spelled[name.replace("-", "")]] = (value, f"git config prefect.{name}")
    for key in PER_MACHINE:
        variable = "GIT_PREFECT_" + key.upper().replace("-", "_")
        if environ.get(variable):
            found[key] = (environ[variable], variable)
    for key in LOGIN & found.keys():
        value, where = found[key]
        if not value.strip():
            raise UsageError(
                f"{where}: it is empty, so flows would be registered without the login that agents clone with",
                f"unset {where}, or name the Prefect secret",
            )
    # Key by key, but for the two ways to clone, of which a repository has one.
    if "clone-url-secret" in found:
        settings = msgspec.structs.replace(settings, token_secret=None, token_username=None)
    elif "token-secret" in found:
        settings = msgspec.structs.replace(settings, clone_url_secret=None)
    for key, (value, where) in found.items():
        try:
            typed = float(value) if key == "timeout" else value
            changed = msgspec.structs.replace(settings, **{key.replace("-", "_"): typed})
        except ValueError:
            raise UsageError(f"{where}: expected a number of seconds, got {value!r}", f"set {where} to one") from None
        wrong = next(_wrong_values(changed), None) if changed != settings else None
        if wrong:
            raise UsageError(f"{where}: {wrong[1]}", f"mend or unset {where}")
        settings = changed
    return settings


def _convert(table: dict[str, Any], origin: str) -> Settings:
    # One entry of a list at a time: msgspec names the key that is wrong, but not the entry of the list.
    folder, file = posixpath.split(origin)
    prefix = "tool.git-prefect." if file == "pyproject.toml" else ""
    for name, kind in (("target", Target), ("runtime", Runtime)):
        entries = table.get(name, [])
        if not isinstance(entries, list):
            raise _refused(origin, f"{prefix}{name}", f"write [[{prefix}{name}]], with two brackets")
        for number, entry in enumerate(entries, start=1):
            _checked(entry, kind, origin, f"{prefix}{name}[{number}]")
    if isinstance(table.get("env"), dict):
        for name, value in table["env"].items():
            _checked(value, str, origin, f"{prefix}env.{name}")
    _checked(table, Keys, origin, prefix.rstrip("."))
    keys = msgspec.convert(table, Keys)
    settings = Settings(**{name: getattr(keys, name) for name in Keys.__struct_fields__}, folder=folder)
    for key, fact in _wrong_values(settings, folder):
        raise _refused(origin, prefix + key, fact)
    return _from_root(settings, folder) if folder else settings


def _from_root(settings: Settings, folder: str) -> Settings:
    """Settings whose paths and patterns are relative to a folder, with those from the root of the repository."""
    python = settings.python
    if python and not python.startswith("~"):
        python = posixpath.join(folder, python)
    runtimes = [
        Runtime(
            [_pattern_from_root(one, folder) for one in runtime.flows],
            {key: _file_from_root(key, value, folder) for key, value in runtime.run_config.items()},
        )
        for runtime in settings.runtime
    ]
    return msgspec.structs.replace(
        settings, python=python, runtime=runtimes,
        flows=[_pattern_from_root(one, folder) for one in settings.flows],
        exclude=[_pattern_from_root(one, folder) for one in settings.exclude],
        import_roots=[posixpath.normpath(posixpath.join(folder, one)) for one in settings.import_roots],
    )  # fmt: skip


def _pattern_from_root(pattern: str, folder: str) -> str:
    """A pattern as a `.gitignore` of the folder would have it, as one of the root has it."""
    negated = pattern[:1] if pattern.startswith("!") else ""
    rest = pattern[len(negated) :]
    anchored = rest.lstrip("/") if "/" in rest.rstrip("/") else f"**/{rest}"
    return f"{negated}/{literal_pattern(folder)}/{anchored}"


def literal_pattern(path: str) -> str:
    """A pattern of `.gitignore` that matches this path only, whatever characters it has."""
    return re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)


def _file_from_root(key: str, value: Any, folder: str) -> Any:
    """The value of a run config's key; of one that names a template, a file of the repository, from its root."""
    is_file = key.endswith("-path") and isinstance(value, str) and "://" not in value
    return posixpath.normpath(posixpath.join(folder, value)) if is_file else value


def _wrong_values(settings: Settings, folder: str = "") -> Iterator[tuple[str, str]]:
    """Keys whose values are of the right type and make no sense, each with the reason; paths are relative to `folder`."""
    if not 0 < settings.timeout < math.inf:
        yield "timeout", "is in seconds and has to be above 0"
    if not 0 < settings.parallel <= MOST_PARALLEL:
        yield "parallel", f"is how many flows are registered at once: 1 to {MOST_PARALLEL}"
    if settings.clone_url_secret and (settings.token_secret or settings.token_username):
        yield "clone-url-secret", "is the whole URL: it goes without `token-secret` and `token-username`"
    if settings.companion_tag is not None and not re.fullmatch(r"[^\s~^:?*\[\\{}]+/\{tag\}", settings.companion_tag):
        yield "companion-tag", 'is a name of its own below which the tags are, such as "flows/{tag}"'
    for root in settings.import_roots:
        if os.path.isabs(root) or posixpath.normpath(posixpath.join(folder, root)).startswith(".."):
            yield "import-roots", f"names folders of the repository, and {root!r} is outside of it"
    for name, value in settings.env.items():
        if not name or "=" in name or "\0" in name + value:
            yield f"env.{name!r}", "is no name and value that an environment can hold"
    yield from _wrong_patterns("flows", settings.flows)
    yield from _wrong_patterns("exclude", settings.exclude)
    for number, target in enumerate(settings.target, start=1):
        place = f"target[{number}]"
        if (target.branch is None) == (target.tag is None):
            yield place, 'needs either `branch` or `tag`, a pattern such as "feature/**"'
        if not target.project.strip():
            yield f"{place}.project", "is the name of a Prefect project and cannot be empty"
        for unknown in set(re.findall(r"{[^}]*}", target.project)) - {"{branch}", "{user}", "{repo}"}:
            yield f"{place}.project", f"{unknown} is not known; {{branch}}, {{user}} and {{repo}} are filled in"
        yield from _wrong_patterns(
            f"{place}.{'branch' if target.branch else 'tag'}", [target.branch or target.tag or ""]
        )
    for number, runtime in enumerate(settings.runtime, start=1):
        yield from _wrong_patterns(f"runtime[{number}].flows", runtime.flows)
        kind = runtime.run_config.get("type")
        if kind not in RUN_CONFIGS:
            yield f"runtime[{number}].run-config.type", f"is one of {', '.join(RUN_CONFIGS)}, not {kind!r}"


def _wrong_patterns(key: str, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except ValueError as error:
            yield key, f"{pattern!r} is no pattern ({error})"


PLAIN = {
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "a table",
    "bool": "true or false",
    "int": "a number",
}
"""msgspec's names for what TOML can hold, in words."""

CHOICES = {"schedule": '"keep", "on" or "off"', "storage": '"keep" or "replace"'}


def _checked(value: Any, kind: Any, origin: str, place: str) -> None:
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
        name = key.rpartition(".")[2]
        if "enum value" in message and name in CHOICES:
            raise _refused(origin, key, f"is {CHOICES[name]}") from error
        fact = message[: at.start()] if at else message
        for kind_of_toml, plain in PLAIN.items():
            fact = fact.replace(f"`{kind_of_toml}`", plain)
        raise _refused(origin, key, fact) from error


def _refused(origin: str, key: str, fact: str) -> UnusableCommit:
    return UnusableCommit(
        f"{origin}: {key}: {fact[0].lower()}{fact[1:]}" if key else f"{origin}: {fact}",
        f"mend {key or 'it'} in {origin}; docs/settings.md lists all settings",
    )
