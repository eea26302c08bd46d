"""What a source defines, calls and imports, read from its syntax tree: nothing is executed.

What a name refers to is kept as edges, each a string of one sign and a dotted name:

    `>pkg.module.name`  it is imported from there; leading dots as in a relative import
    `=name`             it is another name for that, or a copy of it
    `(name`             it is what calling that gives
    `^name`             it is a class with that base
    `<name`, `<=name`   it is a function that returns what calling that gives, or a copy of that
    `~name`, `~=name`   it is a function or a class in which that is called, or copied, anywhere
"""

from __future__ import annotations

import ast
import builtins
import codecs
import keyword
import re
import warnings
from collections.abc import Iterable, Iterator

import msgspec

from .modules import joined

COPIES = ("copy", "deepcopy")
"""Functions, and methods of a Flow, whose result is a copy."""

BUILTINS = frozenset(dir(builtins))


class Definitions(msgspec.Struct, frozen=True, array_like=True):
    """What a source that parses says of its names."""

    names: dict[str, tuple[str, ...]]
    """Name, or `Class.method` → its edges (see above)."""
    stars: tuple[str, ...]
    """Modules from which everything is imported, with leading dots where the import is relative."""
    executed: tuple[str, ...]
    """What executing the source calls (`name`), and copies or changes (`=name`)."""
    imports: tuple[str, ...]
    """Modules that may be imported when the source or one of its functions runs; `a.b` of `from a import b`, too."""
    computed: tuple[str, ...]
    """Packages below which a module is imported whose name is computed; `""` where not even the package shows."""
    is_whole: bool = True
    """Whether the source parses; else this is what those of its statements say that do."""


def read_definitions(content: bytes) -> Definitions | None:
    """What a source defines; of one that does not parse, what its statements define as far as each can be read.

    None where it is nested too deeply.
    """
    tree = _parsed(content)
    try:
        return _Reader(tree or ast.Module(_readable_statements(content), [])).definitions(is_whole=tree is not None)
    except RecursionError:
        return None


def _parsed(source: bytes | str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_STATEMENT = re.compile(r"^(?=(?!(?:else|elif|except|finally)\b)[^\s#)\]}])", re.MULTILINE)
"""Where a statement of the top level begins, or a decorator."""
_HEADER = re.compile(r"(?:@[^\n]*\n)*[^@].*?:[ \t]*(?:#[^\n]*)?\n", re.DOTALL)
_CALLED = re.compile(r"(?<![\w.])(?<!def )(?<!class )([^\W\d]\w*(?:\.[^\W\d]\w*)*)[ \t]*\(")


MOST_UNREADABLE = 100
"""So many statements of a source may not parse; one with more is no Python."""


def _readable_statements(content: bytes) -> list[ast.stmt]:
    """Statements of a source that does not parse as a whole.

    Of one that does not parse by itself, its first line and what it calls: an error in the body of `with Flow("x") as flow:` does
    not hide the flow.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    text = content.decode(encoding, "replace").replace("\0", "").replace("\r\n", "\n")
    found: list[ast.stmt] = []
    decorators = ""
    unreadable = 0
    for statement in _STATEMENT.split(text):
        if statement.startswith("@"):
            decorators += statement
            continue
        source, decorators = decorators + statement, ""
        whole = _parsed(source)
        if whole is not None:
            found += whole.body
            continue
        unreadable += 1
        if unreadable > MOST_UNREADABLE:
            break
        called = [name for name in _CALLED.findall(source) if not any(map(keyword.iskeyword, name.split(".")))]
        calls = "".join(f"{name}(), " for name in dict.fromkeys(called))
        header = _HEADER.match(source)
        part = (_parsed(f"{header[0]}    return {calls}\n") if header else None) or _parsed(calls)
        found += part.body if part else []
    return found


IMPORT_LINE = re.compile(rb"(?:^|[;:])[ \t]*(?:from|import)[ \t]([^\n#]*(?:\([^)]*\))?)", re.MULTILINE)
COMPUTED = re.compile(rb"import_module|__import__")


def imported_words(content: bytes) -> list[str]:
    """The words of a source's import lines; `*` where it computes what it imports."""
    words = {word for line in IMPORT_LINE.findall(content) for word in re.findall(rb"\w+", line)}
    found = sorted(word.decode("utf-8", "replace") for word in words)
    return [*found, "*"] if COMPUTED.search(content) else found


_NO_CODE = re.compile(
    rb"""#[^\n]*|\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL
)
_IMPORTS_FLOW = re.compile(rb"^from prefect import (?:\([^)]*|[^\n(]*)\bFlow\b(?!\s+as\b)", re.MULTILINE)
_CALLS_FLOW = re.compile(rb"^(?:with|\w+ =) Flow\(", re.MULTILINE)
_ANOTHER_FLOW = re.compile(rb"\bFlow\s*(?:=(?!=)|:)|\b(?:def|class|as|del|for|global)\s+Flow\b|\bimport\s*(?:\([^)]*|[^\n;(]*)\bFlow\b")


def plainly_builds(content: bytes) -> bool:
    """Whether a source imports Flow from Prefect and calls it at its top level, as its lines show without being parsed.

    Most flow files do, and a line is read in a tenth of the time; False says nothing.
    """
    if not _CALLS_FLOW.search(content):
        return False
    code = _NO_CODE.sub(b"", content)
    found = _IMPORTS_FLOW.search(code)
    if not (found and _CALLS_FLOW.search(code)):
        return False
    return not _ANOTHER_FLOW.search(code[: found.start()] + code[found.end() :])


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names: dict[str, dict[str, None]] = {}
        self._stars: dict[str, None] = {}
        self._imports: dict[str, None] = {}
        self._computed: dict[str, None] = {}

    def definitions(self, is_whole: bool) -> Definitions:
        """Read the whole tree."""
        top = list(executed(self._tree))
        methods = set()
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node)
            elif isinstance(node, ast.ClassDef):
                methods |= {id(one) for one in node.body}
                self._class(node)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if id(node) not in methods:
                    self._function(node.name, node)
            elif isinstance(node, ast.Call):
                self._computed_import(node)
        for name, value in _assigned(top):
            self._value(name, value)
        called = [edge for node in top for edge in _used(node)]
        called += [f"={name}" for name in _changed(top)]
        return Definitions(
            {name: kept for name, edges in self._names.items() if (kept := tuple(filter(self._is_told, edges)))},
            tuple(self._stars), tuple(dict.fromkeys(filter(self._is_told, called))),
            tuple(self._imports), tuple(self._computed), is_whole,
        )  # fmt: skip

    def _is_told(self, edge: str) -> bool:
        """Whether an edge leads to a name that this source knows, or may know by an `import *`."""
        if edge[0] == ">":
            return True
        head = edge.lstrip("=(^<~").partition(".")[0]
        return head in self._names or (bool(self._stars) and head not in BUILTINS)

    def _add(self, name: str, *edges: str) -> None:
        self._names.setdefault(name, {}).update(dict.fromkeys(edges))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._imports[alias.name] = None
                bound = alias.asname or alias.name.partition(".")[0]
                self._add(bound, f">{alias.name if alias.asname else bound}")
            return
        module = "." * node.level + (node.module or "")
        self._imports[module] = None
        for alias in node.names:
            if alias.name == "*":
                self._stars[module] = None
                continue
            place = joined(module, alias.name)
            self._imports[place] = None
            self._add(alias.asname or alias.name, f">{place}")

    def _computed_import(self, node: ast.Call) -> None:
        if (dotted(node.func) or "").rpartition(".")[2] not in ("import_module", "__import__") or not node.args:
            return
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._imports[name.value] = None
            return
        first = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
        while isinstance(first, ast.BinOp):
            first = first.left
        begins = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        self._computed[begins.rpartition(".")[0]] = None

    def _class(self, node: ast.ClassDef) -> None:
        self._add(node.name, *(f"^{base}" for base in map(dotted, node.bases) if base))
        self._add(node.name, *(f"~{edge}" for one in ast.walk(node) for edge in _used(one)))
        for method in node.body:
            if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._function(f"{node.name}.{method.name}", method)

    def _function(self, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        inside = list(ast.walk(node))
        self._add(name, *(f"<{edge}" for edge in _returned(inside)))
        self._add(name, *(f"~{edge}" for one in inside for edge in _used(one)))

    def _value(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Lambda):
            inside = list(ast.walk(value.body))
            self._add(name, *(f"<{edge}" for one in inside for edge in _used(one)))
            return
        if isinstance(value, ast.Call) and value.args and (dotted(value.func) or "").rpartition(".")[2] == "partial":
            value = value.args[0]
        if isinstance(value, (ast.Name, ast.Attribute)):
            self._add(name, *(f"={other}" for other in [dotted(value)] if other))
        elif isinstance(value, ast.Call):
            self._add(name, *(edge if edge[0] == "=" else f"({edge}" for edge in _used(value)))


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when `node` does: not the bodies of functions, but their decorators and defaults."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += [*current.decorator_list, *current.args.defaults, *filter(None, current.args.kw_defaults)]
        elif isinstance(current, ast.Lambda):
            waiting += [*current.args.defaults, *filter(None, current.args.kw_defaults)]
        else:
            waiting += ast.iter_child_nodes(current)


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` of an expression; what a call in it gives is taken for what is called: `make().build` is `make.build`."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call) and parts:
            node = node.func
        elif isinstance(node, ast.Name):
            return ".".join([node.id, *reversed(parts)])
        else:
            return None


def _used(node: ast.AST) -> list[str]:
    """What one node calls (`name`) or copies (`=name`) when it runs, decorators too."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [name for name in map(dotted, node.decorator_list) if name]
    if not isinstance(node, ast.Call):
        return []
    if isinstance(node.func, ast.Lambda):
        return [edge for one in ast.walk(node.func.body) for edge in _used(one)]
    name = dotted(node.func)
    if name is None:
        return []
    owner, _, last = name.rpartition(".")
    if last not in COPIES:
        return [name]
    copied = dotted(node.args[0]) if node.args else owner if last == "copy" else None
    return [name, f"={copied}"] if copied else [name]


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Names that are assigned, with `as` too, and their values."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            yield node.optional_vars.id, node.context_expr


def _changed(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names one of whose attributes is assigned: `orders.schedule = …`."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = dotted(target) if isinstance(target, ast.Attribute) else None
                if name:
                    yield name.rpartition(".")[0]


def _returned(nodes: list[ast.AST]) -> Iterator[str]:
    """What a function with these nodes returns or yields: what is called for it, or copied."""
    local: dict[str, list[str]] = {}
    for name, value in _assigned(nodes):
        local.setdefault(name, []).extend(edge for one in ast.walk(value) for edge in _used(one))
    for node in nodes:
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)) and node.value:
            for one in ast.walk(node.value):
                yield from _used(one)
                if isinstance(one, ast.Name):
                    yield from local.get(one.id, [one.id])
