"""Flow sources: any bytes, and Python that is made up: discovery crashes at nothing, and misses no flow that a load finds."""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from typing import Any

import prefect
from hypothesis import example, given
from hypothesis import strategies as st

from git_prefect.flows.calls import BUILDS, MAKES, NOTHING, Calls
from git_prefect.flows.definitions import plainly_builds, read_definitions
from git_prefect.flows.discovery import MENTIONS, OPAQUE, knows_its_place
from git_prefect.flows.imports_ahead import leading_imports
from git_prefect.flows.modules import InstalledModules, TreeModules

from ..flows.conftest import what_it_tells
from .strategies import tries

WORDS = st.sampled_from(
    [b"from prefect import Flow\n", b"import prefect\n", b"with Flow('x') as f:\n", b"    pass\n", b"prefect.Flow('y')\n", b"(", b")",
     b"\\\n", b"# coding: utf-16\n", b"# -*- coding: punycode -*-\n", b"# coding: nonsense\n", b"\xef\xbb\xbf", b"\xff", b"\0", b"\f",
     b"\r", b"'''", b"lambda: ", b"match x:\n  case _: ", b"async ", b"f'{", b"\t", b"__file__", b"\xef\xac\x81", b"1" * 5000, b"{" * 300]
)  # fmt: skip
SOURCES = st.one_of(st.binary(max_size=100), st.lists(WORDS, max_size=12).map(b"".join))


@given(SOURCES)
@example(b"import prefect\nFlow" + b"(" * 100_000)
@example(b"import prefect\nFlow" + b".x" * 100_000)
@example(b"import prefect\nFlow" + b"+1" * 100_000)
@example(b"import prefect; Flow = " + b"-" * 100_000 + b"1")
@example(b"import prefect\nFlow\nx = " + b"9" * 10_000)
@example(b"# coding: utf-16\nimport prefect; prefect.Flow('x')")
@tries(400, seconds=20)
def test_any_bytes(content: bytes) -> None:
    for one in (content, b"from prefect import Flow\n" + content):
        assert what_it_tells(one) in (BUILDS, MAKES, MENTIONS, NOTHING, OPAQUE)
        assert isinstance(knows_its_place(one), bool)
        assert all(isinstance(name, str) for name, _ in leading_imports(one).modules)
        if plainly_builds(one):
            assert parsed_kind(one) in (BUILDS, None)


def parsed_kind(content: bytes) -> str | None:
    """What a source's syntax tree tells; None when it does not parse."""
    defined = read_definitions(content)
    if defined is None or not defined.is_whole:
        return None
    return Calls(lambda _: defined, TreeModules(["x.py"], []), InstalledModules(())).kind_of("x.py")


IMPORTS = {
    "from prefect import Flow": "Flow", "import prefect": "prefect.Flow", "import prefect as p": "p.Flow",
    "from prefect import Flow as F": "F", "from prefect.core import Flow": "Flow", "from prefect.core.flow import Flow": "Flow",
    "import prefect.core": "prefect.core.Flow", "from prefect import core": "core.Flow", "from prefect import *": "Flow",
    "try:\n    from prefect import Flow\nexcept ImportError:\n    raise": "Flow",
}  # fmt: skip
WAYS = [
    "flow = {Flow}('x')", "with {Flow}('x') as flow:\n    pass", "def make():\n    return {Flow}('x')\nflow = make()",
    "flow: object = {Flow}('x')", "a = b = {Flow}('x')", "flow, other = {Flow}('x'), 1", "[flow] = [{Flow}('x')]",
    "for flow in [{Flow}('x')]:\n    pass", "if True:\n    flow = {Flow}('x')", "try:\n    flow = {Flow}('x')\nfinally:\n    pass",
    "class Mine({Flow}):\n    pass\nflow = Mine('x')", 
    "def name():\n    return 'x'\nflow = {Flow}(name())", "globals()['flow'] = {Flow}('x')", "(flow := {Flow}('x'))",
    "class Maker:\n    def make(self):\n        return {Flow}('x')\nflow = Maker().make()",
    "async def no():\n    pass\nflow = {Flow}('x')", "def outer():\n    def inner():\n        return {Flow}('x')\n    return inner()\nflow = outer()",
    "def unused():\n    return {Flow}('x')", "class Unused:\n    flow = {Flow}('x')", "x = [{Flow}(n) for n in 'ab']", "text = '{Flow}'",
    "flow = (lambda name: {Flow}(name))('x')",
    "import functools\nmake = functools.partial({Flow}, 'x')\nflow = make()", "flow = [{Flow}][0]('x')", "F2 = {Flow}\nflow = F2('x')",
]  # fmt: skip
UNDERSTOOD = len(WAYS) - 4
"""The last: Flow under a name that is computed, in a lambda, or passed on as a value: the syntax tree does not tell, and the setting `flows` is for it."""


@st.composite
def programs(draw: st.DrawFn) -> tuple[str, bool]:
    """A module that builds flows in some ways, and whether all are such as discovery reads."""
    line = draw(st.sampled_from(sorted(IMPORTS)))
    ways = draw(st.lists(st.integers(0, len(WAYS) - 1), min_size=1, max_size=3))
    body = "\n".join(WAYS[way].replace("{Flow}", IMPORTS[line]) for way in ways)
    wrapped = draw(st.sampled_from(["{}", "if 1:\n{indented}", "with __import__('contextlib').suppress(KeyError):\n{indented}"]))
    body = wrapped.replace("{indented}", textwrap.indent(body, "    ")).replace("{}", body)
    return f"{line}\n{body}\n", all(way < UNDERSTOOD for way in ways)


@given(programs())
@tries(150)
def test_what_a_load_finds_is_discovered(program: tuple[str, bool]) -> None:
    source, understood = program
    values: dict[str, Any] = {"__file__": "/flow.py"}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            exec(source.encode(), values)
        except SyntaxError:
            # `import *` goes at the top level only.
            return
    found = any(isinstance(one, prefect.Flow) for one in values.values())
    if found and understood:
        assert what_it_tells(source) == BUILDS, source
