"""The tests on every other Python that we support and this machine has, then on the oldest with the oldest dependencies.

Run by `make test-all`, on the Python that has just run them all. Each Python gets an environment of its own, kept in `.venv/pythons` for the next time.
`python tests/every_python.py 3.12 oldest` runs these only; what follows `--` is handed to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.9", "3.10", "3.11", "3.12", "3.13")
OLDEST = "oldest"


def interpreter(version: str) -> str | None:
    """A Python of this version that starts: on PATH, else one that pyenv has and whose shim would not start."""
    candidates = [os.path.join(folder, f"python{version}") for folder in os.environ.get("PATH", "").split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += map(str, sorted(pyenv.glob(f"{version}.*/bin/python{version}")))
    for path in candidates:
        if os.access(path, os.X_OK):
            told = subprocess.run(
                [path, "-c", "import sys, venv; print(sys.executable)"], capture_output=True, text=True
            )
            if told.returncode == 0:
                return told.stdout.strip()
    return None


def environment(name: str, python: str) -> Path:
    """An environment with this project and what its tests need; made anew when setup.cfg has changed."""
    folder = PROJECT / ".venv" / "pythons" / name
    mark = folder / "installed"
    wanted = (PROJECT / "setup.cfg").read_text() + (PROJECT / "tests" / "oldest.txt").read_text()
    if mark.exists() and mark.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    run = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    # pip 24.1 refuses the metadata of every Prefect 1 before 1.4.1.
    subprocess.run([*run, "--upgrade", "pip<24.1" if name == OLDEST else "pip"], check=True)
    constraints = ["--constraint", "tests/oldest.txt"] if name == OLDEST else []
    subprocess.run([*run, *constraints, "--editable", ".[demo,test]"], cwd=PROJECT, check=True)
    mark.write_text(wanted)
    return folder


def main(arguments: list[str]) -> int:
    """1 when the tests fail somewhere; a line for each Python at the end."""
    chosen, _, handed_on = " ".join(arguments).partition("--")
    told, failed = [], False
    others = [name for name in SUPPORTED if name != "{}.{}".format(*sys.version_info)]
    for name in chosen.split() or [*others, OLDEST]:
        python = interpreter(SUPPORTED[0] if name == OLDEST else name)
        if python is None:
            told.append(f"{name}: not on this machine")
            continue
        print(f"\n== {name}: {python}", flush=True)
        tests = [str(environment(name, python) / "bin" / "python"), "-m", "pytest", "-q", "-m", "not slow", "-n", "auto", "--dist", "loadfile"]
        code = subprocess.run([*tests, "-p", "no:cacheprovider", *handed_on.split()], cwd=PROJECT).returncode
        failed = failed or code != 0
        told.append(f"{name}: {'failed' if code else 'passed'}")
    print("\n" + "\n".join(told))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
