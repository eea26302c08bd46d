"""What git writes to a pre-push hook, and what it would never write: the whole native hook, line by line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_prefect.deploy import pending

from ..repository import Clone
from .conftest import Command
from .strategies import tries

SETTINGS = """\
storage = "replace"
clone-url-secret = "URL"
[[target]]
branch = "**"
project = "p-{branch}"
[[target]]
tag = "**"
project = "p"
"""
FLOW = "from prefect import Flow\nflow = Flow('etl')\n"


@pytest.fixture(params=["sha1"])
def clone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A repository with a flow, settings, an annotated tag; nothing is left behind that waits for a push."""
    path = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", f"--object-format={request.param}", str(path)], check=True)
    made = Clone(path)
    made.git("remote", "add", "origin", "https://git.example.com/team/etl.git")
    made.commit({".git-prefect.toml": SETTINGS, "etl.py": FLOW})
    made.git("tag", "-a", "v1", "-m", "one")
    monkeypatch.chdir(path)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    return made


WORDS = st.text(st.characters(exclude_characters=" \t\n\r", exclude_categories=["Cs"]), min_size=1, max_size=12)
LOCAL = st.one_of(
    WORDS, st.sampled_from(["refs/heads/main", "HEAD~0", ":/two words  and\ttabs", "(delete)", "", "refs/tags/v1", "--all"])
)
REF = st.one_of(
    WORDS, WORDS.map(lambda word: f"refs/heads/{word}"), WORDS.map(lambda word: f"refs/tags/{word}"),
    st.sampled_from(
        ["refs/heads/main", "refs/heads/", "refs/tags/", "refs", "refs/notes/x", "refs/heads/ü/ß", "refs/heads/x\x00y",
         "refs/tags/v1", "refs/tags/v2.0", "refs/heads/{branch}", "refs/heads/-x", "refs/heads/" + "x" * 300]
    ),
)  # fmt: skip
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
OBJECT = st.one_of(
    st.sampled_from(["{head}", "{head}", "{tag}", "{zero}", "{tree}", "{blob}", "0" * 40, "0" * 64, "0", "-", "HEAD", "--help"]),
    HEX, HEX.map(lambda name: name[:40]), WORDS,
)  # fmt: skip
LINES = st.builds("{0} {1} {2} {3}".format, LOCAL, OBJECT, REF, OBJECT)


def told(clone: Clone, lines: str) -> bytes:
    """The lines with the names of objects that there are."""
    names = {
        "{head}": clone.head(), "{tag}": clone.git("rev-parse", "v1"), "{zero}": "0" * len(clone.head()),
        "{tree}": clone.git("rev-parse", "HEAD^{tree}"), "{blob}": clone.git("rev-parse", "HEAD:etl.py"),
    }  # fmt: skip
    for name, value in names.items():
        lines = lines.replace(name, value)
    return lines.encode("utf-8", "surrogatepass")


@given(st.lists(LINES, min_size=1, max_size=3).map("\n".join), st.booleans())
@example("refs/heads/main {head} refs/heads/main", False)
@example("x", False)
@example("refs/heads/main {head} refs/heads/main {zero}", True)
@example("refs/heads/x {head} refs/heads/x\x0cy {zero}", False)
@example("x {tree} refs/heads/main {zero}", False)
@tries(12, seconds=60)
def test_any_lines_end_well(clone: Clone, command: Command, lines: str, ended: bool) -> None:
    command("pre-push", "origin", "https://git.example.com/team/etl.git", stdin=told(clone, lines + "\n" * ended))


@given(st.binary(max_size=60))
@example(b"refs/heads/f\xfc {head} refs/heads/f\xfc {zero}\n")
@example(b"\xff\xfe\n")
@tries(8, seconds=60)
def test_any_bytes_end_well(clone: Clone, command: Command, content: bytes) -> None:
    for name, value in (("{head}", clone.head()), ("{zero}", "0" * len(clone.head()))):
        content = content.replace(name.encode(), value.encode())
    command("pre-push", "origin", "https://git.example.com/team/etl.git", stdin=content)


@given(st.lists(st.sampled_from(["main", "feature/ü", "v1.2", "a b".replace(" ", "-"), "x" * 200]), unique=True, min_size=1))
@tries(4, seconds=60)
def test_what_git_writes_is_queued_ref_for_ref(clone: Clone, command: Command, names: list[str]) -> None:
    """Branches, lightweight tags and deletions in one push, at either length of object names."""
    head, zero = clone.head(), "0" * len(clone.head())
    for entry in pending.entries(clone.repository):
        pending.close(clone.repository, entry, "superseded", {})
    lines = [f"refs/heads/{name} {head} refs/heads/{name} {zero}" for name in names]
    lines += [f"(delete) {zero} refs/heads/gone-{name} {head}" for name in names]
    ended = command("pre-push", "origin", "https://git.example.com/team/etl.git", stdin="\n".join([*lines, ""]).encode())
    assert ended.code == 0, ended
    assert [entry.ref for entry in pending.entries(clone.repository)] == [f"refs/heads/{name}" for name in names]
    assert {entry.commit for entry in pending.entries(clone.repository)} == {head}
