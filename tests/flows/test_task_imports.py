"""Imports that run with a task: the clone is gone by then."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import prefect  # noqa: F401 - what is forked has it
import pytest

from git_prefect.core.settings import Settings

from .conftest import Checked

PLACE = "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[0]))\n"
START = PLACE + "from prefect import Flow, Task, task\n"
END = "with Flow('x') as flow:\n    run_it()\n"
LIB = {"lib/__init__.py": "", "lib/util.py": "x = 1\n", "docs/pack_of_the_image/x.py": "", "lib/late.py": "def helper():\n    import lib.util\n    return lib.util\n"}

WAYS = {
    "in a task": ("@task\ndef run_it():\n    from lib.util import x\n    return x\n", [("error", "flow 'x': task 'run_it' imports 'lib.util' when", 6)]),
    "in a function inside a task": (
        "@task\ndef run_it():\n    def inner():\n        import lib\n    return inner()\n",
        [("error", "flow 'x': task 'run_it' imports 'lib' when", 7)],
    ),
    "in a class": (
        "class Run(Task):\n    def run(self):\n        import lib.util as u\n        return u\nrun_it = Run(name='it')\n",
        [("error", "flow 'x': task 'it' imports 'lib.util' when", 6)],
    ),
    "in a helper": (
        "def helper():\n    import lib.util\n@task\ndef run_it():\n    helper()\n",
        [("warning", "flow 'x': task 'run_it' calls a function that imports 'lib.util' when", 5)],
    ),
    "in a helper of a module": (
        "from lib.late import helper\n@task\ndef run_it():\n    helper()\n",
        [("warning", "flow 'x': task 'run_it' calls a function that imports 'lib.util' (in lib/late.py:2) when", None)],
    ),
    "loaded before": ("import lib.util\n@task\ndef run_it():\n    import lib.util\n    from lib import util\n", []),
    "in a try": ("@task\ndef run_it():\n    try:\n        import lib.util\n    except ImportError:\n        pass\n", []),
    "in a try that catches nothing": (
        "@task\ndef run_it():\n    try:\n        import lib.util\n    finally:\n        pass\n",
        [("error", "flow 'x': task 'run_it' imports 'lib.util' when", 7)],
    ),
    "of what is installed": ("@task\ndef run_it():\n    import json, pendulum\n    import prefect.utilities.aws\n", []),
    "of a package whose name a folder elsewhere has": ("@task\ndef run_it():\n    import pack_of_the_image\n", []),
    "of what is nowhere": ("@task\ndef run_it():\n    import of_the_image_only\n", []),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_late_imports(repository: Checked, way: str) -> None:
    body, expected = WAYS[way]
    (file,) = repository.check({**LIB, "a.py": START + body + END}, Settings(exclude=["lib/"]))
    ends = " it runs; only the repository has it, and the clone is deleted by then: the task would fail"
    assert [(one.severity, one.message, one.line) for one in file.findings if one.code == "import-in-task"] == [
        (severity, said + ends, line) for severity, said, line in expected
    ]
    assert [one.code for one in file.findings if one.code != "import-in-task"] == []


def test_what_the_image_has_may_be_imported_late(repository: Checked) -> None:
    body = WAYS["in a task"][0]
    (file,) = repository.check({**LIB, "a.py": START + body + END}, Settings(exclude=["lib/"], import_roots=["."]))
    assert file.findings == ()


def test_without_the_place_on_sys_path(repository: Checked) -> None:
    """Nothing finds the module at load either, but nothing asks for it."""
    source = "from prefect import Flow, task\n" + WAYS["in a task"][0] + END
    (file,) = repository.check({**LIB, "a.py": source}, Settings(exclude=["lib/"]))
    assert [(one.code, one.severity) for one in file.findings] == [("import-in-task", "error")]


def test_a_module_that_the_repository_has_later(repository: Checked) -> None:
    """The flow file is the same: what it imports in a task is another question to each tree."""
    source = "from prefect import Flow, task\n@task\ndef run_it():\n    import later_zz\n" + END
    for more, codes in ({}, []), ({"later_zz.py": ""}, ["import-in-task"]), ({}, []):
        (file,) = repository.check({"a.py": source, **more})
        assert [one.code for one in file.findings] == codes


# What is said of imports in tasks is what the import system does once the clone is gone --------------------------

AGREE_START = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).resolve().parents[0]))\nfrom prefect import Flow, task\n"
AGREE_LIB = {
    "space_zz/util.py": "x = 1\n", "space_zz/other.py": "y = 1\n", "space_zz/inner/deep.py": "z = 1\n",
    "space_zz/relative.py": "def late():\n    from . import util\n    return util\n",
    "whole_zz/__init__.py": "name = 1\n", "whole_zz/util.py": "x = 1\n",
    "whole_zz/relative.py": "def late():\n    from .util import x\n    return x\n",
    "whole_zz/lazy.py": "def __getattr__(name):\n    return 1\n",
    "xml/clone_only_zz.py": "x = 1\n",
}  # fmt: skip
# What is at the top of the flow file, what its task imports, and the module that is reported.
IMPORTS = {
    "of a folder": ("", "from space_zz import util", "space_zz.util"),
    "of a folder, as another name": ("", "from space_zz import util as u", "space_zz.util"),
    "of a folder, the second name": ("import space_zz.other", "from space_zz import other, util", "space_zz.util"),
    "of a folder in a folder": ("", "from space_zz.inner import deep", "space_zz.inner.deep"),
    "of a module in a folder": ("", "from space_zz.util import x", "space_zz.util"),
    "the folder itself": ("", "import space_zz", "space_zz"),
    "of a folder that is loaded": ("import space_zz.other", "from space_zz import util", "space_zz.util"),
    "a module below a folder that is loaded": ("import space_zz.other", "import space_zz.inner.deep", "space_zz.inner.deep"),
    "of a folder, what is loaded": ("import space_zz.util", "from space_zz import util", ""),
    "of a folder, what was loaded as a name": ("from space_zz import util", "from space_zz import util", ""),
    "the folder, which is loaded": ("import space_zz.other", "import space_zz", ""),
    "of a package": ("", "from whole_zz import util", "whole_zz"),
    "of a package that is loaded": ("import whole_zz", "from whole_zz import util", "whole_zz.util"),
    "a name of a package that is loaded": ("import whole_zz", "from whole_zz import name", ""),
    "a name that a module makes up": ("import whole_zz.lazy", "from whole_zz.lazy import anything", ""),
    "a part of a package that is loaded": ("import whole_zz", "import whole_zz.util", "whole_zz.util"),
    "of a folder that is not on sys.path": ("sys.path.pop(0)", "from space_zz import util", "space_zz.util"),
    "of an installed package": ("", "from xml import dom", ""),
    "relative in a helper of a folder": ("from space_zz.relative import late", "late()", "space_zz.util"),
    "relative in a helper of a package": ("from whole_zz.relative import late", "late()", "whole_zz.util"),
    "relative, loaded": ("from whole_zz.relative import late\nimport whole_zz.util", "late()", ""),
}  # fmt: skip


def source(number: int, above: str, imports: str) -> str:
    return f"{AGREE_START}{above}\n@task\ndef run_it():\n    {imports}\nwith Flow('{number}') as flow:\n    run_it()\n"


def runs_without_clone(place: Path, files: dict[str, str], path: str) -> bool:
    """Whether the tasks of a flow run after its file was executed and the clone is gone; in a process of its own."""
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    pid = os.fork()
    if pid == 0:
        failed = 2
        try:
            # The path finder's caches may be older than the clone.
            sys.path_importer_cache.clear()
            values = {"__file__": str(place / path)}
            exec((place / path).read_bytes(), values)
            shutil.rmtree(place)
            failed = 1
            (task,) = values["flow"].tasks  # type: ignore[attr-defined]
            task.run()
            failed = 0
        finally:
            os._exit(failed)
    status = os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    assert status < 2, f"{path} does not load"
    return status == 0


def test_it_is_what_the_import_system_does(repository: Checked, tmp_path: Path) -> None:
    flows = {f"f{number}.py": source(number, above, imports) for number, (above, imports, _) in enumerate(IMPORTS.values())}
    found = repository.check({**AGREE_LIB, **flows}, Settings(flows=["/f*.py"]))
    reported = {file.path: [one.message for one in file.findings if one.code == "import-in-task"] for file in found}
    for number, (way, (_, _, module)) in enumerate(IMPORTS.items()):
        path = f"f{number}.py"
        runs = runs_without_clone(tmp_path / f"clone{number}", {**AGREE_LIB, path: flows[path]}, path)
        assert (way, runs, len(reported[path]), f" imports '{module}'" in "".join(reported[path])) == (way, not module, bool(module), bool(module))
    assert [one.code for file in found for one in file.findings if one.code != "import-in-task"] == []
