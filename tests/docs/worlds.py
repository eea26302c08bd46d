"""The repositories that the examples of the docs happen in."""

from __future__ import annotations

from collections.abc import Callable

from .legacy import LEGACY
from .shared import SHARED
from .world import World, demo_flows


def flows(world: World) -> None:
    """Flows in git, and nothing else."""
    world.begin(demo_flows())


def adopted(world: World) -> None:
    """The same, with the settings and hooks that `git prefect init` writes, everything pushed and registered."""
    flows(world)
    _adopt(world)


def legacy(world: World) -> None:
    """Flows as they are found in the wild, one of them registered by hand so far."""
    world.begin(LEGACY)
    world.run("prefect create project finance && python flows/orders.py")


def docker(world: World) -> None:
    """One flow with Docker storage and one without, adopted."""
    world.begin({name: LEGACY[name] for name in ("flows/invoices.py", "flows/orders.py")})
    _adopt(world)


def shared(world: World) -> None:
    """Two flows that import a module of the repository, one with the clone and one with the image; both are registered."""
    world.begin(SHARED)
    world.run("mkdir -p ~/image && cp -r src/. ~/image")
    world.run("git prefect install && git prefect register --ref main")


def _adopt(world: World) -> None:
    world.run(
        "git prefect init --yes && pre-commit install --install-hooks --hook-type pre-push && git prefect install"
    )
    world.run("git add --all && git commit --quiet -m 'Register flows by git push' && git push")
    world.settled()


WORLDS: dict[str, Callable[[World], None]] = {
    "flows": flows, "adopted": adopted, "legacy": legacy, "docker": docker, "shared": shared,
}  # fmt: skip
