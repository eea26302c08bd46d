"""What a failed clone means, and what to do: each kind that `flows/cloner.py` tells, as a finding."""

from __future__ import annotations

from ..core.findings import finding
from ..core.model import Finding, GitStorage, RefUpdate
from ..git import hosts
from ..git.clone_url import TOKEN, secret_value
from ..prefect_api.secrets import how_to_set
from ..report.invocation import git, git_prefect

QUOTE = """python -c 'from getpass import getpass; from urllib.parse import quote; print(quote(getpass("token: "), safe=""))'"""
"""Asks for a token, and prints it as a URL wants it."""
ASCII_ALONE = "give agents a token, or a password, of ASCII characters alone"
"""What dulwich (by urllib3, whose basic auth is Latin-1) and git (which leaves it to libcurl as it is) send alike."""


def explain(kind: str, place: str, text: str, where: GitStorage, update: RefUpdate, url: str) -> Finding:
    """The finding for a clone that failed.

    `place` is the clone URL without its login, as far as it is known; `text` is the last line of the error, without
    credentials; `url` is the remote's, without credentials.
    """
    at = place or f"{where.repo_host}/{where.repo}"
    host = hosts.without_port(_host(place) or where.repo_host)
    secret = where.git_clone_url_secret_name or where.git_token_secret_name
    if kind == "no-secret":
        return _missing(secret or "", where, update, url)
    message, hint = _explained(kind, at, host, text, where, update, secret)
    return finding("clone-fails", message, hint, ref=update.ref)


def _host(place: str) -> str:
    if "://" in place:
        return place.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return place.partition("/")[0].partition(":")[0].rpartition("@")[2]


def _missing(secret: str, where: GitStorage, update: RefUpdate, url: str) -> Finding:
    value = TOKEN if where.git_token_secret_name else secret_value(url, "/") or "URL"
    return finding(
        "token-missing",
        f"the Prefect secret {secret} is not set in this environment; an agent without it cannot clone, and every run "
        "fails before its first task",
        f"give it to the agents, and to this command to check it:\n{how_to_set(secret, value)}",
        ref=update.ref,
    )


def _over_https(where: GitStorage) -> str:
    secret = where.git_clone_url_secret_name
    return f"put an https URL into {secret}" if secret else "set `token-secret` to clone over https"


def _explained(
    kind: str, at: str, host: str, text: str, where: GitStorage, update: RefUpdate, secret: str | None
) -> tuple[str, str]:
    login = where.git_token_username or where.repo.partition("/")[0]
    over_token = where.git_token_secret_name is not None
    if kind in ("unauthorised", "forbidden") and secret is None:
        return (
            f"{at} wants a login, and agents would clone it without one",
            "set `token-secret` to the name of the Prefect secret with a token that may read the repository",
        )
    if kind == "unauthorised-percent":
        return (
            f"{at} refuses the login in {secret}; the token has a % that is decoded before it is sent",
            f"store the token as a URL wants it, quoted: {QUOTE}",
        )
    if kind == "unauthorised-latin-1":
        return (
            f"{at} refuses the login in {secret}; it has a letter beyond ASCII, which agents send in Latin-1 and git in UTF-8: "
            "every run would fail with HTTPUnauthorized, even where git gets in with it",
            ASCII_ALONE,
        )
    if kind == "not-latin-1":
        return (
            f"the login in {secret} has a letter that is not in Latin-1: agents cannot send it and take the URL for a place "
            "over ssh, so every run would fail, even where git gets in with it",
            ASCII_ALONE,
        )
    if kind == "unauthorised":
        who = (
            f"the token in {secret} with the username {login!r}" if over_token else f"the login in the URL of {secret}"
        )
        return f"{at} refuses {who}: every run would fail with HTTPUnauthorized", _about_usernames(host, over_token)
    if kind == "forbidden":
        return (
            f"{at} accepts the login in {secret}, which may not read the repository (403): no agent could clone it",
            "give the token the right to read the repository (read_repository, Contents: read)",
        )
    if kind == "unquoted":
        return (
            f"the token in {secret} has a character that ends the login of a URL (@ / ? # [ ]), and Prefect puts it there "
            "as it is: agents would take a part of it for the host",
            f"store it quoted: {QUOTE}",
        )
    table = {
        "secret-refused": (
            f"the Prefect secret {secret} could not be read ({text}): an agent that cannot either has no clone",
            "see that the API is the right one and the key is valid: prefect auth login",
        ),
        "certificate": (
            f"{at}: the certificate of {host} is not trusted here; an agent that does not trust it cannot clone",
            "where the agent runs, name the CA that signed it: SSL_CERT_FILE=/path/to/ca.pem, or "
            "git config --global http.sslCAInfo /path/to/ca.pem",
        ),
        "certificate-name": (
            f"{at}: the certificate there is for another name than {host}, so no agent could clone",
            "use the name that it was made for: git remote set-url",
        ),
        "certificate-expired": (
            f"{at}: the certificate of {host} has expired, so no agent can clone",
            "whoever runs the host has to renew it",
        ),
        "proxy": (
            f"{at}: the proxy does not let the clone through ({text})",
            "see https_proxy and no_proxy where the agent runs, and http.proxy of its git config",
        ),
        "no-tls": (
            f"{at}: what answers there does not speak TLS, and agents clone over https",
            f"correct the URL in {secret}"
            if where.git_clone_url_secret_name
            else "name the host's https port in the remote's URL, or set `clone-url-secret`",
        ),
        "no-host": (
            f"{at}: there is no host {host}, so no agent could clone",
            f"is the remote's URL right (git remote get-url {update.remote})? A name of ~/.ssh/config or of a VPN is "
            "known to agents only where it is set up for them",
        ),
        "no-answer": (
            f"{at}: {host} does not answer, so no agent could clone",
            f"is the port of the URL in {secret} right?"
            if where.git_clone_url_secret_name
            else "is the port right? A remote over ssh does not tell the port of https: `clone-url-secret` holds a whole URL",
        ),
        "ssh-key": (
            f"{at}: {host} accepts no key that ssh has here: an agent with these keys could not clone",
            f"give the agent's user a key that may read the repository (a deploy key), or {_over_https(where)}",
        ),
        "ssh-host-key": (
            f"{at}: ssh does not know the host key of {host}, and an agent has nobody to ask",
            f"where the agent runs, after comparing the fingerprint: ssh-keyscan {host} >> ~/.ssh/known_hosts",
        ),
        "ssh-closed": (
            f"{at}: {host} closed the ssh connection; this version of dulwich does not tell why",
            f"ssh tells: ssh -o BatchMode=yes git@{host}",
        ),
        "no-ssh": (
            f"{at}: there is no program ssh here, and agents clone over ssh with it",
            f"install OpenSSH where the agent runs, or {_over_https(where)}",
        ),
        "old-dulwich": (
            f"{at} is a path, which dulwich below 0.23.1 does not clone: an agent with this one runs no flow of it",
            "where the agent runs, and in the interpreter that the setting `python` names: pip install 'dulwich>=0.23.1'",
        ),
        "no-repository": (
            f"{at}: {host} has no such repository, or the login may not see it; Prefect appends .git to its path",
            "compare it with the URL that a browser has; a host answers the same for a token without the right to read",
        ),
        "no-default-branch": no_default_branch(at),
        "no-ref": (
            f"{at} has no {update.kind} {update.name}: every run would fail with a bare KeyError",
            git("push", update.remote, update.name),
        ),
        "annotated-tag": (
            f"{at}: the tag {update.name} is annotated: every run would fail with 'Tag' object has no attribute 'tree'",
            f"{git('tag', '--no-sign', '-f', update.name, update.name + '^{}')} && "
            f"{git('push', '--force', update.remote, update.name)}",
        ),
        "load": (f"{at}: it can be cloned, but the flow does not load: {text}", git_prefect("validate")),
        "load-module": (
            f"{at}: it can be cloned, but the flow does not load: {text}",
            "install it where the flow runs, and in the interpreter that the setting `python` names",
        ),
        "time-over": (
            f"{at}: the clone was not done after {text}, and no run starts without it",
            "is the host reachable from here? A repository with a long history or large files makes every run wait",
        ),
    }  # fmt: skip
    return table.get(
        kind,
        (f"{at}: the clone failed: {text}", f"the same clone: git ls-remote {update.remote} {update.ref}"),
    )


def no_default_branch(at: str) -> tuple[str, str]:
    """A remote whose HEAD leads nowhere: dulwich up to 0.24 cannot clone it, whichever branch is asked for."""
    return (
        f"{at}: its default branch does not exist there, and agents with dulwich 0.24 or older cannot clone such a "
        "repository at all",
        "push that branch, or choose another default branch in the host's settings",
    )


def _about_usernames(host: str, over_token: bool) -> str:
    known = hosts.token_username(host)
    usual = {"oauth2": "GitLab takes oauth2 with a personal token", "x-token-auth": "Bitbucket takes x-token-auth"}
    told = usual.get(known or "", "GitLab takes oauth2 (or any), Bitbucket x-token-auth, GitHub and Gitea any")
    where = "`token-username`" if over_token else "the username in the URL"
    return f"is the token right and not expired? Then {where}: {told}; a deploy token wants its own username"
