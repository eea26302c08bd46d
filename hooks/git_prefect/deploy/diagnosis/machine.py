"""This machine: git, the hooks and who installed them, the interpreter and what it has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ... import __version__, git
from ...core.errors import GitPrefectError
from ...core.json_input import decode
from ...core.results import Check
from ...flows.interpreter import Interpreter
from ...git.hooks_path import hooks_folder, is_gits_own
from ...report.invocation import executable, git_prefect
from .. import hook_managers
from ..hook_steps import missing_hook_steps
from ..native_hook import BEFORE, is_ours, is_pre_commits, sees_every_ref

OLDEST_GIT = (2, 28)
"""The first with `reference-transaction` hooks and `init.defaultBranch`."""
HOOKS = ("prefect-validate", "prefect-check-pushed", "prefect-register")
PACKAGES = ("prefect", "marshmallow", "dulwich", "pendulum", "urllib3")
"""What decides whether flows load and clones succeed."""


def ourselves() -> Check:
    """Which git-prefect this is."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("git-prefect", (f"{__version__}, Python {version}, {executable()}",))


def git_version() -> Check:
    """Which git this is, and whether it is new enough."""
    said = subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.strip()
    numbers = re.search(r"(\d+)\.(\d+)[.\d]*", said)
    version = numbers[0] if numbers else said
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_GIT:
        wanted = ".".join(map(str, OLDEST_GIT))
        return Check(
            "git",
            (version,),
            f"older than {wanted}: a push cannot tell when it has arrived",
            f"install git {wanted} or newer",
        )
    return Check("git", (version,))


def hooks(repository: git.Repository) -> Check:
    """Who runs at a push, and whether that leads to us."""
    folder = hooks_folder(repository)
    manager = hook_managers.manager_of(repository)
    delegated = hook_managers.delegated_folder(repository)
    facts = [] if is_gits_own(repository, folder) else [f"core.hooksPath is {folder}"]
    if delegated:
        facts.append(f"its pre-push runs the hooks in {delegated}")
        folder = delegated
    hook = folder / "pre-push"
    facts.append(f"pre-push: {_whose(hook)}")
    others = [place for place in (folder / "pre-push.legacy", folder / BEFORE) if place.exists()]
    facts += [f"{place.name}: {_whose(place)}" for place in others]
    native = sees_every_ref(repository)
    configured = configured_hooks(repository)
    by_pre_commit = is_pre_commits(hook) and bool(configured)
    if by_pre_commit:
        facts.append(f"in .pre-commit-config.yaml: {', '.join(configured)}")
    install = git_prefect("install")
    if hook.exists() and not os.access(hook, os.X_OK):
        return Check("hooks", tuple(facts), f"{hook} is not executable, so git skips it", f"chmod +x {hook}")
    gone = [
        command for place in (hook, *others) if is_ours(place) for command in _commands(place) if not _runs(command)
    ]
    if gone:
        return Check("hooks", tuple(facts), f"{gone[0]} is gone, so no push gets through", install)
    if native or by_pre_commit:
        missing = [name for name in HOOKS if name not in configured]
        if not native and missing:
            return Check(
                "hooks", tuple(facts), f"{' and '.join(missing)} are not run at a push",
                f"add them to .pre-commit-config.yaml ({git_prefect('init')} shows how)",
            )  # fmt: skip
        if not native:
            facts.append(f"tags, and more than one ref of a push, are not seen; {install} shows them all")
        return Check("hooks", tuple(facts))
    problem = "no flow is checked and nothing is registered at a push"
    if manager:
        # pre-commit installs nothing there either.
        return Check("hooks", tuple(facts), problem, manager.hint)
    if configured:
        facts.append(f"in .pre-commit-config.yaml: {', '.join(configured)}")
        return Check("hooks", tuple(facts), problem, " && ".join(missing_hook_steps(repository)))
    return Check("hooks", tuple(facts), problem, f"{install}, or the hooks of pre-commit: {git_prefect('init')}")


def kept(repository: git.Repository) -> list[Check]:
    """That what we keep below the git directory cannot be written; empty when it can."""
    folder = Path(repository.state_dir)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    inside = [place for place in folder.glob("*") if place.is_dir()] if there == folder else []
    for place in (there, *inside):
        if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
            problem = f"{place} cannot be written: a push could not be remembered, so it is refused"
            return [Check("state", (), problem, _how_to_write(place))]
    return []


def _how_to_write(place: Path) -> str:
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "mount its file system so that it can be written, or push from a clone elsewhere"
    quoted = shlex.quote(str(place))
    if place.stat().st_uid != os.getuid():
        return f"sudo chown -R {os.getuid()} {quoted}"
    return f"chmod -R u+rwX {quoted}"


def _content(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _commands(hook: Path) -> list[str]:
    """The git-prefect that a hook of ours calls."""
    return [shlex.split(line)[0] for line in re.findall(r"^told \| (.+) pre-push ", _content(hook), re.MULTILINE)]


def _runs(command: str) -> bool:
    return os.access(command, os.X_OK)


def _whose(path: Path) -> str:
    content = _content(path)
    if not path.exists():
        return "none"
    if is_ours(path):
        return "git-prefect's"
    generated = re.search(r"File generated by ([\w-]+)", content)
    return f"{generated[1]}'s" if generated else "somebody else's"


def configured_hooks(repository: git.Repository) -> list[str]:
    """Our hooks in the configuration of pre-commit."""
    import yaml

    try:
        config = yaml.safe_load(_content(Path(repository.top or "", ".pre-commit-config.yaml"))) or {}
        ids = [hook["id"] for repo in config.get("repos", []) for hook in repo.get("hooks", [])]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return []
    return [name for name in ids if name in HOOKS]


def interpreter(found: Interpreter | GitPrefectError) -> Check:
    """The Python that loads the flows, and what it has."""
    if isinstance(found, GitPrefectError):
        return Check("interpreter", (), found.message, found.hint)
    packages = _packages(found.path)
    facts = [
        f"{found.describe()} ({found.origin})",
        ", ".join(f"{name} {version}" for name, version in packages.items()) or "no packages",
    ]
    set_python = "set `python` to the interpreter that has the flows' dependencies"
    if found.origin == "setting python":
        set_python = "let the setting `python` name another interpreter, which has the flows' dependencies"
    if found.problem:
        return Check(
            "interpreter", tuple(facts), found.problem, f"pip install 'prefect[git]<2' 'marshmallow<4', or {set_python}"
        )
    if found.origin == "the hook's own":
        facts.append(f"git-prefect's own: what flows import beside Prefect may be missing; {set_python}")
    if "dulwich" not in packages:
        facts.append("no dulwich there; agents need it: pip install 'prefect[git]<2'")
    return Check("interpreter", tuple(facts))


def _packages(python: str, names: Sequence[str] = PACKAGES) -> dict[str, str]:
    asked = (
        "import sys\nsys.path[:] = [path for path in sys.path if path]\nimport json\nfrom importlib.metadata import version\nfound = {}\n"
        "for name in sys.argv[1:]:\n    try:\n        found[name] = version(name)\n    except Exception:\n        pass\n"
        "print(json.dumps(found))"
    )
    try:
        said = subprocess.run(
            [python, "-E", "-c", asked, *names], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        ).stdout
        return decode(said, dict[str, str]) or {}
    except (OSError, subprocess.TimeoutExpired):
        return {}
