"""A push that touches no flow pays for no renderer."""

from __future__ import annotations

import os
import subprocess
import sys

from ..report.conftest import FLOW, Desk
from ..test_cli import in_push

SLOW = (
    "prefect", "git", "msgspec", "pathspec", "argparse", "dataclasses", "pathlib", "shutil", "tempfile", "textwrap",
    "unicodedata", "git_prefect.core.results",
)  # fmt: skip
"""What takes longer to import than a hook may take of a push that touches no flow."""

MODULES = f"""\
import sys
SLOW = {SLOW}
sys.argv = ["git-prefect", sys.argv[1]]
from git_prefect.cli import main
main()
print(sorted(name.rsplit(".")[-1] for name in sys.modules if name.startswith("git_prefect.report.")))
print([name for name in SLOW if name in sys.modules])
"""


def test_a_push_that_touches_no_flow_imports_no_renderer(desk: Desk) -> None:
    desk.commit(etl=FLOW.format(name="etl"))
    desk.clone.commit({"README": "more\n"})
    environ = {**os.environ, "GIT_PREFECT_PYTHON": sys.executable, **in_push(desk.clone, CI="1")}
    for run in ("first", "recalled"):
        for hook in ("validate", "check-pushed", "register"):
            ran = subprocess.run(
                [sys.executable, "-c", MODULES, hook], cwd=desk.clone.path, env=environ, capture_output=True, text=True
            )
            assert ran.returncode == 0, ran.stderr
            if run == "recalled":
                reports, slow = ran.stdout.splitlines()[-2:]
                assert slow == "[]", hook
                assert reports in ("['command', 'text']", "['text']"), hook
