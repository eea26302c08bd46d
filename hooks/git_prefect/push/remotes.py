"""Remote URL → host, repository, ssh; credentials removed."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..model import GitStorage

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s'\"]*@")
_SCP = re.compile(r"^(?:[^@/\s]+@)?(?P<host>\[[^\]]+\]|[^:/@\s]+):(?!//)(?P<path>.+)$")


class Location(NamedTuple):
    """Where a remote is, without who logs in."""

    scheme: str
    """`https`, `http`, `ssh`, `git` or `file`."""
    user: str | None
    """The login of an ssh URL; never a credential."""
    host: str
    """With the port, if the URL has one; `localhost` for a path."""
    path: str
    """The repository on that host, subgroups included, without `.git` and outer slashes."""


def redact(text: str) -> str:
    """`text` with what stands before the `@` of every URL in it taken out."""
    return _USERINFO.sub(lambda match: match["scheme"], text)


def without_credentials(url: str) -> str:
    """A remote's URL that can be shown and stored.

    The login of an ssh URL stays (it says how to connect and is no secret), its password does not.
    """
    if "://" not in url:
        return url
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme in ("ssh", "git+ssh", "ssh+git"):
        login = parts.netloc.rpartition("@")[0].partition(":")[0]
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{login}@{host}{parts.path}" if login else f"{parts.scheme}://{host}{parts.path}"
    return redact(url)


def locate(url: str) -> Location:
    """Take a URL apart in every form that git accepts (see `git help urls`): scp-like, URL or path."""
    from urllib.parse import unquote, urlsplit

    if "://" in url:
        parts = urlsplit(url)
        scheme = "ssh" if parts.scheme in ("ssh", "git+ssh", "ssh+git") else parts.scheme
        login, _, host = parts.netloc.rpartition("@")
        path = _repository(unquote(parts.path))
        if scheme == "file":
            return Location("file", None, "localhost", path)
        return Location(scheme, (login.partition(":")[0] or None) if scheme == "ssh" else None, host, path)
    scp = _SCP.match(url)
    # git takes `C:\path` and anything with a slash before the first colon for a path.
    if scp and "/" not in url.split(":", 1)[0]:
        login = url.split(":", 1)[0].rpartition("@")[0]
        return Location("ssh", login or None, scp["host"], _repository(scp["path"]))
    return Location("file", None, "localhost", _repository(url))


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
) -> GitStorage:
    """How an agent reaches the repository at `url`, as `prefect.storage.Git` can say it.

    With a token secret agents clone over https, whatever this clone uses; without one they use
    ssh when the remote is an ssh URL. The two forms that Prefect 1 knows are
    `https://{user}:{token}@{repo_host}/{repo}.git` and `git@{repo_host}:{repo}.git`.
    """
    location = locate(url)
    host = location.host
    if location.scheme == "ssh" and token_secret:
        host = host.partition(":")[0] if not host.startswith("[") else host
    return GitStorage(
        repo_host=host,
        repo=location.path,
        use_ssh=location.scheme == "ssh" and not token_secret and not clone_url_secret,
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
    if location.scheme in ("http", "git"):
        return f"agents clone over https or ssh, and this is {location.scheme}://"
    if storage.use_ssh and location.user not in (None, "git"):
        return f"agents log in over ssh as 'git', and this is '{location.user}'"
    if storage.use_ssh and re.search(r":\d+$", location.host):
        return "Prefect's ssh URL has no place for a port"
    return None
