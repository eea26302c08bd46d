"""What is particular to the git hosts that people use."""

from __future__ import annotations

import re

_WEB_NAMES = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
    "vs-ssh.visualstudio.com": "dev.azure.com",
}
"""Hosts that speak ssh only (most of them on port 443), and their names for everything else."""

AZURE = re.compile(r"(.*\.)?(dev\.azure\.com|visualstudio\.com)")
CODECOMMIT = re.compile(r"git-codecommit(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


def without_port(host: str) -> str:
    """The host's name, without the port."""
    return re.sub(r":\d+$", "", host) if not host.endswith("]") else host


def web_name(host: str) -> str:
    """The name by which a host that is known over ssh answers https; its ssh port is not its port there."""
    name = without_port(host)
    return _WEB_NAMES.get(name, name)


def web_path(host: str, path: str) -> str:
    """The path over https of what ssh calls `path`.

    Bitbucket Server, which listens on port 7999 unless told otherwise, has `scm/` before it; Azure DevOps
    `v3/organization/project/repository` becomes `organization/project/_git/repository`.
    """
    name = without_port(host)
    if AZURE.fullmatch(name) and path.startswith("v3/") and path.count("/") == 3:
        _, organization, project, repository = path.split("/")
        return f"{organization}/{project}/_git/{repository}"
    if host.endswith(":7999") or ("bitbucket" in name and web_name(name) != "bitbucket.org"):
        return f"scm/{path}"
    return path


def ssh_path(host: str, path: str) -> str:
    """The path over ssh of what https calls `path`: the other way round."""
    name = without_port(host)
    parts = path.split("/")
    if AZURE.fullmatch(name) and "_git" in parts[1:-1]:
        organization = [name.split(".")[0]] if name.endswith(".visualstudio.com") else []
        return "/".join(["v3", *organization, *(part for part in parts if part != "_git")])
    if "bitbucket" in name and path.startswith("scm/"):
        return path[len("scm/") :]
    return path


def token_username(host: str) -> str | None:
    """The username that a host wants beside a personal token; None: Prefect's own default, the owner.

    GitHub, Gitea and Forgejo take any.
    """
    name = without_port(host)
    if "gitlab" in name:
        return "oauth2"
    return "x-token-auth" if "bitbucket" in name else None


def why_no_suffix(host: str) -> str | None:
    """Why a host does not take the `.git` that Prefect appends to every path; None when it does."""
    name = without_port(host)
    if AZURE.fullmatch(name):
        return "Prefect appends .git to the path, which Azure DevOps does not know"
    if CODECOMMIT.fullmatch(name):
        return "Prefect appends .git to the path, which AWS CodeCommit does not know"
    return None
