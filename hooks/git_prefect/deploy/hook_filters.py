"""Flow files that `.pre-commit-config.yaml` keeps from our hook: pre-commit names no files in a push, so that does not count."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from .. import git
from ..core.json_input import convert
from ..core.settings import Settings, leaving_out
from ..report import text

CONFIG, HOOK = ".pre-commit-config.yaml", "prefect-validate"


def left_out_by_pre_commit(repository: git.Repository, paths: Sequence[str], settings: Settings) -> str:
    """For refused files that pre-commit's configuration leaves out: that it does not count in a push, and our setting.

    Empty when it leaves out none of them.
    """
    rules = list(_rules(repository))
    patterns = {path: pattern for path in paths if (pattern := _pattern(rules, path))}
    if not patterns:
        return ""
    edit = leaving_out(sorted(set(patterns.values())), settings)
    return (
        f"{CONFIG} leaves out {text.listed(sorted(patterns), 3)}, which counts in commits only: in a push every flow file is checked"
        + (f"\n  hint: leave out in the settings what is no flow file: {edit}" if edit else "")
    )


def _pattern(rules: Sequence[tuple[str, str]], path: str) -> str:
    """What the first rule that leaves a path out is about: a folder, or the path; empty when none does."""
    for key, rule in rules:
        try:
            matches = re.search(rule, path) is not None
        except re.error:
            continue
        if matches == (key == "exclude"):
            # A folder as people write it: `^legacy/`.
            folder = re.fullmatch(r"\^([\w./-]+/)", rule) if key == "exclude" else None
            return folder[1] if folder else path
    return ""


def _rules(repository: git.Repository) -> Iterator[tuple[str, str]]:
    """`files` and `exclude` of our hook and of all hooks, from the work tree, where pre-commit reads them."""
    import yaml

    document: Any = None
    with suppress(OSError, ValueError, yaml.YAMLError), open(os.path.join(repository.top or ".", CONFIG), encoding="utf-8") as file:
        document = yaml.safe_load(file)
    top = convert(document, dict[str, Any]) or {}
    repositories = convert(top.get("repos"), list[dict[str, Any]]) or []
    hooks = [hook for one in repositories for hook in convert(one.get("hooks"), list[dict[str, Any]]) or []]
    for table in [*(hook for hook in hooks if hook.get("id") == HOOK), top]:
        for key in ("exclude", "files"):
            if isinstance(table.get(key), str):
                yield key, table[key]
