"""The manual page git-prefect.1, made from the command line itself: `make docs` writes it, a test compares.

`git prefect --help` is answered by git with `man git-prefect`; the page is shipped by setup.cfg's data_files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from git_prefect.cli import COMMANDS, HOOKS
from git_prefect.core.errors import ExitCode

PAGE = Path(__file__).with_name("git-prefect.1")
EXIT = {
    ExitCode.OK: "well",
    ExitCode.FINDINGS: "findings",
    ExitCode.USAGE: "usage or settings",
    ExitCode.NOT_AUTHORISED: "not authorised",
    ExitCode.OUT_OF_REACH: "API or remote out of reach",
    ExitCode.BUG: "a bug of ours (with the log's path)",
    ExitCode.INTERRUPTED: "interrupted",
}
ENVIRONMENT = {
    "SKIP": "ids of hooks to skip, with commas between",
    "GIT_PREFECT_SKIP": "skips all of them, in every mode",
    "GIT_PREFECT_PYTHON": "the interpreter that has the flows' dependencies, over the setting python",
    "BUILD_TAG, GIT_BRANCH": "the tag or branch that is meant, in CI",
    "NO_COLOR, FORCE_COLOR": "as everywhere",
}


class Found(Exception):
    """Carries the parser of a command out of it."""


@contextlib.contextmanager
def _parsers_told() -> Iterator[None]:
    parse = argparse.ArgumentParser.parse_args

    def tell(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Found(parser)

    argparse.ArgumentParser.parse_args = tell  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args = parse  # type: ignore[method-assign]


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command reads its arguments with.

    Raises:
        AssertionError: it reads none.
    """
    module = import_module(f"git_prefect.commands.{command.replace('-', '_')}")
    with _parsers_told():
        try:
            module.main(["-h"])
        except Found as found:
            parser: argparse.ArgumentParser = found.args[0]
            return parser
    raise AssertionError(f"{command} has no parser")


def page() -> str:
    """The page in man(7)."""
    lines = [
        '.TH GIT-PREFECT 1 "" "git-prefect" "git-prefect"',
        ".SH NAME",
        "git-prefect \\- git push is the deployment of Prefect 1 flows",
        ".SH SYNOPSIS",
        ".B git prefect",
        ".I command",
        "[options]",
        ".SH DESCRIPTION",
        "Flows live in git, and agents pull them from there at every run. Each push is checked the way a Prefect agent",
        "will load it, and registered against its branch or tag once the remote has it.",
        "Settings are [tool.git\\-prefect] in pyproject.toml, or .git\\-prefect.toml.",
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        lines += _command(name)
    lines += [".SH EXIT STATUS"]
    for code in ExitCode:
        lines += [".TP", f"{code.value}", _escaped(EXIT[code])]
    lines += [".SH ENVIRONMENT"]
    for variable, meaning in ENVIRONMENT.items():
        lines += [".TP", f".B {_escaped(variable)}", _escaped(meaning)]
    lines += [".SH SEE ALSO", "git\\-push(1), githooks(5), https://pre\\-commit.com"]
    return "\n".join([*lines, ""])


def _command(name: str) -> list[str]:
    parser = parser_of(name)
    hook = f" Also the hook prefect-{name}." if name in HOOKS else ""
    lines = [f".SS git prefect {_escaped(name)}", _escaped(f"{parser.description or COMMANDS[name]}{hook}")]
    for action in parser._actions:
        if action.dest == "help" or action.help is argparse.SUPPRESS:
            continue
        shown = ", ".join(action.option_strings) or action.metavar or action.dest
        if action.choices:
            shown += " " + "|".join(map(str, action.choices))
        elif action.option_strings and action.nargs != 0:
            shown += f" {action.metavar or action.dest.upper()}"
        if action.help and action.help.startswith("ignored"):
            continue
        lines += [".TP", f".B {_escaped(str(shown))}", _escaped((action.help or "") % {"default": action.default})]
    return lines


def _escaped(text: str) -> str:
    # A line that begins with a dot or a quote would be a request.
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    os.chdir(PAGE.parent)
    sys.stdout.write(page())
