"""`make mutations`: break the product in each way of mutations.txt, in a copy, and see a test fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

LINE = "import os, sys; os.path.isdir({hooks!r}) and sys.path.insert(0, {hooks!r})\n"
"""As `site` takes it in every process of this environment, so that hooks and watchers are the broken product too; of no
effect when it was left behind by a kill."""


class Mutation(NamedTuple):
    """One way to break the product."""

    module: str
    said: str
    before: str
    after: str
    tests: list[str]


def mutations() -> Iterator[Mutation]:
    """Those of mutations.txt, in order."""
    for block in (ROOT / "tests" / "mutations.txt").read_text().split("\n\n")[1:]:
        head, *lines = block.strip().split("\n")
        module, _, said = head.partition(": ")
        before, after = ("\n".join(line[2:] for line in lines if line.startswith(f"{sign} ")) for sign in "-+")
        yield Mutation(module, said, before, after, lines[-1].split())


def survives(copy: Path, one: Mutation) -> str:
    """What is wrong when no test fails; empty when one does, and not for an error of Python's."""
    module = copy / "hooks" / "git_prefect" / one.module
    source = module.read_text()
    if source.count(one.before) < 1:
        return "the code is no longer there: mend mutations.txt"
    module.write_text(source.replace(one.before, one.after))
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--tb=line", *one.tests]
    try:
        done = subprocess.run(tests, cwd=copy, capture_output=True, text=True)
    finally:
        module.write_text(source)
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    print(f"{one.module}: {one.said}\n    {failed.split(' - ')[0] or 'NO TEST FAILS'}", flush=True)
    return "" if done.returncode == 1 and failed.startswith("FAILED") else failed or "no test fails"


def main() -> int:
    """Run all, or those whose module or sentence has the word that is given; 1 when one survives."""
    word = " ".join(sys.argv[1:])
    chosen = [one for one in mutations() if word in f"{one.module}: {one.said}"]
    line = Path(sysconfig.get_path("purelib"), "git_prefect_mutations.pth")
    with tempfile.TemporaryDirectory(prefix="git-prefect-mutations-") as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__"))
        try:
            line.write_text(LINE.format(hooks=str(copy / "hooks")))
            alive = {f"{one.module}: {one.said}": wrong for one in chosen if (wrong := survives(copy, one))}
        finally:
            line.unlink()
    print(f"\n{len(chosen) - len(alive)} of {len(chosen)} are noticed")
    for name, wrong in alive.items():
        print(f"  {name}: {wrong}")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
