"""The services that the examples of the docs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from .world import Services, World, services
from .worlds import WORLDS


@pytest.fixture(scope="session")
def docs_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A git host, an API, the hook's repository."""
    with services(tmp_path_factory.mktemp("docs")) as shared:
        yield shared


@pytest.fixture
def make_world(docs_services: Services, tmp_path: Path) -> Iterator[Callable[[str], World]]:
    """Makes a repository of `worlds.py`; what runs in it ends with the test."""
    made: list[World] = []

    def make(name: str) -> World:
        folder = tmp_path / f"{name}{len(made)}"
        folder.mkdir()
        world = World(folder, docs_services, f"{tmp_path.name.replace('_', '-')}-{len(made)}")
        made.append(world)
        WORLDS[name](world)
        return world

    yield make
    for world in made:
        world.stop()
