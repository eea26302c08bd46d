"""The remote: where agents clone from, with what, and whether such a clone works."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Sequence

from ... import git
from ...core.deployment import ResolvedRef
from ...core.errors import GitPrefectError, UsageError
from ...core.model import CheckedFile, RefUpdate
from ...core.results import Check
from ...git import remotes
from ...git.clone_url import TOKEN, why_not_clonable
from ...git.ls_remote import RemoteRefs, ask_remote
from ...git.remote_urls import locate
from ...git.repository import without_prompts
from ...report import invocation, text
from ..clonable import SHA256, WITH_SHA1, how_to_clone, is_sha256
from ..clone_check import check_clone
from ..clone_failures import no_default_branch


def remote_has_ref(repository: git.Repository, update: RefUpdate) -> tuple[Check, RemoteRefs | None]:
    """Whether the remote answers and has the ref; what it has."""
    url = remotes.fetch_url(repository, update)
    facts = [f"{update.remote}, {url}"]
    alias = ssh_alias(repository, url)
    if alias:
        facts.append(f"{alias[0]} is ssh's name here for {alias[1]}: agents need the same entry in ~/.ssh/config")
    try:
        answer = ask_remote(repository, update.remote, update.ref)
    except GitPrefectError as error:
        return Check("remote", tuple(facts), error.message, error.hint), None
    theirs = answer.commit(update.ref)
    if theirs is None:
        return Check(
            "remote", tuple(facts), f"{text.place(update)} does not exist there, and agents clone from there",
            invocation.git("push", update.remote, update.name), "not-on-remote",
        ), answer  # fmt: skip
    same = "as here" if theirs == update.commit else f"here it is at {text.short(update.commit)}"
    facts.append(f"has {update.name} at {text.short(theirs)}, {same}")
    if answer.head is None:
        problem, remedy = no_default_branch(url)
        return Check("remote", tuple(facts), problem, remedy, "clone-fails"), answer
    facts.append(f"its default branch is {answer.head}")
    return Check("remote", tuple(facts)), answer


def ssh_alias(repository: git.Repository, url: str) -> tuple[str, str] | None:
    """A host's name that only ssh's configuration knows, and the name behind it; None when it is no such name."""
    location = locate(url)
    if location.scheme != "ssh":
        return None
    host = re.sub(r":\d+$", "", location.host).strip("[]")
    command = shlex.split(without_prompts(repository)["GIT_SSH_COMMAND"])
    try:
        said = subprocess.run(
            [*command, "-G", "--", host], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    known = re.search(r"^hostname (.+)$", said, re.MULTILINE)
    return (host, known[1]) if known and known[1].lower() != host else None


def storage(repository: git.Repository, ref: ResolvedRef) -> Check:
    """The URL that agents clone, as Prefect makes it of the storage that is registered."""
    where, url = ref.storage, ref.url
    if is_sha256(ref.update.commit):
        return Check("storage", (), SHA256, WITH_SHA1)
    obstacle = why_not_clonable(url, where)
    if obstacle:
        return Check("storage", (), obstacle, how_to_clone(repository, url, ref.settings))
    if where.git_clone_url_secret_name:
        return Check("storage", (f"the URL in the secret {where.git_clone_url_secret_name}",))
    if where.use_ssh:
        return Check("storage", (f"git@{where.repo_host}:{where.repo}.git",))
    login = (
        f"{where.git_token_username or where.repo.partition('/')[0]}:{TOKEN}@" if where.git_token_secret_name else ""
    )
    return Check("storage", (f"https://{login}{where.repo_host}/{where.repo}.git",))


def token_and_clone(
    repository: git.Repository, ref: ResolvedRef, files: Sequence[CheckedFile], answer: RemoteRefs | None
) -> list[Check]:
    """Whether the secret is there, and whether an agent would get a flow with it."""
    update, where = ref.update, ref.storage
    secret = where.git_clone_url_secret_name or where.git_token_secret_name
    if where.use_ssh:
        token = Check("token", ("none is needed: agents clone over ssh, with a key of theirs",))
    elif secret is None:
        token = Check("token", ("none is set: agents clone without a login",))
    else:
        token = Check("token", (f"{secret} is there",))
    obstacle = is_sha256(update.commit) or why_not_clonable(ref.url, where)
    untried = Check("token", (f"{secret}, not looked for",)) if secret else token
    if obstacle or answer is None or answer.commit(update.ref) is None:
        reason = "the storage" if obstacle else "the remote"
        return [untried, Check("clone", (f"not tried, for what is wrong with {reason}",))]
    begin = time.monotonic()
    try:
        found = check_clone(repository, ref, files)
    except UsageError:
        return [untried, Check("clone", ("not tried, for what is wrong with the interpreter",))]
    took = f"in {time.monotonic() - begin:.1f} s"
    if found.finding is None:
        done = (
            f"cloned as an agent does it, and loaded {found.flow}"
            if found.flow
            else "cloned as an agent does it; no flow to load"
        )
        return [token, Check("clone", (f"{done}, {took}",))]
    one = found.finding
    if one.code == "token-missing":
        return [
            Check("token", (), one.message, one.hint, one.code),
            Check("clone", ("not tried, for what is wrong with the token",)),
        ]
    return [token, Check("clone", (), one.message, one.hint, one.code)]
