"""`git prefect validate --since`: a merge request is judged as a push that builds on its target."""

from __future__ import annotations

import json
from pathlib import Path

import prefect
import pytest

from git_prefect.report.invocation import git_prefect as as_typed

from ..flows.conftest import make_venv, site_of
from ..repository import Clone
from ..test_cli import FLOW, HERE, git_prefect

BROKEN = "1 / 0\n" + FLOW


@pytest.fixture
def request_(work: Clone) -> Clone:
    """A clone whose `main` has a broken flow file, on a branch that adds a good one."""
    work.commit({"old.py": BROKEN.format(name="old"), "lib/core.py": "x = 1\n"})
    work.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    work.git("fetch", "--quiet")
    work.git("switch", "--quiet", "--detach")
    work.commit({"new.py": FLOW.format(name="new")})
    return work


@pytest.mark.parametrize("variable", ["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "GITHUB_HEAD_REF", "CHANGE_BRANCH", ""])
def test_what_was_broken_before_is_one_line(request_: Clone, variable: str) -> None:
    said = (
        f"{'feature/y' if variable else 'HEAD'}\n"
        f"not from this push: 1 error in old.py; these flows are not registered. See them with: {as_typed('validate')}\n"
        f"1 flow in 1 file loads as on an agent, 1 error {HERE}\n"
    )
    more = {variable: "feature/y"} if variable else {}
    code, out, err = git_prefect(request_.path, "validate", "--since", "origin/main", **more)
    assert (code, err) == (0, "")
    assert out.splitlines()[-2:] == said.splitlines()[-2:]


def test_what_the_request_breaks_fails(request_: Clone) -> None:
    request_.commit({"new.py": BROKEN.format(name="new")})
    code, out, _ = git_prefect(request_.path, "validate", "--since", "origin/main")
    assert (code, [line.partition(":")[0] for line in out.splitlines() if line.endswith("[does-not-load]")]) == (1, ["new.py"])
    # A target of other branches only does not excuse it.
    request_.commit({".git-prefect.toml": "[[target]]\nbranch = 'release/*'\nproject = 'x'\n"})
    assert git_prefect(request_.path, "validate", "--since", "origin/main")[0] == 1


def test_a_base_that_is_not_here(request_: Clone) -> None:
    hint = "hint: fetch it with its history: git fetch --unshallow origin, in CI fetch-depth: 0 or GIT_DEPTH: 0\n"
    for name, why in ("origin/nowhere", "is no commit here"), ("unrelated", "has no commit in common with it here"):
        if name == "unrelated":
            tree = request_.git("hash-object", "-t", "tree", "-w", "/dev/null")
            request_.git("branch", "unrelated", request_.git("commit-tree", "-m", "x", tree))
        assert git_prefect(request_.path, "validate", "--since", name) == (
            2, "", f"git-prefect: --since {name} {why}, so nothing tells what HEAD changes\n{hint}",
        )  # fmt: skip


def test_in_a_commit_the_flows_that_import_a_staged_module_are_checked(work: Clone) -> None:
    """As pre-commit runs it: with the staged files, and git's name of the index."""
    place = "import pathlib, sys\nsys.path.insert(0, str(pathlib.Path(__file__).parent))\n"
    work.commit({"lib/core.py": "x = 1\n", "lib/other.py": "", "b.py": FLOW.format(name="b")})
    work.commit({"a.py": place + "from lib.core import x\n" + FLOW.format(name="a"), "lib/__init__.py": "import lib.other\n"})
    for path, content, failing in (
        ("lib/core.py", "y = 1\n", ["a.py"]), ("lib/other.py", "1 / 0\n", ["a.py"]), ("unused.py", "1 / 0\n", []),
    ):  # fmt: skip
        work.write({path: content})
        work.git("add", "--all")
        index = str(work.path / ".git" / "index")
        code, out, _ = git_prefect(work.path, "validate", path, PRE_COMMIT="1", GIT_INDEX_FILE=index)
        assert (code, [line.partition(":")[0] for line in out.splitlines() if line.endswith("]")]) == (int(bool(failing)), failing)
        work.git("reset", "--quiet", "--hard")


def test_since_judges_all_flow_files(request_: Clone) -> None:
    assert git_prefect(request_.path, "validate", "--since", "origin/main", "new.py") == (
        2, "", "git-prefect: --since judges all flow files, and files are named\nhint: leave out the files, or --since\n",
    )  # fmt: skip


def test_an_editable_install_of_the_repository_itself(work: Clone, tmp_path: Path) -> None:
    """What the commit has is not what is loaded: it is said, and remembered only while the two are the same."""
    python = make_venv(tmp_path / "venv")
    (site_of(tmp_path / "venv") / "company.pth").write_text(f"{work.path / 'src'}\n")
    work.commit({
        "flow.py": "import company.names\nfrom prefect import Flow\nflow = Flow(company.names.name)\n",
        "src/company/__init__.py": "", "src/company/names.py": "name = 'committed'\n",
    })  # fmt: skip

    branch = work.git("branch", "--show-current")

    def loaded() -> list[tuple[str, str, bool]]:
        code, out, _ = git_prefect(work.path, "validate", "--ref", branch, "--format", "json", GIT_PREFECT_PYTHON=str(python))
        found = json.loads(out)
        assert code == 0 and [one["code"] for one in found["findings"]] == ["editable-install"]
        return [(one["name"], one["status"], one["cached"]) for one in found["flows"]]

    code, out, err = git_prefect(work.path, "validate", "--ref", branch, GIT_PREFECT_PYTHON=str(python))
    assert (code, err) == (0, ""), out
    assert out == (
        "flow.py: warning: imports 'src/company/__init__.py' and 1 more from this clone's work tree, by an editable install: what "
        "the commit has there is not checked [editable-install]\n"
        f'  hint: say where the image has the package: import-roots = ["src"], or install it without -e\n'
        f"1 flow in 1 file loads as on an agent (Prefect {prefect.__version__} in {python})\n"
    )
    assert loaded() == [("committed", "ok", True)]
    (work.path / "src/company/names.py").write_text("name = 'work tree'\n")
    assert loaded() == [("work tree", "ok", False)]
    assert loaded() == [("work tree", "ok", False)]
    work.commit({".git-prefect.toml": "import-roots = ['src']\n"})
    code, out, _ = git_prefect(work.path, "validate", "--ref", branch, GIT_PREFECT_PYTHON=str(python))
    assert (code, "[editable-install]" in out) == (0, False)
