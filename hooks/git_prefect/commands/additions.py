"""What `git prefect init` adds to the files of a repository: appended or inserted, every other byte left as it is."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import UsageError
from ..core.settings import ConflictMarkers, conflict_marker, how_to_mend, parse
from ..report.text import listed

HOOKS = ("prefect-validate", "prefect-check-pushed", "prefect-register")
SHOWN = 5
"""So many hooks and files are named; the rest is counted."""


class Addition(msgspec.Struct, frozen=True):
    """What is added to one file."""

    name: str
    """From the root of the repository."""
    before: bytes | None
    """What the file holds; None when there is none."""
    after: bytes | None
    """What it will hold; None when nothing is written."""
    text: str
    """What is added, on its own."""
    reason: str = ""
    """Why nothing is written: it is there already, or it has to be pasted by hand."""
    note: str = ""
    """What else a person has to know of it."""

    @property
    def is_there(self) -> bool:
        """Whether the file has what was to be added."""
        return self.after is None and not self.text

    def diff(self) -> str:
        """As `git diff` shows it."""
        old = "/dev/null" if self.before is None else f"a/{self.name}"
        lines = difflib.unified_diff(
            _shown(self.before or b""), _shown(self.after or b""), old, f"b/{self.name}", lineterm=""
        )
        return "\n".join(lines)


def _shown(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


def settings_addition(top: Path, lines: Sequence[str], below: str = "") -> Addition:
    """The settings, in TOML without a table around them: at the end of pyproject.toml, else in `.git-prefect.toml`.

    `below` is the file of a folder that has settings already.

    Raises:
        UsageError: a settings file that is no TOML.
    """
    if below:
        return Addition(below, (top / below).read_bytes(), None, "", "has the settings already")
    own, project = top / ".git-prefect.toml", top / "pyproject.toml"
    if own.exists():
        return Addition(own.name, own.read_bytes(), None, "", "is there already")
    if not project.exists():
        text = "".join(f"{line}\n" for line in lines)
        return Addition(own.name, None, text.encode(), text)
    before = project.read_bytes()
    held = _toml(before, project.name)
    if isinstance(held.get("tool"), dict) and "git-prefect" in held["tool"]:
        return Addition(project.name, before, None, "", "has [tool.git-prefect] already")
    inside = ["[tool.git-prefect]", *(line.replace("[[", "[[tool.git-prefect.") for line in lines)]
    text = "".join(f"{line}\n" for line in inside)
    after = _appended(before, text)
    try:
        became = _toml(after, project.name)
        added = became["tool"].pop("git-prefect")
        kept = added == _toml(text.encode(), "")["tool"]["git-prefect"] and (
            became == held or became == {**held, "tool": {}}
        )
    except (UsageError, KeyError):
        kept = False
    if not kept:
        return Addition(project.name, before, None, text, "its `tool` is written in a form that takes no further table")
    return Addition(project.name, before, after, text)


def _toml(content: bytes, name: str) -> dict[str, Any]:
    try:
        return parse(content)
    except ValueError as error:
        raise UsageError(f"{name}: cannot be read as TOML ({error}), so nothing can be added to it", how_to_mend(name, error)) from error


def _appended(before: bytes, text: str) -> bytes:
    """With one empty line between, in the line ends of the file."""
    end = _line_end(before)
    gap = b"" if not before.strip() else end if before.endswith(b"\n") else end * 2
    if before.endswith((b"\n\n", b"\r\n\r\n")):
        gap = b""
    return before + gap + text.encode().replace(b"\n", end)


def _line_end(content: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in content else b"\n"


def hooks_addition(top: Path, url: str, rev: str, runs_at_push: bool = False) -> Addition:
    """The entry of `.pre-commit-config.yaml`: inserted behind the last repository that is listed there.

    `runs_at_push` tells that pre-commit's pre-push hook is installed in this clone already. Where it is not, the hooks
    that are there would begin to run at each push, and get `default_stages`.

    Raises:
        UsageError: a configuration that is no YAML.
    """
    path = top / ".pre-commit-config.yaml"
    entry = [f"- repo: {url}", f"  rev: {rev}", "  hooks:", *(f"    - id: {hook}" for hook in HOOKS)]
    indented = "".join(f"  {line}\n" for line in entry)
    if not path.exists():
        # The first line lets a plain `pre-commit install` put the pre-push hook in place for everybody who clones.
        text = f"default_install_hook_types: [pre-commit, pre-push]\ndefault_stages: [pre-commit]\nrepos:\n{indented}"
        return Addition(path.name, None, text.encode(), text)
    before = path.read_bytes()
    held = _yaml(before, path.name)
    hooks = _hooks(held)
    there = {hook.get("id") for hook in hooks}
    without_stages = _without_stages(held, hooks)
    if set(HOOKS) <= there:
        return Addition(path.name, before, None, "", "has the hooks already", _run_at_push(without_stages))
    if there & set(HOOKS):
        missing = [hook for hook in HOOKS if hook not in there]
        text = "".join(f"      - id: {hook}\n" for hook in missing)
        return Addition(path.name, before, None, text, "has some of the hooks already", _run_at_push(without_stages))
    stages = _default_stages(held) if without_stages and not runs_at_push else ""
    would_run = _at_push(without_stages, "would run") if stages else ""
    if held is None or held == {}:
        text = f"repos:\n{indented}"
        after: bytes | None = _appended(before, text)
    else:
        text, after = indented, _inserted(before, entry, stages)
    if after is not None and _adds(held, after, stages, indented):
        note = f"{would_run}; `default_stages` keeps them where they run now" if stages else ""
        return Addition(path.name, before, after, f"{stages}{text}", note=note)
    note = f"{would_run}; write above `repos`: {stages.strip()}" if stages else ""
    return Addition(path.name, before, None, text, "lists its repositories in a form that takes no further lines", note)


def _hooks(held: Any) -> list[dict[str, Any]]:
    """All hooks of a configuration of pre-commit."""
    return [
        hook
        for repository in _repositories(held)
        if isinstance(repository, dict)
        for hook in repository.get("hooks") or []
        if isinstance(hook, dict)
    ]


def _repositories(held: Any) -> list[Any]:
    listing = held.get("repos") if isinstance(held, dict) else None
    return listing if isinstance(listing, list) else []


def _without_stages(held: Any, hooks: Sequence[dict[str, Any]]) -> list[str]:
    """Other hooks that run at every stage for which a hook is installed, as far as the configuration tells."""
    if not isinstance(held, dict) or held.get("default_stages"):
        return []
    # Those of git-prefect name their stages themselves.
    return [str(hook["id"]) for hook in hooks if hook.get("id") and hook["id"] not in HOOKS and not hook.get("stages")]


def _default_stages(held: Any) -> str:
    """The line that keeps hooks without `stages` where they run now; empty where they run at a push already."""
    types = held.get("default_install_hook_types")
    types = types if isinstance(types, list) and types else ["pre-commit"]
    return "" if "pre-push" in types else f"default_stages: [{', '.join(map(str, types))}]\n"


def _at_push(hooks: Sequence[str], verb: str) -> str:
    return f"hooks without `stages` {verb} at each push, too: {listed(list(dict.fromkeys(hooks)), SHOWN)}"


def _run_at_push(hooks: Sequence[str]) -> str:
    in_commits = "to run them in commits only, write above `repos`: default_stages: [pre-commit]"
    return f"{_at_push(hooks, 'run')}; {in_commits}" if hooks else ""


def _adds(held: Any, after: bytes, stages: str, entry: str) -> bool:
    """Whether a changed configuration holds what it held, the entry, and the stages."""
    try:
        added = {"repos": [*_repositories(held), *_yaml(entry.encode(), "")], **(_yaml(stages.encode(), "") or {})}
        return bool(_yaml(after, "") == {**(held or {}), **added})
    except (UsageError, TypeError):
        return False


def _inserted(before: bytes, entry: Sequence[str], stages: str) -> bytes | None:
    """The entry behind the last item of `repos`, indented as the others, and the stages before that key.

    None when it is no block of lines.
    """
    import yaml

    document = yaml.compose(before.decode("utf-8-sig"))
    pairs = document.value if isinstance(document, yaml.MappingNode) else []
    number, found = next(((key.start_mark.line, value) for key, value in pairs if key.value == "repos"), (0, None))
    if not isinstance(found, yaml.SequenceNode) or found.flow_style or not found.value:
        return None
    lines = before.splitlines(keepends=True)
    last = _last_line(found)
    indent = b" " * found.start_mark.column
    end = _line_end(before)
    head, tail = lines[: last + 1], lines[last + 1 :]
    if not head[-1].endswith(b"\n"):
        head[-1] += end
    if stages:
        head.insert(number, stages.encode().replace(b"\n", end))
    return b"".join([*head, *(indent + line.encode() + end for line in entry), *tail])


def _last_line(node: Any) -> int:
    """The line on which the text of a node ends; its end mark may lie behind comments and empty lines."""
    if isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        return max(_last_line(one) for one in (last if isinstance(last, tuple) else (last,)))
    mark = node.end_mark
    return int(mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line)


def _yaml(content: bytes, name: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(content.decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        conflict = conflict_marker(content.decode("utf-8", "replace"))
        said = conflict or " ".join(str(error).split())
        hint = how_to_mend(name, ConflictMarkers(conflict) if conflict else ValueError(said))
        raise UsageError(f"{name}: not valid YAML ({said}), so nothing can be added to it", hint) from error
