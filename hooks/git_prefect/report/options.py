"""`--format` and `--color`: declared, chosen and carried out here, for every command that reports.

A command adds them with `reporting(parser)`, makes a `Report` and ends with `return show(report, options)`.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from ..core.errors import ExitCode, GitPrefectError, UsageError
from ..core.model import ERROR, Finding
from ..core.results import Report
from . import style

FORMATS = {
    "text": "terminal",
    "json": "json_object",
    "github": "github",
    "gitlab": "gitlab",
    "markdown": "markdown",
}
"""Each format, and the module whose `render(report, look)` makes it."""

COLORS = ("auto", "always", "never")


class Parser(ArgumentParser):
    """A parser whose errors end the command as all others do: with a hint, and as an object under `--format json`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """End the command.

        Raises:
            UsageError: always.
        """
        raise UsageError(message, f"{self.prog} -h")


def reporting(parser: ArgumentParser) -> ArgumentParser:
    """Add the options that every command that reports has; the parser."""
    group = parser.add_argument_group("report")
    group.add_argument("--format", choices=FORMATS, default="text", help="how the result is written on stdout")
    group.add_argument(
        "--color", choices=COLORS, default="auto", help="auto: on a terminal, as NO_COLOR and FORCE_COLOR say"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="name every flow, also where many are alike")
    return parser


def show(report: Report, options: Namespace) -> int:
    """Write a report on stdout as its options ask for; the exit code that it carries."""
    rendered = render(report, options)
    if rendered:
        print(rendered, flush=True)
    return report.exit


def render(report: Report, options: Namespace) -> str:
    """A report as its options ask for it; empty when there is nothing to say."""
    if options.format in ("json", "gitlab"):
        # JSON is UTF-8, whatever the terminal's encoding; it writes as Python does what is no letter (a file name's bytes).
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace")
    module = import_module(f".{FORMATS[options.format]}", __package__)
    text: str = module.render(report, style.of(options.color, options.verbose))
    return text


def asked_for(arguments: Sequence[str]) -> Namespace:
    """The `format` and `color` of a command line that may be wrong elsewhere; the defaults where they are not there."""
    found = Namespace(format="text", color="auto", verbose=False)
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        value = value if equals else "".join(arguments[position + 1 : position + 2])
        if (name, value in FORMATS) == ("--format", True):
            found.format = value
        elif (name, value in COLORS) == ("--color", True):
            found.color = value
    return found


def ended(error: GitPrefectError, options: Namespace) -> str:
    """What ended a command, as stderr shows it: wrapped and coloured where that is a terminal."""
    shown = style.of(options.color, stream=sys.stderr)
    message, hint = (style.paragraph(part, shown) for part in (f"git-prefect: {error.message}", f"hint: {error.hint}"))
    head = shown.paint("bad", "git-prefect:") + message.removeprefix("git-prefect:")
    return f"{head}\n{shown.paint('green', 'hint:')}{hint.removeprefix('hint:')}" if error.hint else head


def show_error(command: str, error: GitPrefectError, options: Namespace) -> None:
    """What ended a command, as a report with one finding; nothing as text, which stderr has.

    The finding has the code that the message ends with (`[not-on-remote]`), else the exit code's name:
    `usage`, `not-authorised`, `out-of-reach`, `bug`.
    """
    if options.format == "text":
        return
    code = ExitCode(error.exit_code)
    told = re.fullmatch(r"(.+) \[([a-z]+(?:-[a-z]+)*)\]", error.message, re.DOTALL)
    message, name = told.groups() if told else (error.message, code.word)
    show(Report(command, code, findings=(Finding(name, ERROR, message, error.hint),)), options)
