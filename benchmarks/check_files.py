"""Check the flow files of a folder, as a push does with the pushed tree: `check_files.py FOLDER STATE [PYTHON [ROOT …]]`.

A script of its own, so that what is measured has no other imports than a hook has.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from git_prefect.core.model import TreeEntry
from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter
from git_prefect.flows.checker import Tree, check_flow_files


def check(folder: Path, state: Path, python: str, import_roots: Sequence[str]) -> None:
    """Check all flow files of `folder`, which validate.py or package.py has written."""
    listing = json.loads((folder / "entries.json").read_text())
    entries = [TreeEntry(path, blob, "100644") for path, blob in listing]
    where = {blob: path for path, blob in listing}

    @contextlib.contextmanager
    def root() -> Iterator[Path]:
        yield folder / "tree"

    tree = Tree(
        hashlib.sha1(repr(listing).encode()).hexdigest(), entries,
        lambda blobs: {blob: (folder / "tree" / where[blob]).read_bytes() for blob in blobs}, root,
    )  # fmt: skip
    found = interpreter.find(folder, python, state)
    files = check_flow_files(tree, Settings(import_roots=list(import_roots)), found, state)
    assert len(files) >= min(len(entries), 100) and not any(file.failed or file.unchecked for file in files), files[0]


if __name__ == "__main__":
    check(Path(sys.argv[1]), Path(sys.argv[2]), *(sys.argv[3:4] or [sys.executable]), sys.argv[4:])
