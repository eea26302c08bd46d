"""Tools that own a repository's hooks: husky, lefthook, a shared hooks folder. Which file people edit, and what to add."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec

from .. import git
from ..git import hooks_path
from ..report.invocation import git_prefect

LEFTHOOK_FILES = tuple(
    f"{folder}{name}.{ending}"
    for folder, name in (("", "lefthook"), ("", ".lefthook"), (".config/", "lefthook"))
    for ending in ("yml", "yaml", "json", "jsonc", "toml")
)
DELEGATES = re.compile(
    r"(\.git|GIT_DIR\b[^\n]*|GIT_COMMON_DIR\b[^\n]*|git_dir\b[^\n]*)/hooks|--git-dir|--git-common-dir|--absolute-git-dir"
)
"""How a shared hook leads back to the hooks of the repository."""
CALL = re.compile(r"git[- ]prefect'? pre-push")


class Manager(msgspec.Struct, frozen=True):
    """Who owns the pre-push hook, and how our call gets into it."""

    fact: str
    file: Path
    """What people edit; it may not exist yet."""
    addition: str

    @property
    def hint(self) -> str:
        """What to type."""
        return f"add this line to {self.file}: {self.addition}"

    @property
    def calls_us(self) -> bool:
        """Whether the file has our call already."""
        return bool(CALL.search(_content(self.file)))


def manager_of(repository: git.Repository) -> Manager | None:
    """The tool that owns the pre-push hook; None where `git prefect install` may write it."""
    folder = hooks_path.hooks_folder(repository)
    if delegated_folder(repository):
        return None
    line = f'{git_prefect("pre-push")} "$@"'
    if not hooks_path.is_gits_own(repository, folder):
        if folder.name == "_" and folder.parent.name == ".husky":
            return Manager(f"husky generates the hooks in {folder}", folder.parent / "pre-push", line)
        hook = folder / "pre-push"
        linked = folder == Path(repository.common_dir, "hooks")
        fact = f"{folder} is a link to {folder.resolve()}" if linked else f"core.hooksPath is {folder}"
        if not hook.exists():
            line = f"{line} (after a first line #!/bin/sh; then chmod +x {shlex.quote(str(hook))})"
        return Manager(f"{fact}, outside of the git directory: its hooks belong to another tool", hook, line)
    if "call_lefthook" in _content(folder / "pre-push"):
        return _lefthook(repository, folder / "pre-push")
    return None


def delegated_folder(repository: git.Repository) -> Path | None:
    """The repository's own hooks folder, where `core.hooksPath` leads elsewhere and the hook there runs it."""
    folder = hooks_path.hooks_folder(repository)
    own = Path(repository.common_dir, "hooks")
    if hooks_path.is_gits_own(repository, folder) or not hooks_path.is_gits_own(repository, own):
        return None
    return own if DELEGATES.search(_content(folder / "pre-push")) else None


def _lefthook(repository: git.Repository, hook: Path) -> Manager:
    top = Path(repository.top or repository.git_dir)
    file = next((top / name for name in LEFTHOOK_FILES if (top / name).exists()), top / "lefthook.yml")
    run = f"{git_prefect('pre-push')} {{1}} {{2}}"
    where = ""
    if re.search(r"^pre-push\s*:", _content(file), re.MULTILINE):
        where = " (the pre-push that is there gets the command prefect)"
    addition = f'pre-push: {{commands: {{prefect: {{run: "{run}", use_stdin: true}}}}}}{where}'
    return Manager(f"{hook} is lefthook's, which moves other hooks away at its next run", file, addition)


def _content(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
