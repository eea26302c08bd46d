"""Which Python loads the flows, and what is said when it cannot."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from git_prefect.core.errors import UsageError
from git_prefect.core.settings import Settings
from git_prefect.deploy.diagnosis import machine
from git_prefect.flows import interpreter

from .conftest import FLOW, Checked, make_venv, site_of


def pretend(venv: Path, **versions: str) -> None:
    """Let a package seem to be installed, in front of those that are."""
    for name, version in versions.items():
        folder = site_of(venv) / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The repository, with a PATH on which only git's and the system's tools are."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in ("git", "sh", "env"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (bin / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(bin))
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def test_the_default(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> tuple[str, str, bool]:
        one = interpreter.find(elsewhere, None, tmp_path / "state")
        return one.path, one.origin, one.own

    assert found() == (sys.executable, "the hook's own", True)
    on_path = make_venv(tmp_path / "other")
    monkeypatch.setenv(
        "PATH", os.pathsep.join([os.path.join(sys.prefix, "bin"), str(on_path.parent), os.environ["PATH"]])
    )
    assert found() == (str(on_path.with_name("python3")), "PATH", False)
    make_venv(elsewhere / "venv")
    assert found() == (str(elsewhere / "venv/bin/python"), "venv of the repository", False)
    make_venv(elsewhere / ".venv", prefect=False)
    assert found() == (str(elsewhere / "venv/bin/python"), "venv of the repository", False)
    (site_of(elsewhere / ".venv") / "borrowed.pth").write_text(
        (site_of(elsewhere / "venv") / "borrowed.pth").read_text()
    )
    assert found() == (str(elsewhere / ".venv/bin/python"), ".venv of the repository", False)


def test_the_setting(elsewhere: Path, tmp_path: Path) -> None:
    make_venv(elsewhere / "envs/flows")
    one = interpreter.find(elsewhere, "envs/flows/bin/python", tmp_path / "state")
    version = ".".join(str(number) for number in sys.version_info[:3])
    assert one.describe() == f"Python {version} with Prefect {one.prefect}, envs/flows/bin/python"
    assert (one.origin, one.own, one.problem) == ("setting python", False, "")


def test_a_shim_leads_to_its_python(elsewhere: Path, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "hidden")
    shim = tmp_path / "shim"
    shim.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    shim.chmod(0o755)
    assert interpreter.find(elsewhere, str(shim), tmp_path / "state").path == str(python)


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (
            "nowhere/python",
            "setting python: nowhere/python does not exist (looked for at {top}/nowhere/python), so no flow can be loaded",
        ),
        ("README", "setting python: {top}/README is not executable, so no flow can be loaded"),
        ("tool", "setting python: {top}/tool does not answer as a Python does, so no flow can be loaded"),
    ],
)
def test_no_interpreter(elsewhere: Path, tmp_path: Path, python: str, message: str) -> None:
    (elsewhere / "README").write_text("x")
    (elsewhere / "tool").write_text("#!/bin/sh\necho hello\n")
    (elsewhere / "tool").chmod(0o755)
    with pytest.raises(UsageError) as caught:
        interpreter.find(elsewhere, python, tmp_path / "state")
    assert caught.value.message == message.format(top=elsewhere)
    assert "python" in caught.value.hint or "chmod" in caught.value.hint


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"marshmallow": "4.0.1"}, "marshmallow 4.0.1 is installed there: with it Prefect 1 can neither serialize"),
        ({"prefect": "2.20.3"}, "Prefect 2.20.3 is installed there, and agents of Prefect 1"),
        ({"prefect": "0.14.22"}, "Prefect 0.14.22 is installed there; its Git storage is older"),
        (None, "Prefect is not installed there, so no flow can be loaded"),
    ],
)
def test_a_broken_environment_is_one_finding(
    repository: Checked, tmp_path: Path, versions: dict[str, str], said: str
) -> None:
    make_venv(tmp_path / "env", prefect=versions is not None)
    pretend(tmp_path / "env", **(versions or {}))
    python = interpreter.find(tmp_path, "env/bin/python", repository.state)
    files = repository.check({"a.py": FLOW, "b.py": FLOW, "c.txt": ""}, python=python)
    assert [(file.path, file.unchecked, file.failed, len(file.findings)) for file in files] == [
        ("a.py", True, False, 1), ("b.py", True, False, 0),
    ]  # fmt: skip
    (one,) = files[0].findings
    assert one.code == "environment-broken" and one.path is None
    assert said in one.message and one.message.endswith("2 flow files are unchecked")


def test_prefect_that_cannot_be_imported(repository: Checked, tmp_path: Path) -> None:
    make_venv(tmp_path / "env")
    site = site_of(tmp_path / "env")
    (site / "prefect.py").write_text("raise ImportError('libssl is missing')\n")
    python = interpreter.find(tmp_path, "env/bin/python", repository.state)
    (file,) = repository.check({"a.py": FLOW}, python=python)
    assert [one.message for one in file.findings] == [
        f"{python.describe()}: Prefect cannot be imported there (ImportError: libssl is missing); 1 flow file is unchecked"
    ]
    assert file.unchecked


def test_an_interpreter_that_ends_with_the_flows_variables(repository: Checked) -> None:
    (file,) = repository.check({"a.py": FLOW}, Settings(env={"PYTHONHASHSEED": "salt"}))
    (one,) = file.findings
    assert (one.code, one.message, file.unchecked) == (
        "environment-broken",
        f"{repository.python.describe()}: Prefect cannot be imported there (Fatal Python error: config_init_hash_seed: "
        'PYTHONHASHSEED must be "random" or an integer in range [0; 4294967295]); 1 flow file is unchecked',
        True,
    )


def test_what_the_hooks_own_environment_lacks(repository: Checked) -> None:
    own = replace(repository.python, own=True)
    files = repository.check(
        {"a.py": "import pandas_of_the_team\n" + FLOW, "b.py": "import spark_of_the_team.sql\n" + FLOW, "c.py": FLOW.replace("'flow'", "'c'"),
         "d.py": "import helper\n" + FLOW, "helper.py": ""},
        python=own,
    )  # fmt: skip
    assert [(file.path, file.unchecked, [one.code for one in file.findings]) for file in files] == [
        ("a.py", True, ["environment-broken"]), ("b.py", True, []), ("c.py", False, []), ("d.py", False, ["import-not-on-agent"]),
    ]  # fmt: skip
    assert (
        "'pandas_of_the_team', 'spark_of_the_team' are not installed in the hook's own environment"
        in files[0].findings[0].message
    )
    assert files[0].findings[0].hint == IS_CHOSEN


IS_CHOSEN = "install prefect<2, marshmallow<4 and what the flows import there, or let the setting `python` name another interpreter"


@pytest.mark.parametrize(
    ("origin", "hint"),
    [("setting python", IS_CHOSEN), (".venv of the repository", IS_CHOSEN), ("PATH", "set `python` in the"), ("the hook's own", "set `python` in the")],
)
def test_no_hint_proposes_the_python_that_is_set(repository: Checked, origin: str, hint: str) -> None:
    lacking = replace(repository.python, own=True, origin=origin)
    without = replace(lacking, problem="Prefect is not installed there, so no flow can be loaded")
    for python in lacking, without:
        (file,) = repository.check({"a.py": "import pandas_of_the_team\n" + FLOW}, python=python)
        assert [one.hint.startswith(hint) for one in file.findings] == [True]
    said = machine.interpreter(without).remedy
    assert ("let the setting `python` name another interpreter" in said) is (origin == "setting python")


def test_answers_are_kept_until_the_environment_changes(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_venv(elsewhere / ".venv")
    first = interpreter.find(elsewhere, None, tmp_path / "state")
    asked: list[str] = []
    original = interpreter._ask
    monkeypatch.setattr(interpreter, "_ask", lambda path, place: asked.append(path) or original(path, place))
    assert interpreter.find(elsewhere, None, tmp_path / "state") == first
    assert asked == []
    pretend(elsewhere / ".venv", company="1.0")
    second = interpreter.find(elsewhere, None, tmp_path / "state")
    assert asked == [first.path] and second.fingerprint != first.fingerprint
    os.utime(site_of(elsewhere / ".venv") / "company-1.0.dist-info", (1, 1))
    assert interpreter.find(elsewhere, None, tmp_path / "state").fingerprint != second.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_other_pythons(repository: Checked, tmp_path: Path, version: str) -> None:
    versions = Path(pwd.getpwuid(os.getuid()).pw_dir, ".pyenv", "versions")
    named = shutil.which(f"python{version}")
    candidates = [*versions.glob(f"{version}.*/bin/python"), *([Path(named)] if named else [])]
    found = next(iter(candidates), None)
    if found is None:
        pytest.skip(f"Python {version} is not on this machine")
    subprocess.run([str(found), "-m", "venv", str(tmp_path / "env")], check=True)
    packages = ["prefect==1.4.1", "marshmallow<4", "setuptools<80"]
    subprocess.run([str(tmp_path / "env/bin/pip"), "install", "--quiet", *packages], check=True)
    python = interpreter.find(tmp_path, "env/bin/python", repository.state)
    files = repository.check(
        {"a.py": FLOW + "flow.run()\n", "b.py": "import helper\n" + FLOW, "helper.py": "", "c.py": FLOW + "import os; os._exit(1)\n"},
        python=python, with_flows=True,
    )  # fmt: skip
    assert [(file.path, [one.code for one in file.findings]) for file in files] == [
        ("a.py", ["runs-on-import"]), ("b.py", ["import-not-on-agent"]), ("c.py", ["load-crashed"]),
    ]  # fmt: skip
    assert files[0].flows[0].serialized["name"] == "flow"
