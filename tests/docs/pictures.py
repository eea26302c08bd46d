"""`make pictures`: the pictures of the docs, made from runs in a real terminal."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from .pages import ROOT
from .world import World, services
from .worlds import WORLDS

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 100
TRANSFER = re.compile(r"^(Enumerating|Counting|Compressing|Writing) objects|^Delta compression|^Total \d|^remote: ")
"""git's own lines about the transfer."""


class Picture(NamedTuple):
    """What a picture shows: commands in a repository of `worlds.py`."""

    name: str
    world: str
    prepare: str
    commands: tuple[str, ...]


PICTURES = (
    Picture(
        "push", "adopted",
        "git switch --quiet -c feature/prices && "
        "sed -i 's/order \\* 10/order * 20/' flows/etl.py && git commit --quiet -am 'Double the prices'",
        ("git push -u origin feature/prices",),
    ),
    Picture(
        "refused", "adopted",
        "echo 'def connect(): ...' > flows/helpers.py && "
        "sed -i '1i from helpers import connect' flows/etl.py && git add flows && git commit --quiet -m 'A helper'",
        ("git push",),
    ),
)  # fmt: skip


def screen(printed: str) -> str:
    """What is left on a terminal: of a line that was written over, the last; git's lines of the transfer left out."""
    lines = []
    for line in printed.split("\n"):
        last = [part for part in re.split(r"\r|\x1b\[K", line) if part][-1:]
        if not TRANSFER.match("".join(last)):
            lines += last or [""]
    return "\n".join(lines).strip("\n")


def draw(name: str, told: str) -> str:
    """An SVG of a terminal with this text, ANSI colours and all."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(told), soft_wrap=False)
    return "\n".join(line.rstrip() for line in console.export_svg(title="~/etl", unique_id=name).splitlines())


def take(picture: Picture, world: World) -> str:
    """The picture."""
    WORLDS[picture.world](world)
    world.run(picture.prepare)
    told = []
    for command in picture.commands:
        told += [f"\x1b[1m$ {command}\x1b[0m", screen(world.run_in_terminal(command, NO_COLOR="", COLUMNS=str(WIDTH)))]
        world.settled()
    return draw(picture.name, "\n".join(told))


def main() -> None:
    """Make them all anew."""
    folder = Path(tempfile.mkdtemp(prefix="git-prefect-pictures-"))
    FOLDER.mkdir(exist_ok=True)
    try:
        with services(folder) as shared:
            for picture in PICTURES:
                (folder / picture.name).mkdir()
                world = World(folder / picture.name, shared, picture.name)
                try:
                    (FOLDER / f"{picture.name}.svg").write_text(take(picture, world) + "\n")
                finally:
                    world.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
