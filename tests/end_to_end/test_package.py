"""A repository whose flows are in a package with shared modules: what is found, registered, said and run."""

from __future__ import annotations

import sys

from .conftest import Team, flow_file, running_agent

SHARED = '''\
import prefect
from prefect import Flow, task


class TeamFlow(Flow):
    """What all flows of the team are."""


@task
def load(rows):
    prefect.context.logger.info("loaded %s", rows)


def make(name):
    with TeamFlow(name) as flow:
        load([1])
    return flow
'''
BY_CLONE = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lib.core import {name}

{body}
"""
WITH = 'with TeamFlow("{flow}") as flow:\n    pass'
MADE = 'flow = make("{flow}")'
PYTHON = f"[tool.git-prefect]\npython = {sys.executable!r}\n"


def in_package(flow: str, by_clone: bool = True) -> str:
    source = BY_CLONE.format(name="make", body=MADE.format(flow=flow))
    return source if by_clone else "\n".join(source.splitlines()[4:])


def on_main(team: Team, files: dict[str, str], settings: str = "") -> None:
    """Put files into the default branch, then go on in a branch."""
    clone = team.clone
    clone.git("switch", "--quiet", "main")
    pyproject = (clone.path / "pyproject.toml").read_text().replace("[tool.git-prefect]\n", f"[tool.git-prefect]\n{settings}")
    clone.commit({**files, "pyproject.toml": pyproject})
    clone.git("push", "--quiet")
    clone.git("switch", "--quiet", "feature/x")
    clone.git("merge", "--quiet", "main")


def said(printed: str) -> list[str]:
    """Our lines of a push."""
    return [line for line in printed.splitlines() if not line.startswith(("To ", " * [new", "   ", "remote:"))]


def registered(team: Team) -> list[str]:
    """The flows of the last registration."""
    flows = team.log()[-1]["flows"]
    assert isinstance(flows, list)
    return sorted(f"{one['flow']} {one['action']}" for one in flows)


def test_a_shared_module_that_comes_with_the_clone(native: Team) -> None:
    flows = {f"flows/{name}/flows.py": in_package(name) for name in "abcd"}
    # Installed as well, and no flow file puts the clone before that.
    flows["flows/f/flows.py"] = "from text_unidecode import unidecode\n" + flow_file("f")
    modules = {"lib/core.py": SHARED, "lib/__init__.py": "", "text_unidecode/__init__.py": ""}
    on_main(native, {**flows, "flows/e/flows.py": flow_file("e"), **modules})
    native.clone.commit({"lib/core.py": SHARED.replace("loaded", "brought"), "text_unidecode/__init__.py": "# changed\n"})
    printed = native.push("origin", "feature/x")
    native.settled()
    assert [one.strip() for one in said(printed) if "text_unidecode" in one] == [
        "text_unidecode/__init__.py: 1 flow in flows/f/flows.py imports it, but no load took that from the clone: "
        "runs use what is installed in their image"
    ]
    (line,) = [one for one in said(printed) if "lib/core.py" in one]
    assert line.strip() == (
        "lib/core.py: 4 flows in flows/a/flows.py, flows/b/flows.py, flows/c/flows.py and 1 more import it from the clone: "
        "runs use the new code from the next run on"
    )
    assert registered(native) == ["a created", "b created", "c created", "d created"]
    explained = native.prefect("register", "--explain")
    by_import = ", ".join(f"flows/{name}/flows.py (lib/core.py)" for name in "abcd")
    assert f"those that import a changed module: {by_import}, and those registered from this branch" in explained
    with running_agent(native):
        shown = native.prefect("run", "a")
    assert ("brought [1]" in shown, shown.splitlines()[-1]) == (True, "Flow run succeeded!")


def test_a_shared_module_that_comes_with_the_image(native: Team) -> None:
    flows = {f"flows/{name}.py": in_package(name, by_clone=False) for name in "ab"}
    on_main(native, {**flows, "src/lib/core.py": SHARED, "src/lib/__init__.py": ""}, 'import-roots = ["src"]\n')
    native.clone.commit({"src/lib/core.py": SHARED.replace("loaded", "brought")})
    told = (
        "src/lib/core.py: 2 flows in flows/a.py, flows/b.py import it from the image (import-roots): rebuild the image; "
        "until then runs use the old code"
    )
    assert told in [line.strip() for line in said(native.push("origin", "feature/x"))]
    native.settled()
    assert "flows" not in native.log()[-1] or native.log()[-1]["flows"] == []
    # What changes the structure is registered: runs with the new image would fail without that.
    native.clone.commit({"src/lib/core.py": SHARED.replace("load([1])", "load([1])\n        load([2])")})
    assert told in [line.strip() for line in said(native.push("origin", "feature/x"))]
    native.settled()
    assert registered(native) == ["a created", "b created"]
    # The image of before: it has the structure of the old code, as the push has said.
    image = native.remote.parent / "image"
    (image / "lib").mkdir(parents=True)
    (image / "lib" / "__init__.py").write_text("")
    for source, shown, end in (
        (SHARED, "KeyError", "Flow run failed!"),
        ((native.clone.path / "src/lib/core.py").read_text(), "loaded [2]", "Flow run succeeded!"),
    ):
        (image / "lib" / "core.py").write_text(source)
        with running_agent(native, image):
            printed = native.prefect("run", "a", check=False)
        assert (shown in printed, printed.splitlines()[-1]) == (True, end), printed


def test_the_first_push_of_settings_in_a_repository_with_errors(native: Team) -> None:
    """Nothing that a load rests on is changed: the pushed settings judge both ends."""
    broken = {f"flows/{name}.py": "1 / 0\n" + flow_file(name) for name in "ab"}
    on_main(native, broken)
    native.clone.commit({"pyproject.toml": (native.clone.path / "pyproject.toml").read_text() + "\n# changed\n"})
    lines = said(native.push("origin", "feature/x"))
    assert any(
        line.strip() == "not from this push: 2 errors in flows/a.py, flows/b.py; these flows are not registered. "
        "See them with: git prefect validate"
        for line in lines
    ), lines
    # The pattern that now takes the file is new, what is wrong with the file is not.
    text = (native.clone.path / "pyproject.toml").read_text()
    native.clone.git("rm", "--quiet", "flows/a.py", "flows/b.py")
    native.clone.commit({"jobs/etl.py": "1 / 0\n"})
    native.push("origin", "feature/x")
    native.clone.commit({"pyproject.toml": text.replace("[tool.git-prefect]\n", '[tool.git-prefect]\nflows = ["jobs/*.py"]\n')})
    assert any("not from this push: 1 error in jobs/etl.py" in line for line in said(native.push("origin", "feature/x")))
    native.clone.commit({"jobs/etl.py": "2 / 0\n"})
    assert "push refused" in native.push("origin", "feature/x", check=False)
