"""A command that is run on what hypothesis makes up, and what has to hold of each end of it."""

from __future__ import annotations

import gc
import io
import resource
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from git_prefect import cli
from git_prefect.core.errors import ExitCode
from git_prefect.git import configuration

MEMORY = 300
"""MB by which a test may make this process larger, hypothesis' own needs included."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Command(NamedTuple):
    """Runs commands of `git prefect` in this process."""

    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ended:
        """Run one; it ends with a documented exit code that is no bug's, and what it says is no traceback."""
        configuration.cache_clear()
        self.capture.readouterr()
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        try:
            code = cli.main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        said = self.capture.readouterr()
        assert code in {*ExitCode} - {ExitCode.BUG, ExitCode.INTERRUPTED}, said.err
        assert "Traceback" not in said.out + said.err
        # Whatever is refused is refused in words.
        assert code == ExitCode.OK or said.out + said.err
        return Ended(code, said.out, said.err)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """No input makes this process grow without bound."""
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEMORY
