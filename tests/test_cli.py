"""Bad input: a one-paragraph message with its remedy and the documented exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import prefect
import pytest

from git_prefect.cli import main
from git_prefect.core.findings import CODES
from git_prefect.report.invocation import executable, typed_here
from git_prefect.report.invocation import git_prefect as as_typed
from git_prefect.report.invocation import git_prefect as git_prefect_command

from .repository import Clone

FLOW = "from prefect import Flow, task\n\n@task\ndef one(): ...\n\nwith Flow('{name}') as flow:\n    one()\n"
HERE = f"(Prefect {prefect.__version__} in {sys.executable})"


def git_prefect(folder: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command run in a folder."""
    result = subprocess.run(
        [sys.executable, "-m", "git_prefect", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_PREFECT_PYTHON": sys.executable, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout, result.stderr


def in_push(work: Clone, **more: str) -> dict[str, str]:
    """The variables of pre-commit for a push of HEAD to `feature/x`."""
    return {
        "PRE_COMMIT": "1",
        "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/feature/x",
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/feature/x",
        "PRE_COMMIT_REMOTE_NAME": "origin",
        "PRE_COMMIT_REMOTE_URL": "https://example.com/r.git",
        "PRE_COMMIT_FROM_REF": work.head("HEAD~1"),
        "PRE_COMMIT_TO_REF": work.head(),
        **more,
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("flow = ['x']", "tool.git-prefect.flow: unknown key; known here: flows, exclude, python, import-roots, env,"),
        ("flows = 3", "tool.git-prefect.flows: expected a list, got a number"),
        ("timeout = -1", "tool.git-prefect.timeout: is in seconds and has to be above 0"),
        ("timeout = nan", "tool.git-prefect.timeout: is in seconds and has to be above 0"),
        ("flows = ['!']", "tool.git-prefect.flows: '!' is no pattern ("),
        ("import-roots = ['../x']", "tool.git-prefect.import-roots: names folders of the repository, and '../x' is"),
        ("companion-tag = '{tag}'", "tool.git-prefect.companion-tag: is a name of its own below which the tags are"),
        ("clone-url-secret = 'A'\ntoken-secret = 'B'", "tool.git-prefect.clone-url-secret: is the whole URL"),
        (
            "[tool.git-prefect.env]\n'A=' = 'x'",
            "tool.git-prefect.env.'A=': is no name and value that an environment can",
        ),
        ("storage = 'move'", 'tool.git-prefect.storage: is "keep" or "replace"'),
        ("env = {A = 1}", "tool.git-prefect.env.A: expected text, got a number"),
        (
            "[tool.git-prefect.target]\nbranch = 'x'",
            "tool.git-prefect.target: write [[tool.git-prefect.target]], with two",
        ),
        ("[[tool.git-prefect.target]]\nproject = 'x'", "tool.git-prefect.target[1]: needs either `branch` or `tag`"),
        (
            "[[tool.git-prefect.target]]\nbranch = 'x'\nproject = 'x'\n[[tool.git-prefect.target]]\nbranch = 'x'\nprojct = 'x'",
            "tool.git-prefect.target[2].projct: unknown key; known here: project, branch,",
        ),
        (
            "[[tool.git-prefect.runtime]]\nflows = []\nrun-config = {}",
            "tool.git-prefect.runtime[1].run-config.type: is one of DockerRun, ECSRun, KubernetesRun,",
        ),
        (
            "[[tool.git-prefect.target]]\nbranch = 'x'\nproject = 'x {nope}'",
            "tool.git-prefect.target[1].project: {nope} is not known; {branch}, {user} and {repo} are filled in",
        ),
        ("flows = [", "cannot be read as TOML"),
    ],
)
@pytest.mark.parametrize("pushing", [False, True])
def test_bad_settings_are_refused_with_the_keys_full_name(work: Clone, settings: str, said: str, pushing: bool) -> None:
    work.commit({"pyproject.toml": f"[tool.git-prefect]\n{settings}\n"})
    code, out, err = git_prefect(work.path, "validate", **(in_push(work) if pushing else {}))
    assert (code, out) == (2, "")
    message, hint = err.splitlines()
    assert message.startswith(f"git-prefect: pyproject.toml: {said}")
    assert hint.startswith("hint: mend ")
    assert "pyproject.toml" in hint


def test_outside_a_repository(tmp_path: Path) -> None:
    for command in ("validate", "check-pushed", "register", "status"):
        code, out, err = git_prefect(tmp_path, command)
        assert (code, out) == (2, "")
        assert err.splitlines()[1] == "hint: run this inside a clone of the repository that holds your flows"


def test_no_remote(work: Clone) -> None:
    work.git("remote", "remove", "origin")
    expected = (
        "git-prefect: this repository has no remote, and agents clone from one\n"
        "hint: add it with `git remote add origin URL`, then push\n"
    )
    assert git_prefect(work.path, "register") == (2, "", expected)
    assert git_prefect(work.path, "check-pushed") == (2, "", expected)


def test_a_detached_head(work: Clone) -> None:
    work.git("checkout", "--quiet", "--detach")
    expected = (
        "git-prefect: HEAD is detached and nothing says which branch or tag is meant\n"
        "hint: name it with --ref BRANCH-OR-TAG\n"
    )
    assert git_prefect(work.path, "register") == (2, "", expected)
    assert git_prefect(work.path, "check-pushed") == (2, "", expected)


def test_an_empty_repository(tmp_path: Path) -> None:
    made = Clone(tmp_path / "empty")
    made.path.mkdir()
    made.git("init", "--quiet")
    assert git_prefect(made.path, "validate") == (0, f"no flow files here {HERE}\n", "")
    made.git("remote", "add", "origin", str(tmp_path / "nowhere.git"))
    code, out, err = git_prefect(made.path, "register")
    assert (code, out) == (2, "")
    assert err == (
        "git-prefect: active branch main has no commit yet, so there is nothing to register\nhint: commit and push first\n"
    )


def test_no_flows(work: Clone) -> None:
    assert git_prefect(work.path, "validate") == (0, f"no flow files here {HERE}\n", "")


def test_files_that_do_not_exist(work: Clone) -> None:
    assert git_prefect(work.path, "validate", "nope.py") == (
        2,
        "",
        "git-prefect: nope.py: there is no such file here\n"
        "hint: name files from where you are, or none to check all flow files\n",
    )


LOADS = {
    "syntax": ("from prefect import Flow\nflow = Flow('x'\n", "does-not-load"),
    "exit": ("import sys\nfrom prefect import Flow\nflow = Flow('x')\nsys.exit(3)\n", "load-crashed"),
    "loop": ("from prefect import Flow\nflow = Flow('x')\nwhile True: pass\n", "load-timeout"),
    "reads": ("from prefect import Flow\nflow = Flow(input())\n", "does-not-load"),
}


def test_one_bad_file_hides_no_other(work: Clone) -> None:
    work.commit(
        {
            "pyproject.toml": "[tool.git-prefect]\ntimeout = 1\n",
            **{f"flows/{name}.py": source for name, (source, _) in LOADS.items()},
            "flows/good.py": FLOW.format(name="good"),
            "flows/loud.py": "print('x' * 10_000_000)\n" + FLOW.format(name="loud"),
        }
    )
    code, out, err = git_prefect(work.path, "validate", "--verbose")
    assert (code, err) == (1, "")
    for name, (_, finding) in LOADS.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"flows/{name}.py") and "[" in line]
        assert line.endswith(f"[{finding}]"), line
    assert "flows/good.py  good  1 task\nflows/loud.py  loud  1 task\n" in out
    assert out.splitlines()[-1] == f"2 flows in 2 files load as on an agent, 4 errors {HERE}"


def test_a_refusal_tells_what_is_beside_it_and_no_other_files_remarks(work: Clone) -> None:
    flow, register = FLOW.format(name="{}"), "flow.register('dev')\n"
    work.commit({"flows/old.py": flow.format("old") + register})
    work.git("push", "--quiet")
    work.commit({"flows/new.py": flow.format("new") + register + "flow.nothing()\n"})
    line = flow.count("\n") + 1
    assert git_prefect(work.path, "validate", **in_push(work)) == (
        1,
        f"flows/new.py:{line + 1}: does not load: AttributeError: 'Flow' object has no attribute 'nothing'; every run would "
        "fail before its first task [does-not-load]\n        flow.nothing()\n"
        f"  hint: mend it; `{as_typed('explain', 'does-not-load')}` tells how agents load a file\n"
        f"flows/new.py:{line}: warning: calls flow.register() when it is executed; agents ignore it, by hand it registers "
        "the flow with another storage [registers-on-import]\n  hint: remove the call: a push registers the flow\n"
        "push refused: 1 error in what this push changes or breaks; nothing was sent to origin. To push all the same: "
        "SKIP=prefect-validate git push\n",
        "",
    )


def test_a_module_that_the_hooks_own_environment_lacks_refuses_nothing(work: Clone) -> None:
    work.commit({"flows/absent.py": "import no_such_module\n" + FLOW.format(name="absent")})
    code, out, err = git_prefect(work.path, "validate")
    assert (code, err) == (1, ""), "by hand, nothing checked is no success"
    assert out.startswith(
        f"warning: Python {sys.version.split()[0]} with Prefect {prefect.__version__}, {sys.executable}: 'no_such_module' is not installed in the hook's own environment; "
        "1 flow file is unchecked [environment-broken]\n  hint: install prefect<2, marshmallow<4 and what the flows import there, or let "
        "the setting `python` name another interpreter\n"
    )
    assert git_prefect(work.path, "validate", **in_push(work))[0] == 0


def test_an_unknown_interpreter(work: Clone) -> None:
    work.commit({"flows/good.py": FLOW.format(name="good")})
    code, out, err = git_prefect(work.path, "validate", GIT_PREFECT_PYTHON="/no/such/python")
    assert (code, out) == (2, "")
    assert "/no/such/python" in err
    assert "\nhint: " in err


def test_an_interpreter_without_prefect(work: Clone, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    work.commit({"flows/good.py": FLOW.format(name="good"), "flows/more.py": FLOW.format(name="more")})
    bare = str(tmp_path / "bare" / "bin" / "python")
    code, out, err = git_prefect(work.path, "validate", GIT_PREFECT_PYTHON=bare)
    assert (code, err) == (1, "")
    assert out.count("[environment-broken]") == 1
    assert out.splitlines()[-1].startswith("0 flows in 0 files load as on an agent, 2 files unchecked (")
    assert bare in out


def test_an_api_that_is_down_or_is_none(work: Clone) -> None:
    work.commit(
        {
            "flows/good.py": FLOW.format(name="good"),
            "pyproject.toml": '[tool.git-prefect]\nclone-url-secret = "U"\n'
            '[[tool.git-prefect.target]]\nbranch = "**"\nproject = "p"\n',
        }
    )
    work.git("push", "--quiet")
    code, out, err = git_prefect(
        work.path, "register", PREFECT__BACKEND="server", PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9"
    )
    assert (code, out) == (4, "")
    assert err == (
        "git-prefect: the Prefect API at http://127.0.0.1:9 is out of reach: no connection\nhint: "
        + typed_here("is it the right one? It is set by `prefect backend …` and PREFECT__SERVER__ENDPOINT\n")
    )


def test_a_path_as_remote_needs_the_clone_url_secret(work: Clone, remote: Path) -> None:
    work.commit({"pyproject.toml": '[[tool.git-prefect.target]]\nbranch = "**"\nproject = "p"\n'})
    work.git("push", "--quiet")
    assert git_prefect(work.path, "register") == (
        2,
        "",
        f"git-prefect: {remote}: Prefect's Git storage cannot say where this remote is: it is a path on this machine, "
        "which agents elsewhere do not have\n"
        'hint: set `clone-url-secret = "GIT_CLONE_URL"`, and give agents that secret:\n'
        f"    Prefect Server, where the agent runs: export PREFECT__CONTEXT__SECRETS__GIT_CLONE_URL=file://{remote}\n"
        "    Prefect Cloud: python -c 'import prefect; "
        f'prefect.Client().set_secret("GIT_CLONE_URL", "file://{remote}")\'\n',
    )


def test_skipping_all(work: Clone) -> None:
    assert git_prefect(work.path, "validate", GIT_PREFECT_SKIP="1") == (
        0,
        "git-prefect: validate skipped, since GIT_PREFECT_SKIP is set\n",
        "",
    )


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    code, out, err = git_prefect(tmp_path, "registr")
    assert (code, out) == (2, "")
    command = f"{git_prefect_command()} register"
    assert err == f"git-prefect: there is no command 'registr'\nhint: did you mean {command}\n"
    assert git_prefect(tmp_path, "check_pushed", "--ref", "main")[2].splitlines()[1].endswith(" check-pushed --ref main")
    # Nothing is like it.
    code, out, err = git_prefect(tmp_path, "deploy")
    assert (code, out) == (2, "")
    assert err.startswith("git-prefect: there is no command 'deploy'\n\n")
    assert "git prefect register" in err
    # So are the names of findings.
    code, out, err = git_prefect(tmp_path, "explain", "does-not-loads")
    assert (code, out, err) == (
        2, "", f"git-prefect: there is no finding 'does-not-loads'\nhint: did you mean {git_prefect_command()} explain does-not-load\n",
    )  # fmt: skip


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["validate"]) == 2
    assert capsys.readouterr().err == "git-prefect: Windows itself is not supported\nhint: use WSL\n"


def test_a_bug_of_ours_ends_with_the_path_of_its_log(
    work: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(argv: object) -> int:
        raise ZeroDivisionError("https://ada:s3cret@h/r")

    monkeypatch.setattr("git_prefect.commands.status.main", broken)
    assert main(["status"]) == 70
    message, hint = capsys.readouterr().err.splitlines()
    log = Path(message.split("traceback is in ")[1])
    text = log.read_text()
    log.unlink()
    assert "ZeroDivisionError: https://h/r" in text
    assert hint.startswith("hint: please report it with that file")


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("git_prefect.commands.status.main", interrupted)
    assert main(["status"]) == 130


def test_what_is_set_on_this_machine_is_named_as_such(work: Clone) -> None:
    assert git_prefect(work.path, "validate", GIT_PREFECT_TIMEOUT="0") == (
        2,
        "",
        "git-prefect: GIT_PREFECT_TIMEOUT: is in seconds and has to be above 0\nhint: mend or unset GIT_PREFECT_TIMEOUT\n",
    )
    work.git("config", "prefect.timout", "3")
    assert git_prefect(work.path, "validate") == (
        2,
        "",
        "git-prefect: git config prefect.timout: unknown key; known here: python, timeout, token-secret, token-username, "
        "clone-url-secret\nhint: mend it, or take it out with `git config --unset prefect.timout`\n",
    )


def test_an_encoding_that_cannot_show_everything_ends_nothing(work: Clone) -> None:
    work.commit({"flows/good.py": FLOW.format(name="größe → gut")})
    code, out, err = git_prefect(work.path, "validate", "-v", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == r"flows/good.py  gr\xf6\xdfe \u2192 gut  1 task"


def test_a_branch_and_a_tag_of_one_name(work: Clone) -> None:
    work.git("branch", "v7")
    work.git("tag", "v7")
    assert git_prefect(work.path, "check-pushed", "--ref", "v7") == (
        2,
        "",
        "git-prefect: --ref=v7: there are a branch and a tag of this name\n"
        "hint: name one: refs/heads/v7 or refs/tags/v7\n",
    )


def test_a_remote_that_does_not_exist(work: Clone) -> None:
    assert git_prefect(work.path, "check-pushed", "--remote", "nope") == (
        2,
        "",
        "git-prefect: there is no remote 'nope' here\nhint: name one of: origin\n",
    )


def test_a_url_as_remote_is_shown_without_its_credentials(work: Clone) -> None:
    code, out, err = git_prefect(
        work.path, "register", "--remote", "http://ada:s3cret@127.0.0.1:9/r.git", "--ref", "main"
    )
    assert code == 4
    assert "s3cret" not in out + err
    assert "http://127.0.0.1:9/r.git" in err


def test_a_bare_repository(work: Clone, remote: Path) -> None:
    assert git_prefect(remote, "validate") == (
        2,
        "",
        "git-prefect: a bare repository has no work tree to check\n"
        "hint: name what to check: git prefect validate --ref REF\n",
    )


def test_no_push_ever_stores_or_shows_a_credential(work: Clone) -> None:
    url = "http://ada:s3cret-t0ken@127.0.0.1:9/r.git?private_token=s3cret-t0ken"
    work.commit(
        {
            "flows/good.py": FLOW.format(name="good"),
            "pyproject.toml": '[tool.git-prefect]\nclone-url-secret = "U"\n'
            '[[tool.git-prefect.target]]\nbranch = "**"\nproject = "p"\n',
        }
    )
    pushing = in_push(work, PRE_COMMIT_REMOTE_NAME=url, PRE_COMMIT_REMOTE_URL=url, CI="1")
    said = [git_prefect(work.path, command, **pushing) for command in ("validate", "check-pushed", "register")]
    assert [code for code, _, _ in said] == [0, 0, 0]
    said.append(git_prefect(work.path, "status"))
    assert said[-1][0] == 3
    assert re.match(
        rf"http://127\.0\.0\.1:9/r\.git/feature/x at {work.head()[:7]}: not arrived \d+ s ago: "
        r"pushed by URL, and http://127\.0\.0\.1:9/r\.git: the remote could not be asked \(",
        said[-1][1].splitlines()[2],
    )
    assert "s3cret-t0ken" not in repr(said)
    state = Path(work.repository.state_dir)
    kept = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not any(b"s3cret-t0ken" in content for content in kept)


def test_a_tag_that_is_not_here_is_fetched_first(work: Clone) -> None:
    work.git("tag", "v3")
    work.git("push", "--quiet", "origin", "v3")
    work.git("tag", "-d", "v3")
    assert git_prefect(work.path, "validate", "--ref", "v3") == (
        2,
        "",
        "git-prefect: v3 is on origin, but not here\nhint: fetch it first: git fetch origin --tags\n",
    )


def test_a_finding_is_explained(tmp_path: Path) -> None:
    code, out, err = git_prefect(tmp_path, "explain", "annotated-tag")
    about = CODES["annotated-tag"]
    told = " ".join(out.split())
    assert (code, err) == (0, "")
    assert told == " ".join(f"annotated-tag (error) {about.meaning} {about.reason} {about.remedy}".split())
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = git_prefect(tmp_path, "explain")
    assert [line.split()[0] for line in out.splitlines()] == list(CODES)
    code, out, err = git_prefect(tmp_path, "explain", "nope")
    assert (code, out) == (2, "")
    assert err.startswith("git-prefect: there is no finding 'nope'\nhint: one of: does-not-load, ")


def test_no_target_is_told_with_its_remedy_every_time(work: Clone) -> None:
    work.commit({"flows/good.py": FLOW.format(name="good")})
    pushing = in_push(work, CI="1")
    expected = (
        "origin/feature/x: not registered, no target takes it [no-target]\n"
        '  hint: add a target with branch = "feature/x" and a project to the settings; which target takes what: '
        f"{as_typed('register', '--explain', '--ref', 'feature/x')}\n"
    )
    assert git_prefect(work.path, "register", **pushing) == (0, expected, "")
    assert git_prefect(work.path, "validate", **pushing)[0] == 0
    assert git_prefect(work.path, "register", **pushing) == (0, expected, "")


def test_settings_that_are_not_committed_are_what_is_missing(work: Clone) -> None:
    work.commit({"flows/good.py": FLOW.format(name="good")})
    (work.path / ".git-prefect.toml").write_text('[[target]]\nbranch = "**"\nproject = "dev"\n')
    hint = "commit and push .git-prefect.toml: as it is here it has a target for {}"
    assert git_prefect(work.path, "register", "--dry-run") == (
        2,
        "",
        "git-prefect: main: no target takes this branch, so it is not registered [no-target]\n"
        f"hint: {hint.format('main')}, or use --project\n",
    )
    assert git_prefect(work.path, "register", "--explain") == (
        1,
        "origin/main (from active branch), settings: defaults\n"
        f"  there is no target, so no ref is registered [no-target]\n    hint: {hint.format('main')}\n",
        "",
    )
    pushing = in_push(work, CI="1")
    explained = as_typed("register", "--explain", "--ref", "feature/x")
    assert git_prefect(work.path, "register", **pushing) == (
        0,
        "origin/feature/x: not registered, no target takes it [no-target]\n"
        f"  hint: {hint.format('feature/x')}; which target takes what: {explained}\n",
        "",
    )


def test_what_only_git_calls_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arrived"]) == 2
    assert capsys.readouterr().err == (
        "git-prefect: arrived is called by git, inside a push that waits to be registered\n"
        f"hint: to register what waits now: {as_typed('register', '--pending')}\n"
    )


def test_a_trigger_whose_watcher_is_gone_lets_the_push_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arrived", str(tmp_path / "gone")]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_folder_is_all_flow_files_below_it(work: Clone) -> None:
    bad = FLOW.format(name="bad") + "1 / 0\n"
    work.write({"flows/a.py": FLOW.format(name="a"), "flows/deep/b.py": bad, "other/c.py": bad.replace("bad", "c")})
    for folder, below in ("flows", (1, 1)), ("flows/deep/", (0, 1)), (".", (1, 2)):
        code, out, _ = git_prefect(work.path, "validate", folder)
        good, errors = below
        loaded = f"{good} flow in 1 file loads" if good else "0 flows in 0 files load"
        said = f"{loaded} as on an agent, {errors} error{'s' if errors > 1 else ''} {HERE}"
        assert (code, out.splitlines()[-1]) == (1, said)
    code, out, _ = git_prefect(work.path / "flows", "validate", "deep")
    assert (code, out.splitlines()[-1]) == (1, f"0 flows in 0 files load as on an agent, 1 error {HERE}")


def test_names_that_are_no_text_are_told_in_json(work: Clone) -> None:
    (work.path / os.fsdecode(b"lat\xe9.py")).write_text(FLOW.format(name="etl"))
    code, out, _ = git_prefect(work.path, "validate", "--format", "json")
    assert (code, [one["path"] for one in json.loads(out)["flows"]]) == (0, ["lat\udce9.py"])


def test_settings_of_pyproject_in_a_file_of_their_own(work: Clone) -> None:
    work.commit({".git-prefect.toml": "[[tool.git-prefect.runtime]]\nflows = ['**']\n"})
    assert git_prefect(work.path, "register", "--explain") == (
        2,
        "",
        "git-prefect: .git-prefect.toml: tool: unknown key; the settings are at the top level of this file\n"
        "hint: write [[runtime]] and [[target]] in .git-prefect.toml: [[tool.git-prefect.…]] is for pyproject.toml\n",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_ends_a_validation_ends_all_that_it_has_started(work: Clone, tmp_path: Path, number: signal.Signals) -> None:
    begun, temporary = tmp_path / "begun", tmp_path / "temporary"
    temporary.mkdir()
    detaches = f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    open({str(begun)!r}, 'w').write(f'{{os.getpid()}}.')\ntime.sleep(600)\n"
    work.write({"a.py": detaches + FLOW.format(name="a")})
    process = subprocess.Popen(
        [sys.executable, "-m", "git_prefect", "validate"], cwd=work.path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "GIT_PREFECT_PYTHON": sys.executable, "TMPDIR": str(temporary)},
    )  # fmt: skip
    while not (begun.exists() and begun.read_text().endswith(".")):
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, b"")
    assert os.listdir(temporary) == []
    assert not Path("/proc", begun.read_text()[:-1]).exists()


def test_prefects_own_command_is_named_where_no_shell_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with pipx, which puts git-prefect on PATH and not what it needs."""
    hint = "log in with `prefect auth login --key KEY`, or see `git prefect doctor`"
    monkeypatch.delenv("PRE_COMMIT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("git-prefect", "prefect"):
        (tmp_path / name).symlink_to(sys.executable)
        typed = hint if name == "prefect" else hint.replace("`prefect", f"`{executable('prefect')}")
        assert typed_here(hint) == typed


def test_prefects_own_command_is_short_where_a_shell_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pre-commit puts the hook's environment first on PATH, which no shell of the user has: what comes after it counts."""
    (tmp_path / "prefect").symlink_to(sys.executable)
    hint = "log in with `prefect auth login --key KEY`"
    hook = f"{sys.prefix}/bin"
    long = hint.replace("`prefect", f"`{executable('prefect')}")
    for by_pre_commit, path, typed in (
        (False, hook, hint), (True, hook, long), (True, f"{hook}:{tmp_path}", hint), (False, str(tmp_path), hint), (False, "/nowhere", long),
    ):  # fmt: skip
        monkeypatch.setenv("PATH", path)
        monkeypatch.delenv("PRE_COMMIT", raising=False)
        if by_pre_commit:
            monkeypatch.setenv("PRE_COMMIT", "1")
        assert typed_here(hint) == typed, path
