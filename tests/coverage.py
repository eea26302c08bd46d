"""`make coverage`: the branches of the package that the quick tests take, in whatever process they are taken.

Most of the package runs in processes that git, pre-commit or the loader starts, some with an environment of their own,
in forks that end with `os._exit`. So what starts the measuring is no variable but a line that Python's `site` reads in
every process of this environment, for as long as the tests run. Not measured: what is ended by SIGKILL before it has
written (flow files that hang or crash, watchers and pushes that a test kills), and what pre-commit installs into an
environment of its own.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL = 95
"""Per cent of lines and branches."""

CONFIGURATION = f"""\
[run]
branch = true
parallel = true
sigterm = true
source = {ROOT / "hooks" / "git_prefect"}
data_file = {{data}}
patch =
    _exit
    execv
disable_warnings = no-data-collected, module-not-measured, module-not-imported

[report]
show_missing = true
skip_covered = true
fail_under = {GOAL}
exclude_also =
    if TYPE_CHECKING:
    assert_never
"""
START = """\
import os, sys
os.environ["COVERAGE_PROCESS_START"] = {configuration!r}
import coverage
coverage.process_startup()
del os.environ["COVERAGE_PROCESS_START"]
sys.addaudithook = lambda hook, add=sys.addaudithook: (setattr(hook, "__cantrace__", True), add(hook))[1]
"""
"""What every process begins with. CPython traces an audit hook only when the hook says so."""

LINE = "import os; os.path.exists({start!r}) and exec(open({start!r}).read())\n"
"""As `site` takes it; of no effect when it was left behind by a kill."""

UNMEASURABLE = ("tests/report/test_idle.py",)
"""It asserts which modules a process has, and coverage.py adds to them."""


def main() -> int:
    """Run the quick tests (or what pytest is told to run) and report; 1 when a test fails or the goal is missed."""
    chosen = sys.argv[1:] or ["-m", "not slow"]
    chosen += [f"--ignore={one}" for one in UNMEASURABLE]
    line = Path(sysconfig.get_path("purelib"), "git_prefect_coverage.pth")
    with tempfile.TemporaryDirectory(prefix="git-prefect-coverage-") as folder:
        configuration = Path(folder, "coveragerc")
        configuration.write_text(CONFIGURATION.format(data=Path(folder, "data")))
        try:
            start = Path(folder, "start.py")
            start.write_text(START.format(configuration=str(configuration)))
            line.write_text(LINE.format(start=str(start)))
            tests = subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT)
        finally:
            line.unlink()
        coverage = [sys.executable, "-m", "coverage"]
        subprocess.run([*coverage, "combine", "--quiet", f"--rcfile={configuration}"], cwd=ROOT, check=True)
        report = subprocess.run([*coverage, "report", f"--rcfile={configuration}"], cwd=ROOT)
    return 1 if tests.returncode else report.returncode


if __name__ == "__main__":
    sys.exit(main())
