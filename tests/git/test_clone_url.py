"""Remote URL → the storage that is registered, and the URL that Prefect's own Git storage then clones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import asdict

from git_prefect.core.model import GitStorage
from git_prefect.core.settings import Settings
from git_prefect.deploy.clonable import how_to_clone
from git_prefect.git import hosts, remotes
from git_prefect.git.clone_url import secret_value, storage_of, why_not_clonable

from ..repository import Clone, bare_remote, clone


def cloned(storage: GitStorage) -> str:
    """What an agent clones: the real storage, with the real secret."""
    import prefect

    made = prefect.storage.Git("flow.py", branch_name="main", **asdict(storage))
    with prefect.context(secrets={"TOKEN": "t0ken"}):
        return str(made.git_clone_url)


class Case(NamedTuple):
    """A remote, the storage without a token and with one, and the URL that is cloned."""

    url: str
    host: str
    repo: str
    ssh: bool
    token: str | None
    clones: str
    username: str | None = None


def https(url: str, host: str, repo: str, username: str | None, clones: str) -> Case:
    return Case(url, host, repo, False, "TOKEN", clones, username)


def ssh(url: str, host: str, repo: str, clones: str) -> Case:
    return Case(url, host, repo, True, None, clones)


EXPRESSIBLE = [
    # GitHub, and its ssh on port 443
    https("https://github.com/team/etl.git", "github.com", "team/etl", None, "https://team:t0ken@github.com/team/etl.git"),
    https("https://ada@github.com/team/etl", "github.com", "team/etl", None, "https://team:t0ken@github.com/team/etl.git"),
    https("git@github.com:team/etl.git", "github.com", "team/etl", None, "https://team:t0ken@github.com/team/etl.git"),
    https("ssh://git@ssh.github.com:443/team/etl.git", "github.com", "team/etl", None, "https://team:t0ken@github.com/team/etl.git"),
    ssh("git@github.com:team/etl.git", "github.com", "team/etl", "git@github.com:team/etl.git"),
    ssh("github.com:team/etl", "github.com", "team/etl", "git@github.com:team/etl.git"),
    ssh("ssh://git@github.com/team/etl.git", "github.com", "/team/etl", "git@github.com:/team/etl.git"),
    # GitLab: subgroups, self-hosted, a port, a relative root
    https("https://gitlab.com/a/b/c/etl.git", "gitlab.com", "a/b/c/etl", "oauth2", "https://oauth2:t0ken@gitlab.com/a/b/c/etl.git"),
    https("https://ada:x@gitlab.corp:8443/a/b/etl.git/", "gitlab.corp:8443", "a/b/etl", "oauth2", "https://oauth2:t0ken@gitlab.corp:8443/a/b/etl.git"),
    https("https://gitlab.corp/gitlab/a/etl", "gitlab.corp", "gitlab/a/etl", "oauth2", "https://oauth2:t0ken@gitlab.corp/gitlab/a/etl.git"),
    https("ssh://git@gitlab.corp:2222/a/b/etl.git", "gitlab.corp", "a/b/etl", "oauth2", "https://oauth2:t0ken@gitlab.corp/a/b/etl.git"),
    https("ssh://git@altssh.gitlab.com:443/a/etl.git", "gitlab.com", "a/etl", "oauth2", "https://oauth2:t0ken@gitlab.com/a/etl.git"),
    ssh("git@gitlab.corp:a/b/etl.git", "gitlab.corp", "a/b/etl", "git@gitlab.corp:a/b/etl.git"),
    # Bitbucket, cloud and server
    https("https://ada@bitbucket.org/team/etl.git", "bitbucket.org", "team/etl", "x-token-auth", "https://x-token-auth:t0ken@bitbucket.org/team/etl.git"),
    https("https://bitbucket.corp/scm/data/etl.git", "bitbucket.corp", "scm/data/etl", "x-token-auth", "https://x-token-auth:t0ken@bitbucket.corp/scm/data/etl.git"),
    https("ssh://git@bitbucket.corp:7999/data/etl.git", "bitbucket.corp", "scm/data/etl", "x-token-auth", "https://x-token-auth:t0ken@bitbucket.corp/scm/data/etl.git"),
    https("ssh://git@git.corp:7999/data/etl.git", "git.corp", "scm/data/etl", None, "https://scm:t0ken@git.corp/scm/data/etl.git"),
    https("git@altssh.bitbucket.org:team/etl.git", "bitbucket.org", "team/etl", "x-token-auth", "https://x-token-auth:t0ken@bitbucket.org/team/etl.git"),
    ssh("git@bitbucket.org:team/etl.git", "bitbucket.org", "team/etl", "git@bitbucket.org:team/etl.git"),
    # Gitea, Forgejo, a plain server
    https("https://gitea.corp:3000/team/etl.git", "gitea.corp:3000", "team/etl", None, "https://team:t0ken@gitea.corp:3000/team/etl.git"),
    https("https://[::1]:8443/team/etl.git", "[::1]:8443", "team/etl", None, "https://team:t0ken@[::1]:8443/team/etl.git"),
    https("https://git.corp/my%20etl.git", "git.corp", "my%20etl", None, "https://my%20etl:t0ken@git.corp/my%20etl.git"),
    ssh("git@git.corp:/srv/git/etl.git", "git.corp", "/srv/git/etl", "git@git.corp:/srv/git/etl.git"),
    ssh("ssh://git@git.corp/srv/my%20etl.git", "git.corp", "/srv/my etl", "git@git.corp:/srv/my etl.git"),
    ssh("ssh://git@git.corp/~git/etl", "git.corp", "~git/etl", "git@git.corp:~git/etl.git"),
    ssh("git.corp:etl", "git.corp", "etl", "git@git.corp:etl.git"),
]  # fmt: skip


@pytest.mark.parametrize("case", EXPRESSIBLE, ids=lambda case: f"{case.url}{'+token' if case.token else ''}")
def test_what_prefects_two_forms_can_say(case: Case) -> None:
    storage = storage_of(case.url, case.token)
    assert storage == GitStorage(case.host, case.repo, case.ssh, case.token, case.username, None)
    assert cloned(storage) == case.clones
    assert why_not_clonable(case.url, storage) is None


AZURE = "Prefect appends .git to the path, which Azure DevOps does not know"
CODECOMMIT = "Prefect appends .git to the path, which AWS CodeCommit does not know"
PORT = "Prefect's ssh URL has no place for a port"
AWS = "git-codecommit.eu-west-1.amazonaws.com/v1/repos/etl"


@pytest.mark.parametrize(
    ("url", "why", "value"),
    [
        ("ssh://git@gitlab.corp:2222/a/b/etl.git", PORT, "ssh://git@gitlab.corp:2222/a/b/etl.git"),
        ("ssh://git:s3cret@gitlab.corp:2222/etl.git/", PORT, "ssh://git@gitlab.corp:2222/etl.git"),
        ("ssh://git@git.corp:2222/srv/my%20etl.git", PORT, "ssh://git@git.corp:2222/srv/my etl.git"),
        ("ssh://git@ssh.github.com:443/team/etl.git", PORT, "ssh://git@ssh.github.com:443/team/etl.git"),
        ("ssh://git@bitbucket.corp:7999/data/etl.git", PORT, "ssh://git@bitbucket.corp:7999/data/etl.git"),
        ("ssh://ada@gerrit.corp:29418/etl", "agents log in over ssh as 'git', and this is 'ada'", "ssh://ada@gerrit.corp:29418/etl"),
        ("deploy@git.corp:etl.git", "agents log in over ssh as 'git', and this is 'deploy'", "deploy@git.corp:etl.git"),
        ("git@[::1]:team/etl.git", "Prefect's ssh URL has no place for an IPv6 address", "ssh://git@[::1]/~/team/etl.git"),
        ("git@[::1]:/srv/etl.git", "Prefect's ssh URL has no place for an IPv6 address", "ssh://git@[::1]/srv/etl.git"),
        ("http://ada:s3cret@gitlab.corp/a/etl.git", "agents clone over https or ssh, and this is http", "http://oauth2:TOKEN@gitlab.corp/a/etl.git"),
        ("git://git.corp/etl.git", "agents clone over https or ssh, and this is git", "git://git.corp/etl.git"),
        ("https://team@dev.azure.com/team/data/_git/etl", AZURE, "https://git:TOKEN@dev.azure.com/team/data/_git/etl"),
        ("https://team.visualstudio.com/data/_git/etl", AZURE, "https://git:TOKEN@team.visualstudio.com/data/_git/etl"),
        ("git@ssh.dev.azure.com:v3/team/data/etl", AZURE, "git@ssh.dev.azure.com:v3/team/data/etl"),
        (f"https://{AWS}", CODECOMMIT, f"https://USERNAME:PASSWORD@{AWS}"),
        (f"ssh://APKAEXAMPLE@{AWS}", CODECOMMIT, f"ssh://APKAEXAMPLE@{AWS}"),
        ("codecommit::eu-west-1://ada@etl", "agents clone over https or ssh, and this is codecommit", f"https://USERNAME:PASSWORD@{AWS}"),
        ("codecommit://etl", "agents clone over https or ssh, and this is codecommit", None),
        ("/srv/git/etl.git", "it is a path on this machine, which agents elsewhere do not have", "file:///srv/git/etl.git"),
        ("file://localhost/srv/my%20etl.git", "it is a path on this machine, which agents elsewhere do not have", "file:///srv/my etl.git"),
        ("../etl.git", "it is a path on this machine, which agents elsewhere do not have", "file:///home/ada/etl.git"),
    ],
)  # fmt: skip
def test_what_only_a_clone_url_secret_can_say(url: str, why: str, value: str | None) -> None:
    assert why_not_clonable(url, storage_of(url)) == why
    assert why_not_clonable(url, storage_of(url, clone_url_secret="CLONE_URL")) is None
    assert secret_value(url, "/home/ada/work") == value


@pytest.mark.parametrize(
    ("url", "ssh", "expected", "value"),
    [
        ("https://github.com/team/etl.git", True, "git@github.com:team/etl.git", "git@github.com:team/etl"),
        ("https://gitlab.corp:8443/a/etl", True, "git@gitlab.corp:a/etl.git", "git@gitlab.corp:a/etl"),
        ("https://bitbucket.corp/scm/data/etl.git", True, "git@bitbucket.corp:data/etl.git", "git@bitbucket.corp:data/etl"),
        ("git@github.com:team/etl.git", False, "https://@github.com/team/etl.git", "https://git:TOKEN@github.com/team/etl.git"),
    ],
)  # fmt: skip
def test_another_protocol_than_this_clones(url: str, ssh: bool, expected: str, value: str) -> None:
    assert cloned(storage_of(url, ssh=ssh)) == expected
    assert secret_value(url, "/", ssh=ssh) == value


def test_the_username_of_a_deploy_token() -> None:
    found = storage_of("https://gitlab.com/team/etl.git", "TOKEN", "deploy-7")
    assert found == GitStorage("gitlab.com", "team/etl", False, "TOKEN", "deploy-7", None)
    assert (
        secret_value("http://gitlab.com/team/etl.git", "/", "deploy@7")
        == "http://deploy%407:TOKEN@gitlab.com/team/etl.git"
    )


@pytest.mark.parametrize("name", ["etl.git", "my etl.git", "a:b.git"])
@pytest.mark.parametrize("form", ["{path}", "file://{path}", "../{name}"])
def test_the_value_for_a_path_is_one_that_dulwich_clones(tmp_path: Path, name: str, form: str) -> None:
    from dulwich.porcelain import clone as dulwich_clone

    remote = bare_remote(tmp_path / name)
    made = clone(remote, tmp_path / "work")
    made.commit({"a": "1"})
    made.git("push", "--quiet", "origin", "main")
    url = form.format(path=str(remote).replace(" ", "%20") if "file" in form else remote, name=name)
    assert subprocess.run(["git", "ls-remote", url], cwd=made.path, capture_output=True).returncode == 0
    value = secret_value(url, str(made.path))
    assert value == f"file://{remote}"
    dulwich_clone(value, str(tmp_path / "cloned")).close()
    assert (tmp_path / "cloned" / "a").read_text() == "1"


def test_with_a_token_the_secret_is_over_https_whatever_this_clone_uses(work: Clone) -> None:
    work.git("remote", "set-url", "origin", "git@ssh.dev.azure.com:v3/team/data/etl")
    hint = how_to_clone(work.repository, remotes.remote_url(work.repository, "origin"), Settings(token_secret="T"))
    assert "GIT_CLONE_URL=https://git:TOKEN@dev.azure.com/team/data/_git/etl\n" in hint


@pytest.mark.parametrize("url", ["codecommit::eu-west-1://etl", "codecommit://etl", f"https://{AWS}"])
def test_codecommit_is_told_of_prefects_own_storage(work: Clone, url: str) -> None:
    hint = how_to_clone(work.repository, url, Settings())
    assert hint.endswith(
        "or leave these flows to a storage of their own: prefect.storage.CodeCommit reads them through the API of AWS"
    )
    assert (f"GIT_CLONE_URL=https://USERNAME:PASSWORD@{AWS}\n" in hint) == (url != "codecommit://etl")


PAGE = (Path(__file__).parents[2] / "docs" / "remotes.md").read_text()
ROWS = [
    tuple(cell.strip(" `") for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize(("url", "setting", "clones"), ROWS)
def test_the_page_about_remotes_is_the_code(url: str, setting: str, clones: str) -> None:
    if setting == "clone-url-secret":
        assert secret_value(url, "/") == clones
        if "gitlab.corp:2222" not in url:
            assert why_not_clonable(url, storage_of(url, "TOKEN")) or why_not_clonable(url, storage_of(url))
        return
    storage = storage_of(url, "TOKEN" if setting == "token-secret" else None)
    assert why_not_clonable(url, storage) is None
    assert cloned(storage).replace("t0ken", "TOKEN") == clones


@pytest.mark.parametrize(
    ("host", "https", "ssh"),
    [
        ("dev.azure.com", "org/proj/_git/repo", "v3/org/proj/repo"),
        ("org.visualstudio.com", "proj/_git/repo", "v3/org/proj/repo"),
        ("bitbucket.corp:7999", "scm/team/repo", "team/repo"),
        ("github.com", "team/repo", "team/repo"),
    ],
)
def test_paths_over_ssh_are_others_than_over_https(host: str, https: str, ssh: str) -> None:
    assert hosts.ssh_path(host, https) == ssh
    if host != "org.visualstudio.com":
        assert hosts.web_path(host, ssh) == https
