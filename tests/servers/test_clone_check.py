"""Every way in which an agent's clone fails, on real servers, and what is said of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from git_prefect.core.model import CheckedFile, LoadedFlow, RefUpdate
from git_prefect.core.settings import Settings, Source
from git_prefect.deploy import clone_check
from git_prefect.deploy.clone_check import CloneCheck
from git_prefect.deploy.clone_failures import QUOTE
from git_prefect.deploy.resolver import resolve_by
from git_prefect.git import Repository

from ..flows.conftest import make_venv, site_of
from ..repository import Clone
from .https import SLASHED, TOKEN, HttpsServer
from .ssh import SshServer

FLOW = "from prefect import Flow\nflow = Flow('etl')\n"
FILES = [CheckedFile("flows/etl.py", "", (LoadedFlow("etl", 0, {}, None, None),), (), False)]
SECRET = "PREFECT__CONTEXT__SECRETS__GIT_TOKEN"
USERNAMES = (
    "is the token right and not expired? Then `token-username`: GitLab takes oauth2 (or any), Bitbucket x-token-auth, "
    "GitHub and Gitea any; a deploy token wants its own username"
)


def fill(path: Path, work: Clone) -> None:
    """Give a server's repository a main branch with a flow, and two tags."""
    work.commit({"flows/etl.py": FLOW, "flows/broken.py": "import no_such_module\n"})
    work.git("tag", "-f", "light")
    work.git("tag", "-f", "-a", "-m", "x", "annotated")
    work.git("push", "--quiet", str(path), "main", "light", "annotated")


def ref(name: str = "refs/heads/main") -> RefUpdate:
    return RefUpdate("origin", "", name, None, None, None, "--ref")


def told(check: CloneCheck) -> tuple[str, str, str]:
    """Code, message and hint of what was found, after a look that no credential is in it."""
    assert check.finding is not None
    assert TOKEN not in repr(check.finding)
    assert SLASHED not in repr(check.finding)
    return check.finding.code, check.finding.message, check.finding.hint


@pytest.fixture
def host(https: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpsServer]:
    """The https host with a filled repository that `work` has as its origin, and an agent's environment."""
    name = f"team/{work.path.parent.name}"
    fill(https.repository(name), work)
    work.git("remote", "set-url", "origin", https.url(name))
    monkeypatch.setenv("SSL_CERT_FILE", str(https.ca))
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv(SECRET, TOKEN)
    yield https


def check_clone(repository: Repository, update: RefUpdate, settings: Settings, files: list[CheckedFile]) -> CloneCheck:
    """Clone a ref as these settings have agents do it."""
    return clone_check.check_clone(repository, resolve_by(repository, update, Source(settings, "pyproject.toml")), files)


TOKENS = Settings(token_secret="GIT_TOKEN", token_username="oauth2")


def test_a_clone_that_works(host: HttpsServer, work: Clone) -> None:
    assert check_clone(work.repository, ref(), TOKENS, FILES) == CloneCheck(None, "etl", "done")
    assert check_clone(work.repository, ref("refs/tags/light"), TOKENS, FILES) == CloneCheck(None, "etl", "done")
    assert check_clone(work.repository, ref(), TOKENS, []) == CloneCheck(None, None, "done")


def test_a_secret_that_is_missing(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET)
    assert told(check_clone(work.repository, ref(), TOKENS, FILES)) == (
        "token-missing",
        "the Prefect secret GIT_TOKEN is not set in this environment; an agent without it cannot clone, and every run "
        "fails before its first task",
        "give it to the agents, and to this command to check it:\n"
        f"    Prefect Server, where the agent runs: export {SECRET}=TOKEN\n"
        '    Prefect Cloud: python -c \'import prefect; prefect.Client().set_secret("GIT_TOKEN", "TOKEN")\'',
    )


def test_a_wrong_token_or_username(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    at = f"https://{host.host}/team/{work.path.parent.name}.git"
    wrong = msgspec.structs.replace(TOKENS, token_username=None)
    expected = (
        "clone-fails",
        f"{at} refuses the token in GIT_TOKEN with the username 'team': every run would fail with HTTPUnauthorized",
        USERNAMES,
    )
    assert told(check_clone(work.repository, ref(), wrong, FILES)) == expected
    monkeypatch.setenv(SECRET, "glpat-other")
    code, message, hint = told(check_clone(work.repository, ref(), TOKENS, FILES))
    assert (code, message, hint) == (expected[0], expected[1].replace("'team'", "'oauth2'"), USERNAMES)
    assert told(check_clone(work.repository, ref(), Settings(), FILES)) == (
        "clone-fails",
        f"{at} wants a login, and agents would clone it without one",
        "set `token-secret` to the name of the Prefect secret with a token that may read the repository",
    )


def test_a_token_that_is_not_quoted(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy = msgspec.structs.replace(TOKENS, token_username="deploy")
    monkeypatch.setenv(SECRET, SLASHED)
    assert told(check_clone(work.repository, ref(), deploy, FILES)) == (
        "clone-fails",
        "the token in GIT_TOKEN has a character that ends the login of a URL (@ / ? # [ ]), and Prefect puts it there as it "
        "is: agents would take a part of it for the host",
        f"store it quoted: {QUOTE}",
    )
    monkeypatch.setenv(SECRET, "p%40ss%2Fw")
    assert check_clone(work.repository, ref(), deploy, FILES).finding is None
    monkeypatch.setenv(SECRET, "p%41")
    assert "has a % that is decoded before it is sent" in told(check_clone(work.repository, ref(), deploy, FILES))[1]


def test_a_letter_beyond_ascii(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """git gets in with a password that agents cannot send; the host has it in UTF-8."""
    name = f"team/{work.path.parent.name}"
    monkeypatch.setenv("GIT_SSL_CAINFO", str(host.ca))
    by_url = Settings(clone_url_secret="URL")
    for password, told_of_it in (
        ("motdepassé", f"https://{host.host}/{name}.git refuses the login in URL; it has a letter beyond ASCII, which agents send "
         "in Latin-1 and git in UTF-8: every run would fail with HTTPUnauthorized, even where git gets in with it"),
        ("hasło", "the login in URL has a letter that is not in Latin-1: agents cannot send it and take the URL for a place over "
         "ssh, so every run would fail, even where git gets in with it"),
    ):  # fmt: skip
        host.admit("letters", password.encode())
        url = host.url(name, "letters", password)
        assert work.head() in work.git("ls-remote", url)
        monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__URL", url)
        found = check_clone(work.repository, ref(), by_url, FILES)
        assert told(found) == ("clone-fails", told_of_it, "give agents a token, or a password, of ASCII characters alone")
        assert password not in repr(found)
    host.admit("letters", "motdepassé".encode("latin-1"))
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__URL", host.url(name, "letters", "motdepassé"))
    assert check_clone(work.repository, ref(), by_url, FILES).finding is None


def test_a_branch_or_tag_that_the_remote_lacks(host: HttpsServer, work: Clone) -> None:
    at = f"https://{host.host}/team/{work.path.parent.name}.git"
    for name, kind in (("refs/heads/feature/x", "branch"), ("refs/tags/v1", "tag")):
        update = ref(name)
        assert told(check_clone(work.repository, update, TOKENS, FILES)) == (
            "clone-fails",
            f"{at} has no {kind} {update.name}: every run would fail with a bare KeyError",
            f"git push origin {update.name}",
        )


def test_an_annotated_tag(host: HttpsServer, work: Clone) -> None:
    code, message, hint = told(check_clone(work.repository, ref("refs/tags/annotated"), TOKENS, FILES))
    assert (code, message.partition(": ")[2]) == (
        "clone-fails",
        "the tag annotated is annotated: every run would fail with 'Tag' object has no attribute 'tree'",
    )
    assert hint == "git tag --no-sign -f annotated 'annotated^{}' && git push --force origin annotated"


def test_a_repository_or_host_that_does_not_exist(host: HttpsServer, work: Clone) -> None:
    work.git("remote", "set-url", "origin", host.url("team/none"))
    assert told(check_clone(work.repository, ref(), TOKENS, FILES))[1] == (
        f"https://{host.host}/team/none.git: localhost has no such repository, or the login may not see it; Prefect appends "
        ".git to its path"
    )
    work.git("remote", "set-url", "origin", "https://nowhere.invalid/team/etl.git")
    assert told(check_clone(work.repository, ref(), TOKENS, FILES))[1] == (
        "https://nowhere.invalid/team/etl.git: there is no host nowhere.invalid, so no agent could clone"
    )
    work.git("remote", "set-url", "origin", "https://localhost:9/team/etl.git")
    assert told(check_clone(work.repository, ref(), TOKENS, FILES))[1] == (
        "https://localhost:9/team/etl.git: localhost does not answer, so no agent could clone"
    )


def test_a_certificate_that_is_not_trusted(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    at = f"https://{host.host}/team/{work.path.parent.name}.git"
    assert told(check_clone(work.repository, ref(), TOKENS, FILES)) == (
        "clone-fails",
        f"{at}: the certificate of localhost is not trusted here; an agent that does not trust it cannot clone",
        "where the agent runs, name the CA that signed it: SSL_CERT_FILE=/path/to/ca.pem, or git config --global "
        "http.sslCAInfo /path/to/ca.pem",
    )
    work.git("config", "--global", "http.sslCAInfo", str(host.ca))
    assert check_clone(work.repository, ref(), TOKENS, FILES).finding is None


def test_what_else_a_host_or_a_proxy_says(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, fact in (
        (
            f"https://127.0.0.1:{host.port}/team/etl.git",
            ": the certificate there is for another name than 127.0.0.1, so no agent could clone",
        ),
        (
            f"https://localhost:{host.expired}/team/etl.git",
            ": the certificate of localhost has expired, so no agent can clone",
        ),
        (
            f"https://{host.host}/forbidden/etl.git",
            " accepts the login in GIT_TOKEN, which may not read the repository (403): no agent could clone it",
        ),
        (
            f"https://{host.host}/broken/etl.git",
            f": the clone failed: GitProtocolError: unexpected http resp 502 for https://{host.host}/broken/etl.git/info/refs"
            "?service=git-upload-pack",
        ),
    ):
        work.git("remote", "set-url", "origin", url)
        assert told(check_clone(work.repository, ref(), TOKENS, FILES))[1] == f"{url}{fact}"
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    code, message, hint = told(check_clone(work.repository, ref(), TOKENS, FILES))
    assert (code, message.partition(" (")[0]) == ("clone-fails", f"{url}: the proxy does not let the clone through")
    assert hint == "see https_proxy and no_proxy where the agent runs, and http.proxy of its git config"


def test_a_flow_that_does_not_load(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    at = f"https://{host.host}/team/{work.path.parent.name}.git"
    gone = [CheckedFile("flows/gone.py", "", (LoadedFlow("etl", 0, {}, None, None),), (), False)]
    code, message, _ = told(check_clone(work.repository, ref(), TOKENS, gone))
    assert (code, message[: message.index("FileNotFoundError")]) == (
        "clone-fails", f"{at}: it can be cloned, but the flow does not load: "
    )  # fmt: skip


def test_what_a_flow_imports_is_looked_for_in_its_interpreter_alone(host: HttpsServer, work: Clone, tmp_path: Path) -> None:
    at = f"https://{host.host}/team/{work.path.parent.name}.git"
    broken = [CheckedFile("flows/broken.py", "", (LoadedFlow("etl", 0, {}, None, None),), (), False)]
    assert check_clone(work.repository, ref(), TOKENS, broken) == CloneCheck(None, "etl", "done")
    python = make_venv(tmp_path / "flows")
    settings = msgspec.structs.replace(TOKENS, python=str(python))
    assert told(check_clone(work.repository, ref(), settings, broken)) == (
        "clone-fails",
        f"{at}: it can be cloned, but the flow does not load: ModuleNotFoundError: No module named 'no_such_module'",
        "install it where the flow runs, and in the interpreter that the setting `python` names",
    )
    # An interpreter that cannot clone says nothing of agents, and then ours is the one that lacks the module.
    (site_of(tmp_path / "flows") / "dulwich.py").write_text("raise ImportError('no dulwich')\n")
    assert check_clone(work.repository, ref(), settings, broken) == CloneCheck(None, "etl", "done")
    assert check_clone(work.repository, ref(), settings, FILES) == CloneCheck(None, "etl", "done")


def test_a_default_branch_that_does_not_exist(host: HttpsServer, work: Clone) -> None:
    """dulwich 0.24 and older cannot clone it; what is installed here may."""
    remote = host.repository(f"team/{work.path.parent.name}-headless")
    work.git("push", "--quiet", str(remote), "main:refs/heads/feature/x")
    work.git("remote", "set-url", "origin", host.url(f"team/{work.path.parent.name}-headless"))
    found = check_clone(work.repository, ref("refs/heads/feature/x"), TOKENS, FILES)
    assert found.kind in ("done", "no-default-branch")


def test_a_host_that_never_answers(host: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clone_check, "TIMEOUT", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        work.git("remote", "set-url", "origin", f"https://localhost:{silent.getsockname()[1]}/team/etl.git")
        begin = time.monotonic()
        code, message, _ = told(check_clone(work.repository, ref(), TOKENS, FILES))
    assert (code, message) == (
        "clone-fails",
        f"localhost:{work.git('remote', 'get-url', 'origin').split(':')[2].split('/')[0]}/team/etl: the clone was not done "
        "after 3 s, and no run starts without it",
    )
    assert time.monotonic() - begin < 60


@pytest.fixture
def corp(ssh: SshServer, work: Clone, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    """The ssh host with a filled repository that `work` has as its origin; ssh is told the login."""
    name = f"team/{work.path.parent.name}"
    fill(ssh.repository(name), work)
    work.git("remote", "set-url", "origin", f"git@git.corp:{name}.git")
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh.client} -l {ssh.login}")
    return ssh


@pytest.mark.parametrize(
    ("options", "kind", "fact"),
    [
        ("", "done", ""),
        ("-o IdentityFile=/dev/null -F /dev/null -o UserKnownHostsFile={known} -p {port} -o HostName=127.0.0.1", "ssh-key",
         "git.corp accepts no key that ssh has here"),
        ("-o UserKnownHostsFile=/dev/null", "ssh-host-key", "ssh does not know the host key of git.corp"),
        ("-o HostName=nowhere.invalid", "no-host", "there is no host git.corp"),
        ("-p 9", "no-answer", "git.corp does not answer"),
    ],
)  # fmt: skip
def test_ssh(corp: SshServer, work: Clone, options: str, kind: str, fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = options.format(known=corp.folder / "known_hosts", port=corp.port)
    client = "ssh" if "-F" in extra else corp.client
    first = client.split(" ", 1)
    monkeypatch.setenv("GIT_SSH_COMMAND", " ".join([first[0], extra, *first[1:], "-l", corp.login]))
    found = check_clone(work.repository, ref(), Settings(), FILES)
    # Some versions of dulwich keep to themselves what ssh has said.
    assert found.kind in (kind, "ssh-closed" if kind != "done" else kind)
    if found.kind == kind != "done":
        assert fact in told(found)[1]
        assert told(found)[1].startswith(f"git@git.corp:team/{work.path.parent.name}.git: ")


def test_ssh_without_the_repository_or_the_branch(corp: SshServer, work: Clone) -> None:
    found = check_clone(work.repository, ref("refs/heads/none"), Settings(), FILES)
    assert told(found)[1].endswith(" has no branch none: every run would fail with a bare KeyError")
    work.git("remote", "set-url", "origin", "git@git.corp:team/none.git")
    assert check_clone(work.repository, ref(), Settings(), FILES).kind in ("no-repository", "ssh-closed")
