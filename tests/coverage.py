"""`make coverage`: the branches of the package that the quick tests take, in whatever process they are taken.

Most of the package runs in processes that git, pre-commit or the loader starts, some with an environment of their own,
in forks that end with `os._exit`. So what starts the measuring is no variable but a line that Python's `site` reads in
every process of this environment and of those that tests make (pre-commit's, a repository's own), for as long as the tests
run. Not measured: what is ended by SIGKILL before it has written (flow files that hang or crash, watchers and pushes that a
test kills).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOAL = 95.0
"""Per cent of the branches."""

CONFIGURATION = f"""\
[run]
branch = true
parallel = true
sigterm = true
source = {ROOT / "hooks" / "git_prefect"}
source_pkgs = git_prefect
data_file = {{data}}
patch =
    _exit
    execv
disable_warnings = no-data-collected, module-not-measured, module-not-imported

[paths]
package =
    {ROOT / "hooks" / "git_prefect"}
    */site-packages/git_prefect

[report]
exclude_also =
    if TYPE_CHECKING:
    assert_never
"""
START = """\
import os, resource, sys
if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY:
    os.environ["COVERAGE_PROCESS_START"] = {configuration!r}
    sys.path.append({packages!r})
    import coverage
    sys.path.pop()
    coverage.process_startup()
    del os.environ["COVERAGE_PROCESS_START"]
sys.addaudithook = lambda hook, add=sys.addaudithook: (setattr(hook, "__cantrace__", True), add(hook))[1]
"""
"""What every process begins with, but for those that may write no files. CPython traces an audit hook only when the hook says so."""

FILE = Path(sysconfig.get_path("purelib"), "git_prefect_coverage.pth")
LINE = "import os; os.path.exists({start!r}) and exec(open({start!r}).read())\n"
"""As `site` takes it; of no effect when it was left behind by a kill."""

UNMEASURABLE = ("tests/hooks/test_fast_path.py",)
"""It asserts which modules a process has, and coverage.py adds to them."""


def measure_too(site: Path) -> None:
    """While coverage is measured: also in another environment, whose packages are in `site`."""
    if FILE.exists():
        shutil.copy(FILE, site)


def main() -> int:
    """Run the quick tests (or what pytest is told to run) and report lines and branches apart; 1 when a test fails or the goal is missed."""
    chosen = sys.argv[1:] or ["-m", "not slow", "-n", "auto", "--dist", "loadfile"]
    chosen += [f"--ignore={one}" for one in UNMEASURABLE]
    with tempfile.TemporaryDirectory(prefix="git-prefect-coverage-") as folder:
        configuration = Path(folder, "coveragerc")
        configuration.write_text(CONFIGURATION.format(data=Path(folder, "data")))
        try:
            start = Path(folder, "start.py")
            start.write_text(START.format(configuration=str(configuration), packages=str(FILE.parent)))
            FILE.write_text(LINE.format(start=str(start)))
            tests = subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT)
        finally:
            FILE.unlink()
        measured = json.loads(_measured(configuration, Path(folder, "report.json")))
    branches = _told(measured)
    return 1 if tests.returncode or branches < GOAL else 0


def _measured(configuration: Path, report: Path) -> bytes:
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", f"--rcfile={configuration}"], cwd=ROOT, check=True)
    subprocess.run([*coverage, "json", "--quiet", f"--rcfile={configuration}", "-o", str(report)], cwd=ROOT, check=True)
    return report.read_bytes()


def _told(measured: dict[str, Any]) -> float:
    """Print what is not taken in each module, the fewest branches last, and both totals; the branches, in per cent."""
    modules = measured["files"].items()
    for name, one in sorted(modules, key=lambda item: _share(item[1]["summary"], "branches"), reverse=True):
        missed = [f"{start}→{'end' if end < 0 else end}" for start, end in one["missing_branches"]]
        never = [str(line) for line in one["missing_lines"]]
        if missed or never:
            print(f"{name}: branches {_share(one['summary'], 'branches'):.0f} %: {' '.join(missed) or '-'}")
            print(f"    lines {_share(one['summary'], 'lines'):.0f} %: {' '.join(never) or '-'}")
    totals = measured["totals"]
    print(f"\nlines     {_share(totals, 'lines'):.2f} %, {totals['covered_lines']} of {totals['num_statements']}")
    print(f"branches  {_share(totals, 'branches'):.2f} %, {totals['covered_branches']} of {totals['num_branches']}")
    return _share(totals, "branches")


def _share(summary: dict[str, int], of: str) -> float:
    covered, all_of_them = summary[f"covered_{of}"], summary["num_statements" if of == "lines" else "num_branches"]
    return 100 * covered / all_of_them if all_of_them else 100.0


if __name__ == "__main__":
    sys.exit(main())
