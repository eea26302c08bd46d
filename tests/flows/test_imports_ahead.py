"""Installed modules that are imported once, ahead of the files that begin by importing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter
from git_prefect.flows.imports_ahead import ImportsAhead, leading_imports
from git_prefect.flows.modules import TreeModules

from .conftest import FLOW, Checked, make_venv, site_of

PLACE = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).resolve().parents[1]))\n"


def ahead(files: dict[str, str], path: str, import_roots: tuple[str, ...] = ()) -> tuple[str, ...]:
    modules = TreeModules(files, import_roots)
    return ImportsAhead(modules, bool(import_roots), lambda name: files[name].encode()).of(path)


def test_leading_imports() -> None:
    source = "'''Doc.'''\nfrom __future__ import annotations\nimport os, a.b as c\nfrom d.e import f\nimport os\nx = 1\nimport late\n"
    assert leading_imports(source.encode()).modules == (("os", False), ("a.b", False), ("d.e", False), ("d.e.f", True))
    assert leading_imports(b"import a\nfrom . import b\nimport c\n").modules == (
        ("a", False), (".", False), (".b", True), ("c", False),
    )  # fmt: skip
    assert leading_imports(b"def (").modules == ()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"f/a.py": "import one\nimport lib.core\nimport last\n", "lib/__init__.py": "import two\n", "lib/core.py": "import three\nx = 1\nimport late\n"},
         ("one", "two", "three", "last")),
        ({"f/a.py": "from lib import core\nimport last\n", "lib/__init__.py": "", "lib/core.py": "from . import more\n", "lib/more.py": "import deep\n"},
         ("deep", "last")),
        ({"f/a.py": "import lib\nimport last\n", "lib.py": "import os\nos.environ['X'] = '1'\n"}, ("os",)),
        ({"f/a.py": "import lib\nimport last\n", "lib.py": "import os\nX = os.environ['X']\n"}, ("os", "last")),
        ({"f/a.py": "import lib\nimport last\n", "lib.py": "import lib\nimport other\n", "other.py": "import lib\nimport deep\n"}, ("deep", "last")),
        ({"f/a.py": "import lib\nimport last\n", "lib.py": "def (\n"}, ("last",)),
        ({"f/a.py": "import missing.sub\nimport last\n"}, ("missing.sub", "last")),
    ],
)  # fmt: skip
def test_what_the_repository_imports_first(files: dict[str, str], found: tuple[str, ...]) -> None:
    assert ahead(files, "f/a.py", (".",)) == found
    # Without import roots a file may put the folder on sys.path itself; where it does neither, agents have none of it.
    assert ahead({**files, "f/a.py": PLACE + files["f/a.py"]}, "f/a.py") == ("sys", "pathlib", *found)
    assert "deep" not in ahead(files, "f/a.py")


def test_a_dependency_of_a_shared_module_is_imported_once(
    repository: Checked, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    python = make_venv(tmp_path / "venv")
    log = tmp_path_factory.mktemp("elsewhere") / "log"
    (site_of(tmp_path / "venv") / "heavy.py").write_text(f"import os\nwith open({str(log)!r}, 'a') as log:\n    log.write('imported\\n')\n")
    files = {f"flows/f{number}.py": "from lib.core import x\n" + FLOW.replace("'flow'", f"'flow{number}'") for number in range(6)}
    files.update({"lib/__init__.py": "", "lib/core.py": "import heavy\nx = heavy\n"})
    found = interpreter.find(tmp_path, str(python), repository.state)
    for preloads, imports in ((True, 1), (False, 6)):
        log.write_text("")
        checked = repository.check(files, Settings(import_roots=["."]), found, no_cache=True, no_preload=not preloads)
        assert [one.findings for one in checked] == [()] * 6
        assert len(log.read_text().splitlines()) == imports


def test_what_fails_is_repeated_with_nothing_imported_ahead(repository: Checked, tmp_path: Path) -> None:
    """`heavy` wants what the module before it prepares in a way that no words tell."""
    python = make_venv(tmp_path / "venv")
    site = site_of(tmp_path / "venv")
    (site / "heavy.py").write_text("import prepared\nprepared.early += 1\n")
    (site / "prepared.py").write_text("early = 0\n")
    files = {
        f"flows/f{number}.py": "import lib.first\nimport lib.second\n" + FLOW.replace("'flow'", f"'flow{number}'")
        for number in range(4)
    }
    first = "import prepared\nif prepared.early:\n    raise RuntimeError('too late')\n"
    files.update({"lib/__init__.py": "", "lib/first.py": first, "lib/second.py": "import heavy\n"})
    found = interpreter.find(tmp_path, str(python), repository.state)
    checked = repository.check(files, Settings(import_roots=["."]), found)
    assert [one.findings for one in checked] == [()] * 4


def test_a_verdict_rests_on_what_was_imported_ahead(
    repository: Checked, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    python = make_venv(tmp_path / "venv")
    opened = tmp_path_factory.mktemp("elsewhere") / "config"
    opened.write_text("1")
    (site_of(tmp_path / "venv") / "heavy.py").write_text(f"value = open({str(opened)!r}).read()\n")
    files = {f"flows/f{number}.py": "import heavy\n" + FLOW.replace("'flow'", f"'flow{number}-' + heavy.value") for number in range(4)}
    settings, found = Settings(import_roots=["."]), interpreter.find(tmp_path, str(python), repository.state)

    def names() -> dict[str, bool]:
        return {file.flows[0].name: file.cached for file in repository.check(files, settings, found)}

    assert names() == {f"flow{number}-1": False for number in range(4)}
    assert names() == {f"flow{number}-1": True for number in range(4)}
    opened.write_text("22")
    assert names() == {f"flow{number}-22": False for number in range(4)}
    # Agents would import this one instead.
    files["heavy.py"] = "value = '3'\n"
    assert names() == {f"flow{number}-3": False for number in range(4)}
