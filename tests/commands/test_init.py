"""git prefect init: what it finds, shows and writes; what was there stays byte for byte."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import prefect
import pytest
import yaml

from git_prefect import __version__
from git_prefect.commands.additions import hooks_addition, settings_addition
from git_prefect.commands.init import HOME

from ..repository import Clone, bare_remote, clone

FLOW = "from prefect import Flow\n\nflow = Flow('etl')\n"
PYTHON = f"Python {sys.version.split()[0]} with Prefect {prefect.__version__}, {sys.executable}"
HERE = Path(sys.executable).parent / "git-prefect"


def init(work: Clone, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, without a terminal."""
    result = subprocess.run(
        [sys.executable, "-m", "git_prefect", "init", *arguments],
        cwd=work.path, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


def in_terminal(work: Clone, answer: str) -> str:
    """All that a terminal shows when the question is answered."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "git_prefect", "init"],
        cwd=work.path, stdin=follower, stdout=follower, stderr=follower, close_fds=True,
        env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
    ) as process:  # fmt: skip
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:
                break
            shown += part
            if not part:
                break
            if shown.endswith(b"[y/N] "):
                os.write(leader, answer.encode() + b"\n")
        process.wait()
    os.close(leader)
    return shown.decode().replace("\r\n", "\n")


SHOWN = f"""\
in {{top}}
  flow files  1: flows/etl.py
  remote      origin: {{remote}}, default branch main
  python      {PYTHON}

--- /dev/null
+++ b/.git-prefect.toml
@@ -0,0 +1,14 @@
+clone-url-secret = "GIT_CLONE_URL"  # the Prefect secret with the clone URL
+
+[[target]]
+branch = "main"
+project = "remote"
+create-project = true
+# with releases, a target with tag = "v*" takes this project, and this branch another one with schedule = "off"
+
+# every other branch: a project of its own, and nothing runs by itself
+[[target]]
+branch = "**"
+project = "remote-{{{{branch}}}}"
+schedule = "off"
+create-project = true

--- /dev/null
+++ b/.pre-commit-config.yaml
@@ -0,0 +1,9 @@
+default_install_hook_types: [pre-commit, pre-push]
+default_stages: [pre-commit]
+repos:
+  - repo: https://github.com/git-prefect/git-prefect
+    rev: v{__version__}
+    hooks:
+      - id: prefect-validate
+      - id: prefect-check-pushed
+      - id: prefect-register
"""
NEXT = f"""\
next:
  {HERE} validate  # what is broken already stops no push
  pre-commit install --install-hooks --hook-type pre-push
  {HERE} install
  git add .git-prefect.toml .pre-commit-config.yaml
  git commit -m 'Register flows by git push'
  git push
  {HERE} status
"""


@pytest.fixture
def found(work: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A repository with one flow; the interpreter is told, pre-commit is on PATH, and this version is released."""
    work.commit({"flows/etl.py": FLOW, "flows/helpers.py": "x = 1\n"})
    work.git("config", "prefect.python", sys.executable)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pre-commit").symlink_to(HERE.parent / "pre-commit")
    hooks = bare_remote(tmp_path / "git-prefect.git")
    work.git("push", "--quiet", str(hooks), f"main:refs/tags/v{__version__}", "main")
    work.git("config", f"url.{hooks}.insteadOf", HOME)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return work


@pytest.fixture
def shown(found: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is shown before anything is written."""
    return SHOWN.format(top=found.path, remote=remote).replace("{{", "{").replace("}}", "}")


def status(work: Clone) -> str:
    return work.git("status", "--porcelain", "--untracked-files=all")


def own_is_told(text: str) -> str:
    """The interpreter of these tests is also git-prefect's own, which `init` says."""
    hint = "              hint: git config prefect.python PATH-TO-THE-PYTHON-THAT-HAS-THEM\n"
    said = f"              git-prefect's own: what flows import may be missing there\n{hint}"
    return text.replace(f"  python      {PYTHON}\n", f"  python      {PYTHON}\n{said}")


def test_it_shows_and_writes_nothing_without_a_terminal(found: Clone, shown: str) -> None:
    code, out, err = init(found)
    assert (code, out) == (2, own_is_told(shown))
    assert err == (
        "git-prefect: nothing was written: there is no terminal to ask on\n"
        f"hint: {HERE} init --yes writes what is shown above\n"
    )
    assert status(found) == ""


def test_a_dry_run_writes_nothing(found: Clone, shown: str) -> None:
    assert init(found, "--dry-run") == (0, own_is_told(shown), "")
    assert status(found) == ""


def test_yes_writes_what_was_shown_and_once(found: Clone, shown: str) -> None:
    wrote = f"\nwrote .git-prefect.toml and .pre-commit-config.yaml\n\n{NEXT}"
    assert init(found, "--yes") == (0, own_is_told(shown) + wrote, "")
    assert status(found) == "?? .git-prefect.toml\n?? .pre-commit-config.yaml"
    content = {name: (found.path / name).read_text() for name in (".git-prefect.toml", ".pre-commit-config.yaml")}
    for text in content.values():
        assert "".join(f"+{line}\n" for line in text.splitlines()) in shown
    code, out, err = init(found, "--yes")
    assert (code, err) == (0, "")
    assert out.split("\n\n", 1)[1] == (
        ".git-prefect.toml is there already: left as it is\n\n"
        ".pre-commit-config.yaml has the hooks already: left as it is\n\n"
        f"missing:\n  pre-commit install --install-hooks --hook-type pre-push\n  {HERE} install\n"
        "  git add .git-prefect.toml .pre-commit-config.yaml\n  git commit -m 'Register flows by git push'\n"
        "  git push\n"
    )
    assert content == {name: (found.path / name).read_text() for name in content}


def test_what_is_installed_is_not_asked_for_again(found: Clone) -> None:
    init(found, "--yes")
    found.git("add", ".")
    found.git("commit", "--quiet", "-m", "adopt")
    subprocess.run(["pre-commit", "install", "--hook-type", "pre-push"], cwd=found.path, check=True)
    assert init(found, "--yes")[1].partition("missing:\n")[2] == f"  {HERE} install\n  git push\n"
    subprocess.run([HERE, "install"], cwd=found.path, check=True)
    assert init(found, "--yes")[1].partition("missing:\n")[2] == "  git push\n"
    found.git("push", "--quiet", "--no-verify")
    assert init(found, "--yes")[1].endswith(
        ".pre-commit-config.yaml has the hooks already: left as it is\n\n"
        f"nothing is missing; what is registered: {HERE} status\n"
    )


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("", False), ("n", False)])
def test_in_a_terminal_it_asks(found: Clone, shown: str, answer: str, written: bool) -> None:
    printed = in_terminal(found, answer)
    names = ".git-prefect.toml and .pre-commit-config.yaml"
    end = f"\nwrote {names}\n\n{NEXT}" if written else "nothing was written\n"
    assert printed == f"{own_is_told(shown)}\nWrite {names}? [y/N] {answer}\n{end}"
    assert (status(found) != "") is written


def test_from_a_folder_below_it_writes_at_the_root(found: Clone) -> None:
    code, _, _ = init(Clone(found.path / "flows"), "--yes")
    assert code == 0
    assert status(found) == "?? .git-prefect.toml\n?? .pre-commit-config.yaml"


def test_what_flow_files_say_is_taken_over(found: Clone) -> None:
    found.commit({
        "flows/etl.py": f"{FLOW}flow.register(project_name='finance')\n",
        "flows/docker.py": f"from prefect.storage import Docker\n{FLOW}flow.storage = Docker(image_name='x')\n",
        "tests/test_flows.py": FLOW,
    })  # fmt: skip
    _, out, _ = init(found, "--dry-run")
    assert "  flow files  3: flows/docker.py, flows/etl.py, tests/test_flows.py\n" in out
    assert (
        f"              flows/docker.py: Docker storage, left there until you say otherwise: {HERE} explain other-storage\n"
        in out
    )
    assert '+project = "finance"  # where flows/etl.py registers itself\n' in out
    assert '+project = "finance-{branch}"\n' in out
    assert '+exclude = ["tests/", "test_*.py"]  # tests that build a flow: tests/test_flows.py\n' in out


def test_an_environment_of_the_repository_is_found(found: Clone) -> None:
    found.git("config", "--unset", "prefect.python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(found.path / "env")], check=True)
    (packages,) = (found.path / "env" / "lib").glob("python*/site-packages")
    (packages / "ours.pth").write_text(str(Path(prefect.__file__).parents[1]))
    _, out, _ = init(found, "--dry-run")
    assert (
        f"  python      Python {sys.version.split()[0]} with Prefect {prefect.__version__}, env/bin/python\n\n" in out
    )
    assert '+python = "env/bin/python"\n' in out


@pytest.mark.parametrize(
    ("file", "content", "hint"),
    [
        ("poetry.lock", "", '"$(poetry env info --executable)"'),
        ("Pipfile", "", '"$(pipenv --py)"'),
        ("environment.yml", "name: flows\n", '"$(conda run -n flows which python)"'),
    ],
)
def test_without_prefect_it_says_where_the_python_may_be(found: Clone, file: str, content: str, hint: str) -> None:
    found.commit({file: content})
    _, out, _ = init(found, "--dry-run")
    assert f"              hint: git config prefect.python {hint}\n" in out


def test_the_remote_says_which_branch_is_the_default(found: Clone, remote: Path, tmp_path: Path) -> None:
    found.git("push", "--quiet", "origin", "main:main", "main:trunk")
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/trunk"], cwd=remote, check=True)
    _, out, _ = init(found, "--dry-run")
    assert f"  remote      origin: {remote}, default branch trunk\n" in out
    assert '+default-branch = "trunk"\n' in out
    assert '+branch = "trunk"\n' in out
    _, out, _ = init(clone(remote, tmp_path / "other"), "--dry-run")
    assert '+branch = "trunk"\n' in out
    assert "default-branch" not in out, "a clone made now knows it"


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        (
            "https://ada:s3cret@github.com/acme/etl.git",
            ['token-secret = "GITHUB_TOKEN"  # the Prefect secret that agents clone with'],
        ),
        (
            "https://git.example.com/acme/etl",
            ['token-secret = "GIT_TOKEN"  # the Prefect secret that agents clone with'],
        ),
        (
            "git@gitlab.com:acme/team/etl.git",
            [
                "# agents clone over ssh, as this clone does; over https with the token in a Prefect secret:",
                '# token-secret = "GITLAB_TOKEN"',
            ],
        ),
        (
            "https://dev.azure.com/acme/x/_git/etl",
            ['clone-url-secret = "GIT_CLONE_URL"  # the Prefect secret with the clone URL'],
        ),
    ],
)
def test_how_agents_clone_is_read_off_the_remote(found: Clone, url: str, lines: list[str]) -> None:
    found.git("remote", "set-url", "origin", url)
    # No network: http goes to a proxy that is not there, ssh is `false`.
    found.git("config", "http.proxy", "http://127.0.0.1:1")
    code, out, err = init(found, "--dry-run", GIT_SSH_COMMAND="false")
    assert (code, err) == (0, "")
    assert "s3cret" not in out
    written = [line[1:] for line in out.splitlines() if line.startswith("+")]
    assert written[1 : 1 + len(lines)] == lines
    assert 'project = "etl"' in written


def test_files_that_cannot_be_read_are_refused_and_left(found: Clone) -> None:
    found.commit({".pre-commit-config.yaml": "repos: [\n"})
    code, _, err = init(found, "--yes")
    assert code == 2
    assert err.startswith("git-prefect: .pre-commit-config.yaml: not valid YAML (")
    assert err.endswith("so nothing can be added to it\nhint: mend .pre-commit-config.yaml\n")
    assert status(found) == ""
    found.commit({".pre-commit-config.yaml": "repos: []\n", "pyproject.toml": "[tool\n"})
    code, _, err = init(found, "--yes")
    assert code == 2
    assert err.startswith("git-prefect: pyproject.toml: cannot be read as TOML (")
    assert status(found) == ""
    found.commit({"pyproject.toml": "[project]\n<<<<<<< HEAD\nname = 'a'\n=======\nname = 'b'\n>>>>>>> other\n"})
    marked = "has a conflict marker of a merge), so nothing can be added to it\nhint: resolve the conflict in"
    assert init(found, "--yes")[2] == (
        f"git-prefect: pyproject.toml: cannot be read as TOML (line 2 {marked} pyproject.toml and commit it\n"
    )
    found.commit({".pre-commit-config.yaml": "repos:\n<<<<<<< HEAD\n- a: b\n=======\n- c: d\n>>>>>>> other\n", "pyproject.toml": ""})
    assert init(found, "--yes")[2] == (
        f"git-prefect: .pre-commit-config.yaml: not valid YAML (line 2 {marked} .pre-commit-config.yaml and commit it\n"
    )


def test_without_a_remote_or_a_work_tree(found: Clone, remote: Path) -> None:
    assert init(Clone(remote)) == (
        2,
        "",
        "git-prefect: a bare repository has no files to add settings to\nhint: run this in a clone with a work tree\n",
    )
    found.git("remote", "remove", "origin")
    assert init(found) == (
        2,
        "",
        "git-prefect: this repository has no remote, and agents clone from one\n"
        "hint: add it with `git remote add origin URL`, then push\n",
    )


ENTRY = """\
- repo: u
  rev: v1
  hooks:
    - id: prefect-validate
    - id: prefect-check-pushed
    - id: prefect-register
"""
STAGES = "default_stages: [pre-commit]\n"
INDENTED = "".join(f"  {line}\n" for line in ENTRY.splitlines())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"repos:\n{INDENTED}"),
        ("# ours\n", f"# ours\n\nrepos:\n{INDENTED}"),
        ("repos:\n- repo: a\n  hooks: [{id: x}]\n", f"{STAGES}repos:\n- repo: a\n  hooks: [{{id: x}}]\n{ENTRY}"),
        ("repos:\n- repo: a\n  hooks: [{id: x}]", f"{STAGES}repos:\n- repo: a\n  hooks: [{{id: x}}]\n{ENTRY}"),
        ("repos:\n- repo: a\n  hooks: [{id: x, stages: [manual]}]\n", f"repos:\n- repo: a\n  hooks: [{{id: x, stages: [manual]}}]\n{ENTRY}"),
        (
            "repos:\n  - repo: a  # why\n    hooks:\n      - id: x\n        args: |\n          1\n          2\n\n# end\nfail_fast: true\n",
            f"{STAGES}repos:\n  - repo: a  # why\n    hooks:\n      - id: x\n        args: |\n          1\n          2\n\n"
            f"{INDENTED}# end\nfail_fast: true\n",
        ),
        (
            "repos:\r\n  - repo: a\r\n    hooks:\r\n      - id: x\r\n",
            f"{STAGES}repos:\n  - repo: a\n    hooks:\n      - id: x\n{INDENTED}".replace("\n", "\r\n"),
        ),
        ("repos: []\n", None),
        ("repos: [{repo: a, hooks: [{id: x}]}]\n", None),
        ("fail_fast: true\n", None),
        ("repos:\n", None),
        ("- repo: a\n", None),
    ],
)
def test_the_entry_is_inserted_and_nothing_else_changes(tmp_path: Path, before: str, after: str | None) -> None:
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_bytes(before.encode())
    addition = hooks_addition(tmp_path, "u", "v1")
    assert addition.after == (None if after is None else after.encode())
    if after is None:
        assert addition.text == INDENTED
        assert addition.reason == "lists its repositories in a form that takes no further lines"
    else:
        assert yaml.safe_load(after)["repos"][-1]["hooks"][-1] == {"id": "prefect-register"}


@pytest.mark.parametrize(
    ("before", "stages"),
    [
        ("", "default_stages: [pre-commit]\n"),
        ("default_install_hook_types: [pre-commit, commit-msg]\n", "default_stages: [pre-commit, commit-msg]\n"),
        ("default_install_hook_types: 5\n", "default_stages: [pre-commit]\n"),
        ("default_install_hook_types: [pre-commit, pre-push]\n", ""),
        ("default_stages: [pre-push]\n", ""),
        ("default_stages: [commit]\n", ""),
    ],
)
def test_other_hooks_stay_where_they_run(tmp_path: Path, before: str, stages: str) -> None:
    hook = "repos:\n- repo: a\n  hooks:\n  - id: black\n  - {id: pytest, stages: [pre-push]}\n  - id: no-commit-to-branch\n"
    (tmp_path / ".pre-commit-config.yaml").write_text(before + hook)
    addition = hooks_addition(tmp_path, "u", "v1")
    assert addition.after == f"{before}{stages}{hook}{ENTRY}".encode()
    would = "hooks without `stages` would run at each push, too: black, no-commit-to-branch"
    assert addition.note == (f"{would}; `default_stages` keeps them where they run now" if stages else "")
    assert hooks_addition(tmp_path, "u", "v1", runs_at_push=True).after == f"{before}{hook}{ENTRY}".encode()


def test_other_hooks_are_named_where_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_text("repos: [{repo: a, hooks: [{id: x}, {id: x}, {id: y}]}]\n")
    assert hooks_addition(tmp_path, "u", "v1").note == (
        "hooks without `stages` would run at each push, too: x, y; write above `repos`: default_stages: [pre-commit]"
    )
    for some in ENTRY, ENTRY.replace("    - id: prefect-register\n", ""):
        path.write_text(f"repos:\n- repo: a\n  hooks: [{{id: x}}]\n{some}")
        assert hooks_addition(tmp_path, "u", "v1").note == (
            "hooks without `stages` run at each push, too: x; to run them in commits only, write above `repos`: "
            "default_stages: [pre-commit]"
        )


def test_some_of_the_hooks_are_completed_by_hand(found: Clone) -> None:
    found.commit({".pre-commit-config.yaml": "repos:\n- repo: x\n  hooks:\n  - id: prefect-validate\n"})
    _, out, _ = init(found, "--dry-run")
    assert out.endswith(
        "\n.pre-commit-config.yaml has some of the hooks already; paste by hand:\n\n"
        "      - id: prefect-check-pushed\n      - id: prefect-register\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[tool.git-prefect]\nstrict = true\n\n[[tool.git-prefect.target]]\n"),
        ("[project]\nname = 'x' # c", "[project]\nname = 'x' # c\n\n[tool.git-prefect]\nstrict = true\n\n[[tool.git-prefect.target]]\n"),
        ("a = 1\r\n", "a = 1\r\n\r\n[tool.git-prefect]\r\nstrict = true\r\n\r\n[[tool.git-prefect.target]]\r\n"),
        ("[tool.ruff]\n\n", "[tool.ruff]\n\n[tool.git-prefect]\nstrict = true\n\n[[tool.git-prefect.target]]\n"),
        ("tool = {ruff = {}}\n", None),
    ],
)  # fmt: skip
def test_settings_are_appended_and_nothing_else_changes(tmp_path: Path, before: str, after: str | None) -> None:
    (tmp_path / "pyproject.toml").write_bytes(before.encode())
    addition = settings_addition(tmp_path, ["strict = true", "", "[[target]]"])
    assert addition.after == (None if after is None else after.encode())
    assert addition.text == "[tool.git-prefect]\nstrict = true\n\n[[tool.git-prefect.target]]\n"


def test_settings_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.git-prefect]\n")
    assert settings_addition(tmp_path, ["strict = true"]).is_there
