"""A repository whose flow files are not found: each way in names the setting, and the files that come closest."""

from __future__ import annotations

import json

import pytest

from ..repository import Clone
from ..test_cli import FLOW, HERE, git_prefect

HIDDEN = "import prefect\n\n\ndef make():\n    return prefect.Flow('x')\n"
JOBS = {"jobs/orders/etl.py": HIDDEN, "jobs/items/etl.py": HIDDEN, "lib/prefect_helpers.py": "import prefect\n", "tests/test_etl.py": HIDDEN}
CLOSEST = (
    'name the flow files in the settings: flows = ["**/etl.py"]; closest: jobs/items/etl.py, jobs/orders/etl.py, lib/prefect_helpers.py'
)
ADVICE = f"no .py calls Flow, or what returns one, at its top level; {CLOSEST}"


def test_validate(work: Clone) -> None:
    work.write(JOBS)
    assert git_prefect(work.path, "validate") == (0, f"no flow files here {HERE}\n  hint: {ADVICE}\n", "")
    work.write({".git-prefect.toml": "flows = ['nothing/**']\n"})
    said = f"no flow files here {HERE}\n  hint: the setting `flows` matches no file; {CLOSEST}\n"
    assert git_prefect(work.path, "validate") == (0, said, "")


def test_doctor(work: Clone) -> None:
    work.commit(JOBS)
    _, out, _ = git_prefect(work.path, "doctor", "--format", "json")
    (check,) = [one for one in json.loads(out)["checks"] if one["name"] == "flows"]
    assert (check["problem"], check["remedy"]) == ("no flow files in this commit", ADVICE)


def test_init(work: Clone) -> None:
    work.write(JOBS)
    _, out, _ = git_prefect(work.path, "init", "--dry-run")
    lines = out.splitlines()
    at = lines.index("  flow files  none yet: no .py builds a Flow")
    assert lines[at + 1] == f"              {ADVICE}"


def test_first_push(work: Clone) -> None:
    work.commit(JOBS)
    work.git("push", "--quiet", "origin", "HEAD")
    work.commit({".git-prefect.toml": "clone-url-secret = 'URL'\n[[target]]\nbranch = '**'\nproject = 'etl'\n"})
    assert git_prefect(work.path, "install")[0] == 0
    said = work.git("push", "--quiet", "origin", "HEAD:refs/heads/new", check=False)
    assert f"no flow files in this commit: {ADVICE}" in said


@pytest.mark.parametrize("hook", [False, True])
def test_a_file_that_a_person_names_is_loaded(work: Clone, hook: bool) -> None:
    work.write({"setup.py": "open(__file__ + '.ran', 'w')\n", "flow.py": FLOW.format(name="a")})
    more = {"PRE_COMMIT": "1"} if hook else {}
    code, out, _ = git_prefect(work.path, "validate", "setup.py", "flow.py", **more)
    loaded = f"1 flow in 1 file loads as on an agent {HERE}\n"
    said = "setup.py: warning: has no flow [no-flow]\n  hint: name flow files, or none to check all that are found\n"
    assert (code, out) == (0, loaded if hook else said + loaded.replace("1 file", "2 files"))
    # Below a folder, only what is found is loaded.
    assert git_prefect(work.path, "validate", ".") == (0, loaded, "")
