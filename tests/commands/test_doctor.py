"""git prefect doctor, on a real repository, a real API and agents that registered themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import jsonschema
import msgspec
import prefect
import pytest
from prefect.utilities.configuration import set_temporary_config

from git_prefect import __version__, git
from git_prefect.core.results import Check
from git_prefect.core.settings import Keys
from git_prefect.deploy.commit_settings import settings_at
from git_prefect.deploy.diagnosis import machine, settings_origins
from git_prefect.deploy.diagnosis import remote as remotes
from git_prefect.devserver.process import running
from git_prefect.flows import interpreter
from git_prefect.git import refs
from git_prefect.report.invocation import executable

from ..repository import Clone, clone, known_checks

FLOW = "from prefect import Flow, task\n\n@task\ndef one(): ...\n\nwith Flow('etl') as flow:\n    one()\n"
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "GIT_CLONE_URL"
env = {{ DB_PASSWORD = "dummy" }}

[[tool.git-prefect.target]]
branch = "main"
project = "{project}"
labels = ["{label}"]
create-project = true
"""

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """The URL of a Prefect API."""
    with running() as url:
        yield url


@pytest.fixture
def with_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`git prefect` is on PATH, as hints take it to be."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def desk(
    work: Clone, remote: Path, api: str, with_command: None, monkeypatch: pytest.MonkeyPatch, checks: Path
) -> Iterator[Clone]:
    """A clone where all is well but for the agents: hook, settings, flow, remote, secret and API."""
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api)
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__GIT_CLONE_URL", f"file://{remote}")
    (work.path / ".venv").symlink_to(sys.prefix)
    label = work.path.parent.name.replace("_", "-")
    work.commit({"flows/etl.py": FLOW, "pyproject.toml": SETTINGS.format(project=f"p-{label}", label=label)})
    work.git("push", "--quiet")
    work.git("prefect", "install")
    with known_checks(work, checks):
        yield work


def doctor(clone: Clone, *arguments: str) -> tuple[int, str]:
    """Exit code and output; nothing is said on stderr."""
    result = subprocess.run(
        ["git-prefect", "doctor", *arguments], cwd=clone.path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert result.stderr == ""
    return result.returncode, result.stdout


def told(printed: str, name: str) -> str:
    """What is said of one thing, as one line, with its mark."""
    lines: list[str] = []
    for line in printed.splitlines():
        if line[2:15].strip():
            inside = line[2:].startswith(f"{name} ")
        if not line:
            break
        if inside:
            lines.append(line[15:].strip() if lines else f"{line[0]} {line[15:]}")
    return " ".join(lines)


def an_agent(api: str, label: str) -> None:
    """An agent that registers itself and asks for runs once, as Prefect's own do."""
    with set_temporary_config({"backend": "server", "server.endpoint": api, "cloud.api": api}):
        _register(prefect.Client(), label)


def _register(client: prefect.Client, label: str) -> None:
    agent = client.register_agent(agent_type="LocalAgent", name="worker-1", labels=[label])
    client.attach_headers({"X-PREFECT-AGENT-ID": agent})
    client.graphql(
        "mutation($input: get_runs_in_queue_input!) { get_runs_in_queue(input: $input) { flow_run_ids } }",
        variables={"input": {"tenant_id": client.tenant_id, "labels": [label]}},
    )


def test_all_is_well(desk: Clone, remote: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    label = desk.path.parent.name.replace("_", "-")
    an_agent(api, label)
    code, printed = doctor(desk)
    python = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    lines = printed.splitlines()
    assert told(printed, "git-prefect") == f"  {__version__}, {python}, {executable()}"
    assert told(printed, "git") == f"  {desk.git('--version').split()[2]}"
    assert told(printed, "hooks") == "  pre-push: git-prefect's"
    assert told(printed, "interpreter").startswith(f"  {python} with Prefect {version('prefect')},")
    # A path or an address is never broken, however long it is: nothing else makes a line too long.
    long = [line for line in lines if len(line) > 80]
    assert all(max(map(len, line[15:].split())) > 80 - 15 - 2 for line in long)
    head = desk.head()[:7]
    rest = printed[printed.index("  settings ") :]
    tenant, took = rest.split("default, ")[1].split("\n")[0], rest.split("etl, in ")[1].split("\n")[0]
    seen = rest.split(", seen ")[1].split("\n")[0] if ", seen " in rest else ""
    keys = [field.encode_name for field in msgspec.structs.fields(Keys)]
    expected = (
        "settings env = {DB_PASSWORD}, values not shown (pyproject.toml) "
        'clone-url-secret = "GIT_CLONE_URL" (pyproject.toml) '
        "target = 1 of them (pyproject.toml) "
        f"default: {', '.join(key for key in keys if key not in ('env', 'clone-url-secret', 'target'))} "
        "flows 1 flow in 1 file can be registered "
        f"ref branch main at {head} (from active branch) target → project p-{label} "
        f"api {api} (backend server, Prefect {prefect.__version__} here) "
        f"Prefect Server {rest.split('Prefect Server ')[1].splitlines()[0]} "
        f"tenant default, {tenant} "
        f"project p-{label} is created with the first registration "
        f"remote origin, {remote} has main at {head}, as here its default branch is main "
        "storage the URL in the secret GIT_CLONE_URL "
        "token GIT_CLONE_URL is there "
        f"clone cloned as an agent does it, and loaded etl, in {took} "
        f"agents worker-1 (LocalAgent), label {label}, seen {seen} "
        f"runs with label {label}: 1 agent would take them "
        "all is well"
    )
    assert " ".join(rest.split()) == expected
    assert code == 0


def test_no_agent_has_the_label(desk: Clone) -> None:
    label = desk.path.parent.name.replace("_", "-")
    code, printed = doctor(desk)
    assert code == 1
    assert printed.endswith("\n1 of 15 wrong: agents\n")
    assert told(printed, "agents").endswith(
        f"no agent has the label {label}: runs would wait forever "
        f"hint: prefect agent local start --no-hostname-label --label {label}"
    )


def test_an_agent_that_takes_runs_and_cannot_run_them(desk: Clone, api: str) -> None:
    label = desk.path.parent.name.replace("_", "-")
    desk.commit(
        {"flows/etl.py": FLOW + "from prefect.run_configs import DockerRun\nflow.run_config = DockerRun(image='x')\n"}
    )
    desk.git("push", "--quiet", "--no-verify")
    an_agent(api, label)
    _, printed = doctor(desk)
    assert (
        f"worker-1 (LocalAgent) takes runs with label {label} and cannot run a DockerRun: they would fail "
        f"hint: give it other labels; prefect agent docker start --label {label}"
    ) in told(printed, "agents")
    assert told(printed, "pushes") == (
        f"! origin/main at {desk.head()[:7]}: pushed without our hook (--no-verify, or the hook was replaced), so neither checked "
        "nor registered hint: git prefect register --remote origin --ref main"
    )
    assert printed.endswith("wrong: pushes, agents\n")


def test_as_json_it_is_the_same(desk: Clone) -> None:
    code, printed = doctor(desk, "--format", "json")
    report = json.loads(printed)
    jsonschema.validate(report, SCHEMA)
    assert (code, report["command"], report["exit"]) == (1, "doctor", 1)
    assert [check["name"] for check in report["checks"]] == [
        "git-prefect", "git", "hooks", "interpreter", "settings", "flows", "ref", "api", "tenant", "project", "remote",
        "storage", "token", "clone", "agents",
    ]  # fmt: skip
    assert [one["code"] for one in report["findings"]] == ["agents"]
    assert "dummy" not in printed


def test_nothing_is_there(work: Clone, with_command: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository without hooks, settings, flows, agents and API: everything is said, and nothing breaks."""
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", "http://127.0.0.1:9")
    code, printed = doctor(work)
    assert code == 1
    assert printed.endswith("\n3 of 12 wrong: hooks, api, storage\n")
    assert told(printed, "hooks") == (
        "! pre-push: none no flow is checked and nothing is registered at a push hint: git prefect install, or the hooks "
        "of pre-commit: git prefect init"
    )
    assert told(printed, "ref").endswith(
        "no target takes it, so it is never registered why: git prefect register --explain"
    )
    assert told(printed, "api").startswith(
        "! the Prefect API at http://127.0.0.1:9 is out of reach: no connection hint: "
    )
    assert told(printed, "clone") == "  not tried, for what is wrong with the storage"


def test_without_a_remote_or_a_branch(tmp_path: Path, with_command: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "new")], check=True)
    made = Clone(tmp_path / "new")
    code, printed = doctor(made)
    assert code == 1
    assert told(printed, "ref") == (
        "! this repository has no remote, and agents clone from one hint: add it with `git remote add origin URL`, then push"
    )


def test_settings_that_are_wrong(desk: Clone) -> None:
    desk.commit({"pyproject.toml": "[tool.git-prefect]\nflow = ['x']\n"})
    code, printed = doctor(desk)
    assert code == 1
    assert told(printed, "ref").startswith(
        "! pyproject.toml: tool.git-prefect.flow: unknown key; known here: flows, exclude,"
    )


def test_settings_that_are_not_committed(desk: Clone) -> None:
    path = desk.path / "pyproject.toml"
    path.write_text(f"{path.read_text()}# more\n")
    code, printed = doctor(desk)
    assert code == 1
    assert told(printed, "settings").endswith(
        " pyproject.toml is not committed as it is here: a push goes by what is committed "
        "hint: git add pyproject.toml && git commit"
    )


def test_where_each_setting_comes_from(work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    work.commit({"pyproject.toml": "[tool.git-prefect]\nclone-url-secret = 'U'\nstrict = true\n"})
    monkeypatch.setenv("GIT_PREFECT_TIMEOUT", "12")
    work.git("config", "prefect.tokenSecret", "OTHER_TOKEN")
    repository = work.repository
    told = settings_origins.settings(
        settings_at(repository, work.head(), "origin"), git.machine_settings(repository), os.environ
    )
    assert told.facts[:-1] == (
        "timeout = 12.0 (GIT_PREFECT_TIMEOUT)",
        "strict = true (pyproject.toml)",
        'token-secret = "OTHER_TOKEN" (git config prefect.tokensecret)',
    )
    assert told.facts[-1].startswith("default: flows, exclude, python, import-roots, env, default-branch, ssh, ")


def test_a_branch_that_is_not_pushed_and_one_that_is_behind(desk: Clone) -> None:
    desk.git("switch", "--quiet", "--create", "feature/x")
    _, printed = doctor(desk)
    assert told(printed, "remote").endswith(
        "origin/feature/x does not exist there, and agents clone from there hint: git push origin feature/x"
    )
    assert told(printed, "clone") == "  not tried, for what is wrong with the remote"
    desk.git("switch", "--quiet", "main")
    before = desk.head()[:7]
    desk.commit({"README": "more"})
    assert f"has main at {before}, here it is at {desk.head()[:7]}" in remote_of(desk).facts


def test_a_secret_that_is_missing(desk: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT__CONTEXT__SECRETS__GIT_CLONE_URL")
    _, printed = doctor(desk)
    token = told(printed, "token")
    assert token.startswith(
        "! the Prefect secret GIT_CLONE_URL is not set in this environment; an agent without it cannot"
    )
    assert f"export PREFECT__CONTEXT__SECRETS__GIT_CLONE_URL=file://{remote}" in token
    assert told(printed, "clone") == "  not tried, for what is wrong with the token"


def remote_of(clone: Clone) -> Check:
    """What is said of the remote of the active branch."""
    return remotes.remote_has_ref(clone.repository, refs.by_hand(clone.repository, {}, None, "origin"))[0]


def test_a_default_branch_that_the_remote_lacks(work: Clone, remote: Path) -> None:
    subprocess.run(["git", "-C", str(remote), "symbolic-ref", "HEAD", "refs/heads/gone"], check=True)
    found = remote_of(work)
    assert (found.problem, found.remedy, found.code) == (
        f"{remote}: its default branch does not exist there, and agents with dulwich 0.24 or older cannot clone such a "
        "repository at all",
        "push that branch, or choose another default branch in the host's settings",
        "clone-fails",
    )


def test_a_project_that_does_not_exist(desk: Clone) -> None:
    desk.commit(
        {"pyproject.toml": SETTINGS.format(project="nowhere", label="x").replace("create-project = true\n", "")}
    )
    desk.git("push", "--quiet", "--no-verify")
    assert told(doctor(desk)[1], "project") == (
        "! nowhere does not exist, so nothing can be registered hint: `prefect create project nowhere`, or `create-project = "
        "true` in the target"
    )


def test_flows_that_do_not_load(desk: Clone) -> None:
    desk.commit({"flows/broken.py": "from prefect import Flow\nflow = Flow('b')\nflow.nothing()\n"})
    assert told(doctor(desk)[1], "flows") == (
        "! 1 flow in 2 files can be registered 1 error, first of all flows/broken.py:3: does not load: AttributeError: "
        "'Flow' object has no attribute 'nothing'; every run would fail before its first task [does-not-load] hint: git prefect validate --ref main"
    )


def test_a_name_of_ssh_alone(work: Clone, world: Path) -> None:
    (world / "config").write_text("Host git.alias\n    HostName 127.0.0.1\n    Port 9\n")
    work.git("config", "core.sshCommand", f"ssh -F {world}/config")
    work.git("remote", "set-url", "origin", "git@git.alias:team/etl.git")
    found = remote_of(work)
    assert found.facts == (
        "origin, git@git.alias:team/etl.git",
        "git.alias is ssh's name here for 127.0.0.1: agents need the same entry in ~/.ssh/config",
    )
    assert found.problem.startswith("origin: the remote could not be asked (")


PRE_COMMIT = """\
repos:
  - repo: local
    hooks:
{hooks}
"""


def pre_commit(clone: Clone, *hooks: str) -> None:
    """The real pre-commit, installed with a configuration that has these hooks."""
    entries = "\n".join(f"      - {{id: {one}, name: x, language: system, entry: 'true'}}" for one in hooks)
    clone.write({".pre-commit-config.yaml": PRE_COMMIT.format(hooks=entries)})
    command = [sys.executable, "-m", "pre_commit", "install", "--hook-type", "pre-push"]
    subprocess.run(command, cwd=clone.path, check=True, capture_output=True)


OURS = ("prefect-validate", "prefect-check-pushed", "prefect-register")
NOTHING = "no flow is checked and nothing is registered at a push"


def native(clone: Clone, command: str) -> None:
    """`git prefect install` or `uninstall`."""
    subprocess.run([sys.executable, "-m", "git_prefect", command], cwd=clone.path, check=True, capture_output=True)


def test_the_hooks_of_pre_commit_with_ours_and_without(work: Clone, with_command: None) -> None:
    pre_commit(work, *OURS)
    configured = f"in .pre-commit-config.yaml: {', '.join(OURS)}"
    unseen = "tags, and more than one ref of a push, are not seen; git prefect install shows them all"
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: pre-commit's", configured, unseen))
    native(work, "install")
    assert machine.hooks(work.repository) == Check(
        "hooks", ("pre-push: pre-commit's", "pre-push.legacy: git-prefect's", configured)
    )
    native(work, "uninstall")
    pre_commit(work, "prefect-validate")
    assert machine.hooks(work.repository) == Check(
        "hooks", ("pre-push: pre-commit's", "in .pre-commit-config.yaml: prefect-validate"),
        "prefect-check-pushed and prefect-register are not run at a push",
        "add them to .pre-commit-config.yaml (git prefect init shows how)",
    )  # fmt: skip
    pre_commit(work, "black")
    assert machine.hooks(work.repository) == Check(
        "hooks",
        ("pre-push: pre-commit's",),
        NOTHING,
        "git prefect install, or the hooks of pre-commit: git prefect init",
    )
    (work.path / ".git" / "hooks" / "pre-push").unlink()
    work.write({".pre-commit-config.yaml": PRE_COMMIT.format(hooks="      - {id: prefect-validate}")})
    assert machine.hooks(work.repository) == Check(
        "hooks", ("pre-push: none", "in .pre-commit-config.yaml: prefect-validate"), NOTHING,
        "pre-commit install --install-hooks --hook-type pre-push && git prefect install",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("here", "steps"),
    [
        (("pre-commit", "prek"), "pre-commit install --install-hooks --hook-type pre-push && git prefect install"),
        (("pre-commit",), "pre-commit install --install-hooks --hook-type pre-push && git prefect install"),
        (("prek",), "prek install --prepare-hooks --hook-type pre-push && git prefect install"),
        ((), "pipx install pre-commit && pre-commit install --install-hooks --hook-type pre-push && git prefect install"),
    ],
)
@pytest.mark.parametrize("has_native", [False, True])
def test_the_clone_of_a_second_developer_gets_the_steps_that_are_missing(
    work: Clone, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: tuple[str, ...], steps: str, has_native: bool
) -> None:
    entries = "\n".join(f"      - {{id: {one}, name: x, language: system, entry: 'true'}}" for one in OURS)
    work.commit({".pre-commit-config.yaml": PRE_COMMIT.format(hooks=entries)})
    work.git("push", "--quiet", "--no-verify")
    second = clone(remote, tmp_path / "second")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("git", "sh", "dirname", "cat", "env"):
        (bin_folder / name).symlink_to(shutil.which(name) or "")
    for name in ("git-prefect", *here):
        (bin_folder / name).symlink_to(Path(sys.executable).parent / name)
    monkeypatch.setenv("PATH", str(bin_folder))
    configured = f"in .pre-commit-config.yaml: {', '.join(OURS)}"
    assert machine.hooks(second.repository) == Check("hooks", ("pre-push: none", configured), NOTHING, steps)
    if has_native:
        # Of the two halves one is enough for a push to be checked.
        native(second, "install")
        assert machine.hooks(second.repository) == Check("hooks", ("pre-push: git-prefect's",))
    if not here or has_native:
        return
    # Typed as they are, nothing is missing.
    subprocess.run(["sh", "-c", steps], cwd=second.path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert machine.hooks(second.repository) == Check(
        "hooks", (f"pre-push: {here[0]}'s", "pre-push.legacy: git-prefect's", configured)
    )


def test_where_another_tool_owns_the_hooks_its_file_is_named(work: Clone, tmp_path: Path, with_command: None) -> None:
    entries = "\n".join(f"      - {{id: {one}, name: x, language: system, entry: 'true'}}" for one in OURS)
    work.write({".pre-commit-config.yaml": PRE_COMMIT.format(hooks=entries)})
    work.git("config", "core.hooksPath", ".husky/_")
    (work.path / ".husky" / "_").mkdir(parents=True)
    # pre-commit refuses to install there.
    command = [sys.executable, "-m", "pre_commit", "install", "--hook-type", "pre-push"]
    assert subprocess.run(command, cwd=work.path, capture_output=True).returncode == 1
    found = machine.hooks(work.repository)
    assert (found.problem, found.remedy) == (NOTHING, f'add this line to {work.path}/.husky/pre-push: git prefect pre-push "$@"')


def test_hooks_of_others_and_elsewhere(work: Clone, tmp_path: Path, with_command: None) -> None:
    hook = work.path / ".git" / "hooks" / "pre-push"
    either = "git prefect install, or the hooks of pre-commit: git prefect init"
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: none",), NOTHING, either)
    native(work, "install")
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: git-prefect's",))
    hook.chmod(0o644)
    assert machine.hooks(work.repository) == Check(
        "hooks", ("pre-push: git-prefect's",), f"{hook} is not executable, so git skips it", f"chmod +x {hook}"
    )
    hook.write_text("#!/bin/sh\n# File generated by prek: https://prek.j178.dev\n")
    hook.chmod(0o755)
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: prek's",), NOTHING, either)
    native(work, "install")
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: prek's", "pre-push.legacy: git-prefect's"))
    native(work, "uninstall")
    hook.write_text("#!/bin/sh\ntrue\n")
    assert machine.hooks(work.repository) == Check("hooks", ("pre-push: somebody else's",), NOTHING, either)
    native(work, "install")
    assert machine.hooks(work.repository) == Check(
        "hooks", ("pre-push: git-prefect's", "pre-push.before-git-prefect: somebody else's")
    )
    hook.write_text(hook.read_text().replace(executable(), "/gone/bin/git-prefect"))
    facts = ("pre-push: git-prefect's", "pre-push.before-git-prefect: somebody else's")
    assert machine.hooks(work.repository) == Check(
        "hooks", facts, "/gone/bin/git-prefect is gone, so no push gets through", "git prefect install"
    )
    shared = tmp_path / "shared"
    work.git("config", "core.hooksPath", str(shared))
    elsewhere = (f"core.hooksPath is {shared}", "pre-push: none")
    hook = shared / "pre-push"
    remedy = (
        f'add this line to {hook}: git prefect pre-push "$@" (after a first line #!/bin/sh; then chmod +x {hook})'
    )
    assert machine.hooks(work.repository) == Check("hooks", elsewhere, NOTHING, remedy)
    shared.mkdir()
    (shared / "pre-push").write_text(f'#!/bin/sh\n{executable()} pre-push "$@"\n')
    (shared / "pre-push").chmod(0o755)
    assert machine.hooks(work.repository).problem == ""


def test_a_git_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.20.1\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.git_version() == Check(
        "git", ("2.20.1",), "older than 2.28: a push cannot tell when it has arrived", "install git 2.28 or newer"
    )


def test_an_interpreter_that_is_not_there_hides_nothing_else(desk: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_PREFECT_PYTHON", "/nowhere/python")
    code, printed = doctor(desk)
    assert code == 1
    assert told(printed, "interpreter").startswith("! setting python: /nowhere/python does not exist, so no flow can be loaded hint:")
    assert told(printed, "clone") == "  not tried, for what is wrong with the interpreter"
    assert printed.splitlines()[-1] == "2 of 15 wrong: interpreter, agents"


def test_an_interpreter_that_cannot_load_flows(tmp_path: Path) -> None:
    """A virtual environment without Prefect, and marshmallow 4 as `pip install prefect` brings it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    found = interpreter.find(tmp_path, python, tmp_path / "state")
    assert machine.interpreter(found) == Check(
        "interpreter", (found.describe() + " (setting python)", "no packages"),
        "Prefect is not installed there, so no flow can be loaded",
        "pip install 'prefect[git]<2' 'marshmallow<4', or let the setting `python` name another interpreter, which has the flows' dependencies",
    )  # fmt: skip


def test_settings_that_are_pushed_next_are_judged_as_well(desk: Clone, api: str, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = desk.path.parent.name.replace("_", "-")
    an_agent(api, label)
    path = desk.path / "pyproject.toml"
    committed = path.read_text()
    path.write_text(f"{committed}# no other settings\n")
    assert "next-" not in doctor(desk)[1]
    changed = committed.replace("GIT_CLONE_URL", "OTHER_URL").replace(f"p-{label}", "elsewhere").replace(f'"{label}"', '"nobody"')
    path.write_text(changed.replace("create-project = true\n", "") + '\n[[tool.git-prefect.target]]\ntag = "v*"\nproject = "x"\n')
    code, printed = doctor(desk)
    assert (code, printed.splitlines()[-1]) == (1, "4 of 22 wrong: settings, next-project, next-token, next-agents")
    rows = dict(rows_of(printed))
    assert [name for name in rows if name.startswith("next-")] == [
        "next-settings", "next-ref", "next-project", "next-storage", "next-token", "next-clone", "next-agents",
    ]  # fmt: skip
    assert rows["next-settings"] == (
        'pyproject.toml, as it is here clone-url-secret = "OTHER_URL" target = 2 of them '
        "they count once they are committed and pushed: git add pyproject.toml && git commit"
    )
    assert rows["next-ref"].endswith("target → project elsewhere")
    assert rows["next-project"].startswith("elsewhere does not exist, so nothing can be registered")
    assert rows["next-token"].startswith("the Prefect secret OTHER_URL is not set in this environment")
    assert rows["next-agents"].startswith(f"worker-1 (LocalAgent), label {label}")
    # What the commit has is judged as before.
    assert rows["project"] == f"p-{label} is created with the first registration"
    assert rows["ref"].endswith(f"target → project p-{label}")


def rows_of(printed: str) -> Iterator[tuple[str, str]]:
    """Each check's name and what is said of it, as one line, however wide the names are."""
    lines = printed.split("\n\n")[0].splitlines()
    width = max(len(line[2:].split(" ", 1)[0]) for line in lines if line[2:3].strip()) + 4
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line[2:width].strip():
            found.append((line[2:width].strip(), []))
        found[-1][1].append(line[width:].strip())
    yield from ((name, " ".join(said)) for name, said in found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            "[tool.git-prefect]\nflow = ['x']\n",
            "pyproject.toml: tool.git-prefect.flow: unknown key; known here: flows, exclude,", id="unknown key",
        ),
        pytest.param(
            '[tool.git-prefect]\nimport-roots = ["src"]\n',
            "pyproject.toml: tool.git-prefect.import-roots: 'src' is no folder of the work tree", id="a folder that is not there",
        ),
        pytest.param(
            '[[tool.git-prefect.target]]\nbranch = "main"\nproject = "a-{branch}"\n[[tool.git-prefect.target]]\nbranch = "x"\n'
            'project = "a-main"\n', "main", id="a project that another target names",
        ),
    ],
)  # fmt: skip
def test_next_settings_that_a_push_would_be_refused_for(desk: Clone, content: str, said: str) -> None:
    (desk.path / "pyproject.toml").write_text(content)
    code, printed = doctor(desk)
    told_next = dict(rows_of(printed))["next-settings"]
    assert (code, told_next.startswith(f"not committed yet, and a push with them is refused: {said}")) == (1, True), told_next
    assert " hint: " in told_next
    # Committed, they are told once.
    desk.git("commit", "--quiet", "--no-verify", "-am", "next")
    assert "next-settings" not in doctor(desk)[1]


def test_settings_that_mend_what_is_committed(desk: Clone) -> None:
    good = (desk.path / "pyproject.toml").read_text()
    desk.commit({"pyproject.toml": "[tool.git-prefect]\nflow = ['x']\n"})
    (desk.path / "pyproject.toml").write_text(good)
    _, printed = doctor(desk)
    rows = dict(rows_of(printed))
    assert rows["ref"].startswith("pyproject.toml: tool.git-prefect.flow: unknown key")
    assert rows["next-ref"].endswith(f"target → project p-{desk.path.parent.name.replace('_', '-')}")
    assert rows["next-flows"] == "1 flow in 1 file can be registered"
    assert rows["next-clone"].startswith("cloned as an agent does it, and loaded etl")


def test_settings_that_are_new_moved_or_gone(desk: Clone) -> None:
    content = (desk.path / "pyproject.toml").read_text()
    (desk.path / "pyproject.toml").unlink()
    rows = dict(rows_of(doctor(desk)[1]))
    assert rows["next-settings"] == "pyproject.toml is gone here: with the next commit there are no settings"
    assert "no target takes it" in rows["next-ref"]
    desk.write({".git-prefect.toml": content.replace("[tool.git-prefect]\n", "").replace("tool.git-prefect.", "")})
    # In another file they are the same.
    assert "next-" not in doctor(desk)[1]
    desk.git("rm", "--quiet", "--cached", "pyproject.toml")
    desk.git("commit", "--quiet", "--no-verify", "-m", "no settings")
    desk.git("push", "--quiet", "--no-verify")
    rows = dict(rows_of(doctor(desk)[1]))
    assert "no target takes it" in rows["ref"]
    assert rows["next-settings"].startswith(".git-prefect.toml, as it is here env = {DB_PASSWORD}, values not shown clone-url-secret")
    assert "target → project" in rows["next-ref"]
    # Another ref than the one that is checked out has nothing to do with the work tree.
    desk.git("tag", "v1", "HEAD~1")
    assert "next-" not in doctor(desk, "--ref", "v1")[1]


def test_what_is_judged_next_is_in_json_too(desk: Clone) -> None:
    path = desk.path / "pyproject.toml"
    path.write_text(path.read_text().replace("GIT_CLONE_URL", "OTHER_URL"))
    report = json.loads(doctor(desk, "--format", "json")[1])
    jsonschema.validate(report, SCHEMA)
    assert [check["name"] for check in report["checks"]][-4:] == ["next-settings", "next-storage", "next-token", "next-clone"]
    assert [one["code"] for one in report["findings"]] == ["settings", "agents", "token-missing"]
