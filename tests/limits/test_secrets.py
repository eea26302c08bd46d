"""Planted keys, tokens and passwords: after a full run each is searched for in everything that was left or shown."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import pytest

from git_prefect.deploy import pending
from git_prefect.devserver.process import running

from ..end_to_end.conftest import BIN, flow_file, until
from ..repository import Clone, bare_remote, clone
from ..servers.conftest import https
from ..servers.https import HttpsServer
from .conftest import run

__all__ = ["https"]

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
verify-clone = true

[[tool.git-prefect.target]]
branch = "main"
project = "secrets"
create-project = true

[[tool.git-prefect.target]]
tag = "v*"
project = "secrets-production"
create-project = true
"""


class Planted(NamedTuple):
    """Secrets by the place where they are; each has what quoting changes."""

    values: dict[str, str]

    def __getitem__(self, place: str) -> str:
        return self.values.setdefault(place, f"s3cr:t/{place} +@é?&={len(self.values)}Zq")

    def found(self, content: bytes) -> set[str]:
        """The places whose secret is in there, plain, quoted as in a URL or a form, or in base64."""
        return {place for place, value in self.values.items() if any(form in content for form in forms(value))}


def forms(value: str) -> Iterator[bytes]:
    """What a secret looks like once something has encoded it; base64 in each of the three alignments."""
    plain = value.encode()
    yield plain
    yield quote(value).encode()
    yield quote(value, safe="").encode()
    yield quote_plus(value).encode()
    yield value.encode("unicode_escape")
    for shift in range(3):
        # Letters that also hold bits of what stands before or after are not the secret's alone.
        for encoded in (base64.b64encode, base64.urlsafe_b64encode):
            letters = encoded(b"\0" * shift + plain)
            first, last = -(-shift * 8 // 6), (shift + len(plain)) * 8 // 6
            yield letters[first:last]


@contextmanager
def watched() -> Iterator[dict[str, bytes]]:
    """Command lines of all processes, and the environments of those that load flows, while the block runs."""
    seen: dict[str, bytes] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    command = (folder / "cmdline").read_bytes()
                    seen[f"command line: {command!r}"] = command
                    if b"/flows/worker.py" in command:
                        seen[f"environment of {folder.name}"] = (folder / "environ").read_bytes()
                except OSError:
                    continue
            over.wait(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


class User(NamedTuple):
    """Someone with secrets in every place where they are kept, and what the API was told."""

    clone: Clone
    planted: Planted
    database: Path
    folder: Path
    url: str


@pytest.fixture
def user(tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A clone whose remote's URL has a login, and an environment and a home full of secrets."""
    planted, database, temporary = Planted({}), tmp_path / "api.sqlite", tmp_path / "tmp"
    temporary.mkdir()
    remote = bare_remote(tmp_path / "remote.git")
    login = quote(planted["remote url"], safe="")
    url = f"https://bot:{login}@git.example.com/team/etl.git"
    with open(world / ".gitconfig", "a") as config:
        config.write(f'[url "file://{remote}"]\n    insteadOf = {url}\n[credential]\n    helper = store\n')
        config.write(f'[http "https://git.example.com"]\n    extraHeader = "Authorization: Bearer {planted["header"]}"\n')
        config.write(f'[url "https://x:{quote(planted["instead"], safe="")}@other.example.com/"]\n    insteadOf = other:\n')
    (world / ".git-credentials").write_text(f"https://bot:{quote(planted['store'], safe='')}@git.example.com\n")
    (world / ".prefect").mkdir()
    (world / ".prefect" / "config.toml").write_text(
        f'[cloud]\napi_key = "{planted["prefect config"]}"\n[context.secrets]\nDB = "{planted["prefect secret"]}"\n'
    )
    (world / ".prefect" / "auth.toml").write_text(f'[server]\napi_key = "{planted["prefect auth"]}"\n')
    for name in (
        "PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN", "PREFECT__CONTEXT__SECRETS__DATABASE", "CI_JOB_TOKEN", "GITHUB_TOKEN",
        "GITLAB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_PASSPHRASE",
    ):  # fmt: skip
        monkeypatch.setenv(name, planted[name])
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__CLONE_URL", f"file://{remote}")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    made = clone(remote, tmp_path / "work")
    made.git("remote", "set-url", "origin", url)
    with running("--database", str(database)) as api:
        monkeypatch.setenv("PREFECT__BACKEND", "server")
        monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api)
        made.commit({"pyproject.toml": SETTINGS, "flows/etl.py": flow_file()})
        yield User(made, planted, database, tmp_path, url)


OURS = (".git/config", ".gitconfig", ".git-credentials", ".prefect/config.toml", ".prefect/auth.toml")
"""Where the secrets were put, relative to the clone or the home."""


def left(user: User, world: Path) -> dict[str, bytes]:
    """Every file below the test's folder but those that the secrets were put into."""
    return {
        str(path): path.read_bytes()
        for path in user.folder.rglob("*")
        if path.is_file() and not path.is_symlink() and not str(path).endswith(OURS)
    }


EVERY_FORMAT = """\
import sys
from git_prefect import cli

forms = ("text", "json", "github", "gitlab", "markdown")
codes = {cli.main([*command.split(), "--format", form]) for command in sys.argv[1:] for form in forms}
sys.exit(codes.pop() if len(codes) == 1 else f"they end with different codes: {codes}")
"""
"""Commands in all formats, in one process: Prefect is imported once."""


class Calls(NamedTuple):
    """Commands of a user, and all that they have printed."""

    user: User
    printed: dict[str, bytes]
    bugs: bool = False
    """Whether bugs are provoked."""

    def __call__(self, *command: str, codes: tuple[int, ...] = (0,), **environ: str) -> str:
        """What a command prints that ends with one of these codes."""
        ran = run(self.user.clone.path, *command, bugs=self.bugs, **environ)
        assert ran.code in codes, f"{command}: {ran}"
        self.printed[f"{command} {environ}"] = ran.output.encode()
        return ran.output

    def in_every_format(self, *commands: str, code: int = 0, **environ: str) -> str:
        """What commands of ours print in all formats together; each ends with that code."""
        return self(sys.executable, "-c", EVERY_FORMAT, *commands, codes=(code,), **environ)

    def search(self, seen: dict[str, bytes], world: Path) -> None:
        """Fail when a secret is in what was printed, seen or left."""
        everything = {**self.printed, **seen, **left(self.user, world)}
        found = {name: self.user.planted.found(content) for name, content in everything.items()}
        assert {name: places for name, places in found.items() if places} == {}
        # There was something to search, and what is searched for would be found.
        assert self.user.database.stat().st_size > 0 and any(name.startswith("environment of") for name in seen)
        told = b"x:" + self.user.planted["header"].encode()
        assert self.user.planted.found(base64.b64encode(told)) == {"header"}


def but_gits_own(seen: dict[str, bytes]) -> dict[str, bytes]:
    """Without the command lines in which git itself has the URL of a remote, login and all (SECURITY.md): of its helpers
    and of pre-push hooks."""
    own = re.compile(rb"\0?((git-)?remote-https|send-pack)\0|/pre-push(\.legacy)?\0|\0hook-impl\0|\0pre-push\0")
    return {name: content for name, content in seen.items() if not own.search(content)}


def test_no_secret_is_left_or_shown(user: User, world: Path) -> None:
    call = Calls(user, {})
    quoted, down = quote(user.planted["clone url"], safe=""), {"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"}
    wrong = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"https://oauth2:{quoted}@127.0.0.1:9/team/etl.git"}
    unquoted = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"https://x:{user.planted['unquoted']}@127.0.0.1:9/team/etl.git"}
    with watched() as seen:
        call("git", "prefect", "install")
        assert "registered: etl" in call("git", "push", "-u", "origin", "main")
        call("git", "tag", "v1")
        call("git", "push", "origin", "v1")
        until(lambda: not pending.entries(user.clone.repository))
        call.in_every_format("status", "validate", "check-pushed")
        call.in_every_format("register --dry-run", code=4, **down)
        for secret in (wrong, unquoted):
            assert "clone-fails" in call("git", "prefect", "doctor", "--format", "json", codes=(1,), **secret)
        user.clone.commit({"flows/etl.py": flow_file().replace("extract", "fetch")})
        assert "[clone-fails]" in call("git", "push", "origin", "main", **wrong)
        broken = "import os\nfrom prefect import Flow\nprint(dict(os.environ))\nflow = Flow('broken')\nraise ValueError(dict(os.environ))\n"
        user.clone.commit({"flows/broken.py": broken})
        assert "does not load: ValueError" in call("git", "push", "origin", "main", codes=(1,))
        user.clone.git("rm", "--quiet", "flows/broken.py")
        user.clone.commit({"flows/etl.py": flow_file().replace("extract", "pull")})
        assert "not registered yet" in call("git", "push", "origin", "main", **down)
        # Without its stand-in the remote is one that is out of reach.
        user.clone.git("config", "--global", "--unset-all", f"url.file://{user.folder}/remote.git.insteadOf")
        user.clone.git("config", "--global", "http.proxy", "http://127.0.0.1:9")
        call.in_every_format("register", "status", "check-pushed", code=4)
    call.search(but_gits_own(seen), world)
    assert os.listdir(user.folder / "tmp") == []


@pytest.fixture
def over_https(user: User, https: HttpsServer, monkeypatch: pytest.MonkeyPatch) -> User:
    """The same user; the remote is a real host, and its URL and the agents' secret have the logins that it wants."""
    name = f"team/{user.folder.name}"
    https.repository(name)
    https.admit("bot", user.planted["remote url"].encode())
    # dulwich sends what an agent has in its URL in another encoding than git.
    https.admit("agent", user.planted["clone url"].encode("latin-1"))
    user.clone.git("remote", "set-url", "origin", https.url(name, "bot", user.planted["remote url"]))
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__CLONE_URL", https.url(name, "agent", user.planted["clone url"]))
    monkeypatch.setenv("GIT_SSL_CAINFO", str(https.ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(https.ca))
    return user


def test_no_secret_of_a_login_over_https(over_https: User, https: HttpsServer, world: Path) -> None:
    user, call = over_https, Calls(over_https, {})
    with watched() as seen:
        call("git", "prefect", "install")
        assert "registered: etl" in call("git", "push", "-u", "origin", "main")
        call.in_every_format("status", "check-pushed", "register")
        assert "cloned as an agent does it, and loaded etl" in call.in_every_format("doctor", code=1)
        # Someone takes the agents' login away, then the user's.
        https.admit("agent", b"another")
        assert "wrong: clone, agents" in call("git", "prefect", "doctor", codes=(1,))
        https.admit("bot", b"another")
        user.clone.commit({"flows/etl.py": flow_file().replace("extract", "pull")})
        assert "Authentication failed" in call("git", "push", "origin", "main", codes=(128,))
        assert "not arrived" not in call.in_every_format("register", "check-pushed", "status", code=3)
    call.search(but_gits_own(seen), world)


def test_no_secret_where_git_has_the_login_elsewhere(over_https: User, https: HttpsServer, world: Path) -> None:
    """With a credential helper, nobody's command line has it."""
    user, call = over_https, Calls(over_https, {})
    url = user.clone.git("remote", "get-url", "origin")
    name = url.rpartition("@")[2]
    login = url.removesuffix(name[name.index("/") :]).replace(f":{https.port}", f"%3a{https.port}")
    with open(world / ".git-credentials", "a") as store:
        store.write(f"{login}\n")
    user.clone.git("remote", "set-url", "origin", f"https://{name}")
    with watched() as seen:
        call("git", "prefect", "install")
        assert "registered: etl" in call("git", "push", "-u", "origin", "main")
        call("git", "prefect", "status")
    assert any(b"remote-https" in content for content in seen.values())
    call.search(seen, world)


CONFIG = """\
repos:
  - repo: local
    hooks:
      - {id: prefect-validate, name: v, entry: git-prefect validate, language: system, always_run: true, log_file: hooks.log}
      - {id: prefect-check-pushed, name: c, entry: git-prefect check-pushed, language: system, always_run: true,
         pass_filenames: false, log_file: hooks.log, verbose: true}
      - {id: prefect-register, name: r, entry: git-prefect register, language: system, always_run: true,
         pass_filenames: false, log_file: hooks.log, verbose: true}
"""


def test_no_secret_of_a_run_inside_pre_commit(over_https: User, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its log, in its cache, and in what it keeps of changes that it puts away."""
    user, call = over_https, Calls(over_https, {}, bugs=True)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(user.folder / "pre-commit"))
    user.clone.commit({".pre-commit-config.yaml": CONFIG})
    with watched() as seen:
        call("pre-commit", "install", "--hook-type", "pre-push")
        assert "once origin has" in call("git", "push", "-u", "origin", "main")
        until(lambda: not pending.entries(user.clone.repository))
        user.clone.write({"flows/etl.py": flow_file().replace("extract", "pull")})
        user.clone.git("add", "flows")
        user.clone.write({"flows/etl.py": "unstaged\n"})
        assert "uncommitted-flow" in call("pre-commit", "run", "--hook-stage", "manual", codes=(1,))
        broken = {"BROKEN": "git_prefect.git.repository:setting", "PYTHONPATH": str(broken_product(user))}
        call("pre-commit", "run", "--hook-stage", "manual", "--all-files", codes=(1,), **broken)
        assert "pre-commit.log" in call("pre-commit", "run", "--config", "/nonexistent", codes=(1,))
    logs = [user.clone.path / "hooks.log", user.folder / "pre-commit" / "pre-commit.log"]
    assert all(log.stat().st_size for log in logs) and list((user.folder / "pre-commit").glob("patch*"))
    shutil.rmtree(user.folder / "broken")
    call.search(but_gits_own(seen), world)


BREAKS = """\
import importlib, os

if "BROKEN" in os.environ:
    module, name = os.environ["BROKEN"].split(":")


    def broken(*_, **__):
        raise ZeroDivisionError({said!r})


    setattr(importlib.import_module(module), name, broken)
"""


def broken_product(user: User) -> Path:
    """A folder for PYTHONPATH with which the function that BROKEN names has a bug, whose exception says all it knows."""
    url = user.clone.git("remote", "get-url", "origin")
    said = f"{['git', 'fetch', url]}: {url}: {os.environ['PREFECT__CONTEXT__SECRETS__CLONE_URL']}"
    folder = user.folder / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BREAKS.format(said=said))
    return folder


def test_no_secret_in_what_a_bug_leaves(over_https: User, world: Path) -> None:
    """The log of a crash, whatever it was that crashed, has the traceback and no login."""
    user, call = over_https, Calls(over_https, {}, bugs=True)
    path = {"PYTHONPATH": str(broken_product(user))}
    ends = "ended by a bug of ours; the traceback is in "
    with watched() as seen:
        call("git", "prefect", "install")
        commands = ("validate", "status", "check-pushed", "doctor", "register")
        printed = call.in_every_format(*commands, code=70, BROKEN="git_prefect.git.repository:setting", **path)
        assert [command for command in commands if printed.count(f"{command} {ends}") < 2] == []
        push = call("git", "push", "origin", "main", codes=(1,), BROKEN="git_prefect.git.repository:setting", **path)
        assert f"pre-push {ends}" in push
        # One that comes after the push has arrived leaves its traceback below the git directory.
        push = call("git", "push", "origin", "main", BROKEN="git_prefect.prefect_api.queries:Api", **path)
        assert "not registered yet: a bug of git-prefect's" in push
        assert "crash.log" in call.in_every_format("status", code=4, PREFECT__SERVER__ENDPOINT="http://127.0.0.1:9")
    shutil.rmtree(user.folder / "broken")
    logs = [*(user.folder / "tmp").iterdir(), Path(user.clone.repository.state_dir, "crash.log")]
    assert len(logs) > 20 and {log.name[:12] for log in logs} == {"git-prefect-", "crash.log"}
    assert all("ZeroDivisionError: ['git', 'fetch', 'https://localhost:" in log.read_text() for log in logs)
    call.search(but_gits_own(seen), world)


LOOKS = """\
import json, os, pathlib, subprocess
import prefect
from prefect import Flow


def tried(what):
    try:
        return what() or ""
    except Exception as error:
        return type(error).__name__


def above():
    found, pid = b"", os.getppid()
    while pid > 1:
        found += pathlib.Path(f"/proc/{{pid}}/environ").read_bytes()
        pid = int(pathlib.Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[1])
    return found.decode("utf-8", "replace")


ask = b"protocol=https\\nhost=git.example.com\\n\\n"
credential = ["git", "credential", "fill"]
here = pathlib.Path(__file__)
taken = {{
    "its environment": tried(lambda: repr(dict(os.environ))),
    "Prefect's client": tried(lambda: prefect.Client().api_key),
    "Prefect's secrets": tried(lambda: repr(prefect.context.get("secrets"))),
    "~/.git-credentials": tried(lambda: pathlib.Path("~/.git-credentials").expanduser().read_text()),
    "~/.prefect": tried(lambda: pathlib.Path("~/.prefect/auth.toml").expanduser().read_text()),
    "git credential fill": tried(lambda: subprocess.run(credential, input=ask, capture_output=True).stdout.decode()),
    "the home by its path": tried(lambda: pathlib.Path("{home}/.git-credentials").read_text()),
    "the clone's .git/config": tried(lambda: pathlib.Path("{work}/.git/config").read_text()),
    "the processes above": tried(above),
}}
here.with_name("beside.txt").write_text("changed")
pathlib.Path("{loot}").write_text(json.dumps(taken))
with Flow("looks") as flow:
    pass
"""


def test_what_a_flow_file_gets_while_it_is_loaded(user: User, world: Path) -> None:
    """As SECURITY.md has it: nothing is handed to it, and nothing that the user may read is out of its reach."""
    user.clone.git("prefect", "install")
    loot = user.folder / "loot.json"
    source = LOOKS.format(home=world, work=user.clone.path, loot=loot)
    user.clone.commit({"flows/looks.py": source, "flows/beside.txt": "as it was"})
    assert run(user.clone.path, "git", "push", "origin", "main").code == 0
    taken = {place: user.planted.found(got.encode()) for place, got in json.loads(loot.read_text()).items()}
    above = taken.pop("the processes above")
    assert taken == {
        "its environment": set(),
        "Prefect's client": set(),
        "Prefect's secrets": set(),
        "~/.git-credentials": set(),
        "~/.prefect": set(),
        "git credential fill": set(),
        "the home by its path": {"store"},
        "the clone's .git/config": {"remote url"},
    }
    assert {"PREFECT__CLOUD__API_KEY", "CI_JOB_TOKEN"} <= above
    # It wrote outside of its folder; what it changed beside itself was a copy of its own.
    snapshot = Path(user.clone.repository.state_dir, "snapshot", "tree", "flows", "beside.txt")
    assert (user.clone.path / "flows" / "beside.txt").read_text() == snapshot.read_text() == "as it was"
