"""The loop of a data engineer, for real: push, registered, run by an agent out of the remote. Leaves nothing behind.

A bare remote, a clone, a development API and Prefect's own local agent, all in a throw-away folder.
Run by `make demo`; `make demo KEEP=1` leaves it up for looking.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BRANCH = "feature/prices"
DEV = "dev-feature--prices"
PATIENCE = 60.0
"""Seconds that a step may wait for what it waits for."""

SETTINGS = """\
[tool.git-prefect]
flows = ["flows/**/*.py"]
clone-url-secret = "DEMO_CLONE_URL"   # the remote is a folder here; with a git host: token-secret, or ssh

[[tool.git-prefect.target]]
branch = "feature/**"
project = "dev-{branch}"
labels = ["demo"]
create-project = true

[[tool.git-prefect.target]]
tag = "v*"
project = "production"
labels = ["demo"]
create-project = true
"""

PRE_COMMIT_CONFIG = """\
repos:
  - repo: {repo}
    rev: {rev}
    hooks:
      - id: prefect-validate
      - id: prefect-check-pushed
      - id: prefect-register
"""

BROKEN = """\
from prefect import Flow, task
from helpers import connect


@task
def broken():
    connect()


with Flow("broken") as flow:
    broken()
"""


class Demo:
    """The throw-away place and what runs in it."""

    def __init__(self, folder: Path, hook: Path, pre_commit_home: Path) -> None:
        """`folder` is empty, and is removed by whoever made it; `hook` is the repository that pre-commit installs."""
        self.hook = hook
        self.folder = folder
        self.clone = folder / "etl"
        self.servers: list[subprocess.Popen[bytes]] = []
        self.agent_port = free_port()
        self.running_at = 0.0
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PREFECT__", "PRE_COMMIT", "CI"))},
            "HOME": str(folder),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PRE_COMMIT_HOME": str(pre_commit_home),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PREFECT__BACKEND": "server",
            "PREFECT__CONTEXT__SECRETS__DEMO_CLONE_URL": f"file://{folder}/remote.git",
        }  # fmt: skip

    def run(self, *command: str, fails: bool = False, hide: str = "") -> str:
        """Show a command, run it in the clone, show what it prints and how long it took; what it printed.

        Lines that match the pattern `hide` are counted instead of shown.

        Raises:
            SystemExit: it ended otherwise than expected.
        """
        print(f"\n\033[1m$ {' '.join(command)}\033[0m", flush=True)
        started = time.monotonic()
        printed, hidden = "", 0
        with subprocess.Popen(
            command, cwd=self.clone, env=self.environ, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                printed += line
                if "Entered state <Running>" in line:
                    self.running_at = time.monotonic()
                if hide and re.search(hide, line):
                    hidden += 1
                else:
                    print(line, end="", flush=True)
        more = f", {hidden} more lines" if hidden else ""
        print(f"\033[2m({time.monotonic() - started:.1f} s{more})\033[0m", flush=True)
        if bool(process.returncode) != fails:
            raise SystemExit(f"the demo did not expect exit status {process.returncode} of: {' '.join(command)}")
        return printed

    def quietly(self, *command: str, cwd: Path | None = None) -> None:
        """Run a command that is no part of the story."""
        subprocess.run(command, cwd=cwd or self.clone, env=self.environ, check=True, capture_output=True)

    def serve(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start something that runs until the end of the demo."""
        with open(self.folder / log, "wb") as output:
            server = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.servers.append(server)
        return server

    def stop(self) -> None:
        """End everything that was started, and what that has started."""
        for server in reversed(self.servers):
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
        for server in self.servers:
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)

    def settled(self, commit: str) -> None:
        """Wait until the watcher has dealt with the push of a commit."""
        pending = self.clone / ".git" / "git-prefect" / "pending"
        until(
            lambda: not any(commit in entry.read_text() for entry in existing(pending)),
            f"{commit} to be registered",
        )

    def head(self) -> str:
        """The commit that is checked out."""
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, cwd=self.clone, env=self.environ, text=True, capture_output=True).stdout.strip()

    def change(self, file: str, old: str, new: str, message: str) -> None:
        """Edit and commit, and show the edit."""
        path = self.clone / file
        text = path.read_text() if path.exists() else ""
        path.write_text(text.replace(old, new) if old else new)
        self.quietly("git", "add", file)
        self.quietly("git", "commit", "--quiet", "-m", message)
        print(f"\n# {message}")
        for sign, block in (("-", old), ("+", new)):
            for line in block.splitlines():
                print(f"  {sign} {line}")

    def push_and_settle(self, *command: str) -> None:
        """Push, and wait for the registration where the push has not told it."""
        self.run(*command)
        self.settled(self.head())

    def run_flow(self, flow: str, project: str) -> str:
        """Run a registered flow through the agent and follow it; what it logged."""
        # Agents look for work every few seconds; this one is told that there is some.
        poker = subprocess.Popen(
            [sys.executable, "-c", POKE, f"http://127.0.0.1:{self.agent_port}/api/poke"],
            start_new_session=True,
        )
        try:
            return self.run("prefect", "run", "--name", flow, "--project", project, "--watch", hide=DETAILS)
        finally:
            poker.kill()
            poker.wait()


DETAILS = r"Git storage initialized|Task '|^ Done|Name:|UUID:|Context:|Parameters:|Labels:|Submitted for|<Pending>|<Scheduled>"
"""What `prefect run --watch` tells beside the story."""

POKE = """
import sys, time, urllib.request
while True:
    urllib.request.urlopen(sys.argv[1])
    time.sleep(0.3)
"""


def existing(folder: Path) -> list[Path]:
    """The entries of a folder, none if there is no such folder."""
    return list(folder.glob("*.json")) if folder.exists() else []


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(done: object, what: str) -> None:
    """Wait for a condition.

    Raises:
        SystemExit: it did not come true in a minute.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if done():  # type: ignore[operator]
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"the demo waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.05)


def chapter(title: str) -> None:
    """Begin the next step of the story."""
    print(f"\n\033[1;36m── {title} {'─' * max(3, 76 - len(title))}\033[0m", flush=True)


def set_up(demo: Demo) -> None:
    """A remote, a clone with three flow files, the API and an agent."""
    chapter("a remote, a clone with four flows in three files, an API and an agent")
    (demo.folder / ".gitconfig").write_text(
        "[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n[advice]\ndetachedHead = false\n"
    )
    demo.quietly("git", "init", "--quiet", "--bare", "remote.git", cwd=demo.folder)
    demo.quietly("git", "clone", "--quiet", "remote.git", "etl", cwd=demo.folder)
    shutil.copytree(PROJECT / "demo" / "flows", demo.clone / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    (demo.clone / "pyproject.toml").write_text(SETTINGS)
    rev = subprocess.run(["git", "rev-parse", "HEAD"], cwd=demo.hook, text=True, capture_output=True, check=True).stdout
    (demo.clone / ".pre-commit-config.yaml").write_text(PRE_COMMIT_CONFIG.format(repo=demo.hook, rev=rev.strip()))
    print(SETTINGS)
    address = demo.folder / "api-address"
    demo.serve(
        sys.executable,
        "-m",
        "git_prefect.devserver",
        "--port",
        "0",
        "--address-file",
        str(address),
        log="api.log",
    )
    until(address.exists, "the API")
    demo.environ["PREFECT__SERVER__ENDPOINT"] = address.read_text().strip()
    demo.serve(
        "prefect", "agent", "local", "start", "--label", "demo", "--no-hostname-label",
        "--agent-address", f"http://127.0.0.1:{demo.agent_port}", log="agent.log",
    )  # fmt: skip
    until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{demo.agent_port}/api/health"), "the agent")
    demo.quietly("git", "add", "--all")
    demo.quietly("git", "commit", "--quiet", "-m", "three flow files")
    demo.run("pre-commit", "install", "--hook-type", "pre-push", "--install-hooks")
    print("\n# so that git's own hook sees every ref of a push, tags too, and a push tells what became of it:")
    demo.run("git", "prefect", "install")
    demo.run("git", "push", "--quiet", "-u", "origin", "main")


def story(demo: Demo) -> float:
    """The loop of the article; seconds from `git push` to the flow running."""
    chapter("1. a feature branch: pushed, validated, registered once it has arrived, run from the branch")
    demo.run("git", "switch", "--create", BRANCH)
    demo.change("flows/etl.py", "order * 10", "order * 20", "double the prices")
    started = time.monotonic()
    demo.push_and_settle("git", "push", "-u", "origin", BRANCH)
    expect(demo.run_flow("orders-etl", DEV), "revenue: 120")
    taken = demo.running_at - started

    chapter("2. another body of a task: pushed, nothing registered, and the next run has it")
    demo.change("flows/etl.py", "order * 20", "order * 30", "triple the prices")
    demo.push_and_settle("git", "push")
    expect(demo.run_flow("orders-etl", DEV), "revenue: 180")

    chapter("3. another structure: registered as version 2")
    demo.change(
        "flows/etl.py",
        '\n\nwith Flow("orders-etl") as flow:\n    load(price.map(extract(Parameter("orders", default=3))))',
        "\n\n@task\ndef tax(price):\n    return price * 2\n\n\n"
        'with Flow("orders-etl") as flow:\n    load(tax.map(price.map(extract(Parameter("orders", default=3)))))',
        "add a tax",
    )
    demo.push_and_settle("git", "push")
    expect(demo.run_flow("orders-etl", DEV), "revenue: 360")

    chapter("4. a flow that no agent could load: the push is refused")
    demo.change("flows/broken.py", "", BROKEN, "a flow that imports its sibling")
    demo.change("flows/helpers.py", "", "def connect():\n    pass\n", "the sibling")
    demo.run("git", "push", fails=True)
    demo.quietly("git", "reset", "--quiet", "--hard", "HEAD~2")

    chapter("5. a release: a tag, registered pinned, while the branch moves on")
    demo.run("git", "tag", "v1.0")
    demo.push_and_settle("git", "push", "origin", "v1.0")
    demo.run("git", "prefect", "status")
    demo.change("flows/etl.py", "order * 30", "order * 100", "the branch moves on")
    demo.push_and_settle("git", "push")
    expect(demo.run_flow("orders-etl", "production"), "revenue: 360")
    expect(demo.run_flow("orders-etl", DEV), "revenue: 1200")
    return taken


def expect(printed: str, wanted: str) -> None:
    """Stop the demo when a run did not log what it should.

    Raises:
        SystemExit: it did not.
    """
    if wanted not in printed:
        raise SystemExit(f"the demo expected the run to log {wanted!r}")


def main() -> int:
    """Tell the story in a throw-away folder; 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it up afterwards, until Ctrl-C")
    parser.add_argument("--hook", type=Path, default=PROJECT, help="repository that pre-commit takes the hooks from")
    parser.add_argument(
        "--pre-commit-home", type=Path, default=BIN.parent / "pre-commit", help="where it installs them"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="git-prefect-demo-")).resolve()
    demo = Demo(folder, options.hook, options.pre_commit_home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        set_up(demo)
        taken = story(demo)
        print(f"\n\033[1;32mFrom git push to the flow running: {taken:.1f} s\033[0m")
        if options.keep:
            print(f"\nLeft up: {demo.clone} (API {demo.environ['PREFECT__SERVER__ENDPOINT']}). Ctrl-C ends it.")
            print(
                f"export PREFECT__BACKEND=server PREFECT__SERVER__ENDPOINT={demo.environ['PREFECT__SERVER__ENDPOINT']}"
            )
            signal.pause()
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
