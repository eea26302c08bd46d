"""Remote URLs: any text is taken apart, and every host in every form leads to a storage or to a clear refusal."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from git_prefect.git.clone_url import secret_value, storage_of, why_not_clonable
from git_prefect.git.remote_urls import locate, redact, same_place, without_credentials

from .strategies import tries

PIECES = st.sampled_from(
    ["https://", "http://", "ssh://", "git+ssh://", "git://", "file://", "codecommit::", "ext::", "://", "@", ":", "/", "//", "~",
     "git", "ada", "host", "host.example:8443", "[::1]", "[", "]", ":7999", "team", "etl", ".git", "..", "?a=b", "#x", "%", "%2F",
     "%zz", " ", "\n", "\0", "ü", "\udcff", "-x", "v3", "_git", "scm", "\\", "C:"]
)  # fmt: skip
URLS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=9).map("".join))
USERNAMES = st.one_of(st.none(), st.just("oauth2"))


@given(URLS, URLS, USERNAMES, st.sampled_from([None, True, False]))
@example("codecommit::us-east-1", "codecommit::x://y", None, None)
@example("a" * 4_000 + "@" * 4_000 + ":" * 4_000, "[" * 4_000, None, None)
@example("https://" + "@/" * 4_000, ":" * 4_000, None, None)
@tries(300, seconds=10)
def test_any_text_is_taken_apart(url: str, other: str, username: str | None, ssh: bool | None) -> None:
    assert isinstance(locate(url).path, str)
    assert without_credentials(without_credentials(url)) == without_credentials(url)
    redact(url)
    assert same_place(url, url)
    assert same_place(url, other) == same_place(other, url)
    for token, whole in ((None, None), ("TOKEN", None), (None, "URL")):
        storage = storage_of(url, token, username, whole, ssh)
        why = why_not_clonable(url, storage)
        assert (why is None) or (why and whole is None), "a clone-URL secret expresses everything"
        secret_value(url, "/srv", username, ssh)


NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}[a-z0-9]", fullmatch=True).filter(lambda name: not name.endswith(".git"))
HOSTS = st.sampled_from(
    ["github.com", "gitlab.com", "gitlab.example.com", "bitbucket.org", "codeberg.org", "git.example.com", "ghe.example.com"]
)
FORMS = {
    "https://{host}/{path}.git": "https", "https://{host}/{path}": "https", "https://{host}/{path}/": "https",
    "HTTPS://{host}/{path}.git": "https", "https://ada@{host}/{path}.git": "https", "git@{host}:{path}.git": "ssh",
    "git@{host}:{path}": "ssh", "{host}:{path}.git": "ssh", "ssh://git@{host}/{path}.git": "ssh", "ssh://{host}/{path}": "ssh",
    "git+ssh://git@{host}/{path}.git": "ssh",
}  # fmt: skip


@given(st.lists(NAMES, min_size=2, max_size=4).map("/".join), HOSTS, st.sampled_from(sorted(FORMS)))
@tries(200)
def test_every_form_leads_to_the_same_repository_as_prefect_clones_it(path: str, host: str, form: str) -> None:
    """Prefect's two forms: `https://{user}:{token}@{repo_host}/{repo}.git` and `git@{repo_host}:{repo}.git`."""
    url = form.format(host=host, path=path)
    by_token: Any = storage_of(url, token_secret="TOKEN")
    assert (by_token.repo_host, by_token.repo, by_token.use_ssh) == (host, path, False)
    assert why_not_clonable(url, by_token) is None
    plain = storage_of(url)
    assert plain.use_ssh == (FORMS[form] == "ssh")
    assert plain.repo_host == host
    assert plain.repo.strip("/") == path
    assert same_place(url, f"https://{host}/{path}.git")


@given(st.lists(NAMES, min_size=1, max_size=3).map("/".join), HOSTS, st.sampled_from(
    ["http://{host}/{path}.git", "git://{host}/{path}.git", "/srv/{path}.git", "file:///srv/{path}.git", "../{path}",
     "ssh://git@{host}:2222/{path}.git", "ssh://ada@{host}/{path}.git", "ada@{host}:{path}.git", "git@[::1]:{path}.git",
     "https://dev.azure.com/o/p/_git/{path}", "codecommit::eu-west-1://{path}", "ext::sh -c {path}"]
))  # fmt: skip
@tries(100)
def test_what_prefect_cannot_express_is_refused_in_words(path: str, host: str, form: str) -> None:
    url = form.format(host=host, path=path)
    why = why_not_clonable(url, storage_of(url))
    assert why
    assert re.search(
        r"a path on this machine|agents clone over https or ssh|log in over ssh as 'git'|no place for|appends \.git", why
    )
