"""git prefect init in repositories as people have them: what is untracked, tagged, pushed, set up already."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from git_prefect import __version__
from git_prefect.commands.init import HOME

from ..repository import Clone, bare_remote, clone
from .test_init import FLOW, HERE, found, init  # noqa: F401  (`found` is a fixture)

pytestmark = pytest.mark.usefixtures("found")


def written(out: str) -> str:
    """What a diff adds, without its first column."""
    return "".join(f"{line[1:]}\n" for line in out.splitlines() if line.startswith("+") and not line.startswith("+++"))


def steps(out: str) -> list[str]:
    """The commands that are left to type."""
    return [line.strip() for line in out.replace("missing:\n", "next:\n").partition("next:\n")[2].splitlines()]


def test_untracked_flow_files_are_named_and_added(work: Clone) -> None:
    work.write({
        "flows/new one.py": FLOW, "tests/test_new.py": FLOW, "flows/notes.txt": "x", "scratch/x.py": FLOW, ".gitignore": "scratch\n",
        "flows/helpers.py": "x = 2\n",
    })  # fmt: skip
    _, out, _ = init(work, "--yes")
    assert "\n              untracked, so no push has them yet: flows/new one.py\n" in out
    assert steps(out)[3] == "git add .git-prefect.toml .pre-commit-config.yaml 'flows/new one.py'"
    _, out, _ = init(Clone(work.path / "flows"))
    assert steps(out)[2] == "git add ../.git-prefect.toml ../.pre-commit-config.yaml 'new one.py'"
    subprocess.run(steps(out)[2], shell=True, cwd=work.path / "flows", check=True)
    work.git("commit", "--quiet", "-m", "adopt")
    _, out, _ = init(work)
    assert "untracked, so" not in out
    assert not [one for one in steps(out) if one.startswith("git add")]


def test_the_first_push_of_a_branch_names_its_upstream(work: Clone) -> None:
    work.git("switch", "--quiet", "--create", "fix/it")
    _, out, _ = init(work, "--yes")
    push = steps(out)[-2]
    assert push == "git push -u origin fix/it"
    subprocess.run([*shlex.split(push), "--no-verify"], cwd=work.path, check=True, capture_output=True)
    assert steps(init(work)[1])[-1] == "git push"


def test_a_push_where_no_upstream_is_needed(work: Clone, tmp_path: Path) -> None:
    fork = bare_remote(tmp_path / "fork.git")
    work.git("remote", "add", "fork", str(fork))
    work.git("config", "remote.pushDefault", "fork")
    _, out, _ = init(work, "--yes")
    assert steps(out)[-2] == "git push"
    work.git("push", "--quiet", "--no-verify")
    assert work.git("ls-remote", str(fork), "refs/heads/main") != ""
    work.git("config", "--unset", "remote.pushDefault")
    # A branch that follows one of another name, which git does not push to.
    work.git("switch", "--quiet", "--create", "topic", "--track", "origin/main")
    assert steps(init(work)[1])[-1] == "git push -u origin topic"
    work.git("checkout", "--quiet", "--detach")
    assert steps(init(work)[1])[-1] == "git push origin HEAD:refs/heads/main"


def test_without_any_commit(work: Clone, remote: Path, tmp_path: Path) -> None:
    empty = bare_remote(tmp_path / "empty.git")
    fresh = clone(empty, tmp_path / "fresh")
    fresh.git("config", "prefect.python", sys.executable)
    fresh.git("config", f"url.{remote}.insteadOf", HOME)
    fresh.write({"etl.py": FLOW})
    _, out, _ = init(fresh, "--yes")
    add, commit, push, _ = steps(out)[-4:]
    assert (add, push) == ("git add .git-prefect.toml .pre-commit-config.yaml etl.py", "git push")
    for command in (add, commit, f"{push} --no-verify"):
        subprocess.run(shlex.split(command), cwd=fresh.path, check=True, capture_output=True)
    assert steps(init(fresh)[1]) == ["pre-commit install --install-hooks --hook-type pre-push", f"{HERE} install"]


RELEASES = """\
clone-url-secret = "GIT_CLONE_URL"  # the Prefect secret with the clone URL
{companion}
# releases, such as {newest}
[[target]]
tag = "{pattern}"
project = "remote"
create-project = true

# main, ahead of its release: a project of its own, and schedules run in the release only
[[target]]
branch = "main"
project = "remote-main"
schedule = "off"
create-project = true

# every other branch: a project of its own, and nothing runs by itself
[[target]]
branch = "**"
project = "remote-{{branch}}"
schedule = "off"
create-project = true
"""
COMPANION = (
    'companion-tag = "flows/{{tag}}"  # no agent can run an annotated tag such as {newest}: a lightweight one is pushed beside each\n'
)


@pytest.mark.parametrize(
    ("tags", "pattern", "newest"),
    [
        (["v1.9", "v1.10", "v1.2", "nightly"], "v*", "v1.10"),
        (["1.0.0", "2024", "1.1.0"], "[0-9]*", "1.1.0"),
        (["release/1.0"], "release/*", "release/1.0"),
        (["release-1.0", "v1", "v2"], "v*", "v2"),
        (["nightly", "2024", "flows/v1", "ok-to-deploy-2"], "", ""),
    ],
)
@pytest.mark.parametrize("annotated", [False, True])
def test_where_releases_are_tagged_they_get_a_target(
    work: Clone, tags: list[str], pattern: str, newest: str, annotated: bool
) -> None:
    for tag in tags:
        work.git("tag", *(["-a", "-m", tag] if annotated else []), tag)
    work.git("push", "--quiet", "origin", "--tags")
    # Only the remote has them, as for a clone with --no-tags.
    work.git("tag", "--delete", *tags)
    _, out, _ = init(work, "--dry-run")
    if not pattern:
        assert "\ntag = " not in written(out)
        return
    companion = COMPANION.format(newest=newest) if annotated else ""
    assert written(out).startswith(RELEASES.format(companion=companion, pattern=pattern, newest=newest))


def test_releases_of_a_remote_that_does_not_answer_are_those_here(work: Clone) -> None:
    work.git("tag", "v1")
    work.git("tag", "-a", "-m", "two", "v2")
    work.git("remote", "set-url", "origin", "https://127.0.0.1:1/acme/etl.git")
    _, out, _ = init(work, "--dry-run")
    assert '\ncompanion-tag = "flows/{tag}"' in written(out)
    assert '\n# releases, such as v2\n[[target]]\ntag = "v*"\nproject = "etl"\n' in written(out)


def test_the_rev_exists(work: Clone, tmp_path: Path) -> None:
    hooks = tmp_path / "git-prefect.git"
    head = work.head("main~")

    def rev() -> tuple[str, str]:
        _, out, _ = init(work, "--dry-run")
        (line,) = [line for line in out.splitlines() if line.startswith("+    rev: ")]
        return line.partition("rev: ")[2], out.rpartition("prefect-register\n")[2].strip()

    assert rev() == (f"v{__version__}", "")
    Clone(hooks).git("tag", "--delete", f"v{__version__}")
    assert rev() == (work.head("main"), f"rev is the newest commit: {HOME} has no release")
    for tag in ("v0.0.9", "v0.0.10", "vendor", "v0.0.10rc1"):
        Clone(hooks).git("tag", tag, head)
    assert rev() == ("v0.0.10", f"rev v0.0.10 is the newest release: {HOME} has no v{__version__}")
    work.git("config", f"url.{tmp_path}/gone.insteadOf", HOME)
    work.git("config", "--unset", f"url.{hooks}.insteadOf")
    wanted, said = rev()
    assert wanted == f"v{__version__}"
    assert said.startswith(f"rev v{__version__} is not checked: {HOME}: the remote could not be asked (fatal: ")


def test_pre_commit_takes_the_configuration(work: Clone) -> None:
    init(work, "--yes")
    result = subprocess.run(
        [HERE.parent / "pre-commit", "validate-config", ".pre-commit-config.yaml"], cwd=work.path, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_settings_without_a_target_are_completed_by_hand(work: Clone) -> None:
    work.commit({"pyproject.toml": '[tool.git-prefect]\ntoken-secret = "X"\n'})
    _, out, _ = init(work, "--yes")
    head, _, rest = out.partition("pyproject.toml has no target, so no flow is registered; paste by hand:\n\n")
    pasted = rest[: rest.index("\n\n--- /dev/null")]
    assert head and pasted.startswith('[[tool.git-prefect.target]]\nbranch = "main"\n')
    work.write({"pyproject.toml": f"{(work.path / 'pyproject.toml').read_text()}\n{pasted}\n"})
    assert "pyproject.toml has [tool.git-prefect] already: left as it is\n" in init(work, "--yes")[1]


def test_a_clone_of_a_repository_that_is_set_up_lists_what_is_missing(work: Clone, remote: Path, tmp_path: Path) -> None:
    init(work, "--yes")
    work.git("add", ".")
    work.git("commit", "--quiet", "-m", "adopt")
    work.git("push", "--quiet")
    second = clone(remote, tmp_path / "second")
    second.git("config", "prefect.python", sys.executable)
    hooks = ["pre-commit install --install-hooks --hook-type pre-push", f"{HERE} install"]
    code, out, err = init(second, "--dry-run")
    assert (code, err, steps(out)) == (0, "", hooks)
    assert steps(init(second, PATH="/usr/bin:/bin")[1]) == ["pipx install pre-commit", *hooks]
    second.write({"flows/more.py": FLOW})
    assert steps(init(second)[1])[2:] == ["git add flows/more.py", "git commit -m 'Register flows by git push'", "git push"]
    second.git("add", "flows/more.py")
    second.git("commit", "--quiet", "-m", "more")
    assert steps(init(second)[1])[2:] == ["git push"]
    second.git("push", "--quiet")
    assert steps(init(second)[1]) == hooks
