"""What one flow file does to its process harms no other, nor the repository, nor us."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from git_prefect.core.settings import Settings
from git_prefect.flows import interpreter
from git_prefect.flows.checker import check_flow_files

from ..corpus.repositories import Link, Submodule
from .conftest import FLOW, Checked, make_venv, site_of


def flow(name: str) -> str:
    return FLOW.replace("'flow'", f"'{name}'")


GOOD = {f"good/{number}.py": flow(f"good-{number}") for number in range(4)}


def test_harm_stays_with_its_file(repository: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "import os, shutil\nhere = os.path.dirname(__file__)\n"
    harmful = {
        "breaks/prefect.py": "import prefect\nprefect.Flow.__init__ = None\n" + flow("breaks-prefect"),
        "breaks/builtins.py": flow("breaks-builtins") + "import builtins\nbuiltins.isinstance = None\n",
        "changes/environment.py": "import os, sys\nos.environ.clear(); sys.path.clear(); sys.modules.clear()\n"
        + "raise SystemExit(3)\n"
        + flow("x"),
        "deletes/all.py": own + "shutil.rmtree(os.path.dirname(here))\n" + flow("deletes-all"),
        "deletes/by_descriptor.py": own
        + "d = os.open(here, os.O_RDONLY)\nos.unlink('all.py', dir_fd=d)\n"
        + flow("by-descriptor"),
        "deletes/cwd.py": "import os\nopen('left', 'w')\nopen(os.path.expanduser('~/left'), 'w')\n" + flow("leaves"),
        "forks/many.py": "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        time.sleep(600)\n"
        + flow("forks"),
        "forks/both.py": "import os\nos.fork()\n" + flow("forks-both"),
        "forks/both_in_turn.py": "import os\nif os.fork():\n    os.wait()\n" + flow("forks-in-turn"),
        "detaches/daemon.py": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n"
        + flow("detaches"),
        "kills/group.py": flow("x") + "import os\nos.killpg(0, 9)\n",
        "kills/parent.py": flow("kills-parent") + "import os\nos.kill(os.getppid(), 9)\n",
        "kills/parent_and_dies.py": flow("x") + "import os\nos.kill(os.getppid(), 9)\nos._exit(0)\n",
        "writes/others.py": own
        + "for n in os.listdir(os.path.join(here, '..', 'good')):\n    open(os.path.join(here, '..', 'good', n), 'w').write('1/0')\n"
        + flow("writes"),
        "looks/cwd.py": "import os\nassert not os.listdir('.') and not os.listdir(os.path.expanduser('~'))\n"
        + flow("sees-nothing-left"),
    }
    tree = repository.tree({**GOOD, **harmful})
    before = after = {}

    @contextmanager
    def root() -> Iterator[Path]:
        nonlocal before, after
        with tree.root() as folder:
            before = {path: path.read_bytes() for path in folder.rglob("*.py")}
            yield folder
            after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    # Ours only: other tests and pushes may run at the same time.
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    files = check_flow_files(replace(tree, root=root), Settings(timeout=10), repository.python, repository.state)
    said = {file.path: [one.code for one in file.findings] or [flow.name for flow in file.flows] for file in files}
    assert said == {
        **{path: [f"good-{number}"] for number, path in enumerate(GOOD)},
        "breaks/builtins.py": ["load-crashed"],
        "breaks/prefect.py": ["does-not-load"],
        "changes/environment.py": ["load-crashed"],
        "deletes/all.py": ["deletes-all"],
        "deletes/by_descriptor.py": ["by-descriptor"],
        "deletes/cwd.py": ["leaves"],
        "forks/both.py": ["forks-both"],
        "forks/both_in_turn.py": ["forks-in-turn"],
        "forks/many.py": ["forks"],
        "detaches/daemon.py": ["detaches"],
        "kills/group.py": ["load-crashed"],
        "kills/parent.py": ["kills-parent"],
        "kills/parent_and_dies.py": ["load-crashed"],
        "looks/cwd.py": ["sees-nothing-left"],
        "writes/others.py": ["writes"],
    }
    assert before and after == before
    assert os.listdir(tmp_path / "temporary") == []
    running = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in running.splitlines() if "worker.py" in line and str(tmp_path) in line]


def test_what_a_flow_file_leaves_running_or_writes_reaches_no_process_of_ours(repository: Checked) -> None:
    """Where a lane forks another one, which has imported what several files share, and waits for its word."""
    shared = "import pytest\n"
    files = {
        **{f"a{number}.py": shared + flow(f"a{number}") for number in range(3)},
        "daemon.py": shared + "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n" + flow("daemon"),
        "writes.py": shared
        + "import os\nfor number in range(3, 200):\n    try:\n        os.write(number, b'2\\n')\n    except OSError:\n        pass\n"
        + flow("writes"),
        "z.py": flow("z"),
    }
    began = time.monotonic()
    found = {file.path: [flow.name for flow in file.flows] for file in repository.check(files, Settings(timeout=10))}
    assert time.monotonic() - began < 300, "it was waited for"
    assert found == {path: [path[: -len(".py")]] for path in files}


def test_an_answer_of_a_lane_whose_trunk_was_killed_is_no_other_files(repository: Checked) -> None:
    shared = "import pytest, os, time\nfrom prefect import Flow\n"
    kill = (
        "trunk = int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])\n"
        "if b'worker.py' in open(f'/proc/{trunk}/cmdline', 'rb').read():\n    os.kill(trunk, 9)\ntime.sleep(1.5)\n"
    )
    files = {"a.py": shared + kill + "flow = Flow('a')\n"}
    files.update({
        f"{name}.py": f"{shared}time.sleep(1)\nflow = Flow('b')\ntime.sleep(2)\nos._exit(1)\n" for name in "bcde"
    })  # fmt: skip
    found = repository.check(files, Settings(timeout=10))
    assert {file.path: [one.code for one in file.findings] for file in found if file.path != "a.py"} == {
        f"{name}.py": ["load-crashed"] for name in "bcde"
    }
    assert {flow.name for file in found for flow in file.flows} <= {"a"}


def test_what_the_worker_sees_of_us(repository: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN", "PREFECT__CONTEXT__SECRETS__OURS", "GITHUB_TOKEN",
        "GIT_ASKPASS", "GIT_DIR", "SSH_AUTH_SOCK", "PRE_COMMIT", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY", "NPM_CONFIG",
    ):  # fmt: skip
        monkeypatch.setenv(name, "secret")
    home = Path(os.environ["HOME"], ".prefect")
    home.mkdir(exist_ok=True)
    (home / "auth.toml").write_text("api_key = 'secret'\n")
    (home / "config.toml").write_text("[context.secrets]\nX = 'secret'\n")
    (home / "backend.toml").write_text("backend = 'cloud'\n")
    source = (
        "import os, prefect\nfrom prefect import Flow\n"
        "leaks = [name for name, value in os.environ.items() if 'secret' in value]\n"
        "leaks += [key for key in ('api_key', 'auth_token') if prefect.config.cloud.get(key)]\n"
        "leaks += list(prefect.context.secrets)\n"
        "leaks += [prefect.Client().api_key or '']\n"
        "leaks += [] if prefect.config.backend == 'server' else ['backend']\n"
        "flow = Flow('leaks: ' + ' '.join(leaks))\n"
    )
    settings = Settings(env={"PREFECT__CONTEXT__SECRETS__GIVEN": "dummy", "PREFECT__CLOUD__API": "http://127.0.0.1:9"})
    (file,) = repository.check({"a.py": source}, settings)
    assert [flow.name for flow in file.flows] == ["leaks: GIVEN "], file.findings


def test_installed_modules_are_imported_ahead_only_for_files_that_import_them(repository: Checked) -> None:
    seen = "import sys\nfrom prefect import Flow\nflow = Flow(f\"{__import__('os').path.basename(__file__)} {'graphlib' in sys.modules} {'pytest' in sys.modules}\")\n"
    files = {
        **{f"with{number}.py": "import pytest\n" + seen for number in range(4)},
        **{
            f"late{number}.py": "import os\nos.environ['A'] = 'b'\nassert 'pytest' not in __import__('sys').modules\nimport pytest\n"
            + seen
            for number in range(4)
        },
        "without.py": seen,
    }
    for options in ({}, {"no_preload": True, "no_cache": True}):
        found = {
            file.path: [flow.name.split()[-1] for flow in file.flows] for file in repository.check(files, **options)
        }
        assert found == {path: ["False" if path == "without.py" else "True"] for path in files}


def test_an_import_root_shadows_an_installed_module(repository: Checked) -> None:
    files = {
        f"{number}.py": f"import pytest\nfrom prefect import Flow\nflow = Flow(pytest.name + '{number}')\n"
        for number in range(4)
    }
    found = repository.check({**files, "src/pytest.py": "name = 'ours'\n"}, Settings(import_roots=["src"]))
    assert [flow.name for file in found for flow in file.flows] == [f"ours{number}" for number in range(4)]


def test_a_file_that_hangs_says_where(repository: Checked) -> None:
    source = FLOW + "def wait():\n    import threading\n    threading.Event().wait()\n\nwait()\n"
    (file,) = repository.check({"a.py": source}, Settings(timeout=1))
    (one,) = file.findings
    detail = "a.py:7\n    wait()\na.py:5 in wait\n    threading.Event().wait()"
    assert (one.code, one.line, one.detail) == ("load-timeout", 5, detail)


def test_an_installed_module_that_fails_or_starts_threads_is_left_to_each_file(
    repository: Checked, tmp_path: Path
) -> None:
    python = interpreter.find(tmp_path, str(make_venv(tmp_path / "venv")), repository.state)
    site = site_of(tmp_path / "venv")
    (site / "fails_once.py").write_text("raise ImportError('not here')\n")
    (site / "threads.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    (site / "fine.py").write_text("")
    for module, codes in (("fails_once", ["does-not-load"]), ("threads", []), ("fine", [])):
        files = {f"{number}.py": f"import {module}\n" + flow(str(number)) for number in range(4)}
        found = [[one.code for one in file.findings] for file in repository.check(files, python=python)]
        assert found == [codes] * 4, module
        # With a file that does not import it, it is no longer imported before all others.
        files["none.py"] = flow("none")
        found = [[one.code for one in file.findings] for file in repository.check(files, python=python, no_cache=True)]
        assert found == [codes] * 4 + [[]], module


def test_a_file_that_writes_gets_a_copy_of_the_whole_tree(repository: Checked) -> None:
    source = (
        "import os\nfrom prefect import Flow\nhere = os.path.dirname(__file__)\nopen(os.path.join(here, 'new'), 'w').close()\n"
        "kinds = [(n, os.path.islink(os.path.join(here, n)), os.path.isdir(os.path.join(here, n))) for n in os.listdir(here)]\n"
        "flow = Flow(repr(sorted(kinds)))\n"
    )
    files = {"a.py": source, "folder/b": "1", "link": Link("folder"), "vendor": Submodule("1" * 40)}
    ((made,),) = [file.flows for file in repository.check(files)]
    assert made.name == repr([
        ("a.py", False, False), ("folder", False, True), ("link", True, True), ("new", False, False),
        ("vendor", False, True),
    ])  # fmt: skip
