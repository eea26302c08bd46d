"""Bare repositories made from cases, and trees of them as the checks take them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Union

from git_prefect.core.model import TreeEntry
from git_prefect.flows.checker import Tree

Content = Union[str, bytes, "Link", "Submodule"]

ENVIRONMENT = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
}  # fmt: skip


class Link(str):
    """A symbolic link to this path."""


class Submodule(str):
    """A submodule at this commit."""


def make_repository(place: Path, branches: Mapping[str, Mapping[str, Content]]) -> Path:
    """A bare repository whose branches hold these files; `main` is its default branch."""
    git(place.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(place))
    stream = bytearray()
    for branch, files in branches.items():
        stream += f"commit refs/heads/{branch}\ncommitter A <a@b.c> 1700000000 +0000\ndata 0\n".encode()
        if branch != "main" and "main" in branches:
            stream += b"from refs/heads/main\ndeleteall\n"
        for path, content in files.items():
            if isinstance(content, Submodule):
                stream += b"M 160000 %s %s\n" % (content.encode(), path.encode())
                continue
            mode = b"120000" if isinstance(content, Link) else b"100644"
            data = content if isinstance(content, bytes) else content.encode()
            stream += b'M %s inline "%s"\ndata %d\n%s\n' % (mode, path.encode(), len(data), data)
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=place, env=ENVIRONMENT, input=bytes(stream), check=True,
        capture_output=True,
    )  # fmt: skip
    return place


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """What git answers."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, input=stdin, check=True, capture_output=True
    ).stdout


def tree_of(repository: Path, branch: str) -> Tree:
    """The tree of a branch: raw blobs, as dulwich writes them in an agent's clone."""
    listing = git(repository, "ls-tree", "-r", "-z", branch).decode("utf-8", "surrogateescape")
    entries = []
    for line in listing.split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, _, name = about.split()
        entries.append(TreeEntry(path, name, mode))

    def read(blobs: Sequence[str]) -> dict[str, bytes]:
        answer = git(repository, "cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        contents = {}
        for blob in blobs:
            header, _, answer = answer.partition(b"\n")
            size = int(header.split()[2])
            contents[blob], answer = answer[:size], answer[size + 1 :]
        return contents

    @contextmanager
    def root() -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp())
        try:
            contents = read([entry.blob for entry in entries if entry.mode != "160000"])
            for entry in entries:
                path = folder / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.mode == "160000":
                    path.mkdir()
                elif entry.mode == "120000":
                    path.symlink_to(os.fsdecode(contents[entry.blob]))
                else:
                    path.write_bytes(contents[entry.blob])
            yield folder
        finally:
            shutil.rmtree(folder)

    return Tree(git(repository, "rev-parse", f"{branch}^{{tree}}").decode().strip(), entries, read, root)
