"""What the loader hands on while the worker still loads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from git_prefect.flows.loader import Checkout, Job, Loader

from .conftest import FLOW

WAITS = "import os, time\nwhile not os.path.exists(__file__ + '.go'):\n    time.sleep(0.01)\n" + FLOW


def test_an_answer_is_handed_on_while_the_next_file_is_loaded(tmp_path: Path) -> None:
    """The file that is begun first is loaded only once the caller has got the answer for the second."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "waits.py").write_text(WAITS)
    (root / "quick.py").write_text(FLOW)
    told: list[tuple[str, int]] = []
    done: Callable[[], int] = lambda: -1  # noqa: E731

    @contextmanager
    def watch(what: str, loaded: Callable[[], int], of: int) -> Iterator[None]:
        nonlocal done
        told.append((what, of))
        done = loaded
        yield

    jobs = [Job(name, (), False) for name in ("waits.py", "quick.py")]
    with Loader(sys.executable, tmp_path / "cache", {}) as loader:
        answers = loader.load(Checkout(root, [job.path for job in jobs], []), jobs, timeout=30, watch=watch)
        seen = []
        for path, answer in answers:
            seen.append((path, answer["status"], [flow["name"] for flow in answer["flows"]], done()))
            (root / "waits.py.go").touch()
    assert seen == [("quick.py", "loaded", ["flow"], 1), ("waits.py", "loaded", ["flow"], 2)]
    assert told == [("Loading flow files", 2)]
