"""As a new user would: the README's own commands, in a repository that was not made for this, to flows that run.

The repository is `tests/docs/legacy.py`: flows that register themselves, one by hand registered before; a leading slash and
another repository in a Git storage; Docker storage; a sibling import, and a run at the module's top level.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ..docs.pages import commands, steps
from ..docs.world import World
from .conftest import PROJECT

README = (PROJECT / "README.md").read_text()


def commands_of_the_readme() -> list[str]:
    """What the README says to type in `## Adopt it in a repository`, from the second command to the first push."""
    section = README[README.index("## Adopt it in a repository") : README.index("## Hooks")]
    typed = [one.command for step in steps(section) if step.kind == "console" for one in commands(step.text)]
    assert typed[0] == "pipx install git-prefect", "tests/end_to_end/test_ecosystem.py runs it"
    return typed[1 : typed.index("git push") + 1]


def codes(printed: str) -> list[tuple[str, str]]:
    """The file and code of each finding."""
    return re.findall(r"^(flows/\w+\.py)(?::\d+)?: .* \[([a-z-]+)\]$", printed, re.MULTILINE)


def replace(world: World, path: str, old: str, new: str) -> None:
    """An edit that a person makes."""
    file = world.clone / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def run_of(world: World, flow: str) -> str:
    """What a run of a flow through the agent prints, followed to its end."""
    printed = world.run(f"git prefect run {flow}")
    assert "Flow run succeeded!" in printed, printed
    return printed


@pytest.fixture
def adopted(make_world: Callable[[str], World]) -> tuple[World, dict[str, str]]:
    """The repository after the README's commands, and what each of them printed."""
    world = make_world("legacy")
    printed = {}
    for command in commands_of_the_readme():
        if command == "git prefect init":
            printed[command] = world.run_in_terminal(command, "y", TERM="dumb")
        else:
            # The legacy files have errors: that is what `validate` is there to tell.
            printed[command] = world.run(command, int(command == "git prefect validate"))
    world.settled()
    return world, printed


def test_from_nothing_to_flows_that_run(adopted: tuple[World, dict[str, str]]) -> None:
    world, printed = adopted
    init = printed["git prefect init"]
    assert '+project = "finance"  # where flows/invoices.py registers itself\n' in init
    assert "flows/invoices.py: Docker storage, left there until you say otherwise" in init
    assert sorted(set(codes(printed["git prefect validate"]))) == [
        ("flows/invoices.py", "other-storage"),
        ("flows/orders.py", "registers-on-import"),
        ("flows/prices.py", "registers-on-import"),
        ("flows/prices.py", "wrong-flow-path"),
        ("flows/prices.py", "wrong-repository"),
        ("flows/refunds.py", "import-not-on-agent"),
    ]

    # The first push goes through, and the flow that agents can run is registered in place of the one registered by hand.
    assert "registered: orders → finance, version 2" in printed["git push"]
    # A Git storage in the code with a wrong path refuses nothing: a push replaces it.
    assert "registered: prices → finance, version 1" in printed["git push"]
    assert "left out: invoices (flows/invoices.py) has a storage of its own" in printed["git push"]
    world.agent()
    assert "revenue:" in run_of(world, "orders")

    # Everything else as its hint says, on a branch.
    world.run("git switch --quiet --create mend")
    replace(world, "flows/orders.py", '\nflow.register(project_name="finance")\n', "")
    storage = re.search(r"\nflow\.storage = .*\nflow\.register.*\n", (world.clone / "flows/prices.py").read_text())
    assert storage
    replace(world, "flows/prices.py", storage[0], "")
    replace(
        world, "flows/refunds.py", "from helpers import money\n", 'def money(amount):\n    return f"{amount} EUR"\n'
    )
    told = world.run("git prefect validate", 1)
    assert codes(told) == [
        ("flows/refunds.py", "does-not-load"),
        ("flows/refunds.py", "runs-on-import"),
        ("flows/invoices.py", "other-storage"),
    ]
    world.run("git commit --quiet --all -m 'Mend flows'")
    assert "push refused: 1 error in what this push changes or breaks" in world.run("git push -u origin mend", 1)
    replace(
        world,
        "flows/refunds.py",
        "state = flow.run()\nprint(state.result)\n",
        'if __name__ == "__main__":\n    flow.run()\n',
    )
    told = world.run("git prefect validate")
    assert codes(told) == [("flows/invoices.py", "other-storage")]
    world.run("git commit --quiet --all -m 'Mend flows'")
    pushed = world.run("git push -u origin mend")
    world.settled()
    for flow in ("orders", "prices", "refunds"):
        assert f"registered: {flow} → finance-mend, version 1" in pushed
    run_of(world, "prices")
    run_of(world, "refunds")

    # Merged, the default branch has them all; what is in an image stays there.
    world.run("git switch --quiet main && git merge --quiet mend")
    pushed = world.run("git push")
    world.settled()
    assert "unchanged: orders, prices → finance: the branch's HEAD is what runs" in pushed
    status = world.run("git prefect status")
    assert "left out: invoices (flows/invoices.py) has a storage of its own" in status
    assert "invoices" not in status.split("main → finance")[1].split("mend →")[0]

    # A second time there is nothing to do.
    assert world.run("git prefect init --yes").count("left as it is") == 2
    assert world.run("git status --porcelain") == ""
