"""Clones and loads a flow exactly as an agent does: Prefect's own storage, dulwich, the named secret.

A stand-alone script for the flows' interpreter: the standard library and Prefect, Python 3.8. It is called with a file
of orders (`{"storage": serialized, "flow": name or null}`) and the file for its answer: `{"kind", "place", "text"}`.
`kind` is `done`, or what failed. Nothing of the secret is in the answer.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

KINDS = (
    ("certificate-expired", r"certificate has expired"),
    ("certificate-name", r"[Hh]ostname mismatch|IP address mismatch|doesn't match"),
    ("certificate", r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|CertificateError"),
    ("no-tls", r"SSLError|SSLEOFError|WRONG_VERSION_NUMBER"),
    ("proxy", r"ProxyError|HTTPProxyUnauthorized|Tunnel connection failed"),
    ("no-host", r"NameResolutionError|gaierror|Could not resolve hostname|Name or service not known|getaddrinfo failed"),
    ("unauthorised", r"HTTPUnauthorized|No valid credentials"),
    ("forbidden", r"unexpected http resp 403"),
    ("ssh-key", r"Permission denied|Too many authentication failures"),
    ("ssh-host-key", r"Host key verification failed|host key is known"),
    ("no-repository", r"NotGitRepository|does not appear to be a git repository|[Rr]epository not found|"
     r"unexpected http resp 404|could not be found"),
    ("no-default-branch", r"neither origin_head nor branch"),
    ("no-answer", r"Connection refused|ConnectTimeout|timed out|NewConnectionError|No route to host|"
     r"Network is unreachable|Connection reset"),
    ("no-ssh", r"No such file or directory: '?\"?ssh"),
    ("ssh-closed", r"HangupException"),
    ("old-dulwich", r"depth not supported"),
)  # fmt: skip
"""What a failed clone says, whichever version of dulwich: from what is certain to what is left."""


def answer_to(orders: dict[str, Any]) -> dict[str, str]:
    """What became of the clone."""
    try:
        import prefect
        from prefect.serialization.storage import StorageSchema
    except Exception as error:
        return {"kind": "no-prefect", "place": "", "text": repr(error)}
    try:
        from dulwich.porcelain import clone  # noqa: F401
    except Exception as error:
        return {"kind": "no-dulwich", "place": "", "text": repr(error)}
    storage = StorageSchema().load(orders["storage"])
    with prefect.context(loading_flow=True):
        try:
            url = str(storage.git_clone_url)
        except Exception as error:
            missing = isinstance(error, (KeyError, ValueError)) and "was not found" in str(error)
            return {"kind": "no-secret" if missing else "secret-refused", "place": "", "text": type(error).__name__}
        login, place = _parts(url)
        password = login.partition(":")[2] or login
        if re.search(r"[@/?#\[\]\s]", password):
            # Not even tried: a part of the token would be looked up as a host.
            return {"kind": "unquoted", "place": "", "text": ""}
        if any(ord(letter) > 255 for letter in unquote(login)):
            # dulwich cannot send it, then takes the URL for `host:path` and asks ssh for a host that is called https.
            return {"kind": "not-latin-1", "place": "", "text": ""}
        try:
            _get(storage, orders["flow"])
        except BaseException as error:
            kind = _kind(error)
            if kind == "unauthorised" and not unquote(login).isascii():
                kind = "unauthorised-latin-1"
            elif kind == "unauthorised" and unquote(password) != password:
                kind = "unauthorised-percent"
            return {"kind": kind, "place": place, "text": _without(_last_line(error), (url, login, password))}
    return {"kind": "done", "place": place, "text": ""}


def _get(storage: Any, flow: str | None) -> None:
    if flow is not None:
        storage.get_flow(flow)
        return
    from prefect.utilities.git import TemporaryGitRepo

    with TemporaryGitRepo(
        git_clone_url=storage.git_clone_url, branch_name=storage.branch_name, tag=storage.tag, commit=storage.commit,
        clone_depth=storage.clone_depth,
    ):  # fmt: skip
        pass


def _parts(url: str) -> tuple[str, str]:
    """Login and the rest of a URL; everything up to the last `@` is the login."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("ssh", "git+ssh", "ssh+git"):
        return "", url
    login, _, place = rest.rpartition("@")
    return login, f"{scheme}://{place}"


def _kind(error: BaseException) -> str:
    called = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    if "extract_flow_from_file" in called:
        return "load-module" if isinstance(error, ModuleNotFoundError) else "load"
    if "checkout_ref" in called:
        annotated = isinstance(error, AttributeError) and "Tag" in str(error)
        return "annotated-tag" if annotated else "no-ref" if isinstance(error, KeyError) else "unknown"
    said = []
    cause: BaseException | None = error
    while cause is not None:
        said.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    return next((kind for kind, pattern in KINDS if re.search(pattern, "\n".join(said))), "unknown")


def _last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"


def _without(text: str, secrets: Sequence[str]) -> str:
    # What dulwich tells of a URL has all of the login, its username or nothing of it, as its version goes.
    text = re.sub(r"\b(https?://)[^/\s]*@", r"\1", text)
    for secret in secrets:
        for form in (secret, unquote(secret)):
            if form:
                text = text.replace(form, "…")
    return text


def main() -> None:
    """Read the orders, write the answer."""
    with open(sys.argv[1]) as file:
        orders = json.load(file)
    answer = answer_to(orders)
    with open(sys.argv[2], "w") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
