"""git prefect explain CODE: what a finding means, why agents care, how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from ..core.errors import ExitCode, UsageError
from ..core.findings import CODES
from ..core.results import Report
from ..report.invocation import git_prefect
from ..report.options import Parser, reporting, show


def main(argv: Sequence[str]) -> int:
    """Print the explanation of a code, or the list of all.

    Raises:
        UsageError: there is no such code.
    """
    parser = Parser(prog="git prefect explain", description="What a finding means and how to mend it.")
    parser.add_argument("code", nargs="?", metavar="CODE", help="as printed in brackets; default: list them all")
    options = reporting(parser).parse_args(argv)
    wanted = options.code and options.code.strip("[]")
    if wanted is not None and wanted not in CODES:
        close = get_close_matches(wanted, CODES, 1)
        hint = f"did you mean {git_prefect('explain', *close)}" if close else f"one of: {', '.join(CODES)}"
        raise UsageError(f"there is no finding {wanted!r}", hint)
    return show(Report("explain", ExitCode.OK, codes=(wanted,) if wanted else tuple(CODES)), options)
