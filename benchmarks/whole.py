"""A whole `git push` with pre-commit and our three hooks, beside the same push with `--no-verify`, and with our hooks skipped.

`python benchmarks/whole.py [--repeat 3]`: nothing to do, one flow changed, a hundred changed, in a repository of a
hundred flows. The hooks run from this environment (`language: system`), as pre-commit's own would; what is registered
afterwards, by the watcher, does not hold the push up and is waited for outside of the measurement.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from push import FLOW, HOOKS, SETTINGS, git
from table import Row, shown

from git_prefect.devserver.process import running

FLOWS = 100
BIN = Path(sys.prefix, "bin")


def adopted(place: Path) -> Path:
    """A clone of a remote with a hundred registered flows, and pre-commit's pre-push hook in it."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(place / "remote.git")], check=True)
    subprocess.run(["git", "clone", "--quiet", str(place / "remote.git"), str(place / "clone")], capture_output=True)
    clone = place / "clone"
    hooks = "".join(
        f"  - id: {name}\n    name: {name}\n    entry: {BIN}/git-prefect {name}\n    language: system\n"
        "    always_run: true\n    pass_filenames: false\n    stages: [pre-push]\n"
        for name in HOOKS
    )
    (clone / ".pre-commit-config.yaml").write_text(f"repos:\n- repo: local\n  hooks:\n{hooks}")
    (clone / "pyproject.toml").write_text(SETTINGS + "create-project = true\n")
    write(clone, FLOWS, 0)
    subprocess.run(
        [BIN / "pre-commit", "install", "--hook-type", "pre-push"], cwd=clone, check=True, capture_output=True
    )
    push(clone)
    return clone


def write(clone: Path, flows: int, turn: int) -> None:
    """A commit that changes so many flows."""
    (clone / "flows").mkdir(exist_ok=True)
    for number in range(flows):
        (clone / "flows" / f"flow_{number}.py").write_text(FLOW.format(number=number) + f"    one.copy()  # {turn}\n")
    (clone / "README").write_text(f"{flows} {turn}\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "flows")


def push(clone: Path, *options: str) -> float:
    """Seconds of a push; what it queued is registered before this returns."""
    started = time.perf_counter()
    subprocess.run(
        ["git", "push", "--quiet", *options, "origin", "HEAD:main"], cwd=clone, check=True, capture_output=True
    )
    seconds = time.perf_counter() - started
    subprocess.run([BIN / "git-prefect", "register", "--pending"], cwd=clone, check=True, capture_output=True)
    return seconds


def rows(repeat: int = 3) -> Iterator[Row]:
    """Pushes of no, one and a hundred changed flows."""
    with tempfile.TemporaryDirectory() as place, running() as api:
        os.environ.update(HOME=place, PREFECT__BACKEND="server", PREFECT__SERVER__ENDPOINT=api)
        for name in ("CI", "PYTHONDONTWRITEBYTECODE"):
            os.environ.pop(name, None)
        clone = adopted(Path(place))
        turn = 0
        for flows in (0, 1, FLOWS):
            plain, skipped, hooked = [], [], []
            for _ in range(repeat):
                turn += 3
                write(clone, flows, turn)
                plain.append(push(clone, "--no-verify"))
                write(clone, flows, turn + 1)
                os.environ["SKIP"] = ",".join(HOOKS)
                skipped.append(push(clone))
                del os.environ["SKIP"]
                write(clone, flows, turn + 2)
                hooked.append(push(clone))
            what = "no flow touched" if not flows else f"{flows} flow{'s' if flows > 1 else ''} changed"
            for beside, theirs in (("git push --no-verify", plain), ("pre-commit, ours skipped", skipped)):
                yield Row(f"git push with pre-commit, {what}", min(hooked), beside, min(theirs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    for line in shown(rows(parser.parse_args().repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
