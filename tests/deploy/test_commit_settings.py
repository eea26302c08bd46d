"""Settings of a folder below the root: found, and their paths and patterns from the root of the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from pathspec import GitIgnoreSpec

from git_prefect.core.errors import UnusableCommit
from git_prefect.core.settings import Runtime, Settings, read
from git_prefect.deploy.commit_settings import settings_at
from git_prefect.deploy.hook_filters import left_out_by_pre_commit
from git_prefect.deploy.source_tree import how_to_name_flow_files
from git_prefect.flows import interpreter
from git_prefect.flows.load_findings import broken_environment

from ..flows.conftest import sources_only
from ..repository import Clone

FLOW = "from prefect import Flow\nflow = Flow('{name}')\n"
FOLDER = "teams/my [etl]"
OF_A_FOLDER = """\
[tool.git-prefect]
flows = ["flows/*.py", "!old_*.py"]
exclude = ["scratch"]
import-roots = ["lib", "../shared"]
python = ".venv/bin/python"
env = { HERE = "flows/x" }

[[tool.git-prefect.runtime]]
flows = ["/flows/ml/"]
run-config = { type = "KubernetesRun", image = "registry/ml:1", job-template-path = "k8s/job.yaml" }

[[tool.git-prefect.runtime]]
flows = ["**"]
run-config = { type = "ECSRun", task-definition-path = "s3://bucket/task.yaml" }

[[tool.git-prefect.target]]
branch = "main"
project = "etl"
"""
TARGET = '[[target]]\nbranch = "**"\nproject = "{project}"\n'


def validate(work: Clone, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    result = subprocess.run(
        [sys.executable, "-m", "git_prefect", "validate", *arguments], cwd=work.path, env={**os.environ, **environ},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


def test_every_path_and_pattern_is_taken_from_the_folder(work: Clone) -> None:
    folders = {f"{FOLDER}/lib/a.py": "", "teams/shared/b.py": ""}
    commit = work.commit({f"{FOLDER}/pyproject.toml": OF_A_FOLDER, "pyproject.toml": "[project]\nname = 'x'\n", **folders})
    work.git("push", "--quiet", "origin", "main")
    for where in (commit, None):
        source = settings_at(work.repository, where, "origin")
        assert (source.origin, source.folder) == (f"{FOLDER}/pyproject.toml", FOLDER)
        settings = source.settings
        assert settings.flows == ["/teams/my\\ \\[etl\\]/flows/*.py", "!/teams/my\\ \\[etl\\]/**/old_*.py"]
        assert settings.exclude == ["/teams/my\\ \\[etl\\]/**/scratch"]
        assert settings.import_roots == [f"{FOLDER}/lib", "teams/shared"]
        assert settings.python == f"{FOLDER}/.venv/bin/python"
        assert settings.env == {"HERE": "flows/x"}
        assert settings.runtime == [
            Runtime(
                ["/teams/my\\ \\[etl\\]/flows/ml/"],
                {"type": "KubernetesRun", "image": "registry/ml:1", "job-template-path": f"{FOLDER}/k8s/job.yaml"},
            ),
            Runtime(["/teams/my\\ \\[etl\\]/**/**"], {"type": "ECSRun", "task-definition-path": "s3://bucket/task.yaml"}),
        ]
    # A commit without settings has those of the default branch, wherever they are there.
    work.git("switch", "--quiet", "--orphan", "old")
    old = work.commit({"README": "old"})
    borrowed = settings_at(work.repository, old, "origin")
    assert (borrowed.origin, borrowed.settings) == (f"{FOLDER}/pyproject.toml of origin/main", settings)


PATTERNS = ["*.py", "/a.py", "flows/a.py", "flows/", "flows", "/flows/", "flows/*.py", "**/a.py", "flows/**", "*", "[ab].py", "\\#a.py", "a\\ b.py"]
PATHS = ["a.py", "b.py", "#a.py", "a b.py", "flows/a.py", "flows/deep/a.py", "deep/flows/a.py", "deep/a.py"]


@pytest.mark.parametrize("folder", ["etl", "teams/etl", "my [etl]", "a*b?", "#etl", "!etl"])
def test_patterns_match_what_a_gitignore_of_the_folder_matches(work: Clone, folder: str) -> None:
    paths = [*PATHS, *(f"{folder}/{path}" for path in PATHS), *(f"other/{folder}/{path}" for path in PATHS)]
    for pattern in [*PATTERNS, *(f"{one}\n!a.py" for one in ("*.py", "flows/*.py"))]:
        lines = pattern.split("\n")
        work.write({f"{folder}/.gitignore": f"{pattern}\n"})
        asked = subprocess.run(
            ["git", "check-ignore", "--no-index", "--stdin"], cwd=work.path, input="\n".join(paths), capture_output=True, text=True
        )
        content = f"flows = {lines!r}\n".replace("'", '"').encode()
        ours = read({".git-prefect.toml": content}, folder=folder).settings.flows
        ignored = {line.strip('"') for line in asked.stdout.splitlines()}
        assert {path for path in paths if GitIgnoreSpec.from_lines(ours).match_file(path)} == ignored, (pattern, ours)


def test_the_root_counts_alone(work: Clone) -> None:
    work.commit({".git-prefect.toml": TARGET.format(project="root"), "a/.git-prefect.toml": TARGET.format(project="a"), "b/.git-prefect.toml": "no toml"})
    assert settings_at(work.repository, None, "origin").settings.target[0].project == "root"


def test_both_files_of_one_folder_are_one_set_of_settings(work: Clone) -> None:
    work.commit({"a/.git-prefect.toml": TARGET.format(project="a"), "a/pyproject.toml": OF_A_FOLDER, "b/pyproject.toml": "[tool.other]\n"})
    source = settings_at(work.repository, work.head(), "origin")
    assert (source.origin, source.settings.target[0].project) == ("a/.git-prefect.toml", "a")


def test_what_git_ignores_has_no_settings(work: Clone) -> None:
    work.commit({"a/.git-prefect.toml": TARGET.format(project="a"), ".gitignore": "build/\n"})
    work.write({"build/a/.git-prefect.toml": TARGET.format(project="copy")})
    assert settings_at(work.repository, None, "origin").origin == "a/.git-prefect.toml"


def test_settings_in_several_folders_are_an_error_that_names_them(work: Clone) -> None:
    work.commit({"a/.git-prefect.toml": TARGET.format(project="a"), "b/pyproject.toml": OF_A_FOLDER, "flows/x.py": FLOW.format(name="x")})
    said = (
        "git-prefect: settings in several folders, and none in the root: a/.git-prefect.toml, b/pyproject.toml; a repository "
        "has one set of them, so no flow is registered\n"
        "hint: keep one of them, or write the settings of all into .git-prefect.toml in the root\n"
    )
    assert validate(work) == (2, "", said)
    assert validate(work, "--ref", "main") == (2, "", said)
    pushing = {
        "PRE_COMMIT": "1", "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
        "PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_URL": "https://example.com/r.git", "PRE_COMMIT_TO_REF": work.head(),
    }  # fmt: skip
    assert validate(work, **pushing) == (2, "", said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("flow = ['x']", "a/pyproject.toml: tool.git-prefect.flow: unknown key; known here: flows, exclude,"),
        ("import-roots = ['../../x']", "a/pyproject.toml: tool.git-prefect.import-roots: names folders of the repository, and '../../x' is"),
        ("flows = [", "a/pyproject.toml: cannot be read as TOML"),
    ],
)
def test_a_wrong_value_is_named_by_its_file(work: Clone, content: str, said: str) -> None:
    work.commit({"a/pyproject.toml": f"[tool.git-prefect]\n{content}\n"})
    with pytest.raises(UnusableCommit) as raised:
        settings_at(work.repository, work.head(), "origin")
    assert str(raised.value).startswith(said)


MISSING = {
    "nowhere": "src", "a file": "README", "data of a file": "README/x", "a dangling link": "dangling", "in a link that leads out": "out/x",
}  # fmt: skip


@pytest.mark.parametrize("way", MISSING)
def test_an_import_root_that_does_not_exist_is_an_error_of_the_settings(work: Clone, way: str) -> None:
    root = MISSING[way]
    (work.path / "dangling").symlink_to("nowhere")
    (work.path / "out").symlink_to("../nowhere")
    work.git("add", "dangling", "out")
    work.commit({".git-prefect.toml": f'import-roots = ["lib", "{root}"]\n', "lib/a.py": "", "flow.py": FLOW.format(name="x")})
    for arguments, where in (("--ref", "main"), "this commit"), ((), "the work tree"):
        assert validate(work, *arguments) == (
            2, "", f"git-prefect: .git-prefect.toml: import-roots: {root!r} is no folder of {where}, so what flow files import "
            "from it is not found\nhint: correct import-roots in .git-prefect.toml, or add and commit the folder\n",
        )  # fmt: skip


def test_import_roots_that_exist(work: Clone) -> None:
    """A link to a folder, a submodule, what is below one, and a folder of the settings' own."""
    (work.path / "link").symlink_to("lib")
    work.git("add", "link")
    sub = work.path.parent / "sub"
    subprocess.run(["git", "init", "-q", str(sub)], check=True)
    subprocess.run(["git", "-C", str(sub), "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    work.git("submodule", "add", "--quiet", str(sub), "vendor/sub")
    work.commit({"pyproject.toml": '[tool.git-prefect]\nimport-roots = [".", "./lib/", "link", "link/deep", "vendor/sub"]\n', "lib/deep/a.py": "", "flow.py": FLOW.format(name="x")})
    assert [validate(work, *arguments)[::2] for arguments in (("--ref", "main"), ())] == [(0, "")] * 2
    work.commit({"pyproject.toml": '[tool.git-prefect]\nimport-roots = ["vendor/sub/src"]\n'})
    assert validate(work, "--ref", "main")[0] == 0


def test_an_import_root_of_a_folder_is_named_as_it_is_written(work: Clone) -> None:
    work.commit({"etl/pyproject.toml": '[tool.git-prefect]\nimport-roots = ["lib", "../shared"]\n', "etl/lib/a.py": "", "flow.py": FLOW.format(name="x")})
    code, out, err = validate(work, "--ref", "main")
    assert (code, out, err.splitlines()[0]) == (
        2, "", "git-prefect: etl/pyproject.toml: tool.git-prefect.import-roots: '../shared' is no folder of this commit, so what flow "
        "files import from it is not found",
    )  # fmt: skip


def test_borrowed_settings_need_no_folder_in_an_old_tag(work: Clone) -> None:
    work.commit({"flow.py": FLOW.format(name="x")})
    work.git("tag", "old")
    work.commit({".git-prefect.toml": 'import-roots = ["src"]\n', "src/a.py": ""})
    work.git("push", "--quiet", "origin", "main", "old")
    assert validate(work, "--ref", "old")[0] == 0


@pytest.mark.parametrize("name", ["pyproject.toml", ".git-prefect.toml", "etl/pyproject.toml"])
def test_conflict_markers_of_a_merge_are_named(work: Clone, name: str) -> None:
    table = "tool.git-prefect" if name.endswith("pyproject.toml") else "env"
    content = f"[{table}]\n{{}}[project]\nname = 'x'\n" if name.endswith("pyproject.toml") else f"{{}}[{table}]\n"
    work.commit({name: content.format("timeout = 10\n")})
    work.git("switch", "--quiet", "--create", "other")
    work.commit({name: content.format("timeout = 20\n")})
    work.git("switch", "--quiet", "main")
    work.commit({name: content.format("timeout = 30\n")})
    work.git("merge", "other", check=False)
    line = 2 if name.endswith("pyproject.toml") else 1
    said = (
        f"git-prefect: {name}: cannot be read as TOML (line {line} has a conflict marker of a merge), so no settings can be read\n"
        f"hint: resolve the conflict in {name} and commit it\n"
    )
    assert validate(work) == (2, "", said)
    # Committed as it is, a push of it says the same.
    work.git("commit", "--quiet", "--all", "-m", "merge")
    assert validate(work, "--ref", "main") == (2, "", said)


# Hints that propose a setting have its paths as its file has them ------------------------------------------------------

HINTED: dict[str, str | bytes] = {
    "etl/flows/a.py": "import lib.io\n" + FLOW.format(name="a"), "etl/src/lib/io.py": "",
    "etl/flows/b.py": "import shared.names\n" + FLOW.format(name="b"), "common/shared/names.py": "",
    "etl/pkg/__init__.py": "", "etl/pkg/c.py": "from .tasks import x\n" + FLOW.format(name="c"), "etl/pkg/tasks.py": "x = 1\n",
    "etl/secret.py": b"\0GITCRYPT\0\x01", "secret.py": b"\0GITCRYPT\0\x02",
}  # fmt: skip


def hints(work: Clone, settings: str) -> dict[str, str]:
    """The hints of the findings by their paths, as far as they propose a setting."""
    work.write({"etl/pyproject.toml": f"[tool.git-prefect]\n{settings}"})
    _, out, err = validate(work, "--format", "json", GIT_PREFECT_PYTHON=sys.executable)
    assert err == ""
    return {one["path"]: one["hint"].rpartition("; ")[2] for one in json.loads(out)["findings"]}


IN_IMAGE = "or install it in the image that runs the flow"
OUT_OF_FILTER = "take it out of the filter (.gitattributes) and commit it again"


def test_import_roots_and_exclude(work: Clone) -> None:
    """What is printed is pasted, and works."""
    work.write({**HINTED, "etl/more/x.txt": ""})
    assert hints(work, 'import-roots = ["more"]\n') == {
        "etl/flows/a.py": f'{IN_IMAGE}, and set import-roots = ["more", "src"]',
        "etl/flows/b.py": f'{IN_IMAGE}, and set import-roots = ["more", "../common"]',
        "etl/pkg/c.py": f'{IN_IMAGE}, and set import-roots = ["more", "."]',
        "etl/secret.py": 'without a flow: exclude = ["/secret.py"]', "secret.py": OUT_OF_FILTER,
    }  # fmt: skip
    relative = f'{IN_IMAGE}, and set import-roots = ["more", "src", "../common", "."]'
    assert hints(work, 'exclude = ["old/"]\nimport-roots = ["more", "src", "../common"]\n') == {
        "etl/pkg/c.py": relative, "etl/secret.py": 'without a flow: add "/secret.py" to `exclude`', "secret.py": OUT_OF_FILTER,
    }  # fmt: skip
    assert hints(work, 'exclude = ["old/", "/secret.py"]\nimport-roots = ["src", "../common", "."]\n') == {
        "etl/pkg/c.py": IN_IMAGE, "secret.py": OUT_OF_FILTER,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "advice"),
    [
        (["etl/jobs/run.py"], 'name the flow files in the settings: flows = ["jobs/run.py"]; closest: etl/jobs/run.py'),
        (["etl/a/run.py", "etl/b/run.py"], 'name the flow files in the settings: flows = ["**/run.py"]; closest: etl/a/run.py, etl/b/run.py'),
        (["jobs/run.py"], "closest: jobs/run.py, outside of etl, whose settings name files below it only"),
    ],
)
def test_flows(paths: list[str], advice: str) -> None:
    tree = sources_only(dict.fromkeys(paths, "import prefect\n"))
    why = "no .py calls Flow, or what returns one, at its top level"
    assert how_to_name_flow_files(tree, Settings(folder="etl")) == f"{why}; {advice}"


@pytest.mark.parametrize(("folder", "path"), [("", ".venv/bin/python"), ("teams/etl", "../../.venv/bin/python")])
def test_python(tmp_path: Path, folder: str, path: str) -> None:
    python = replace(interpreter.find(tmp_path, sys.executable, tmp_path / "state"), origin="PATH")
    found = broken_environment("no Prefect", python, 1, Settings(folder=folder))
    assert found.hint == (
        f'set `python` in the settings to the interpreter that has the flows\' dependencies, such as "{path}", with prefect<2 and marshmallow<4'
    )


def test_what_pre_commit_leaves_out(work: Clone) -> None:
    work.write({".pre-commit-config.yaml": "repos: []\nexclude: ^(etl/old/|top)\n"})
    said = ".pre-commit-config.yaml leaves out {}, which counts in commits only: in a push every flow file is checked"
    hint = "\n  hint: leave out in the settings what is no flow file: "
    for settings, paths, edit in (
        (Settings(), ["etl/old/a.py"], 'exclude = ["/etl/old/a.py"]'),
        (Settings(folder="etl"), ["etl/old/a.py", "top.py"], 'exclude = ["/old/a.py"]'),
        (Settings(folder="etl", exclude=["/etl/x"]), ["etl/old/a.py"], 'add "/old/a.py" to `exclude`'),
        (Settings(folder="etl"), ["top.py"], ""),
    ):
        expected = said.format(", ".join(paths)) + (hint + edit if edit else "")
        assert left_out_by_pre_commit(work.repository, paths, settings) == expected
