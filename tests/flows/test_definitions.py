"""Sources that Python cannot read: the flows of a package do not drop out because of them."""

from __future__ import annotations

import time

import pytest

from git_prefect.core.settings import Settings
from git_prefect.flows.discovery import flow_files
from git_prefect.flows.imports import Imports
from git_prefect.flows.source_memory import Memory

from .conftest import sources_only

CORE = "from prefect import Flow\nimport lib.names\n\n\nclass TeamFlow(Flow):\n    pass\n\n\ndef make_flow(name):\n    return TeamFlow(name)\n"
BY_CLASS = "from lib.core import TeamFlow\nfrom lib import names\n\n\n@names.logged\ndef helper():\n    return 1\n\n\nwith TeamFlow('x') as flow:\n    helper()\n"
BY_FUNCTION = "from lib.core import make_flow\nflow = make_flow('x')\n"
FILES: dict[str, str | bytes] = {"a.py": BY_CLASS, "b.py": BY_FUNCTION, "helper.py": "from lib.names import y\nprint(y)\n", "lib/core.py": CORE, "lib/names.py": "y = 1\n"}
FOUND = {"a.py": "flow", "b.py": "makes"}
SHARED = {"a.py": "flow", "b.py": "makes", "lib/core.py": "mentions"}


def kinds(**changed: str | bytes) -> dict[str, str]:
    files = {**FILES, **{path.replace("__", "/") + ".py": content for path, content in changed.items()}}
    return {file.path: file.builds for file in flow_files(sources_only(files), Settings(), Memory())}


@pytest.mark.parametrize(
    ("broken", "source"),
    [
        ("the body of the flow", BY_CLASS.replace("    helper()", "    helper(")),
        ("a line before it", BY_CLASS.replace("return 1", "return (1")),
        ("a header before it", BY_CLASS.replace("def helper():", "def helper(:")),
        ("an import", BY_CLASS.replace("from lib import names", "from lib import")),
        ("a try before it", BY_CLASS.replace("from lib import names", "try:\n    import names\nexcept ImportError\n    pass")),
        ("the last line", BY_CLASS + "'''\n"),
        ("the indentation", BY_CLASS.replace("    return 1", "\tx = 1\n        return 1")),
        ("the header of the flow", BY_CLASS.replace("'x') as flow:", "\n    'x',\n) as flow")),
        ("the line ends", BY_CLASS.replace("    helper()", "    helper(").replace("\n", "\r\n")),
        ("the encoding", b"# coding: klingon\n" + BY_CLASS.encode()),
        ("a letter", b"# coding: utf-8\nname = 'caf\xe9'\n" + BY_CLASS.encode()),
        ("a null byte", BY_CLASS.encode() + b"x = '\0'\n"),
        ("UTF-16", BY_CLASS.encode("utf-16")),
        ("UTF-16 of the other order", b"\xfe\xff" + BY_CLASS.encode("utf-16-be")),
    ],
)  # fmt: skip
def test_a_flow_file_that_does_not_parse(broken: str, source: str | bytes) -> None:
    assert kinds(a=source) == FOUND, broken


@pytest.mark.parametrize(
    ("broken", "source", "found"),
    [
        ("a class", CORE.replace("    pass", "    pass\n    x = ("), SHARED),
        ("a function", CORE.replace("return TeamFlow(name)", "return TeamFlow(name"), SHARED),
        ("the end", CORE + "print 'x'\n", SHARED),
        ("a null byte", CORE.encode() + b"\0", SHARED),
        ("a null byte behind 8,000", CORE.encode() + b"#" * 9000 + b"\0", SHARED),
        ("UTF-16", CORE.encode("utf-16"), SHARED),
        ("the encoding", b"# coding: klingon\n" + CORE.encode(), SHARED),
        ("git-crypt", b"\0GITCRYPT\0\x01\x02", {"a.py": "makes", "b.py": "makes", "lib/core.py": "opaque"}),
        ("git-lfs", "version https://git-lfs.github.com/spec/v1\n", {"a.py": "makes", "b.py": "makes", "lib/core.py": "opaque"}),
    ],
)  # fmt: skip
def test_a_shared_module_that_does_not_parse(broken: str, source: str | bytes, found: dict[str, str]) -> None:
    assert kinds(lib__core=source) == found, broken
    assert kinds(lib__names=source)["a.py"] == "flow"


def test_what_is_no_flow_file_is_none_when_it_is_broken() -> None:
    """A script of Python 2, or one that uses an encrypted module, calls nothing that may be a flow."""
    broken = "from lib.core import TeamFlow\nfrom lib.names import y\nprint y\n"
    assert kinds(script=broken, tests__test_a="from lib.core import TeamFlow\nflow = TeamFlow('x'\n") == FOUND
    assert kinds(script="from lib.secret import password\nprint(password())\n", lib__secret=b"\0GITCRYPT\0\x01") == {**FOUND, "lib/secret.py": "opaque"}


def test_the_import_graph_goes_through_what_does_not_parse() -> None:
    files = {**FILES, "lib/core.py": CORE + "print 'x'\n"}
    assert Imports(sources_only(files), []).importers(["lib/names.py"], ["a.py", "b.py"]) == {"a.py": ["lib/names.py"], "b.py": ["lib/names.py"]}


@pytest.mark.parametrize("part", ["a.", "(", "x = ", "@", "-", "if a:\n", "'''\n", "a(\n", "\\\n", "x\0(", "(:\n"])
def test_bounded_time(part: str) -> None:
    begun = time.perf_counter()
    kinds(a=f"{BY_CLASS}{part * (200_000 // len(part))}\n$\n")
    assert time.perf_counter() - begun < 10
