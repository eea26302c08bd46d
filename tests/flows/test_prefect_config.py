"""Keys of a person's own Prefect configuration: files load by hand, and neither on agents nor in a check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..repository import Clone
from ..test_cli import FLOW, git_prefect, in_push

CONFIG = """\
[etl]
bucket = "s3://secret-value"
region = "eu"
Upper = 1
[etl.deep]
down = 1
[context]
team = "data"
[context.secrets]
KEY = "secret-value"
"""
SET = "set in your ~/.prefect/config.toml, which agents do not have"
LOADING = "set it where the flow runs, and for loading: env = "
BUCKET = f'`etl.bucket` is {SET}; {LOADING}{{ PREFECT__ETL__BUCKET = "…" }}'


@pytest.fixture
def home(home: Path) -> Path:
    """The home folder of somebody with such a configuration."""
    (home / ".prefect").mkdir()
    (home / ".prefect" / "config.toml").write_text(CONFIG)
    return home


def hint_of(work: Clone, code: str, *, home: Path, **environ: str) -> str:
    """The hint for a flow file with this code, which `validate` finds not to load."""
    work.commit({"etl.py": f"import prefect\n{FLOW.format(name='etl')}{code}"})
    exit_code, out, err = git_prefect(work.path, "validate", HOME=str(home), **environ)
    assert (exit_code, err) == (1, ""), out
    assert "[does-not-load]" in out
    assert "secret-value" not in out
    (hint,) = [line.partition("hint: ")[2] for line in out.splitlines() if line.startswith("  hint: ")]
    return hint


@pytest.mark.parametrize(
    "code",
    [
        "bucket = prefect.config.etl.bucket\n",
        "bucket = prefect.config['etl']['bucket'].upper()\n",
        "bucket = prefect.config.get('etl')['bucket']\n",
        "bucket = prefect.context.config.etl.bucket\n",
        "from prefect import config\netl = config.etl\nbucket = etl.bucket\n",
    ],
)
def test_the_hint_names_the_variable(work: Clone, home: Path, code: str) -> None:
    by_hand = [sys.executable, "-c", f"import prefect\n{code}"]
    subprocess.run(by_hand, env={"HOME": str(home), "PYTHONWARNINGS": "ignore"}, check=True, capture_output=True)
    assert hint_of(work, code, home=home) == BUCKET


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "etl = prefect.config.etl\nwhere = etl.bucket, etl.region\n",
            f"`etl.bucket`, `etl.region` are {SET}; set them where the flow runs, and for loading: "
            'env = { PREFECT__ETL__BUCKET = "…", PREFECT__ETL__REGION = "…" }',
        ),
        (
            "down = prefect.config.etl.deep.down\n",
            f'`etl.deep.down` is {SET}; {LOADING}{{ PREFECT__ETL__DEEP__DOWN = "…" }}',
        ),
        ("team = prefect.context.team\n", f'`context.team` is {SET}; {LOADING}{{ PREFECT__CONTEXT__TEAM = "…" }}'),
        ("team = prefect.context['team']\n", f'`context.team` is {SET}; {LOADING}{{ PREFECT__CONTEXT__TEAM = "…" }}'),
        (
            "key = prefect.context.secrets['KEY']\n",
            f'`context.secrets.KEY` is {SET}; {LOADING}{{ PREFECT__CONTEXT__SECRETS__KEY = "…" }}',
        ),
        (
            "upper = prefect.config.etl.Upper\n",
            f"`etl.Upper` is {SET}; write `etl.Upper` in lower case: variables (PREFECT__…) set no other keys",
        ),
        (
            "upper = prefect.config.etl.Upper, prefect.config.etl.region\n",
            f"`etl.Upper`, `etl.region` are {SET}; set them where the flow runs, and for loading: env = "
            '{ PREFECT__ETL__REGION = "…" }; write `etl.Upper` in lower case: variables (PREFECT__…) set no other keys',
        ),
        (
            "mine = prefect.config.tasks.mine\n",
            f"nothing sets `tasks.mine` in Prefect's configuration; {LOADING}{{ PREFECT__TASKS__MINE = \"…\" }}",
        ),
        (
            "path = prefect.config.lake.path.strip()\n",
            f"nothing sets `lake.path` in Prefect's configuration; {LOADING}{{ PREFECT__LAKE__PATH = \"…\" }}",
        ),
    ],
)
def test_other_keys(work: Clone, home: Path, code: str, said: str) -> None:
    assert hint_of(work, code, home=home) == said


def test_a_key_that_is_set_elsewhere(work: Clone, home: Path, tmp_path: Path) -> None:
    code = "path = prefect.config.lake.path\n"
    assert hint_of(work, code, home=home, PREFECT__LAKE__PATH="secret-value") == (
        f"`lake.path` is set by your variable PREFECT__LAKE__PATH, which agents do not have; {LOADING}"
        '{ PREFECT__LAKE__PATH = "…" }'
    )
    other = tmp_path / "other.toml"
    other.write_text("[lake]\npath = 1\n")
    # Another text: what is known of a file is not looked at again.
    assert hint_of(work, f"{code}\n", home=home, PREFECT__USER_CONFIG_PATH=str(other)) == (
        f'`lake.path` is set in your {other}, which agents do not have; {LOADING}{{ PREFECT__LAKE__PATH = "…" }}'
    )
    other.write_text("[lake\n")
    assert hint_of(work, f"{code}\n\n", home=home, PREFECT__USER_CONFIG_PATH=str(other)).startswith("nothing sets `lake.path`")


@pytest.mark.parametrize(
    "code",
    [
        "{}['etl']\n",
        "prefect.config.get('etl', {}).get('bucket')\nNone.upper()\n",
        "hasattr(prefect.config, 'etl')\n1 / 0\n",
        "{'secrets': {}}['KEY']\n",
    ],
)
def test_what_fails_for_another_reason_has_another_hint(work: Clone, home: Path, code: str) -> None:
    assert "PREFECT__" not in hint_of(work, code, home=home)


def test_a_push_is_refused_with_it_until_the_settings_have_it(work: Clone, home: Path) -> None:
    source = f"import prefect\n{FLOW.format(name='etl')}bucket = prefect.config.etl.bucket\n"
    work.commit({"flows/etl.py": source})
    code, out, _ = git_prefect(work.path, "validate", HOME=str(home), **in_push(work))
    assert (code, [line for line in out.splitlines() if "hint: " in line]) == (1, [f"  hint: {BUCKET}"])
    env = BUCKET.partition("for loading: ")[2]
    work.commit({"pyproject.toml": f"[tool.git-prefect]\n{env}\n"})
    assert git_prefect(work.path, "validate", HOME=str(home), **in_push(work))[0] == 0


def test_what_a_load_looks_for_in_vain_is_noticed_and_changes_nothing(work: Clone, home: Path) -> None:
    code = (
        "config = prefect.config\nassert config.get('etl') is None and config.get('etl', 1) == 1 and 'etl' not in config\n"
        "assert getattr(config, 'etl', 2) == 2 and config.get('etl', default=3) == 3\n"
        "assert config.copy() == config and config.flows.checkpointing is False and config['tasks']['defaults'].max_retries == 0\n"
        "import copy, pickle\nassert pickle.loads(pickle.dumps(copy.deepcopy(config.tasks))) == config.tasks\n"
    )
    work.commit({"etl.py": f"import prefect\n{FLOW.format(name='etl')}{code}"})
    exit_code, out, _ = git_prefect(work.path, "validate", HOME=str(home))
    assert exit_code == 0, out


def test_what_the_setting_env_has_is_not_proposed_again(work: Clone, home: str) -> None:
    """What is proposed is added to it: pasted as a second `env`, it would be an error."""
    env = '{ PREFECT__ETL__BUCKET = "x", PREFECT__CONTEXT__SECRETS__OTHER = "x" }'
    code = {
        "config": "where = prefect.config.etl.bucket, prefect.config.etl.region\n",
        "secret": "from prefect.client import Secret\nSecret('KEY').get()\n",
        "variable": "import os\nos.environ['DATABASE']\n",
        "gone": "import os\ndel os.environ['PREFECT__ETL__BUCKET']\nos.environ['PREFECT__ETL__BUCKET']\n",
    }
    work.commit({f"{name}.py": f"import prefect\n{FLOW.format(name=name)}{lines}" for name, lines in code.items()})
    work.commit({".git-prefect.toml": f"env = {env}\n"})
    _, out, _ = git_prefect(work.path, "validate", "--format", "json", HOME=home)
    assert {one["path"]: one["hint"] for one in json.loads(out)["findings"]} == {
        "config.py": f'`etl.region` is {SET}; set it where the flow runs, and for loading: add PREFECT__ETL__REGION = "…" to `env`',
        "secret.py": 'read the secret inside a task, or give a dummy one for loading: add PREFECT__CONTEXT__SECRETS__KEY = "…" to `env`',
        "variable.py": 'read it inside a task, or give what the runtime has at load time: add DATABASE = "…" to `env`',
        "gone.py": "read it inside a task",
    }
