"""Each way in which a verdict could be reused wrongly, and that it is reused at all."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter, source_memory, verdicts
from git_prefect.flows.checker import CheckOptions, check_flow_files
from git_prefect.flows.discovery import Tree

from ..corpus.repositories import Content, Link
from .conftest import FLOW, Checked, make_venv, site_of

EXISTS = (
    "import os\nfrom prefect import Flow\nhere = os.path.dirname(__file__)\n"
    "flow = Flow('with' if os.path.exists(os.path.join(here, 'switch')) else 'without')\n"
)


def names(files: list[Any]) -> list[str]:
    return [flow.name for file in files for flow in file.flows]


def test_nothing_is_loaded_twice(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a.py": FLOW, "b.py": "from prefect import Flow\nflow = Flow('other')\n1 / 0\n", "c.py": "x = 1\n"}
    first = repository.check(files, with_flows=True)
    assert [file.cached for file in first] == [False, False]

    tree = repository.tree(files)
    unused = replace(tree,
        root=lambda: pytest.fail("the tree was written"), read=lambda _: pytest.fail("a blob was read")
    )
    for name in ("ast", "pathspec", "git_prefect.flows.loader"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    again = check_flow_files(unused, Settings(), repository.python, repository.state, CheckOptions(with_flows=True))
    assert not {"ast", "pathspec", "git_prefect.flows.loader"} & set(sys.modules)
    assert again == [replace(file, cached=True) for file in first]
    assert again[0].flows[0].serialized["name"] == "flow"
    (quick, _) = check_flow_files(unused, Settings(), repository.python, repository.state)
    assert [(flow.name, flow.tasks, flow.serialized) for flow in quick.flows] == [("flow", 0, {})]


def test_only_what_changed_is_loaded(repository: Checked) -> None:
    files = {"a.py": FLOW, "b.py": FLOW.replace("'flow'", "'b'")}
    assert repository.loaded(files) == ["a.py", "b.py"]
    assert repository.loaded({**files, "b.py": FLOW.replace("'flow'", "'c'"), "data.csv": "1"}) == ["b.py"]
    assert repository.loaded(files) == []


def test_a_file_that_is_renamed_or_copied_is_loaded(repository: Checked) -> None:
    assert repository.loaded({"a.py": FLOW}) == ["a.py"]
    assert repository.loaded({"b.py": FLOW}) == ["b.py"]
    assert repository.loaded({"b.py": FLOW, "flows/a.py": FLOW}) == ["flows/a.py"]


def test_a_helper_under_an_import_root_changes(repository: Checked) -> None:
    settings = Settings(import_roots=["src"])
    flow = "from helper import name\nfrom prefect import Flow\nflow = Flow(name)\n"
    assert names(repository.check({"a.py": flow, "src/helper.py": "name = 'one'\n"}, settings)) == ["one"]
    assert names(repository.check({"a.py": flow, "src/helper.py": "name = 'two'\n"}, settings)) == ["two"]
    assert repository.loaded({"a.py": flow, "src/helper.py": "name = 'two'\n", "b.txt": ""}, settings) == []


def test_a_helper_under_an_import_root_looks_around(repository: Checked) -> None:
    settings = Settings(import_roots=["src"])
    helper = "import os\nthere = os.path.exists(os.path.join(os.path.dirname(__file__), '..', 'switch'))\n"
    files = {
        "a.py": "from helper import there\nfrom prefect import Flow\nflow = Flow(str(there))\n",
        "src/helper.py": helper,
    }
    assert names(repository.check(files, settings)) == ["False"]
    assert names(repository.check({**files, "switch": ""}, settings)) == ["True"]


def test_a_library_changes_of_which_python_opens_the_bytecode_only(repository: Checked, tmp_path: Path) -> None:
    """As an editable install whose tests have run."""
    library = tmp_path / "library" / "owncommon.py"
    library.parent.mkdir()
    library.write_text("name = 'one'\n")
    python = make_venv(tmp_path / "venv")
    (site_of(tmp_path / "venv") / "own.pth").write_text(f"{library.parent}\n")
    subprocess.run([python, "-m", "compileall", "-q", library], check=True)
    found = interpreter.find(tmp_path, str(python), repository.state)
    files = {"a.py": "import owncommon\nfrom prefect import Flow\nflow = Flow(owncommon.name)\n"}
    assert names(repository.check(files, python=found)) == ["one"]
    assert repository.loaded(files, python=found) == []
    library.write_text("name = 'other'\n")
    assert names(repository.check(files, python=found)) == ["other"]


def test_a_module_that_was_missing_is_in_another_tree(repository: Checked) -> None:
    own = replace(repository.python, own=True)
    files = {"a.py": "import helpers_zz\n" + FLOW}
    for there, said in ({}, (True, ["environment-broken"])), ({"helpers_zz.py": ""}, (False, ["import-not-on-agent"])):
        for _ in range(2):
            (file,) = repository.check({**files, **there}, python=own)
            assert (file.unchecked, [one.code for one in file.findings]) == said


def test_another_discovery_looks_at_every_source_again(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.check({"a.py": FLOW})
    assert len(verdicts.Store(repository.state, None).memory.sources) == 1
    monkeypatch.setattr(source_memory, "_reader", lambda: "0" * 32)
    assert verdicts.Store(repository.state, None).memory.sources == {}


def test_a_file_that_was_looked_for_and_missing_appears(repository: Checked) -> None:
    assert names(repository.check({"a.py": EXISTS})) == ["without"]
    assert names(repository.check({"a.py": EXISTS, "switch": ""})) == ["with"]
    assert repository.loaded({"a.py": EXISTS, "switch": ""}) == []
    assert repository.loaded({"a.py": EXISTS}) == []


PLACES = {
    "file": "import os\nPLACE = os.path.dirname(__file__)\n",
    "frames": "import os, sys\nPLACE = os.path.dirname(sys._getframe().f_globals['__fi' 'le__'])\n",
    "ligature": "import os\nPLACE = os.path.dirname(__\ufb01le__)\n",
}
LOOKS = {
    "subprocess": "import subprocess\nthere = not subprocess.call(['test', '-e', PLACE + '/switch.py'])\n",
    "ctypes": "import ctypes\nthere = not ctypes.CDLL(None).access((PLACE + '/switch.py').encode(), 0)\n",
    "find_spec": "import importlib.util, sys\nsys.path.insert(0, PLACE)\nthere = importlib.util.find_spec('switch') is not None\n",
    "stat": "from pathlib import Path\nthere = Path(PLACE, 'switch.py').is_file()\n",
}


def test_looks_that_no_audit_event_shows(repository: Checked) -> None:
    files = {
        f"{place}-{look}.py": f"{where}{how}from prefect import Flow\nflow = Flow(f'{place}-{look}-{{there}}')\n"
        for place, where in PLACES.items() for look, how in LOOKS.items()
    }  # fmt: skip
    for there in ("False", "True"):
        expected = sorted(f"{place}-{look}-{there}" for place in PLACES for look in LOOKS)
        assert sorted(names(repository.check({**files, **({"switch.py": ""} if there == "True" else {})}))) == expected


def test_what_the_file_opens_decides_without_naming_it(repository: Checked) -> None:
    # The name is hidden from the textual rule; the audit event is not.
    source = "from prefect import Flow\nimport os\nplace = os.path.dirname(eval('__fi' + 'le__'))\nflow = Flow(open(place + '/n').read())\n"
    assert names(repository.check({"a.py": source, "n": "one"})) == ["one"]
    assert names(repository.check({"a.py": source, "n": "two"})) == ["two"]


def test_a_package_is_upgraded_in_place(repository: Checked, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv")
    site = site_of(tmp_path / "venv")
    source = "import company\nfrom prefect import Flow\nflow = Flow(company.name)\n"
    found = []
    for version in ("1.0", "2.0.1"):
        for old in site.glob("company-*.dist-info"):
            old.rename(site / f"company-{version}.dist-info")
        (site / f"company-{version}.dist-info").mkdir(exist_ok=True)
        (site / "company").mkdir(exist_ok=True)
        (site / "company" / "__init__.py").write_text(f"name = '{version}'\n")
        other = interpreter.find(tmp_path, str(python), repository.state)
        found += names(repository.check({"a.py": source}, python=other))
    assert found == ["1.0", "2.0.1"]


def test_an_editable_package_changes(repository: Checked, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv")
    (tmp_path / "company").mkdir()
    (site_of(tmp_path / "venv") / "company.pth").write_text(f"{tmp_path}\n")
    source = "import company\nfrom prefect import Flow\nflow = Flow(company.name)\n"
    found = []
    for name in ("one", "another"):
        (tmp_path / "company" / "__init__.py").write_text(f"name = '{name}'\n")
        other = interpreter.find(tmp_path, str(python), repository.state)
        found += names(repository.check({"a.py": source}, python=other))
    assert found == ["one", "another"]
    assert repository.loaded({"a.py": source}, python=other) == []


def test_settings_change(repository: Checked) -> None:
    source = "import os\nfrom prefect import Flow\nflow = Flow(os.environ.get('NAME', 'none'))\n"
    assert names(repository.check({"a.py": source})) == ["none"]
    assert names(repository.check({"a.py": source}, Settings(env={"NAME": "some"}))) == ["some"]


def test_what_may_go_better_next_time_is_not_kept(repository: Checked) -> None:
    late = FLOW + "import threading\nthreading.Event().wait()\n"
    network = FLOW + "raise ConnectionError('no route to host')\n"
    wrapped = FLOW + "try:\n    raise TimeoutError\nexcept OSError as error:\n    raise ValueError('no settings') from error\n"
    files = {"late.py": late, "network.py": network, "wrapped.py": wrapped, "wrong.py": FLOW + "1 / 0\n"}
    settings = Settings(timeout=1)
    assert repository.loaded(files, settings) == sorted(files)
    assert repository.loaded(files, settings) == ["late.py", "network.py", "wrapped.py"]


def test_age_limit_and_no_cache(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert repository.loaded({"a.py": FLOW}) == ["a.py"]
    assert repository.loaded({"a.py": FLOW}, no_cache=True) == ["a.py"]
    assert repository.loaded({"a.py": FLOW}) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + verdicts.AGE_LIMIT + 60)
    assert repository.loaded({"a.py": FLOW}) == ["a.py"]


DAMAGES = [
    lambda data: data[: len(data) // 2],
    lambda data: b"",
    lambda data: b"\xff\x00 not ours",
    lambda data: b"[1, 2]",
    lambda data: json.dumps({"format": 99, "files": {"a.py": [["x"]]}}).encode(),
    lambda data: json.dumps({"format": verdicts.FORMAT, "files": {"a.py": "x"}}).encode(),
    lambda data: json.dumps({"format": verdicts.FORMAT, "files": {"a.py": [[], [1], ["b", "", "then"], None, 7]}}).encode(),
    lambda data: data.replace(b'"flow"', b"[7]").replace(b"[[", b"[{},["),
]


def test_torn_and_foreign_files(repository: Checked) -> None:
    repository.check({"a.py": FLOW, "b.txt": ""})
    for damage in DAMAGES:
        for file in [*(repository.state / "verdicts").rglob("*"), repository.state / "interpreters.json"]:
            if file.is_file():
                file.write_bytes(damage(file.read_bytes()))
        python = replace(interpreter.find(repository.place, sys.executable, repository.state), own=False)
        assert names(repository.check({"a.py": FLOW}, python=python, with_flows=True)) == ["flow"]
        assert repository.loaded({"a.py": FLOW}, with_flows=True) == []


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"[]")], ids=["gone", "others"])
def test_serialized_flows_that_are_gone(repository: Checked, spoil: Callable[[Path], Any]) -> None:
    repository.check({"a.py": FLOW})
    for file in (repository.state / "verdicts" / "flows").iterdir():
        spoil(file)
    assert repository.loaded({"a.py": FLOW}) == []
    (file,) = repository.check({"a.py": FLOW}, with_flows=True)
    assert (file.cached, file.flows[0].serialized["name"]) == (False, "flow")


def test_the_same_flows_are_written_once(repository: Checked) -> None:
    looking = f"import os\nopen(os.path.dirname(__file__) + '/b.txt').close()\n{FLOW}"
    place = repository.state / "verdicts" / "flows"
    assert repository.loaded({"a.py": looking, "b.txt": "1"}) == ["a.py"]
    (kept,) = place.iterdir()
    os.utime(kept, (1, 1))
    assert repository.loaded({"a.py": looking, "b.txt": "2"}) == ["a.py"]
    assert list(place.iterdir()) == [kept] and kept.stat().st_mtime > 1
    (file,) = repository.check({"a.py": looking, "b.txt": "2"}, with_flows=True)
    assert (file.cached, file.flows[0].serialized["name"]) == (True, "flow")
    # What is torn is written anew.
    kept.write_bytes(b"[]")
    assert repository.loaded({"a.py": looking, "b.txt": "3"}) == ["a.py"]
    (file,) = repository.check({"a.py": looking, "b.txt": "3"}, with_flows=True)
    assert (file.cached, file.flows[0].serialized["name"]) == (True, "flow")


def test_two_runs_at_once(repository: Checked) -> None:
    trees = [
        {f"{number}-{flow}.py": FLOW.replace("'flow'", f"'{number}-{flow}'") for flow in range(3)}
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda files: names(repository_of(repository, files)), trees))
    assert found == [[f"{number}-{flow}" for flow in range(3)] for number in range(3)]
    for number, files in enumerate(trees):
        tree = repository.tree(files)
        assert all(file.cached for file in check_flow_files(tree, Settings(), repository.python, repository.state)), (
            number
        )


def repository_of(repository: Checked, files: dict[str, str]) -> list[Any]:
    place = repository.place / f"apart-{sorted(files)[0]}"
    place.mkdir()
    other = Checked.__new__(Checked)
    other.place, other.state, other.number, other.python = place, repository.state, 0, repository.python
    return other.check(files)


def test_files_are_private(repository: Checked) -> None:
    repository.check({"a.py": FLOW})
    for file in (repository.state / "verdicts").rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) in (0o600, 0o700), file
    assert not [file for file in (repository.state / "verdicts").rglob(".new-*")]


def test_a_state_folder_that_cannot_be_written(repository: Checked) -> None:
    (repository.state / "verdicts").write_text("a file where the folder should be")
    assert repository.loaded({"a.py": FLOW}) == ["a.py"]
    assert repository.loaded({"a.py": FLOW}) == ["a.py"]


def test_what_is_kept_is_bounded(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST_PATHS", 2)
    monkeypatch.setattr(verdicts, "MOST_OF_A_PATH", 2)
    files = {f"{number}.py": FLOW.replace("'flow'", f"'{number}'") for number in range(4)}
    repository.check(files)
    assert len(repository.loaded(files)) == 2
    (context,) = (repository.state / "verdicts").glob("context-*.json")
    assert len(json.loads(context.read_text())["files"]) == 2
    old = repository.state / "verdicts" / "context-of-another-time.json"
    old.write_text("{}")
    os.utime(old, (1, 1))
    repository.check({"5.py": FLOW})
    assert not old.exists()


def test_a_work_tree_is_asked_for_what_git_does_not_list(repository: Checked, tmp_path: Path) -> None:
    """Ignored files, and the contents of files that have no object name there."""
    data = "import pathlib\nfrom prefect import Flow\nflow = Flow(pathlib.Path(__file__).with_name('name.txt').read_text())\n"
    files = {"a.py": FLOW, "b.py": EXISTS, "c.py": data, "name.txt": "one"}
    tree = repository.tree(files)
    work_tree = tmp_path / "work-tree"
    with tree.root() as root:
        shutil.copytree(root, work_tree)
    entries = [entry if entry.path.endswith(".py") else replace(entry, blob="") for entry in tree.entries]
    here = replace(tree, id="", entries=entries, root=lambda: nullcontext(work_tree), work_tree=work_tree)

    def loaded(tree: Tree) -> list[str]:
        checked = check_flow_files(tree, Settings(), repository.python, repository.state)
        return [file.path for file in checked if not file.cached]

    assert loaded(here) == ["a.py", "b.py", "c.py"]
    assert loaded(here) == []
    # Its commit shares the verdicts.
    assert loaded(tree) == []
    (work_tree / "name.txt").write_text("two")
    assert loaded(here) == ["c.py"]
    (work_tree / "switch").write_text("ignored")
    assert loaded(here) == ["b.py"]
    assert loaded(here) == ["b.py"]


def test_a_time_out_is_waited_for_once_in_a_push_and_again_in_the_next(repository: Checked) -> None:
    files = {"slow.py": "from prefect import Flow\nflow = Flow('slow')\nwhile True: pass\n"}
    settings = Settings(timeout=0.5)
    (first,) = repository.check(files, settings)
    assert [one.code for one in first.findings] == ["load-timeout"]
    (same,) = repository.check(files, settings, same_push=True)
    assert same == replace(first, cached=True, rests_on=same.rests_on)
    (next_push,) = repository.check(files, settings)
    assert not next_push.cached


PACKAGE = {
    "team/__init__.py": "",
    "team/utils.py": "from pathlib import Path\nname = (Path(__file__).parent / 'name.txt').read_text()\n",
    "team/name.txt": "one",
    "team/flows.py": "from team.utils import name\nfrom prefect import Flow\nflow = Flow(name)\n",
    "team/other.py": FLOW,
    "tests/test_team.py": "",
    "README.md": "",
    "data/unread.csv": "",
}
ROOT = Settings(import_roots=["."], flows=["team/flows.py", "team/other.py"])


def test_what_no_load_used_invalidates_nothing(repository: Checked) -> None:
    assert repository.loaded(PACKAGE, ROOT) == ["team/flows.py", "team/other.py"]
    for path in ("tests/test_team.py", "README.md", "data/unread.csv", "data/another.csv"):
        assert repository.loaded({**PACKAGE, path: "# changed\n"}, ROOT) == [], path
    other = {**PACKAGE, "team/other.py": FLOW.replace("'flow'", "'other'")}
    assert repository.loaded(other, ROOT) == ["team/other.py"]


def test_what_misses_a_module_is_loaded_again_when_there_is_another_file(repository: Checked) -> None:
    late = "from prefect import Flow, task\n@task\ndef t():\n    import helpers_zz\nwith Flow('late') as flow:\n    t()\n"
    files = {"a.py": "import helpers_zz\n" + FLOW, "b.py": late, "README.md": ""}
    assert repository.loaded(files) == ["a.py", "b.py"]
    assert repository.loaded({**files, "README.md": "changed"}) == []
    assert repository.loaded({**files, "helpers_zz.py": ""}) == ["a.py", "b.py"]
    assert [[one.code for one in file.findings] for file in repository.check(files)] == [["does-not-load"], []]


def test_what_a_load_used_decides_and_each_tree_is_remembered(repository: Checked) -> None:
    changes: list[tuple[str, str]] = [
        ("team/name.txt", "two"), ("team/utils.py", "name = 'three'\n"), ("team.py", ""), ("team/__init__.py", "x = 1\n"),
    ]  # fmt: skip
    repository.check(PACKAGE, ROOT)
    for path, content in changes:
        assert "team/flows.py" in repository.loaded({**PACKAGE, path: content}, ROOT), path
    for path, content in changes:
        assert repository.loaded({**PACKAGE, path: content}, ROOT) == [], path
    assert repository.loaded(PACKAGE, ROOT) == []


SEEN_LOOKS = {
    "stat": ("os.stat(place)", "x"),
    "stat-slash": ("os.stat(place + '/')", {}),
    "stat-keyword": ("os.stat(path=place)", "x"),
    "stat-bytes": ("os.stat(os.fsencode(place))", "x"),
    "stat-relative": ("os.stat(os.path.relpath(place))", "x"),
    "stat-slashes": ("os.stat('/' + place)", "x"),
    "stat-size": ("'short' if os.stat(here + '/kept.py').st_size < 9 else 1 / 0", None),
    "lstat": ("os.lstat(place)", "x"),
    "access": ("os.access(place, os.F_OK) or 1 / 0", "x"),
    "listdir": ("os.listdir(here).index('switch')", "x"),
    "scandir": ("[one.name for one in os.scandir(here)].index('switch')", "x"),
    "scandir-size": ("max(one.stat().st_size for one in os.scandir(here) if one.name == 'kept.py') < 9 or 1 / 0", None),
    "glob": ("glob.glob(here + '/swi*')[0]", "x"),
    "pathlib": ("pathlib.Path(place).exists() or 1 / 0", "x"),
    "posix": ("posix.stat(place)", "x"),
    "dir_fd": ("os.stat('switch', dir_fd=os.open(here, os.O_RDONLY))", "x"),
    "listdir-descriptor": ("os.listdir(os.open(here, os.O_RDONLY)).index('switch')", "x"),
    "chdir": ("(os.chdir(here), os.stat('switch'))", "x"),
    "proc": ("(os.chdir(here), os.stat('/proc/self/cwd/switch'))", "x"),
    "path-finder": ("importlib.machinery.PathFinder.find_spec('switch', [here]) or 1 / 0", "py"),
}


def test_looks_that_are_watched(repository: Checked) -> None:
    """Each in a folder of its own, where something then appears or grows."""
    files: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for name, (look, content) in SEEN_LOOKS.items():
        files[f"{name}/flow.py"] = (
            "import glob, importlib.machinery, os, pathlib, posix\nfrom prefect import Flow\n"
            "here = os.path.dirname(__file__)\nplace = here + '/switch'\n"
            f"try:\n    {look}\n    found = 'yes'\nexcept Exception:\n    found = 'no'\nflow = Flow(f'{name} {{found}}')\n"
        )
        files[f"{name}/kept.py"] = "long = 'long'\n"
        if content is None:
            changed[f"{name}/kept.py"] = "x = 1\n"
        else:
            changed[f"{name}/switch" + {"x": "", "py": ".py"}.get(str(content), "/in")] = ""
    expected = sorted(SEEN_LOOKS)
    assert sorted(names(repository.check(files))) == [f"{name} no" for name in expected]
    assert sorted(names(repository.check({**files, **changed}))) == [f"{name} yes" for name in expected]


def test_a_list_of_looks_that_is_too_long_is_no_verdict(repository: Checked) -> None:
    many = "import os\nfor n in range(6000): os.path.exists(f'{os.path.dirname(__file__)}/{n}')\n" + FLOW
    assert repository.loaded({"a.py": many}) == ["a.py"]
    assert repository.loaded({"a.py": many}) == ["a.py"]


def test_the_environment_of_the_worker_decides(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import os\nfrom prefect import Flow\nflow = Flow(os.environ['TZ'])\n"
    for zone in ("UTC", "Europe/Berlin"):
        monkeypatch.setenv("TZ", zone)
        assert names(repository.check({"a.py": source})) == [zone]
    assert repository.loaded({"a.py": source}) == []
    monkeypatch.setenv("NOT_PASSED_ON", "1")
    monkeypatch.setenv("PATH", "/usr/lib/git-core" + os.pathsep + os.environ["PATH"])
    assert repository.loaded({"a.py": source}) == []


def test_a_package_is_installed_again_in_place(repository: Checked, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv")
    site = site_of(tmp_path / "venv")
    info = site / "company-1.0.dist-info"
    info.mkdir()
    (site / "company").mkdir()
    source = "import company\nfrom prefect import Flow\nflow = Flow(company.name)\n"
    found = []
    for number, name in enumerate(("one", "another")):
        (site / "company" / "__init__.py").write_text(f"name = '{name}'\n")
        (info / "RECORD").write_text(name)
        os.utime(info / "RECORD", (number, number))
        os.utime(info, (1, 1))
        found += names(repository.check({"a.py": source}, python=interpreter.find(tmp_path, str(python), repository.state)))
    assert found == ["one", "another"]


def test_paths_over_symlinks(repository: Checked) -> None:
    look = "import os\nhere = os.path.dirname(__file__)\nthere = os.path.exists(here + '/{}')\n"
    source = look + "from prefect import Flow\nflow = Flow(f'{{there}}')\n"
    for path, before, after in (
        ("link/switch", {"link": Link("a"), "a/x": ""}, {"link": Link("a"), "a/switch": ""}),
        ("link", {"link": Link("a")}, {"link": Link("a"), "a": ""}),
        ("link/switch", {"a/switch": ""}, {"a/switch": "", "link": Link("a")}),
        ("link/../switch", {"link/x": "", "a/switch": ""}, {"link": Link("a/b"), "a/switch": "", "a/b/x": ""}),
    ):
        files: dict[str, Content] = {"a.py": source.format(path)}
        assert names(repository.check({**files, **before})) == ["False"], path
        assert names(repository.check({**files, **after})) == ["True"], path


def test_an_extension_module_may_open_what_is_not_seen(repository: Checked, tmp_path: Path) -> None:
    """One that is given a path: the whole tree counts, as no event tells what it opens."""
    python = make_venv(tmp_path / "venv")
    (name,) = {Path(module).name for module in [sys.modules["msgspec._core"].__file__ or ""]}
    extension = site_of(tmp_path / "venv") / "company" / name
    extension.parent.mkdir()
    (extension.parent / "__init__.py").write_text("")
    extension.write_bytes(Path(sys.modules["msgspec._core"].__file__ or "").read_bytes())
    found = interpreter.find(tmp_path, str(python), repository.state)
    knows = f"import company._core, os\nhere = os.path.dirname(__file__)\n{FLOW}"
    files = {"knows.py": knows, "other.py": f"import company._core\n{FLOW}"}
    assert repository.loaded(files, python=found) == ["knows.py", "other.py"]
    assert repository.loaded({**files, "b.txt": ""}, python=found) == ["knows.py"]
