"""Progress shows on a terminal only, after a second, and leaves nothing behind."""

from __future__ import annotations

import io
import os
from threading import Event

import pytest

from git_prefect.report.progress import watch

TERMINAL = {"TERM": "xterm"}


def all_of(leader: int) -> str:
    """All that a terminal whose other end is closed was sent."""
    shown = b""
    while True:
        try:
            received = os.read(leader, 4096)
        except OSError:
            received = b""
        if not received:
            os.close(leader)
            return shown.decode()
        shown += received


def test_what_takes_over_a_second_is_shown_and_erased() -> None:
    master, slave = os.openpty()
    looked = Event()

    def done() -> int:
        looked.set()
        return 312

    with open(slave, "w") as stream:
        watching = watch(stream, TERMINAL)
        assert watching
        with watching("Loading flow files", done, 1000):
            assert looked.wait(60)
    shown = all_of(master)
    assert shown.startswith("\r\x1b[KLoading flow files:  31% (312/1000)")
    assert shown.endswith("\r\x1b[K")


def test_what_is_done_at_once_says_nothing() -> None:
    master, slave = os.openpty()
    with open(slave, "w") as stream:
        watching = watch(stream, TERMINAL)
        assert watching
        with watching("Loading flow files", lambda: 0, 1):
            pass
        stream.write("end")
    assert all_of(master) == "end"


@pytest.mark.parametrize("environ", [{"PRE_COMMIT": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_nothing_moves_below_pre_commit_and_in_ci_even_on_a_terminal(environ: dict[str, str]) -> None:
    master, slave = os.openpty()
    with open(slave, "w") as stream:
        assert watch(stream, {**TERMINAL, **environ}) is None
    os.close(master)


def test_nothing_moves_without_a_terminal() -> None:
    assert watch(io.StringIO(), TERMINAL) is None
