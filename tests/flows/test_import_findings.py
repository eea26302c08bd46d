"""Imports that fail while a flow file loads: what is said of them, and that both remedies work."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import prefect
import pytest
from msgspec.structs import replace

from git_prefect.core.settings import Settings
from git_prefect.flows.import_findings import Wanted, folder_of_module, on_sys_path, wanted_module
from git_prefect.flows.prefect_names import LATER, RENAMED, REPLACED, of_error, replacement

from ..corpus.repositories import Link
from .conftest import FLOW, Checked

LIB = {"lib/__init__.py": "", "lib/io.py": "x = 1\n"}
BY_CLONE = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).resolve().parents[{}]))\n"


def said(repository: Checked, files: dict[str, str], settings: Settings = Settings(), **more: object) -> list[tuple[str, str, str]]:  # noqa: B008
    """Code, message and hint of all findings."""
    checked = repository.check(files, settings, **more)  # type: ignore[arg-type]
    return [(one.code, one.message, one.hint) for file in checked for one in file.findings]


NOWHERE = "does not load: ModuleNotFoundError: No module named {!r}; every run would fail before its first task"

MISSING = {
    "in a package of the clone": (
        BY_CLONE.format(0) + "import lib.missing\n", LIB, "lib.missing",
        "lib of this repository has no module 'missing': correct the import, or add and commit the module",
    ),
    "from a package of the clone": (
        BY_CLONE.format(0) + "from lib.missing import x\n", LIB, "lib.missing",
        "lib of this repository has no module 'missing': correct the import, or add and commit the module",
    ),
    "in a package that is not on the path": (
        "from lib.missing import x\n", LIB, "lib",
        "lib of this repository has no 'lib.missing': correct the import, or add and commit the module",
    ),
    "in one that is a folder only": (
        "from team.missing import (\n    x,\n)\n", {"team/util.py": ""}, "team",
        "team of this repository has no 'team.missing': correct the import, or add and commit the module",
    ),
    "of the name of a folder elsewhere": (
        "from pandas_of_the_team import DataFrame\n", {"docs/pandas_of_the_team/intro.py": ""}, "pandas_of_the_team",
        "install 'pandas_of_the_team' in {} and in the image that runs the flow",
    ),
    "of the name of data": (
        "import pandas_of_the_team\n", {"pandas_of_the_team/rows.csv": ""}, "pandas_of_the_team",
        "install 'pandas_of_the_team' in {} and in the image that runs the flow",
    ),
    "of the flow file's own name": (
        "import a\n", {}, "a", "install 'a' in {} and in the image that runs the flow",
    ),
    "in an installed package": (
        "import marshmallow.of_later\n", {}, "marshmallow.of_later",
        "'marshmallow' is installed and has no module 'of_later': correct the import, or install the version that has "
        "it in {} and in the image that runs the flow",
    ),
    "by a wrapped exception": (
        BY_CLONE.format(0) + "try:\n    import lib.missing\nexcept ImportError as error:\n    raise\n", LIB, "lib.missing",
        "lib of this repository has no module 'missing': correct the import, or add and commit the module",
    ),
}  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("way", MISSING)
def test_a_module_that_is_nowhere_is_not_in_this_repository(repository: Checked, way: str, own: bool) -> None:
    source, files, missing, hint = MISSING[way]
    python = replace(repository.python, own=own)
    found = said(repository, {**files, "a.py": source + FLOW}, Settings(flows=["a.py"]), python=python)
    if own and missing.partition(".")[0] != "lib" or own and "not on the path" in way:
        # What the hook's own interpreter lacks another one may have.
        lacks = f"{python.describe()}: {missing!r} is not installed in the hook's own environment; 1 flow file is unchecked"
        assert [(code, message) for code, message, _ in found] == [("environment-broken", lacks)]
    else:
        assert found == [("does-not-load", NOWHERE.format(missing), hint.format(python.describe()))]


def test_a_package_of_the_same_name_comes_first(repository: Checked) -> None:
    files = {"one/lib/__init__.py": "", "two/lib/__init__.py": "", "two/lib/io.py": "", "a.py": "import lib.io\n" + FLOW}
    first = (
        "import-not-on-agent",
        "imports 'lib.io', which is in two, but 'lib' is found in one first: every run would fail with ModuleNotFoundError",
        "give one of the two packages another name, or move the module into the first one",
    )
    assert said(repository, files, Settings(flows=["a.py"], import_roots=["one", "two"])) == [first]
    assert said(repository, files, Settings(flows=["a.py"], import_roots=["two", "one"])) == []


IN_REPOSITORY = "which is in this repository but not where agents look: every run would fail with ModuleNotFoundError"

PLACES = {
    "beside": ("a/flow.py", "import lib", "a/lib.py", "parents[0]", "a"),
    "above": ("a/b/c/flow.py", "from lib.io import x", "a/lib/io.py", "parents[2]", "a"),
    "at the top": ("a/b/flow.py", "import lib.io", "lib/io.py", "parents[2]", "."),
    "of a flow at the top": ("flow.py", "import lib.io", "lib/io.py", "parents[0]", "."),
    "below the top": ("a/flow.py", "import lib.io", "src/py/lib/io.py", 'parents[1] / "src/py"', "src/py"),
    "below a folder above": ("a/b/flow.py", "import lib.io", "a/src/lib/io.py", 'parents[1] / "src"', "a/src"),
    "below a flow at the top": ("flow.py", "import lib.io", "src/lib/io.py", 'parents[0] / "src"', "src"),
    "several lines": ("a/flow.py", "from lib.io import (\n    x,\n    y,\n)", "lib/io.py", "parents[1]", "."),
    "a module of a folder": ("a/flow.py", "from lib import io", "lib/io.py", "parents[1]", "."),
    "after others": ("a/flow.py", "import json, lib.io", "lib/io.py", "parents[1]", "."),
}
"""Flow file, its import, the module, the place that the hint names, the import root."""


@pytest.mark.parametrize("way", PLACES)
def test_both_remedies(repository: Checked, way: str) -> None:
    """They are what the hint says, and each one works."""
    path, statement, module, place, root = PLACES[way]
    module_files = {module: "x = y = 1\n"}
    settings = Settings(flows=["flow.py"])
    source = f"import sys\nfrom pathlib import Path\n{statement}\n{FLOW}"
    name = "lib" if statement == "import lib" or statement == "from lib import io" else "lib.io"
    line = f"sys.path.insert(0, str(Path(__file__).resolve().{place}))"
    hint = f'put the clone on sys.path before this import: {line}; or install it in the image that runs the flow, and set import-roots = ["{root}"]'
    assert said(repository, {path: source, **module_files}, settings) == [("import-not-on-agent", f"imports {name!r}, {IN_REPOSITORY}", hint)]
    assert said(repository, {path: source.replace(statement, f"{line}\n{statement}"), **module_files}, settings) == []
    assert said(repository, {path: source, **module_files}, Settings(flows=["flow.py"], import_roots=[root])) == []


def test_a_flow_file_that_is_a_symlink(repository: Checked) -> None:
    """`resolve()` leads to where the link points."""
    source = f"import sys\nfrom pathlib import Path\nimport lib.io\n{FLOW}"
    files = {"real/deep/flow.py": source, "lib/io.py": "", "flow.py": Link("real/deep/flow.py")}
    settings = Settings(flows=["/flow.py"])
    ((_, _, hint),) = said(repository, files, settings)  # type: ignore[arg-type]
    line = "sys.path.insert(0, str(Path(__file__).resolve().parents[2]))"
    assert line in hint
    files["real/deep/flow.py"] = source.replace("import lib", f"{line}\nimport lib")
    assert said(repository, files, settings) == []  # type: ignore[arg-type]


RELATIVE = {
    "of a module beside": ("pkg/sub/flow.py", "from .tasks import x", "pkg/sub/tasks.py", "from pkg.sub.tasks import x", "parents[2]"),
    "of a module above": ("pkg/sub/flow.py", "from ..util import x", "pkg/util.py", "from pkg.util import x", "parents[2]"),
    "of the package": ("pkg/sub/flow.py", "from . import tasks", "pkg/sub/tasks.py", "from pkg.sub import tasks", "parents[2]"),
    "in a folder": ("plain/flow.py", "from .tasks import x", "plain/tasks.py", "from tasks import x", "parents[0]"),
    "of a folder": ("plain/flow.py", "from . import tasks", "plain/tasks.py", "import tasks", "parents[0]"),
}


@pytest.mark.parametrize("way", RELATIVE)
def test_both_remedies_of_a_relative_import(repository: Checked, way: str) -> None:
    path, statement, module, absolute, place = RELATIVE[way]
    files = {module: "x = 1\n", "pkg/__init__.py": "", "pkg/sub/__init__.py": ""}
    settings = Settings(flows=["flow.py"])
    source = f"import sys\nfrom pathlib import Path\n{statement}\n{FLOW}"
    line = f"sys.path.insert(0, str(Path(__file__).resolve().{place}))"
    ((code, message, hint),) = said(repository, {path: source, **files}, settings)
    root = "." if place == "parents[2]" else "plain"
    assert (code, message) == ("import-not-on-agent", "uses a relative import, and agents execute the file outside of any package: every run would fail")
    shown = absolute.rpartition(" ")[0] + " …"
    assert hint == (
        f"put the clone on sys.path and write `{shown}`: {line}; or install it in the image that runs the flow, and set "
        f'import-roots = ["{root}"]'
    )
    assert said(repository, {path: source.replace(statement, f"{line}\n{absolute}"), **files}, settings) == []


def test_a_module_that_a_shared_module_needs(repository: Checked) -> None:
    files = {"src/lib/core.py": "import os\nimport other.part\n", "more/other/part.py": "", "a.py": "import lib.core\n" + FLOW}
    assert said(repository, files, Settings(flows=["a.py"], import_roots=["src"])) == [(
        "import-not-on-agent",
        f"needs 'other.part' (src/lib/core.py:2 imports it), {IN_REPOSITORY}",
        'put the clone on sys.path before this import: sys.path.insert(0, str(Path(__file__).resolve().parents[0] / "more")); '
        'or install it in the image that runs the flow, and set import-roots = ["src", "more"]',
    )]  # fmt: skip


def test_a_late_import_of_what_is_nowhere_is_not_only_in_the_repository(repository: Checked) -> None:
    late = "from prefect import Flow, task\n@task\ndef run_it():\n    import {}\nwith Flow('x') as flow:\n    run_it()\n"
    settings = Settings(flows=["a.py"])
    assert said(repository, {**LIB, "a.py": late.format("lib.missing")}, settings) == []
    assert [code for code, _, _ in said(repository, {**LIB, "a.py": late.format("lib.io")}, settings)] == ["import-in-task"]


# Prefect's own names -----------------------------------------------------------------------------------------------

OLD = {
    "from prefect.environments.storage import Docker, GCS": (
        "ModuleNotFoundError: No module named 'prefect.environments'",
        "Prefect 1 has no prefect.environments.storage.Docker any more: use prefect.storage.Docker; "
        "Prefect 1 has no prefect.environments.storage.GCS any more: use prefect.storage.GCS",
    ),
    "from prefect.environments import LocalEnvironment": (
        "ModuleNotFoundError: No module named 'prefect.environments'",
        "Prefect 1 has no prefect.environments.LocalEnvironment any more: use a run config, such as flow.run_config = "
        "KubernetesRun(…) of prefect.run_configs, and flow.executor = … of prefect.executors",
    ),
    "import prefect\nprefect.environments.LocalEnvironment()": (
        "AttributeError: module 'prefect' has no attribute 'environments'",
        "Prefect 1 has no prefect.environments any more: use a run config, such as flow.run_config = KubernetesRun(…) of "
        "prefect.run_configs, and flow.executor = … of prefect.executors",
    ),
    "from prefect.engine.result_handlers import GCSResultHandler": (
        "ModuleNotFoundError: No module named 'prefect.engine.result_handlers'",
        "Prefect 1 has no prefect.engine.result_handlers.GCSResultHandler any more: use a result of prefect.engine.results, such as "
        "GCSResult(…), as result= in place of result_handler=",
    ),
    "from prefect.engine.executors.sync import SynchronousExecutor": (
        "ModuleNotFoundError: No module named 'prefect.engine.executors.sync'",
        "Prefect 1 has no prefect.engine.executors.sync.SynchronousExecutor any more: use LocalDaskExecutor(scheduler=\"synchronous\") "
        "of prefect.executors",
    ),
    "from prefect.schedules import OneTimeSchedule": (
        "ImportError: cannot import name 'OneTimeSchedule' from 'prefect.schedules' ({prefect}/schedules/__init__.py)",
        "Prefect 1 has no prefect.schedules.OneTimeSchedule any more: use prefect.schedules.clocks.DatesClock",
    ),
    "from prefect.utilities.exceptions import PrefectError": (
        "ModuleNotFoundError: No module named 'prefect.utilities.exceptions'",
        "Prefect 1 has no prefect.utilities.exceptions.PrefectError any more: use prefect.exceptions.PrefectException",
    ),
    "from prefect.tasks.secrets import Secret": (
        "ImportError: cannot import name 'Secret' from 'prefect.tasks.secrets' ({prefect}/tasks/secrets/__init__.py)",
        "Prefect 1 has no prefect.tasks.secrets.Secret any more: use prefect.tasks.secrets.PrefectSecret",
    ),
    "from prefect import flow": (
        "ImportError: cannot import name 'flow' from 'prefect' ({prefect}/__init__.py)",
        "prefect.flow is of Prefect 2; in Prefect 1 a flow is made by `with prefect.Flow(…)`",
    ),
    "import prefect.of_nowhere": (
        "ModuleNotFoundError: No module named 'prefect.of_nowhere'",
        "{python} has no prefect.of_nowhere: correct the import",
    ),
    "from prefect import Task, Flow\nTask(result_handler=1)": (
        "TypeError: Task.__init__() got an unexpected keyword argument 'result_handler'",
        "Prefect 1 has no argument result_handler there any more: use a result of prefect.engine.results, such as GCSResult(…), as "
        "result= in place of result_handler=",
    ),
    "from prefect import Flow\nFlow('x', environment=1)": (
        "TypeError: Flow.__init__() got an unexpected keyword argument 'environment'",
        "Prefect 1 has no argument environment there any more: use a run config, such as flow.run_config = KubernetesRun(…) of "
        "prefect.run_configs, and flow.executor = … of prefect.executors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("source", OLD)
def test_what_prefect_1_has_no_more_is_named_with_its_replacement(repository: Checked, source: str, own: bool) -> None:
    fact, hint = OLD[source]
    python = replace(repository.python, own=own)
    places = {"prefect": Path(prefect.__file__).parent, "python": python.describe()}
    assert said(repository, {"a.py": f"{source}\n{FLOW}"}, python=python) == [(
        "does-not-load", f"does not load: {fact.format(**places)}; every run would fail before its first task", hint.format(**places),
    )]  # fmt: skip


def test_what_prefect_still_has_is_nothing_to_report(repository: Checked) -> None:
    """`prefect.engine.executors` is a list of old names in 1.4.1, which only warn."""
    source = "from prefect.engine.executors import LocalDaskExecutor\n" + FLOW + "flow.executor = LocalDaskExecutor()\n"
    assert said(repository, {"a.py": source}) == []


def is_in_source(name: str) -> bool:
    """Whether a source of Prefect has a name: some of its modules cannot be imported without an extra."""
    place, *parts = [Path(prefect.__file__).parent, *name.split(".")[1:]]
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return True
    return bool(re.search(rf"(?:^class |^def |import .*|^ +){parts[0]}\b", (place / "__init__.py").read_text(), re.MULTILINE))


def can_be_imported(name: str) -> bool:
    module, _, last = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), last) or importlib.import_module(name) is not None
    except ImportError:
        return False


def test_every_replacement_is_there_and_no_old_name_is() -> None:
    still_there = {"prefect.engine.executors"}
    assert [new for new in RENAMED.values() if not (is_in_source(new) or can_be_imported(new))] == []
    assert [old for old in {*RENAMED, *REPLACED, *LATER} - still_there if can_be_imported(old)] == []
    assert replacement("prefect.Flow") == of_error("ImportError", "cannot import name 'x' from 'lib'") == ""
    assert of_error("ValueError", "x") == of_error("TypeError", "Flow.__init__() got an unexpected keyword argument 'nam'") == ""


@pytest.mark.parametrize(
    ("module", "names", "path", "paths", "folder"),
    [
        ("lib.io", (), "flows/etl.py", ["lib/io.py"], ""),
        ("lib", (), "flows/a/etl.py", ["flows/lib.py", "flows/a/lib/__init__.py", "lib.py"], "flows/a"),
        ("lib", (), "flows/etl.py", ["other/deep/lib.py", "src/lib.py", "etc/lib.txt"], "src"),
        ("lib", (), "flows/etl.py", ["other/lib/io.py"], None),
        ("lib", (), "flows/etl.py", ["flows/lib/io.py"], "flows"),
        ("lib", ("io",), "flows/etl.py", ["other/lib/io.py"], "other"),
        ("lib", ("io",), "flows/etl.py", ["lib/other.py"], None),
        ("lib.fast", (), "flows/etl.py", ["lib/fast.cpython-311-x86_64-linux-gnu.so"], ""),
        ("etl", (), "flows/etl.py", ["flows/etl.py"], None),
        ("lib", (), "flows/etl.py", ["flows/library.py"], None),
    ],
)
def test_the_folder_that_would_have_to_be_on_the_path(
    module: str, names: tuple[str, ...], path: str, paths: list[str], folder: str | None
) -> None:
    assert folder_of_module(Wanted(module, names, None, None), path, paths) == folder


def test_the_statement_that_needs_a_module() -> None:
    source = b"import json\nfrom a.b import (\n    c,\n)\nimport a.d\n"
    assert wanted_module(source, 4, "a") == ("a.b", ("c",))
    assert wanted_module(source, 5, "a") == ("a.d", ())
    assert wanted_module(source, 1, "a") == ("a.b", ("c",))
    assert wanted_module(source, 5, "ab") is None
    assert wanted_module(b"from a.b import c\n", 1, "a.b.c") == ("a.b.c", ())
    assert wanted_module(b"import (", 1, "a") is None


def test_the_line_that_puts_a_folder_on_the_path() -> None:
    assert on_sys_path("a/b/c.py", "a") == "sys.path.insert(0, str(Path(__file__).resolve().parents[1]))"
    assert on_sys_path("a.py", 'odd "name"') == 'sys.path.insert(0, str(Path(__file__).resolve().parents[0] / "odd \\"name\\""))'
