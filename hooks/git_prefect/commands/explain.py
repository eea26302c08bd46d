"""git prefect explain CODE: what a finding means, why agents care, how to mend it."""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser
from collections.abc import Sequence

from ..errors import ExitCode, UsageError
from ..findings import CODES

WIDTH = 80


def main(argv: Sequence[str]) -> int:
    """Print the explanation of a code, or the list of all.

    Raises:
        UsageError: there is no such code.
    """
    parser = ArgumentParser(prog="git prefect explain", description="What a finding means and how to mend it.")
    parser.add_argument("code", nargs="?", metavar="CODE", help="as printed in brackets; default: list them all")
    wanted = parser.parse_args(argv).code
    if wanted is None:
        width = max(map(len, CODES))
        print("\n".join(f"{name:{width}}  {code.severity:7}  {code.meaning}" for name, code in CODES.items()))
        return ExitCode.OK
    if wanted not in CODES:
        raise UsageError(f"there is no finding {wanted!r}", f"one of: {', '.join(CODES)}")
    code = CODES[wanted]
    parts = (f"{wanted} ({code.severity})", code.meaning, code.reason, code.remedy)
    print("\n\n".join(textwrap.fill(part, WIDTH) for part in parts))
    return ExitCode.OK
