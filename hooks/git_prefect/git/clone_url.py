"""How an agent reaches a remote: in one of the URL forms that Prefect has, else by a secret with the whole URL."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

from ..core.model import GitStorage
from . import hosts
from .remote_urls import SSH, locate, without_credentials

TOKEN = "TOKEN"
"""Stands for the token in a URL that is shown."""


def storage_of(
    url: str,
    token_secret: str | None = None,
    username: str | None = None,
    clone_url_secret: str | None = None,
    ssh: bool | None = None,
) -> GitStorage:
    """How an agent reaches the repository at `url`, as `prefect.storage.Git` can say it.

    With a token secret agents clone over https, whatever this clone uses; without one they use ssh when
    `ssh` says so, or, when it says nothing, the remote is an ssh URL. The two forms that Prefect 1 knows
    are `https://{user}:{token}@{repo_host}/{repo}.git` and `git@{repo_host}:{repo}.git`.
    """
    location = locate(url)
    use_ssh = _over_ssh(url, ssh) and not token_secret and not clone_url_secret
    host, path = location.host, location.path
    if use_ssh and location.scheme == "ssh":
        # As git sends it for ssh://host/path; without the slash a plain server would look in the login's home.
        path = f"/{path}" if location.absolute else path
    elif use_ssh:
        # Another protocol than this clone's: its port is not the other's, and some hosts have a name for each.
        host, path = hosts.without_port(host), hosts.ssh_path(host, path)
    elif location.scheme == "ssh":
        host, path = hosts.web_name(host), hosts.web_path(host, path)
    return GitStorage(
        repo_host=host,
        repo=path if use_ssh or location.scheme == "file" else quote(path, "/~:@!$&'()*+,;=", errors="surrogateescape"),
        use_ssh=use_ssh,
        git_token_secret_name=token_secret,
        git_token_username=(username or hosts.token_username(host)) if token_secret else None,
        git_clone_url_secret_name=clone_url_secret,
    )


def _over_ssh(url: str, ssh: bool | None) -> bool:
    return locate(url).scheme == "ssh" if ssh is None else ssh


def why_not_clonable(url: str, storage: GitStorage) -> str | None:
    """Why Prefect's fixed URL forms cannot express where this remote is; None when they can."""
    if storage.git_clone_url_secret_name:
        return None
    location = locate(url)
    if location.scheme == "file":
        return "it is a path on this machine, which agents elsewhere do not have"
    if location.scheme not in ("https", "ssh"):
        return f"agents clone over https or ssh, and this is {location.scheme}"
    no_suffix = hosts.why_no_suffix(storage.repo_host)
    if no_suffix:
        return no_suffix
    if storage.use_ssh and location.user not in (None, "git"):
        return f"agents log in over ssh as 'git', and this is '{location.user}'"
    if storage.use_ssh and re.search(r":\d+$", storage.repo_host):
        return "Prefect's ssh URL has no place for a port"
    if storage.use_ssh and storage.repo_host.startswith("["):
        return "Prefect's ssh URL has no place for an IPv6 address"
    return None


def secret_value(url: str, folder: str, username: str | None = None, ssh: bool | None = None) -> str | None:
    """The URL for `clone-url-secret`, with a place-holder for the token; None when no agent can clone this remote.

    It is for dulwich, which takes the path of an `ssh://` or `file://` URL as it is, nothing unquoted. `folder` is
    what a relative path starts from; `username` is the setting `token-username`.
    """
    location, plain = locate(url), without_credentials(url)
    suffix = ".git" if plain.rstrip("/").endswith(".git") else ""
    if location.scheme == "file":
        path = f"/{location.path}" if location.absolute else os.path.join(folder, location.path)
        return f"file://{os.path.normpath(path)}{suffix}"
    if location.scheme == "codecommit":
        return _codecommit(location.path)
    if location.scheme not in ("https", "http", "git", "ssh"):
        return None
    if location.scheme == "git":
        return plain
    over_ssh = _over_ssh(url, ssh)
    if over_ssh and location.scheme == "ssh":
        return _over_ssh_as_it_is(plain)
    if over_ssh:
        return f"git@{hosts.without_port(location.host)}:{hosts.ssh_path(location.host, location.path)}"
    web = location.scheme if location.scheme != "ssh" else "https"
    storage = storage_of(url, token_secret=TOKEN, username=username)
    login = storage.git_token_username or ("USERNAME" if hosts.CODECOMMIT.fullmatch(storage.repo_host) else "git")
    password = "PASSWORD" if login == "USERNAME" else TOKEN
    return f"{web}://{quote(login, '', errors='surrogateescape')}:{password}@{storage.repo_host}/{storage.repo}{suffix}"


def _codecommit(address: str) -> str | None:
    """Over https, with the Git credentials of an IAM user; the signed requests of `codecommit::` are not dulwich's."""
    region, separator, repository = address.partition("://")
    name = repository.rpartition("@")[2]
    return f"https://USERNAME:PASSWORD@git-codecommit.{region}.amazonaws.com/v1/repos/{name}" if separator else None


def _over_ssh_as_it_is(plain: str) -> str:
    scheme, separator, rest = plain.partition("://")
    if separator and scheme.lower() in SSH:
        return f"ssh://{unquote(rest)}".rstrip("/")
    login, _, address = plain.rpartition("@") if plain.find("@") < plain.find("[") else ("", "", plain)
    if not address.startswith("["):
        return plain
    # dulwich ends the host of `[::1]:path` at the first colon.
    host, _, path = address.partition("]:")
    return f"ssh://{login or 'git'}@{host}]{path if path.startswith('/') else '/~/' + path}"
