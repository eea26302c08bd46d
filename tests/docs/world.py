"""A place for the commands of the docs: Ada's home with a clone, a git host over https, an API, the hook on its host.

Everything in it is real. What tells one run from another (folders, ports) is shown as in the docs: `/home/ada/etl`,
`git.example.com`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from git_prefect import __version__
from git_prefect.commands.init import HOME
from git_prefect.deploy import pending
from git_prefect.devserver.process import running
from git_prefect.git import open_repository

from ..conftest import GIT_CONFIG, KEPT
from ..end_to_end.conftest import copy_of_the_hooks, until
from ..servers.https import HttpsServer, https_server
from ..servers.programs import free_port

BIN = Path(sys.executable).parent
TOKEN = "s3cret"
OWNER = "team"
"""The user that Prefect logs in as beside a token: the first part of the repository's path."""
DEMO = Path(__file__).resolve().parents[2] / "demo" / "flows"


class Services:
    """What several worlds share: the git host, the hook's repository, what pre-commit has installed."""

    def __init__(self, folder: Path, https: HttpsServer) -> None:
        """`folder` is empty, and removed by whoever made it."""
        self.folder, self.https = folder, https
        self.hook = folder / "hook"
        self.pre_commit_home = folder / "pre-commit"
        copy_of_the_hooks(self.hook)
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        for command in (
            ["init", "--quiet"],
            ["add", "--all"],
            [*identity, "commit", "--quiet", "-m", "as it is"],
            ["tag", f"v{__version__}"],
        ):
            subprocess.run(["git", *command], cwd=self.hook, check=True)


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Start them, in an empty folder, until the end of the block."""
    (folder / "https").mkdir()
    with https_server(folder / "https") as https:
        with open(https.folder / "users", "a") as users:
            users.write(f"{OWNER}:{{PLAIN}}{TOKEN}\n")
        yield Services(folder, https)


class World:
    """Ada's home, a clone of `team/etl` in it, an API; commands are run as she would type them there."""

    def __init__(self, folder: Path, shared: Services, name: str) -> None:
        """`folder` is empty. `name` tells the repositories of several worlds on one host apart."""
        self.root, self.shared = folder, shared
        self.home = folder / "home" / "ada"
        self.clone = self.home / "etl"
        https = shared.https
        self.remote = https.repository(f"{OWNER}/{name}/etl")
        self.url = https.url(f"{OWNER}/{name}/etl")
        self.name = name
        self._running = ExitStack()
        self.api = self._running.enter_context(running())
        self.home.mkdir(parents=True)
        (self.home / ".gitconfig").write_text(
            f"{GIT_CONFIG}[credential]\n    helper = store\n"
            f'[url "{shared.hook}"]\n    insteadOf = {HOME}\n'
            f'[url "https://{https.host}/{OWNER}/{name}/"]\n    insteadOf = https://git.example.com/team/\n'
        )
        (self.home / ".git-credentials").write_text(f"https://{OWNER}:{TOKEN}@{https.host.replace(':', '%3a')}\n")
        self.environ = {
            **{name: value for name, value in os.environ.items() if name in KEPT or name.startswith("PIP_")},
            "HOME": str(self.home),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSL_CAINFO": str(https.ca),
            "PRE_COMMIT_HOME": str(shared.pre_commit_home),
            "PREFECT__BACKEND": "server",
            "PREFECT__SERVER__ENDPOINT": self.api,
            "PREFECT__HOME_DIR": str(self.home / ".prefect"),
            "PREK_HOME": str(shared.folder / "prek"),
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        self._agents: list[subprocess.Popen[bytes]] = []
        self._stopped = threading.Event()

    def begin(self, files: Mapping[str, str]) -> None:
        """The clone with these files, pushed to the host; and an environment with Prefect in `.venv`."""
        self.run(f"git clone --quiet {self.url} etl", folder=self.home)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.clone / ".venv")], check=True)
        (packages,) = (self.clone / ".venv" / "lib").glob("python*/site-packages")
        import prefect

        (packages / "flows-need.pth").write_text(f"{Path(prefect.__file__).parents[1]}\n")
        self.write({".gitignore": ".venv/\n", **files})
        self.run(
            "git add --all && git commit --quiet -m 'flows' && git push --quiet -u origin main && git remote set-head origin main"
        )

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the clone."""
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def run(self, command: str, code: int = 0, folder: Path | None = None) -> str:
        """What a shell command prints, as the docs show it; it has to end with this exit code."""
        result = subprocess.run(
            ["sh", "-c", command], cwd=folder or self.clone, env=self.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        )  # fmt: skip
        printed = self.shown(result.stdout.decode("utf-8", "replace"))
        assert result.returncode == code, f"$ {command}\nexit {result.returncode}\n{printed}"
        return printed

    def run_in_terminal(self, command: str, answer: str = "", **environ: str) -> str:
        """All that a terminal shows of a command; its first question is answered."""
        leader, follower = pty.openpty()
        # Wide: where a line is broken must not depend on this run's folders and ports, which are longer than those shown.
        environ = {"COLUMNS": "400", **environ}
        size = struct.pack("HHHH", 40, int(environ["COLUMNS"]), 0, 0)
        fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
        environment = {**self.environ, "TERM": "xterm-256color", **environ}
        with subprocess.Popen(
            ["sh", "-c", command], cwd=self.clone, env=environment, stdin=follower, stdout=follower, stderr=follower,
            start_new_session=True,
        ) as process:  # fmt: skip
            os.close(follower)
            seen = b""
            while True:
                if process.poll() is not None and not select.select([leader], [], [], 0.2)[0]:
                    break
                try:
                    part = os.read(leader, 4096)
                except OSError:
                    break
                seen += part
                if answer and seen.endswith((b"? [y/N] ", b"? ", b": ")):
                    os.write(leader, answer.encode() + b"\n")
                    answer = ""
        os.close(leader)
        return self.shown(seen.decode("utf-8", "replace").replace("\r\n", "\n"))

    def shown(self, printed: str) -> str:
        """What was printed, with this run's folders and ports as the docs have them."""
        printed = printed.replace(f"{self.shared.https.host}/{OWNER}/{self.name}", "git.example.com/team")
        printed = printed.replace(self.shared.https.host, "git.example.com").replace(str(self.home), "/home/ada")
        printed = printed.replace(str(BIN), "/home/ada/.local/bin").replace(self.api, "http://localhost:4200")
        return printed.replace(str(self.root), "")

    def settled(self) -> None:
        """Wait until every push is registered."""
        repository = open_repository(str(self.clone))
        until(lambda: not pending.entries(repository))

    def agent(self, label: str = "", **environ: str) -> None:
        """Start Prefect's local agent, with the token as its local secret; it is told to look for work all the time."""
        port = free_port()
        environ = {name: value.replace("~", str(self.home)) for name, value in environ.items()}
        secret = {"PREFECT__CONTEXT__SECRETS__GIT_TOKEN": TOKEN, "SSL_CERT_FILE": str(self.shared.https.ca)}
        labels = ["--label", label] if label else []
        with open(self.root / "agent.log", "ab") as log:
            self._agents.append(subprocess.Popen(
                ["prefect", "agent", "local", "start", "--no-hostname-label", *labels,
                 "--agent-address", f"http://127.0.0.1:{port}"],
                cwd=self.root, env={**self.environ, **secret, **environ}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            ))  # fmt: skip

        def poke() -> None:
            while not self._stopped.wait(0.5):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api/poke").close()

        threading.Thread(target=poke, daemon=True).start()

    def stop(self) -> None:
        """End the agents and the API."""
        self._stopped.set()
        for agent in self._agents:
            os.killpg(agent.pid, signal.SIGTERM)
            agent.wait(60)
        self._running.close()


def demo_flows() -> dict[str, str]:
    """The flow files of the demo."""
    return {f"flows/{path.name}": path.read_text() for path in sorted(DEMO.glob("*.py"))}
