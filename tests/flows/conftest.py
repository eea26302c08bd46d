"""A repository whose flow files are checked again and again, with real loads."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from git_prefect.core.model import CheckedFile, TreeEntry
from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter
from git_prefect.flows.checker import CheckOptions, check_flow_files
from git_prefect.flows.discovery import Tree, flow_files
from git_prefect.flows.interpreter import Interpreter
from git_prefect.flows.source_memory import Memory

from ..corpus.repositories import Content, make_repository, tree_of
from ..coverage import measure_too

FLOW = "from prefect import Flow\nflow = Flow('flow')\n"


class Checked:
    """A repository with one branch, and the state that is kept between checks."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.state = place / "state"
        self.number = 0
        self.python = replace(interpreter.find(place, sys.executable, self.state), own=False)

    def tree(self, files: Mapping[str, Content]) -> Tree:
        """A tree with these files."""
        self.number += 1
        return tree_of(make_repository(self.place / f"{self.number}.git", {"main": files}), "main")

    def check(
        self, files: Mapping[str, Content], settings: Settings = Settings(),  # noqa: B008 - frozen
        python: Interpreter | None = None, **more: Any,
    ) -> list[CheckedFile]:  # fmt: skip
        """Check a tree with these files."""
        watch = more.pop("watch", None)
        options = CheckOptions(**more)
        return check_flow_files(self.tree(files), settings, python or self.python, self.state, options, watch)

    def loaded(self, files: Mapping[str, Content], settings: Settings = Settings(), **more: Any) -> list[str]:  # noqa: B008
        """The paths that had to be loaded."""
        return [file.path for file in self.check(files, settings, **more) if not file.cached]


def sources_only(files: Mapping[str, str | bytes]) -> Tree:
    """A tree of which only the sources are read, as long as nothing is loaded."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    entries = [TreeEntry(path, hashlib.sha1(content).hexdigest(), "100644") for path, content in contents.items()]
    by_blob = {entry.blob: contents[entry.path] for entry in entries}
    return Tree("", entries, lambda blobs: {blob: by_blob[blob] for blob in blobs}, Path)  # type: ignore[arg-type]


def what_it_tells(content: str | bytes) -> str:
    """What a source that stands alone tells: `flow`, `mentions`, or `none` where it is no flow file."""
    found = flow_files(sources_only({"x.py": content}), Settings(), Memory())
    return found[0].builds if found else "none"


@pytest.fixture
def repository(tmp_path: Path) -> Checked:
    """A repository without any state."""
    return Checked(tmp_path)


def make_venv(place: Path, *, prefect: bool = True) -> Path:
    """A virtual environment that borrows the packages of the one that runs the tests; its python."""
    import subprocess
    import sysconfig

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    if prefect:
        (site_of(place) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        measure_too(site_of(place))
    return place / "bin" / "python"


def site_of(venv: Path) -> Path:
    """The folder with a virtual environment's packages."""
    (site,) = (venv / "lib").glob("python*/site-packages")
    return site
