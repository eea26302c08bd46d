"""What runs our hooks, and how we come to be installed: prek, try-repo, the oldest pre-commit, pipx, uv tool, an sdist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from git_prefect import __version__

from .conftest import BIN, PROJECT, Team, Tools, flow_file
from .test_push import headings

OLDEST_PRE_COMMIT = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())[0]["minimum_pre_commit_version"]


def quietly(*command: str | Path, cwd: Path | None = None, **environ: str) -> str:
    """What a command prints; it has to succeed."""
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **environ}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="session")
def prek_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where prek keeps what it installs."""
    return tmp_path_factory.mktemp("prek")


@pytest.fixture
def with_prek(team: Team, prek_home: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team that has prek's pre-push hook in place of pre-commit's."""
    monkeypatch.setenv("PREK_HOME", str(prek_home))
    quietly("prek", "install", "--force", "--hook-type", "pre-push", "--prepare-hooks", cwd=team.clone.path)
    return team


def test_a_push_through_prek(with_prek: Team, remote: Path) -> None:
    team = with_prek
    head = team.clone.commit({"flows/etl.py": flow_file()})
    assert team.push("-u", "origin", "feature/x") == (
        f"{headings('Passed', 'Passed', 'Passed')}\n"
        "- hook id: prefect-register\n"
        "- description: registers the pushed flows once the remote has them\n\n"
        f"  origin/feature/x: 1 flow → project {team.project}-feature--x, once origin has {head[:7]}. "
        "What became of it: git prefect status\n"
        "  not shown by pre-commit: a push of a tag alone, and a new branch without new commits; "
        "they are not registered by the push\n"
        "    hint: so that every ref of a push is seen: git prefect install\n"
        f"To {remote}\n"
        " * [new branch]      feature/x -> feature/x\n"
        "branch 'feature/x' set up to track 'origin/feature/x'."
    )
    team.settled()
    assert [(line["ref"], line["result"], line["commit"]) for line in team.log()] == [
        ("refs/heads/feature/x", "registered", head)
    ]
    broken = {"flows/etl.py": "import helpers\n" + flow_file(), "flows/helpers.py": ""}
    team.clone.commit(broken)
    refused = team.push(check=False)
    assert "validate Prefect flows...................................................Failed" in refused
    assert "[import-not-on-agent]" in refused
    assert team.push(check=False, SKIP="prefect-validate").splitlines()[0] == headings("Skipped").splitlines()[0]


def test_beside_prek_the_native_hook_sees_tags(with_prek: Team) -> None:
    team = with_prek
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("-u", "origin", "feature/x")
    team.settled()
    folder = team.clone.path / ".git" / "hooks"
    installed = team.prefect("install")
    assert installed.splitlines()[0] == f"write {folder / 'pre-push.legacy'}"
    team.clone.git("tag", "v1.0")
    printed = team.push("origin", "v1.0")
    assert f"tag v1.0 on origin: 1 flow → project {team.project}-production" in printed
    team.settled()
    assert ("refs/tags/v1.0", "registered") in [(line["ref"], line["result"]) for line in team.log()]
    team.prefect("uninstall")
    assert not (folder / "pre-push.legacy").exists()
    assert "prek" in (folder / "pre-push").read_text()


@pytest.mark.parametrize("skipped", ["prefect-validate", "prefect-check-pushed", "prefect-register"])
def test_skip_skips_one_hook(team: Team, skipped: str) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    states = ["Skipped" if skipped.endswith(name) else "Passed" for name in ("validate", "check-pushed", "register")]
    assert team.push("-u", "origin", "feature/x", SKIP=skipped).startswith(headings(*states))
    team.settled()
    assert [line["result"] for line in team.log()] == ([] if skipped == "prefect-register" else ["registered"])


@pytest.mark.slow
def test_try_repo(team: Team, tools: Tools) -> None:
    team.clone.commit({"flows/etl.py": flow_file(), "flows/broken.py": "import etl\n" + flow_file("broken")})
    tried = subprocess.run(
        ["pre-commit", "try-repo", str(tools.hook), "prefect-validate", "--all-files", "--verbose"],
        cwd=team.clone.path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert tried.returncode == 1
    assert "flows/broken.py:1: " in tried.stdout
    assert "[import-not-on-agent]" in tried.stdout
    assert "1 flow in 1 file loads as on an agent, 1 error" in tried.stdout


@pytest.fixture(scope="session")
def old_pre_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The oldest pre-commit that the manifest allows, and the last one that it does not, each in an environment."""
    folder = tmp_path_factory.mktemp("old-pre-commit")
    for name, version in (("oldest", f"pre-commit=={OLDEST_PRE_COMMIT}"), ("older", f"pre-commit<{OLDEST_PRE_COMMIT}")):
        quietly(sys.executable, "-m", "venv", folder / name)
        # Releases of that time need the setuptools of that time.
        quietly(folder / name / "bin" / "pip", "install", "--quiet", version, "setuptools<80")
    return folder


@pytest.mark.slow
def test_the_oldest_pre_commit(
    team: Team, old_pre_commit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    monkeypatch.setenv("PATH", f"{old_pre_commit / 'oldest' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    install = ("install", "--overwrite", "--hook-type", "pre-push", "--install-hooks")
    quietly(old_pre_commit / "oldest" / "bin" / "pre-commit", *install, cwd=team.clone.path)
    head = team.clone.commit({"flows/etl.py": flow_file()})
    assert team.push("-u", "origin", "feature/x").startswith(headings("Passed", "Passed", "Passed"))
    team.settled()
    assert [(line["result"], line["commit"]) for line in team.log()] == [("registered", head)]
    older = subprocess.run(
        [old_pre_commit / "older" / "bin" / "pre-commit", "run", "--all-files", "--hook-stage", "manual"],
        cwd=team.clone.path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert older.returncode != 0
    # It does not know the stage names of the manifest, so it is no matter of taste.
    assert "InvalidManifestError" in older.stdout


class Built(NamedTuple):
    """What is put on the package index."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and the sdist, the wheel built out of the sdist, as `python -m build` does it."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    made = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", "build")
    shutil.copytree(PROJECT, source, ignore=made)
    quietly(BIN / "python", "-m", "build", "--outdir", folder / "out", source)
    out = folder / "out"
    return Built(out / f"git_prefect-{__version__}-py3-none-any.whl", out / f"git_prefect-{__version__}.tar.gz")


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pipx", "uv"])
def test_installed_beside_pre_commits_own_copy(
    team: Team, built: Built, installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README says it: one command, then `git prefect` in any shell, on what pre-commit's copy has queued."""
    tool = tmp_path / "tool"
    quietly(sys.executable, "-m", "venv", tool)
    quietly(tool / "bin" / "pip", "install", "--quiet", installer)
    home = Path(os.environ["HOME"])
    places = {"UV_FIND_LINKS": str(built.wheel.parent), "PIP_FIND_LINKS": str(built.wheel.parent)}
    command = ["pipx", "install", "git-prefect"] if installer == "pipx" else ["uv", "tool", "install", "git-prefect"]
    quietly(tool / "bin" / command[0], *command[1:], **places)
    installed = home / ".local" / "bin" / "git-prefect"
    assert installed.exists()

    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("-u", "origin", "feature/x")
    team.settled()
    monkeypatch.setenv("PATH", f"{installed.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert team.clone.git("prefect", "--version") == f"git-prefect {__version__}"
    assert team.prefect("status").splitlines()[1:2] == [f"  registered: etl → {team.project}-feature--x, version 1"]
    assert team.prefect("-h").startswith("git push is the deployment of Prefect 1 flows.")
    manual = home / ".local" / "share" / "man" / "man1" / "git-prefect.1"
    # pipx links manual pages next to its commands; uv tool does not.
    assert manual.exists() is (installer == "pipx")


@pytest.mark.slow
def test_the_wheel_has_types_and_the_manual(built: Built, tmp_path: Path) -> None:
    quietly(sys.executable, "-m", "venv", tmp_path / "venv")
    quietly(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", built.wheel)
    consumer = tmp_path / "consumer.py"
    consumer.write_text(
        "from git_prefect.cli import main\nfrom git_prefect.core.settings import read\n\n"
        "code: int = main(['--version'])\nstrict: bool = read({}).settings.strict\nwrong: str = read({}).settings.strict\n"
    )
    checked = subprocess.run(
        [BIN / "mypy", "--strict", "--python-executable", tmp_path / "venv" / "bin" / "python", consumer.name],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.stdout == (
        "consumer.py:6: error: Incompatible types in assignment (expression has type \"bool\", variable has type \"str\")"
        "  [assignment]\nFound 1 error in 1 file (checked 1 source file)\n"
    )  # fmt: skip
    assert (tmp_path / "venv" / "share" / "man" / "man1" / "git-prefect.1").is_file()
    if shutil.which("man"):
        path = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        assert "GIT-PREFECT(1)" in quietly("git", "prefect", "--help", PATH=path, MANPAGER="cat", MANWIDTH="80")


@pytest.mark.slow
def test_the_sdist_passes_its_tests(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    source = tmp_path / f"git_prefect-{__version__}"
    quietly(sys.executable, "-m", "venv", tmp_path / "venv")
    quietly(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", f"{source}[demo,test]")
    # One folder of each kind: the code's own, real repositories, and a push through the real pre-commit.
    kinds = ("tests/test_architecture.py", "tests/test_readme.py", "tests/git/test_refs.py", "tests/prefect_api")
    push = "tests/end_to_end/test_push.py::test_a_push_is_registered_once_it_has_arrived"
    printed = quietly(tmp_path / "venv" / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *kinds, push, cwd=source)  # fmt: skip
    assert " passed" in printed.splitlines()[-1]
    assert " failed" not in printed.splitlines()[-1]
