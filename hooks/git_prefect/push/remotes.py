"""Remote URL → host, repository, ssh; credentials removed."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from ..model import GitStorage

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s'\"]*@")
SSH = ("ssh", "git+ssh", "ssh+git")
WEB_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com", "altssh.bitbucket.org": "bitbucket.org"}
"""Hosts that answer ssh on port 443, and their names for everything else."""

_SCP = re.compile(r"^(?:[^@/\s]+@)?(?P<host>\[[^\]]+\]|[^:/@\s]+):(?!//)(?P<path>.+)$")


class Location(NamedTuple):
    """Where a remote is, without who logs in."""

    scheme: str
    """`https`, `http`, `ssh`, `git`, `file`, or the name of a remote helper such as `codecommit`."""
    user: str | None
    """The login of an ssh URL; never a credential."""
    host: str
    """In lower case, with the port if the URL has one; `localhost` for a path."""
    path: str
    """The repository on that host, subgroups included, without `.git` and outer slashes; quoted as in the URL."""
    absolute: bool
    """Whether the path begins at the root of the host, and not in the home folder of the login."""


def redact(text: str) -> str:
    """`text` with what stands before the `@` of every URL in it taken out."""
    return _USERINFO.sub(lambda match: match["scheme"], text)


def without_credentials(url: str) -> str:
    """A remote's URL that can be shown and stored.

    The login of an ssh URL stays (it says how to connect and is no secret); its password does not, nor does
    a query, where some hosts take tokens.
    """
    if "://" not in url:
        return url
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    login = login.partition(":")[0] if parts.scheme in SSH else ""
    return f"{parts.scheme}://{login}{'@' if login else ''}{host}{parts.path}"


def locate(url: str) -> Location:
    """Take a URL apart in every form that git accepts (see `git help urls`): scp-like, URL or path."""
    helper = re.match(r"([a-z0-9-]+)::", url)
    if helper:
        return Location(helper[1], None, "", _repository(url[helper.end() :]), False)
    if "://" in url:
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        scheme = "ssh" if parts.scheme in SSH else parts.scheme
        login, _, host = parts.netloc.rpartition("@")
        if scheme == "file":
            return Location("file", None, "localhost", _repository(posixpath.normpath(parts.path)), True)
        user = (login.partition(":")[0] or None) if scheme == "ssh" else None
        return Location(scheme, user, host.lower(), _repository(parts.path), not parts.path.startswith("/~"))
    scp = _SCP.match(url)
    # git takes anything with a slash before the first colon for a path.
    if scp and "/" not in url.split(":", 1)[0]:
        login = url.split(":", 1)[0].rpartition("@")[0]
        path = scp["path"]
        return Location("ssh", login or None, scp["host"].lower(), _repository(path), path.startswith("/"))
    absolute = url.startswith("/")
    return Location("file", None, "localhost", _repository(posixpath.normpath(url) if absolute else url), absolute)


def same_place(url: str, other: str) -> bool:
    """Whether two URLs lead to the same repository, whatever the protocol and the login."""
    one, two = locate(url), locate(other)
    return (_host(one.host), one.path) == (_host(two.host), two.path)


def _host(host: str) -> str:
    name = host if host.endswith("]") else re.sub(r":\d+$", "", host)
    return WEB_HOSTS.get(name, name)


def _repository(path: str) -> str:
    path = path.strip("/")
    return path[: -len(".git")] if path.endswith(".git") else path


def token_username(host: str) -> str | None:
    """The username that a host wants beside a personal token; None: Prefect's own default, the owner."""
    name = host.partition(":")[0].lower()
    if "gitlab" in name:
        return "oauth2"
    return "x-token-auth" if "bitbucket" in name else None


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
    wanted = location.scheme == "ssh" if ssh is None else ssh
    use_ssh = wanted and not token_secret and not clone_url_secret
    host, path = location.host, location.path
    if use_ssh != (location.scheme == "ssh"):
        # Another protocol than this clone's: its port is not the other's, and some hosts have a name for each.
        host = _host(host)
    if use_ssh and location.scheme == "ssh" and location.absolute:
        # As git sends it for ssh://host/path; without the slash a plain server would look in the login's home.
        path = f"/{path}"
    return GitStorage(
        repo_host=host,
        repo=path,
        use_ssh=use_ssh,
        git_token_secret_name=token_secret,
        git_token_username=(username or token_username(host)) if token_secret else None,
        git_clone_url_secret_name=clone_url_secret,
    )


def why_not_clonable(url: str, storage: GitStorage) -> str | None:
    """Why Prefect's fixed URL forms cannot express where this remote is; None when they can."""
    if storage.git_clone_url_secret_name:
        return None
    location = locate(url)
    if location.scheme == "file":
        return "it is a path on this machine, which agents elsewhere do not have"
    if location.scheme not in ("https", "ssh"):
        return f"agents clone over https or ssh, and this is {location.scheme}"
    if storage.repo_host.endswith(("dev.azure.com", "visualstudio.com")):
        return "Prefect appends .git to the path, which Azure DevOps does not know"
    if storage.use_ssh and location.user not in (None, "git"):
        return f"agents log in over ssh as 'git', and this is '{location.user}'"
    if storage.use_ssh and re.search(r":\d+$", storage.repo_host):
        return "Prefect's ssh URL has no place for a port"
    return None
