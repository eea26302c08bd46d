"""Which installed modules may be imported once, ahead of the flow files that begin by importing them.

Only what a file imports in any case, before it does anything else: its leading imports in their order and, where one is a
module of the repository, those of that module first. Modules of the repository themselves are never imported ahead.
"""

from __future__ import annotations

import ast
import re
from typing import Callable

import msgspec

from .modules import TreeModules, joined

CHANGES_IMPORTS = re.compile(
    rb"environ\s*\[[^\]]*\]\s*=(?!=)|environ\.(?:update|setdefault|pop|clear)|putenv|unsetenv|load_dotenv"
    rb"|sys\.(?:path|modules|meta_path|path_hooks)\b|setlocale|chdir"
)
"""What might change that a later import finds, or does: behind a module with it nothing is imported ahead."""

_REST = re.compile(rb"^(?:@|(?:def|class|with|if|for|while|try|async)\b|\w[\w.]*\s*[=(\[:])", re.MULTILINE)
"""A line that begins what is no import, unless it is one of a docstring."""


class Leading(msgspec.Struct, frozen=True):
    """The imports with which a source begins."""

    modules: tuple[tuple[str, bool], ...]
    """In order, with leading dots where they are relative; and whether one may be no module: `a.b` of `from a import b`."""
    changes_imports: bool
    """Whether what follows them may change what is imported later."""


def leading_imports(content: bytes) -> Leading:
    """The imports that a source makes before it does anything else; to put its own place on `sys.path` counts as nothing."""
    tree = _beginning(content)
    if tree is None:
        return Leading((), True)
    found: list[tuple[str, bool]] = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            found += [(alias.name, False) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            module = "." * statement.level + (statement.module or "")
            if module != "__future__":
                found.append((module, False))
                found += [(joined(module, alias.name), True) for alias in statement.names if alias.name != "*"]
        elif not (_is_docstring(statement) or _finds_its_place(statement)):
            break
    return Leading(tuple(dict.fromkeys(found)), bool(CHANGES_IMPORTS.search(content)))


def _beginning(content: bytes) -> ast.Module | None:
    # What parses by itself begins the file: nine tenths of it need not be read.
    rest = _REST.search(content)
    for source in (content[: rest.start()], content) if rest and b"__file__" not in content else (content,):
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _finds_its_place(statement: ast.stmt) -> bool:
    """Whether a statement puts a folder on `sys.path`, or names one by `__file__`."""
    text = ast.unparse(statement) if isinstance(statement, (ast.Expr, ast.Assign)) else ""
    return bool(re.match(r"sys\.path\.(?:insert|append)\(", text) or re.match(r"\w+ = .*\b__file__\b", text))


class ImportsAhead:
    """Follows the leading imports of flow files through the modules of the repository."""

    def __init__(self, modules: TreeModules, import_roots: bool, content: Callable[[str], bytes]) -> None:
        """`content` gives that of a path of the tree; `import_roots` is whether agents have folders of it in their image."""
        self._modules = modules
        self._import_roots = import_roots
        self._content = content
        self._known: dict[str, Leading] = {}

    def of(self, path: str) -> tuple[str, ...]:
        """Modules to import ahead of a flow file, in order; those of the repository are left out."""
        found: dict[str, None] = {}
        # Elsewhere a module of the repository is not what the file imports.
        follows = self._import_roots or b"sys.path" in self._content(path)
        self._add(path, found, {path} if follows else None)
        return tuple(found)

    def followed(self, path: str) -> bool:
        """Whether modules are imported ahead of a flow file that it only imports by those of the repository."""
        return bool({*self.of(path)} - {module for module, _ in self._leading(path).modules})

    def _add(self, path: str, found: dict[str, None], seen: set[str] | None) -> bool:
        """Add what a source imports; False where nothing behind it may be imported ahead."""
        leading = self._leading(path)
        for module, may_be_none in leading.modules:
            inside = [] if seen is None else self._sources(module, path)
            if not (inside or may_be_none or module.startswith(".")):
                found[module] = None
            elif seen is None and module.startswith("."):
                return False
            for further in inside:
                if seen is not None and further not in seen:
                    seen.add(further)
                    if not self._add(further, found, seen):
                        return False
        return not leading.changes_imports

    def _sources(self, module: str, importer: str) -> list[str]:
        """The sources that importing a module executes, in their order: a package before what is in it."""
        return [path for path, rest in self._modules.sources(module, importer) if not rest or path.endswith("__init__.py")][::-1]

    def _leading(self, path: str) -> Leading:
        if path not in self._known:
            self._known[path] = leading_imports(self._content(path))
        return self._known[path]
