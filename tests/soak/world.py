"""A user's world: a remote, a clone with the native hook, another clone without, and what has to hold in it, always."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from git_prefect.deploy import pending
from git_prefect.git import Repository

from ..conftest import GIT_CONFIG
from . import tracer

BIN = Path(sys.executable).parent
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"

[[tool.git-prefect.target]]
branch = "main"
project = "main-{name}"
create-project = true

[[tool.git-prefect.target]]
branch = "feature/**"
project = "dev-{name}-{{branch}}"
create-project = true

[[tool.git-prefect.target]]
tag = "v*"
project = "production-{name}"
create-project = true
"""
FLOW = """\
from prefect import Flow, task


@task
def step_{number}():
    return {number}


with Flow("{flow}") as flow:
    step_{number}()
"""
FLOWS = ("etl", "report")
REFUSES = '#!/bin/sh\n! [ -e "$GIT_DIR/refuse" ]\n'
OTHERS = "#!/bin/sh\ncat >/dev/null\nexit 0\n"
"""A reference-transaction hook of somebody else's."""
QUERY = """query($projects: [String!]) {
  all: flow(where: {project: {name: {_in: $projects}}}) { id name archived description project { name } }
  active: flow(where: {archived: {_eq: false}, project: {name: {_in: $projects}}}) {
    id name serialized_flow project { name } } }"""


class Broken(AssertionError):
    """Something does not hold that always has to."""


class World:
    """Everything below one folder, at one API."""

    def __init__(self, folder: Path, api: str, name: str, with_hook_of_others: bool = False) -> None:
        self.folder, self.api, self.name = folder, api, name
        self.remote, self.ada, self.bob = folder / "remote.git", folder / "ada", folder / "bob"
        self.number = 0
        self.tag = 0
        self._known: set[str] = set()
        self.others = OTHERS if with_hook_of_others else None
        self.clones = [self.ada]
        """Those in which git-prefect is at work."""
        self._make()

    def _make(self) -> None:
        home = self.folder / "home"
        home.mkdir(parents=True)
        (self.folder / "tmp").mkdir()
        (home / ".gitconfig").write_text(GIT_CONFIG)
        self.environ = {
            "HOME": str(home), "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "LANG": os.environ.get("LANG", "C.UTF-8"),
            "TMPDIR": str(self.folder / "tmp"), "GIT_CONFIG_NOSYSTEM": "1", "PREFECT__HOME_DIR": str(home / ".prefect"),
            "PREFECT__BACKEND": "server", "PREFECT__SERVER__ENDPOINT": self.api,
        }  # fmt: skip
        self.call("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote), at=self.folder)
        hook = self.remote / "hooks" / "update"
        hook.write_text(REFUSES)
        hook.chmod(0o755)
        for clone in (self.ada, self.bob):
            self.call("git", "clone", "--quiet", str(self.remote), str(clone), at=self.folder)
        (self.ada / "pyproject.toml").write_text(SETTINGS.format(name=self.name))
        self.change(self.ada)
        self.call("git", "push", "--quiet", "origin", "main")
        self.call("git", "remote", "set-head", "origin", "main")
        self.call("git", "switch", "--quiet", "--create", "feature/x")
        self.change(self.ada)
        self.call("git", "prefect", "install")
        if self.others:
            place = self.ada / ".git" / "hooks" / "reference-transaction"
            place.write_text(self.others)
            place.chmod(0o755)
        for ref in ("main", "feature/x"):
            self.call("git", "push", "--quiet", "origin", ref, GIT_PREFECT_SKIP="1")
            self.call("git", "prefect", "register", "--ref", ref)
        self.call("git", "switch", "--quiet", "main")

    # What people do -----------------------------------------------------------------------------------

    def call(self, *command: str, at: Path | None = None, check: bool = True, **environ: str) -> str:
        """What a command prints; it has to succeed."""
        result = subprocess.run(
            command, cwd=at or self.ada, env={**self.environ, **environ}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if check and result.returncode:
            raise Broken(f"{' '.join(command)}: exit {result.returncode}\n{result.stdout}")
        return result.stdout.strip()

    def change(self, clone: Path, branch: str | None = None, flows: tuple[str, ...] = FLOWS) -> None:
        """Commit another structure of the flows."""
        if branch:
            self.call("git", "switch", "--quiet", branch, at=clone)
        self.number += 1
        self.write(clone, flows, self.number)
        self.call("git", "add", "--all", at=clone)
        self.call("git", "commit", "--quiet", "-m", f"step {self.number}", at=clone)

    def write(self, clone: Path, flows: tuple[str, ...], number: int) -> None:
        """Another structure of flows in a work tree: a task with a number of its own."""
        for flow in flows:
            path = clone / "flows" / f"{flow}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(FLOW.format(flow=flow, number=number))

    def overtake(self) -> None:
        """Bob changes main on the remote, from a clone without hooks, and Ada's clone does not know."""
        self.call("git", "fetch", "--quiet", at=self.bob)
        self.call("git", "switch", "--quiet", "--force-create", "main", "origin/main", at=self.bob)
        self.change(self.bob)
        self.call("git", "push", "--quiet", "origin", "main", at=self.bob)

    def catch_up(self) -> None:
        """Ada takes what the remote's main has; of two changes of a flow hers is kept."""
        self.call("git", "switch", "--quiet", "main")
        self.call("git", "fetch", "--quiet")
        self.call("git", "merge", "--quiet", "--no-edit", "-X", "ours", "origin/main")

    def refuse(self, on: bool) -> None:
        """The remote refuses every push, or no more."""
        place = self.remote / "refuse"
        place.touch() if on else place.unlink(missing_ok=True)

    # What has to hold ---------------------------------------------------------------------------------

    @property
    def repository(self) -> Repository:
        """Ada's clone, as git-prefect sees it."""
        return repository_at(self.ada)

    def projects(self) -> dict[str, str]:
        """Project → the ref that is registered there."""
        return {
            f"main-{self.name}": "refs/heads/main",
            f"dev-{self.name}-feature--x": "refs/heads/feature/x",
            f"production-{self.name}": f"refs/tags/{self.newest_tag()}",
        }

    def newest_tag(self) -> str:
        """The highest tag that the remote has."""
        tags = self.call("git", "tag", "--list", "v*", "--sort=version:refname", at=self.remote).split()
        return tags[-1] if tags else ""

    def has(self, ref: str, commit: str) -> bool:
        """Whether a ref of the remote leads to a commit or goes on from it."""
        command = ["git", "merge-base", "--is-ancestor", commit, ref]
        return subprocess.run(command, cwd=self.remote, capture_output=True).returncode == 0

    def asked(self) -> dict[str, Any]:
        """What the API holds of our projects."""
        body = json.dumps({"query": QUERY, "variables": {"projects": list(self.projects())}}).encode()
        request = urllib.request.Request(self.api, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def check(self) -> None:
        """What holds at any time, whatever was killed where.

        Raises:
            Broken: it does not.
        """
        told = self.asked()
        self._only_what_arrived(told["all"])
        self._one_version_each(told)
        for clone in self.clones:
            _readable(repository_at(clone))

    def _only_what_arrived(self, flows: list[dict[str, Any]]) -> None:
        """No flow is registered for a commit that the remote does not have, on the ref of its project."""
        for flow in flows:
            if flow["id"] in self._known:
                continue
            found = re.search(r"\*\*Commit:\*\* `(\w+)`", flow["description"] or "")
            ref = self.projects()[flow["project"]["name"]]
            if not found:
                raise Broken(f"{flow['name']} in {flow['project']['name']} does not tell its commit")
            place = "refs/heads/main" if ref.startswith("refs/tags/") else ref
            if not self.has(place, found[1]):
                raise Broken(f"{flow['name']} is registered for {found[1]}, which {place} of the remote does not have")
            self._known.add(flow["id"])

    def _one_version_each(self, told: dict[str, Any]) -> None:
        """No flow is active twice, none that was registered once is without an active version."""
        active = sorted((one["project"]["name"], one["name"]) for one in told["active"])
        ever = sorted({(one["project"]["name"], one["name"]) for one in told["all"]})
        if active != ever:
            raise Broken(f"active versions: {active}, but registered were {ever}")

    def check_settled(self) -> None:
        """What holds, beside that, once a command of the user has run to its end.

        Raises:
            Broken: it does not.
        """
        self.check()
        waiting = [one for clone in self.clones for one in pending.entries(repository_at(clone))]
        if waiting:
            raise Broken(f"still waits: {waiting}")
        wrong = self.behind()
        if wrong:
            raise Broken("\n".join(wrong))
        for clone in self.clones:
            self._tidy(clone)

    def behind(self) -> list[str]:
        """Refs whose HEAD on the remote is not what is registered, in words."""
        told = self.asked()["active"]
        wrong = []
        for project, ref in self.projects().items():
            if ref == "refs/tags/":
                continue
            for flow in FLOWS:
                source = self.call("git", "show", f"{ref}:flows/{flow}.py", at=self.remote)
                wanted = re.findall(r"def (step_\d+)", source)
                here = [one for one in told if (one["project"]["name"], one["name"]) == (project, flow)]
                held = [task["name"] for one in here for task in one["serialized_flow"]["tasks"]]
                if held != wanted:
                    wrong.append(f"{ref} of the remote has {flow} with {wanted}, registered is {held}")
        return wrong

    def _tidy(self, clone: Path) -> None:
        """No trigger is left in place, no lock is held or blocks, and the hook of others is as it was."""
        place, state = clone / ".git" / "hooks" / "reference-transaction", state_of(clone)
        stands = place.read_text() if place.exists() else None
        if stands != (self.others if clone == self.ada else None):
            raise Broken(f"{place} is left in place: {stands}")
        left = [str(one) for one in (state / "live").glob("*")]
        if left:
            raise Broken(f"left in place: {left}")
        for path in _locks(state, self.folder):
            with open(path) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Broken(f"{path} is held") from None
        stale = [str(one) for one in (clone / ".git" / "refs" / "git-prefect").rglob("*.lock")]
        if stale:
            raise Broken(f"lock files of git in our own refs: {stale}")

    def sweep_gits_own_locks(self) -> None:
        """What git itself leaves when it is killed, and tells its user to remove."""
        for folder in (self.ada / ".git", self.remote):
            for path in folder.rglob("*.lock"):
                if "/git-prefect/" not in str(path):
                    path.unlink(missing_ok=True)

    def run(self, *command: str, fault: tracer.Fault | None = None, limit: float = 90.0, **environ: str) -> tracer.Run:
        """Run a command of Ada's to the end of all that it starts.

        Raises:
            Broken: it left a process behind, or said what no user should see.
        """
        made = tracer.run(command, self.ada, {**self.environ, **environ}, fault, limit)
        if made.left:
            raise Broken(f"{' '.join(command)}: still there after {limit:.0f} s: {made.left}\n{made.output}")
        # Ctrl-C before our first line or after our last is Python's own to tell.
        interrupted = fault and fault.signal == signal.SIGINT and "KeyboardInterrupt" in made.output
        if "bug of" in made.output or ("Traceback" in made.output and not interrupted):
            raise Broken(f"{' '.join(command)}: {made.output}")
        return made


def _parse(path: Path, text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise Broken(f"{path} cannot be read: {error}: {text[:200]}") from error


def _locks(state: Path, folder: Path) -> Iterator[Path]:
    yield from (path for pattern in ("**/*.lock", "**/lock") for path in state.glob(pattern))
    yield from folder.glob("home*/.local/**/*.lock")


def repository_at(clone: Path) -> Repository:
    """A clone, as git-prefect sees it."""
    return Repository(str(clone / ".git"), str(clone / ".git"), str(clone))


def state_of(clone: Path) -> Path:
    """Where git-prefect keeps what it has to remember."""
    return Path(repository_at(clone).state_dir)


def _readable(repository: Repository) -> None:
    """Pending entries, the log, verdicts and what is recalled can be read."""
    state = Path(repository.state_dir)
    entries = list((state / "pending").glob("*.json"))
    if len(entries) != len(pending.entries(repository)):
        raise Broken(f"pending entries that cannot be read: {[one.read_text() for one in entries]}")
    log = state / "log.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        _parse(log, line)
    for path in (*entries, *state.glob("fast-path.json"), *(state / "verdicts").glob("context-*.json")):
        _parse(path, path.read_text())
