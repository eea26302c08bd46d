"""Planted keys, tokens and passwords: after a full run each is searched for in everything that was left or shown."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import pytest

from git_prefect.devserver.process import running
from git_prefect.push import pending

from ..end_to_end.conftest import BIN, flow_file, until
from ..repository import Clone, bare_remote, clone
from .conftest import run

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
            over.wait(0.005)

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


def test_no_secret_is_left_or_shown(user: User, world: Path) -> None:
    here, printed = user.clone.path, {}

    def call(*command: str, codes: tuple[int, ...] = (0,), **environ: str) -> str:
        ran = run(here, *command, **environ)
        assert ran.code in codes, (command, ran)
        printed[f"{command} {environ}"] = ran.output.encode()
        return ran.output

    quoted, down = quote(user.planted["clone url"], safe=""), {"PREFECT__SERVER__ENDPOINT": "http://127.0.0.1:9"}
    wrong = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"https://oauth2:{quoted}@127.0.0.1:9/team/etl.git"}
    unquoted = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": f"https://x:{user.planted['unquoted']}@127.0.0.1:9/team/etl.git"}
    with watched() as seen:
        call("git", "prefect", "install")
        assert "registered: etl" in call("git", "push", "-u", "origin", "main")
        call("git", "tag", "v1")
        call("git", "push", "origin", "v1")
        until(lambda: not pending.entries(user.clone.repository))
        for form in ("text", "json", "github", "gitlab", "markdown"):
            call("git", "prefect", "status", "--format", form)
            call("git", "prefect", "validate", "--format", form)
            call("git", "prefect", "register", "--dry-run", "--format", form, codes=(4,), **down)
        call("git", "prefect", "check-pushed")
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
        call("git", "prefect", "register", codes=(4,))
        call("git", "prefect", "status", codes=(4,))
    # git itself tells its helper the URL, login and all; whoever minds uses a credential helper (SECURITY.md).
    seen = {name: content for name, content in seen.items() if b"remote-https\0" not in content}
    found = {name: user.planted.found(content) for name, content in {**printed, **seen, **left(user, world)}.items()}
    assert {name: places for name, places in found.items() if places} == {}
    assert user.database.stat().st_size > 0 and any(name.startswith("environment of") for name in seen)
    # What is searched for would be found.
    assert user.planted.found(base64.b64encode(b"x:" + user.planted["header"].encode())) == {"header"}
    assert os.listdir(user.folder / "tmp") == []


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
