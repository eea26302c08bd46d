"""Progress on stderr, for what takes over a second while somebody looks at a terminal; gone once it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO

from ..core.model import Watch

PATIENCE, TICK = 1.0, 0.1
"""Seconds before anything is shown, and between two looks."""

ERASE = "\r\x1b[K"


def watch(stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> Watch | None:
    """What shows progress, or None where nothing moves: without a terminal, in CI, and below pre-commit.

    pre-commit gives its hooks a terminal and shows what they printed at their end: a line that moves would be litter.
    """
    stream = stream or sys.stderr
    environ = os.environ if environ is None else environ
    still = ("PRE_COMMIT", "CI")
    if not stream.isatty() or environ.get("TERM") == "dumb" or any(environ.get(name) for name in still):
        return None
    target = stream

    @contextmanager
    def watching(what: str, done: Callable[[], int], total: int) -> Iterator[None]:
        ended = Event()
        thread = Thread(target=_show, args=(target, what, done, total, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    return watching


def _show(stream: TextIO, what: str, done: Callable[[], int], total: int, ended: Event) -> None:
    if ended.wait(PATIENCE):
        return
    while True:
        count = done()
        stream.write(f"{ERASE}{what}: {100 * count // max(total, 1):3}% ({count}/{total})")
        stream.flush()
        if ended.wait(TICK):
            break
    stream.write(ERASE)
    stream.flush()
