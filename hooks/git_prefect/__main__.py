"""`git prefect`, and `python -m git_prefect`: the fast path answers a push that changes nothing, the command line the rest."""

from __future__ import annotations

import io
import sys

from .hooks import fast_path


def main() -> int:
    """Run what the command line asks for; its exit code."""
    told = fast_path.answer(sys.argv[1:])
    if told is not None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # What the output's encoding cannot show is escaped, as in cli.py: it must not end a push.
            sys.stdout.reconfigure(errors="backslashreplace")
        if told and sys.stdout.isatty():
            from .report.text import fitted

            told = fitted(told)
        if told:
            print(told, flush=True)
        return 0
    from .cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
