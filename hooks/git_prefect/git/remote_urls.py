"""Remote URL → where it leads, in every form that git accepts; credentials removed."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

import msgspec

from . import hosts

SSH = ("ssh", "git+ssh", "ssh+git")

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>\S*)")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
"""Host and port, as far as they can be told from a login: a name or an IPv6 address, then digits."""
_HELPER = re.compile(r"(?P<helper>[A-Za-z0-9][A-Za-z0-9+.-]*)::(?P<address>.*)", re.DOTALL)
_SCP = re.compile(r"(?:(?P<login>[^/\s]+)@)?(?P<host>\[[^\]]+\]|[^:/@\s]+):(?!//)(?P<path>.+)")


class Location(msgspec.Struct, frozen=True):
    """Where a remote is, without who logs in."""

    scheme: str
    """`https`, `http`, `ssh`, `git`, `file`, or the name of a remote helper such as `codecommit`."""
    user: str | None
    """The login of an ssh URL; never a credential."""
    host: str
    """In lower case, with the port if the URL has one; `localhost` for a path."""
    path: str
    """The repository on that host, subgroups included, without `.git` and outer slashes; as it is, nothing quoted."""
    absolute: bool
    """Whether the path begins at the root of the host, and not in the home folder of the login."""


def redact(text: str) -> str:
    """`text` with the login and the query taken out of every URL in it."""
    return _URL.sub(lambda match: match["scheme"] + _anonymous(match["rest"]), text)


def _anonymous(rest: str) -> str:
    tail = rest[len(rest.rstrip("'\",.:;)/")) :]
    return re.split(r"[?#]", _without_login(rest)[1])[0].rstrip("'\",.:;)/") + tail


def _without_login(rest: str) -> tuple[str, str]:
    """What follows `scheme://`, as login and what comes after it.

    A login that is not quoted may hold a slash or a second `@`. git itself cannot use it then, and still it is
    somebody's password: so everything up to the last `@` goes.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority or ("@" in rest and not _AUTHORITY.fullmatch(authority)):
        login, _, place = rest.rpartition("@")
        return login, place
    return "", rest


def has_unquoted_login(url: str) -> bool:
    """Whether a URL has a login with characters that end a login, so that a part of it is taken for the host."""
    login, _ = _without_login(url.partition("://")[2])
    return re.search(r"[@/?#]", login) is not None


def without_credentials(url: str) -> str:
    """A remote's URL that can be shown and stored.

    The login of an ssh URL stays (it says how to connect and is no secret); its password does not, nor does
    a query, where some hosts take tokens.
    """
    helper = _HELPER.fullmatch(url)
    if helper:
        return f"{helper['helper']}::{without_credentials(helper['address'])}"
    if "://" in url:
        scheme, _, rest = url.partition("://")
        login, place = _without_login(rest)
        user = login.partition(":")[0] if scheme.lower() in SSH else ""
        return f"{scheme}://{user}{'@' if user else ''}{re.split('[?#]', place)[0]}"
    scp = _scp(url)
    if scp and ":" in (scp["login"] or ""):
        return f"{scp['login'].partition(':')[0]}@{scp['host']}:{scp['path']}"
    return url


def _scp(url: str) -> re.Match[str] | None:
    # git takes anything with a slash before the first colon for a path.
    match = _SCP.fullmatch(url)
    return match if match and "/" not in url.split(":", 1)[0] else None


def locate(url: str) -> Location:
    """Take a URL apart in every form that git accepts (see `git help urls`): scp-like, URL or path."""
    helper = _HELPER.fullmatch(url)
    if helper:
        return Location(helper["helper"], None, "", _repository(without_credentials(helper["address"])), False)
    if "://" in url:
        scheme, _, rest = url.partition("://")
        scheme = "ssh" if scheme.lower() in SSH else scheme.lower()
        login, place = _without_login(rest)
        host, slash, path = re.split(r"[?#]", place)[0].partition("/")
        path = unquote(slash + path)
        if scheme == "file":
            # What stands before the path is a host's name, and no git looks at it.
            return Location("file", None, "localhost", _repository(posixpath.normpath(path)), True)
        user = (login.partition(":")[0] or None) if scheme == "ssh" else None
        return Location(scheme, user, host.lower(), _repository(path), not path.startswith("/~"))
    scp = _scp(url)
    if scp:
        user = (scp["login"] or "").partition(":")[0] or None
        return Location("ssh", user, scp["host"].lower(), _repository(scp["path"]), scp["path"].startswith("/"))
    absolute = url.startswith("/")
    return Location("file", None, "localhost", _repository(posixpath.normpath(url) if absolute else url), absolute)


def _repository(path: str) -> str:
    path = path.strip("/")
    return path[: -len(".git")] if path.endswith(".git") else path


def same_place(url: str, other: str) -> bool:
    """Whether two URLs lead to the same repository, whatever the protocol and the login."""
    one, two = (_on_the_web(locate(each)) for each in (url, other))
    return one == two


def _on_the_web(location: Location) -> tuple[str, str]:
    if location.scheme != "ssh":
        return hosts.without_port(location.host), location.path
    return hosts.web_name(location.host), hosts.web_path(location.host, location.path)
