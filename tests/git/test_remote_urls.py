"""Every form of URL that git accepts → where it leads, without credentials."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from git_prefect import cli
from git_prefect.core.errors import GitPrefectError, OutOfReach
from git_prefect.deploy import pending
from git_prefect.git import GitError, refs, remotes, run_git
from git_prefect.git.clone_url import secret_value, storage_of, why_not_clonable
from git_prefect.git.ls_remote import ask_remote
from git_prefect.git.remote_urls import Location, locate, redact, same_place, without_credentials

from ..repository import Clone


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/team/etl.git", Location("https", None, "github.com", "team/etl", True)),
        ("https://ada:t0ken@gitlab.com/a/b/c/etl", Location("https", None, "gitlab.com", "a/b/c/etl", True)),
        (
            "HTTPS://git.Example.com:8443/team/etl.git/",
            Location("https", None, "git.example.com:8443", "team/etl", True),
        ),
        ("https://example.com/my%20etl.git", Location("https", None, "example.com", "my etl", True)),
        ("git@github.com:team/etl.git", Location("ssh", "git", "github.com", "team/etl", False)),
        ("git@git.corp:/srv/git/etl.git", Location("ssh", "git", "git.corp", "srv/git/etl", True)),
        ("github.com:team/etl", Location("ssh", None, "github.com", "team/etl", False)),
        ("ssh://git@example.com:2222/team/etl.git", Location("ssh", "git", "example.com:2222", "team/etl", True)),
        ("git+ssh://git@example.com/etl", Location("ssh", "git", "example.com", "etl", True)),
        ("ssh://deploy@example.com/~ada/etl", Location("ssh", "deploy", "example.com", "~ada/etl", False)),
        ("git@[::1]:team/etl.git", Location("ssh", "git", "[::1]", "team/etl", False)),
        ("https://[::1]:8443/team/etl.git", Location("https", None, "[::1]:8443", "team/etl", True)),
        ("http://example.com/etl.git", Location("http", None, "example.com", "etl", True)),
        ("codecommit::eu-west-1://etl", Location("codecommit", None, "", "eu-west-1://etl", False)),
        ("codecommit://profile@etl", Location("codecommit", None, "etl", "", True)),
        ("/srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl", True)),
        ("file:///srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl", True)),
        ("../etl.git", Location("file", None, "localhost", "../etl", False)),
        ("./a:b.git", Location("file", None, "localhost", "./a:b", False)),
    ],
)
def test_locate(url: str, expected: Location) -> None:
    assert locate(url) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:s3cret@example.com/r.git", "https://example.com/r.git"),
        ("https://s3cret@example.com/r.git", "https://example.com/r.git"),
        ("https://ada:p%40ss%2Fw@example.com/r.git", "https://example.com/r.git"),
        ("https://ada:p@ss/w@example.com/r.git", "https://example.com/r.git"),
        ("https://ada:p/w@example.com:8443/r.git", "https://example.com:8443/r.git"),
        ("https://example.com/scope@2/r.git", "https://example.com/scope@2/r.git"),
        ("ssh://git:s3cret@example.com:22/r.git", "ssh://git@example.com:22/r.git"),
        ("https://example.com/r.git?private_token=s3cret", "https://example.com/r.git"),
        ("http::https://ada:s3cret@example.com/r.git", "http::https://example.com/r.git"),
        ("codecommit::eu-west-1://etl", "codecommit::eu-west-1://etl"),
        ("git@example.com:r.git", "git@example.com:r.git"),
        ("ada:s3cret@example.com:r.git", "ada@example.com:r.git"),
        ("git@[::1]:r.git", "git@[::1]:r.git"),
        ("/srv/r.git", "/srv/r.git"),
    ],
)
def test_credentials_never_stay_in_a_url(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_redact_takes_every_login_out_of_a_text() -> None:
    said = (
        "fatal: unable to access 'https://ada:s3cret@example.com/r.git/': and http://t0ken@h/x, "
        "https://h/r.git?private_token=s3cret"
    )
    assert redact(said) == ("fatal: unable to access 'https://example.com/r.git/': and http://h/x, https://h/r.git")


@pytest.mark.parametrize(
    ("url", "other", "expected"),
    [
        ("https://ada:s3cret@github.com/team/etl.git", "git@github.com:team/etl", True),
        ("https://GitHub.com/team/etl", "ssh://git@ssh.github.com:443/team/etl.git", True),
        ("https://bitbucket.corp/scm/data/etl.git", "ssh://git@bitbucket.corp:7999/data/etl.git", True),
        ("https://dev.azure.com/team/data/_git/etl", "git@ssh.dev.azure.com:v3/team/data/etl", True),
        ("https://github.com/team/etl", "https://github.com/team/etl2", False),
        ("/srv/etl.git", "file:///srv/etl.git", True),
    ],
)
def test_the_same_place(url: str, other: str, expected: bool) -> None:
    assert same_place(url, other) is expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (("url.https://git.corp/team/.insteadOf", "corp:"), "https://git.corp/team/etl.git"),
        (("url.git@git.corp:team/.insteadOf", "corp:"), "git@git.corp:team/etl.git"),
        # What is pushed to is not what is fetched from, and agents fetch.
        (("url.ssh://git@git.corp/team/.pushInsteadOf", "corp:"), "corp:etl.git"),
    ],
)
def test_git_rewrites_urls_and_agents_get_the_one_that_is_fetched(
    work: Clone, config: tuple[str, str], expected: str
) -> None:
    work.git("remote", "set-url", "origin", "corp:etl.git")
    work.git("config", *config)
    assert remotes.remote_url(work.repository, "origin") == expected


# A credential is anything that a person can type, and the forms are those in which git finds one.
MARK = "s3cr3t"
CREDENTIAL = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12).map(
    lambda odd: f"{MARK}{odd}{MARK}"
)
PLACES = st.sampled_from(
    [
        "example.com/r.git",
        "example.com:8443/team/sub/r",
        "[::1]:8443/r.git",
        "dev.azure.com/o/p/_git/r",
        "gitlab.com/a/r.git/",
    ]
)
FORMS = st.sampled_from(
    [
        "https://ada:{credential}@{place}",
        "http://ada:{credential}@{place}",
        "https://{quoted}@{place}",
        "https://{quoted}:x-oauth-basic@{place}",
        "https://:{credential}@{place}",
        "https://{place}?private_token={quoted}",
        "https://ada:{quoted}@{place}?x={quoted}#{quoted}",
        "ssh://git:{credential}@{place}",
        "git+ssh://git:{credential}@{place}",
        "ftp://ada:{credential}@{place}",
        "http::https://ada:{credential}@{place}",
        "ada:{credential_of_scp}@example.com:team/r.git",
    ]
)


@st.composite
def urls(draw: st.DrawFn) -> str:
    credential = draw(CREDENTIAL)
    scp = credential.replace("/", "_").replace("@", "_")
    return draw(FORMS).format(
        credential=credential, quoted=quote(credential, safe=""), credential_of_scp=scp, place=draw(PLACES)
    )


@given(urls())
@settings(max_examples=500, deadline=None)
def test_no_credential_is_left_of_any_url(url: str) -> None:
    plain = without_credentials(url)
    assert MARK not in plain
    if "://" in url:  # In a text nothing tells `a:b@c:d` from other words.
        assert MARK not in redact(f"fatal: could not read '{url}': no")
    assert MARK not in repr(locate(url))
    for token, secret in ((None, None), ("TOKEN", None), (None, "CLONE_URL")):
        storage = storage_of(url, token, clone_url_secret=secret)
        assert MARK not in repr(storage)
        assert MARK not in (why_not_clonable(url, storage) or "")
        assert MARK not in (secret_value(url, "/srv") or "")
    assert without_credentials(plain) == plain


@given(url=urls())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_credential_reaches_an_update_a_pending_entry_or_an_exception(url: str, work: Clone, tmp_path: Path) -> None:
    repository, head = work.repository, work.head()
    line = f"refs/heads/main {head} refs/heads/main {'0' * 40}"
    variables = {
        "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
        "PRE_COMMIT_REMOTE_NAME": url, "PRE_COMMIT_REMOTE_URL": url, "PRE_COMMIT_TO_REF": head,
    }  # fmt: skip
    for update in (*refs.from_stdin(repository, [line], url, url), *refs.from_pre_commit(repository, variables)):
        assert MARK not in repr(update)
        pending.record(repository, update, None, None, None)
    with pytest.raises(GitError) as raised:
        run_git(repository, "no-such-command", url)
    assert MARK not in str(raised.value)
    for file in Path(repository.state_dir).rglob("*"):
        assert not file.is_file() or MARK not in file.read_text("utf-8", "replace")
    for entry in pending.entries(repository):
        assert MARK not in repr(entry)


@pytest.mark.parametrize("url", ["https://ada:s3cr3t@127.0.0.1:9/r.git", "https://ada:p@s3cr3t/w@127.0.0.1:9/r.git"])
def test_a_remote_that_cannot_be_asked_names_no_credential(work: Clone, url: str) -> None:
    work.git("remote", "set-url", "origin", url)
    for remote in ("origin", url):
        with pytest.raises(GitPrefectError) as raised:
            ask_remote(work.repository, remote)
        assert isinstance(raised.value, OutOfReach)
        assert MARK not in f"{raised.value}{raised.value.__cause__}"


@given(url=urls())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_push_by_a_url_with_a_credential_prints_and_keeps_none(
    url: str, work: Clone, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole native hook for such a push: validation, verdicts, the entry that waits, and what is refused."""
    if work.git("log", "-1", "--format=%s") != "flows":
        target = (
            '[tool.git-prefect]\nstorage = "replace"\n[[tool.git-prefect.target]]\nbranch = "main"\nproject = "p"\n'
        )
        work.commit({"pyproject.toml": target, "etl.py": "from prefect import Flow\nflow = Flow('etl')\n"}, "flows")
    monkeypatch.chdir(work.path)
    # Nothing is left behind that would wait for a push that is none.
    monkeypatch.setenv("CI", "true")
    line = f"refs/heads/main {work.head()} refs/heads/main {'0' * 40}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    code = cli.main(["pre-push", url, url])
    told = capsys.readouterr()
    assert (code, "Traceback" in told.err) in ((0, False), (2, False)), told
    assert told.out + told.err
    kept = [file.read_text("utf-8", "replace") for file in Path(work.repository.state_dir).rglob("*") if file.is_file()]
    assert MARK not in "".join([told.out, told.err, *kept])
