"""Files that a filter of git changes on their way into a commit: by hand and in a push, agents get what the commit has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..repository import Clone

FLOW = "from prefect import Flow\nflow = Flow('{name}')\n"
READS = "from pathlib import Path\nfrom prefect import Flow\nrows = (Path(__file__).parent / 'rows.csv').read_text()\nflow = Flow('reads')\n"
CRYPT = """\
#!/bin/sh
if [ $1 = clean ]; then printf '\\0GITCRYPT\\0'; tr a-z n-za-m; else tail -c +11 | tr a-z n-za-m; fi
"""
LFS = """\
#!/bin/sh
if [ $1 = clean ]; then cat >/dev/null; printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 1\\n'; else echo 1,2; fi
"""
TIDY = "#!/bin/sh\nsed 's/ *$//'\n"
ATTRIBUTES = "secret.py filter=git-crypt\n*.csv filter=lfs\ntidy.py filter=tidy\nlarge.py filter=lfs\nnowhere.py filter=unknown\n"


@pytest.fixture
def filtering(work: Clone, tmp_path: Path) -> Clone:
    """A clone with filters that do what git-crypt, git-lfs and a formatter do."""
    for name, script in {"git-crypt": CRYPT, "lfs": LFS, "tidy": TIDY}.items():
        path = tmp_path / name
        path.write_text(script)
        path.chmod(0o755)
        work.git("config", f"filter.{name}.clean", f"{path} clean")
        work.git("config", f"filter.{name}.smudge", f"{path} smudge")
        work.git("config", f"filter.{name}.required", "true")
    work.commit({".gitattributes": ATTRIBUTES})
    return work


def validate(work: Clone, *arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and output."""
    result = subprocess.run(
        [sys.executable, "-m", "git_prefect", "validate", *arguments], cwd=work.path,
        env={**os.environ, "GIT_PREFECT_PYTHON": sys.executable, **environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stderr == ""
    return result.returncode, result.stdout.rpartition("(Prefect")[0]


CHANGED = "changed by the git filter {!r} on its way into a commit: agents get what the commit has, not what is here [filtered-file]\n"
OUT = "  hint: take it out of the filter (.gitattributes) and commit it again"
LFS_HINT = "  hint: git lfs untrack {0}, then add and commit it again; or put it into the image or a bucket\n"


def test_a_flow_file_that_is_encrypted(filtering: Clone) -> None:
    filtering.commit({"secret.py": FLOW.format(name="secret"), "plain.py": FLOW.format(name="plain")})
    by_hand = (1, f"secret.py: is {CHANGED.format('git-crypt')}{OUT}\n1 flow in 1 file loads as on an agent, 1 error ")
    assert validate(filtering) == by_hand
    assert validate(filtering) == by_hand
    said = (
        "secret.py: {}is encrypted by git-crypt in the commit: agents clone it as it is and cannot execute it, so no flow of it "
        f'is registered [binary-source]\n{OUT}; without a flow: exclude = ["/secret.py"]\n'
    )
    assert validate(filtering, "--ref", "main")[1] == f"{said.format('warning: ')}1 flow in 1 file loads as on an agent "
    filtering.commit({".git-prefect.toml": 'flows = ["*.py"]\n'})
    assert said.format("") in validate(filtering, "--ref", "main")[1]
    # What nobody needs can be left out.
    filtering.commit({".git-prefect.toml": 'exclude = ["/secret.py"]\n'})
    assert "secret" not in validate(filtering, "--ref", "main")[1]
    assert "secret" not in validate(filtering)[1]


def test_a_locked_clone_tells_of_what_is_encrypted(filtering: Clone) -> None:
    filtering.commit({"secret.py": FLOW.format(name="secret")})
    filtering.git("config", "filter.git-crypt.required", "false")
    filtering.git("config", "--unset", "filter.git-crypt.smudge")
    filtering.git("config", "--unset", "filter.git-crypt.clean")
    (filtering.path / "secret.py").unlink()
    filtering.git("checkout", "--", "secret.py")
    assert "secret.py: warning: is encrypted by git-crypt in the commit: " in validate(filtering)[1]


def test_what_a_flow_reads_is_in_lfs(filtering: Clone) -> None:
    filtering.commit({"reads.py": READS, "rows.csv": "1,2\n"})
    said = (
        "reads.py: warning: needs 'rows.csv', which is kept in Git LFS: agents clone without LFS and see a three-line pointer "
        f"[lfs-pointer]\n{LFS_HINT.format('rows.csv')}1 flow in 1 file loads as on an agent "
    )
    assert validate(filtering) == (0, said)
    assert validate(filtering, "--ref", "main") == (0, said)
    assert validate(filtering) == (0, said)


def test_a_flow_file_in_lfs_is_no_file_without_a_flow(filtering: Clone) -> None:
    filtering.commit({"large.py": FLOW.format(name="large")})
    assert validate(filtering)[0] == 1
    code, said = validate(filtering, "--ref", "main")
    assert "large.py: warning: needs 'large.py', which is kept in Git LFS: agents clone without LFS" in said
    assert "0 flows in 0 files load as on an agent " in said


def test_a_filter_that_leaves_a_flow_file_executable_is_a_warning(filtering: Clone) -> None:
    filtering.commit({"tidy.py": FLOW.format(name="tidy") + "# trailing   \n"})
    assert validate(filtering) == (
        0, f"tidy.py: warning: is {CHANGED.format('tidy')}{OUT}\n1 flow in 1 file loads as on an agent "
    )  # fmt: skip
    filtering.write({"tidy.py": FLOW.format(name="tidy")})
    assert validate(filtering) == (0, "1 flow in 1 file loads as on an agent ")


def test_a_filter_that_is_not_configured_changes_nothing(filtering: Clone) -> None:
    filtering.commit({"nowhere.py": FLOW.format(name="nowhere")})
    filtering.write({"new.py": FLOW.format(name="new")})
    assert validate(filtering) == (0, "2 flows in 2 files load as on an agent ")
