"""Modules that flow files import from the repository: which flows a change of one concerns, and how it reaches agents."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import git
from ..core.deployment import ResolvedRef
from ..core.model import CheckedFile
from ..core.settings import Settings
from ..flows.checker import CheckOptions
from ..flows.imports import Imports
from ..report import text
from .source_tree import check, tree_of_commit

CLONE, IMAGE, INSTALLED = "clone", "image", "installed"
"""How a module reaches agents: with the clone; by `import-roots`; or by another package of that name, which loads have found."""
SHOWN = 3
"""So many modules or flow files are named; the rest is counted."""


def importers(
    repository: git.Repository, ref: ResolvedRef, base: str | None, files: Sequence[CheckedFile]
) -> dict[str, list[str]]:
    """Flow files that did not change since `base` themselves, with the modules that they import and that did."""
    commit = ref.update.commit or ""
    changed = git.changed_paths(repository, base, commit) if base else set()
    if not any(path.endswith(".py") for path in changed):
        return {}
    imports = _imports_of(repository, commit, tuple(ref.settings.import_roots))
    return imports.importers(changed, [file.path for file in files if file.path not in changed])


@lru_cache(maxsize=2)
def _imports_of(repository: git.Repository, commit: str, import_roots: tuple[str, ...]) -> Imports:
    """The import graph of a commit: what a push registers, says and leaves unregistered is asked of one."""
    return Imports(tree_of_commit(repository, commit), import_roots, Path(repository.state_dir))


def concerned_by_imports(
    repository: git.Repository, ref: ResolvedRef, base: str, files: Sequence[CheckedFile]
) -> dict[str, list[str]]:
    """Flow files whose flows a change of a shared module concerns, with the changed modules.

    A module that agents get with the clone does. One that comes with their image (`import-roots`, or it is installed) does
    so where the structure of a flow differs from that at `base`: else registering it again would change nothing.
    """
    found = importers(repository, ref, base, files)
    by_path = {file.path: file for file in files}
    by_image = [
        path
        for path, modules in found.items()
        if all(_way(one, by_path[path], ref.settings) != CLONE for one in modules)
    ]
    if not by_image:
        return found
    options = CheckOptions(only=by_image, with_flows=True, same_push=True)
    before, now = (
        _structures(check(repository, tree_of_commit(repository, commit), ref.settings, options))
        for commit in (base, ref.update.commit or "")
    )
    return {
        path: modules for path, modules in found.items() if path not in by_image or before.get(path) != now.get(path)
    }


def _structures(files: Sequence[CheckedFile]) -> dict[str, dict[str, Any]]:
    return {file.path: {flow.name: flow.serialized for flow in file.flows} for file in files}


def shared_changes(
    repository: git.Repository, ref: ResolvedRef, base: str | None, files: Sequence[CheckedFile]
) -> list[str]:
    """A line for the changed modules of each way to agents: which flows import them, and from when on runs use them."""
    found = importers(repository, ref, base, files)
    by_path = {file.path: file for file in files}
    lines = []
    for way in (CLONE, IMAGE, INSTALLED):
        chosen = {
            path: [one for one in modules if _way(one, by_path[path], ref.settings) == way]
            for path, modules in found.items()
        }
        paths = [path for path, modules in chosen.items() if modules]
        if paths:
            modules = sorted({one for path in paths for one in chosen[path]})
            lines.append(_told(modules, [file for file in files if file.path in paths], way, ref.update.kind))
    return lines


def _told(modules: Sequence[str], files: Sequence[CheckedFile], way: str, kind: str) -> str:
    count = sum(len(file.flows) for file in files)
    verb = f"import{'s' if count == 1 else ''} {'it' if len(modules) == 1 else 'them'}"
    places = text.listed([file.path for file in files], SHOWN)
    who = f"{text.listed(modules, SHOWN)}: {text.plural(count, 'flow')} in {places} {verb}"
    if way == INSTALLED:
        return f"{who}, but no load took that from the clone: runs use what is installed in their image"
    if way == IMAGE:
        return f"{who} from the image (import-roots): rebuild the image; until then runs use the old code"
    if kind == "tag":
        return f"{who} from the clone: runs of this tag use it"
    return f"{who} from the clone: runs use the new code from the next run on"


def _way(module: str, file: CheckedFile, settings: Settings) -> str:
    """How agents get a module of the repository that a flow file imports."""
    if _of_image(module, settings):
        return IMAGE
    return CLONE if file.used is None or file.failed or module in file.used else INSTALLED


def _of_image(path: str, settings: Settings) -> bool:
    """Whether a module of the repository is below a folder that agents have in their image."""
    roots = [posixpath.normpath(root) for root in settings.import_roots]
    return any(root == "." or path.startswith(root + "/") for root in roots)
