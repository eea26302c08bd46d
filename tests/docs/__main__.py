"""`python -m tests.docs [PAGE…]` runs pages of the docs and puts in what their commands print."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from .pages import PAGES, Command, Step, run
from .world import Services, World, services
from .worlds import WORLDS


def main(names: list[str]) -> None:
    """Rewrite the pages, all of them when none is named."""
    folder = Path(tempfile.mkdtemp(prefix="git-prefect-docs-"))
    try:
        with services(folder) as shared:
            for page in PAGES:
                if not names or page.name in names:
                    _rewrite(page, folder, shared)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rewrite(page: Path, folder: Path, shared: Services) -> None:
    made: list[World] = []

    def make(kind: str) -> World:
        home = folder / f"{page.stem.lower()}-{len(made)}"
        home.mkdir()
        made.append(World(home, shared, home.name))
        WORLDS[kind](made[-1])
        return made[-1]

    def differs(step: Step, one: Command, printed: list[str]) -> None:
        print(f"{page.name}:{step.line + 1}: $ {one.command}")

    try:
        page.write_text(run(page.read_text(), make, differs))
    finally:
        for world in made:
            world.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
