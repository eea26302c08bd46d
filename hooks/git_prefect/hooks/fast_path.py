"""The fast path: a push that changes nothing on which its registration rests is answered without checking it again.

It replaces the check, never the queue entry. "Changes nothing" counts against the last commit of the branch that this
clone saw registered, with the same configuration of Prefect's API; where anything is unknown, failed or pending, it hands
over. The full way writes the records that it reads; both use `_key`.

The first hook of a push decides, on either way, and leaves its decision to the ones after it.

Standard library only, and of ours what is as light: a hook has a few milliseconds here. `json` and `hashlib` are imported
where the first hook decides; the others do without.
"""

from __future__ import annotations

import io
import os
import sys
import time

from .. import __version__
from ..core import state_files
from ..core.git_environment import clean_environment
from ..deploy import seen_pushes, watcher_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Their import would take as long as all that a hook does here.
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..core.model import RefUpdate
    from ..flows.interpreter import Interpreter
    from ..git import Repository

    Process = tuple[str, str, list[str]]
    """Its pid, when it started, and its arguments."""

    Pushed = tuple[tuple[str, str], str, str, str]
    """Name and URL of the remote, the ref there, the commit, and what git says that the remote has, if it does."""

HOOKS = ("validate", "check-pushed", "register")
NATIVE = "pre-push"
"""git's own hook, which does what the three do."""

FORMAT = 1
"""Of the file; one of another format is not ours."""

AGE_LIMIT = 24 * 3600.0
"""Seconds after which a push is checked in full again."""

MOST = 32
"""Records that are kept."""

DECIDING = (b".py", b".toml", b".yaml", b".yml", b".json")
"""Ends of the names of files that can decide what is registered: sources, settings, templates."""

LINK, SUBMODULE = b"120000", b"160000"
"""Modes of what may lead to such files."""

WORKER_VARIABLES = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYENV_VERSION", "TZ", "USER",
    "PRE_COMMIT",
)  # fmt: skip
"""Variables that reach the process which loads flow files, decide which interpreter that is, or how hints are typed."""


class Unanswered(Exception):
    """The full way has to be taken."""


class Place:
    """A branch on its way to a remote, in the repository at hand."""

    def __init__(self, repository: tuple[str, str, str], remote: tuple[str, str], ref: str, commit: str) -> None:
        self.git_dir, self.common_dir, self.top = repository
        self.remote, self.url = remote
        """Name and URL; nothing in the URL can be a credential."""
        self.ref = ref
        self.commit = commit
        if any(sign in self.url for sign in "@?#"):
            raise Unanswered

    @property
    def state_dir(self) -> str:
        """Where everything of ours lives."""
        return os.path.join(self.common_dir, "git-prefect")

    def git(self, *arguments: str) -> bytes:
        """What git prints.

        Raises:
            Unanswered: it failed.
        """
        work_tree = ["--work-tree", self.top] if self.top else []
        return _run(["git", "--git-dir", self.git_dir, *work_tree, *arguments], clean_environment(os.environ))


# Reading ----------------------------------------------------------------------------------------------


def answer(arguments: Sequence[str]) -> str | None:
    """What a hook prints for a push that changes nothing; None when the full way has to be taken.

    What git's own hook has read from stdin can be read again then.
    """
    if not arguments or arguments[0] not in (*HOOKS, NATIVE) or any(one.startswith("-") for one in arguments[1:]):
        return None
    try:
        if arguments[0] == NATIVE:
            return _answer(NATIVE, _from_stdin(*arguments[1:]), os.environ)
        return _answer(arguments[0], _from_pre_commit(os.environ), os.environ)
    except Exception:
        # Whatever is not as expected, a torn record or a repository that git does not use, the full way says.
        return None


def _from_pre_commit(environ: Mapping[str, str]) -> Pushed:
    remote, url = environ["PRE_COMMIT_REMOTE_NAME"], environ["PRE_COMMIT_REMOTE_URL"]
    return (remote, url), environ["PRE_COMMIT_REMOTE_BRANCH"], environ["PRE_COMMIT_TO_REF"], ""


def _from_stdin(remote: str, url: str) -> Pushed:
    """The one ref of a push, as git tells its own hook.

    Raises:
        Unanswered: there are more refs, or none.
    """
    content = sys.stdin.buffer.read()
    sys.stdin = io.TextIOWrapper(io.BytesIO(content), "utf-8", "surrogateescape")
    lines = content.decode("utf-8").split("\n")
    if len(lines) != 2 or lines[1]:
        raise Unanswered
    _, commit, ref, known = lines[0].rsplit(" ", 3)
    return (remote, url), ref, commit, known


def _answer(hook: str, pushed: Pushed, environ: Mapping[str, str]) -> str:
    if sys.platform != "linux" or any(environ.get(name) for name in ("CI", "GIT_PREFECT_SKIP")):
        raise Unanswered
    (remote, url), ref, commit, known = pushed
    skipped = environ.get("SKIP", "").split(",")
    if not ref.startswith("refs/heads/") or not commit.strip("0") or (hook == NATIVE and any(f"prefect-{one}" in skipped for one in HOOKS)):
        raise Unanswered
    tracking = f"refs/remotes/{remote}/{ref[len('refs/heads/') :]}"
    found = _run(
        ["git", "rev-parse", "--absolute-git-dir", "--git-common-dir", "--show-toplevel", f"{tracking}^{{commit}}"],
        dict(environ),
    ).decode("utf-8", "surrogateescape").split("\n")  # fmt: skip
    git_dir, common_dir, top, before = found[:4]
    common_dir = os.path.normpath(os.path.join(os.getcwd(), common_dir))
    place = Place((git_dir, common_dir, top), (remote, url), ref, commit)
    fetched = place.git("config", "--get-all", f"remote.{remote}.fetch").decode("utf-8", "surrogateescape")
    if fetched != f"+refs/heads/*:refs/remotes/{remote}/*\n":
        # Only with this refspec the tracking ref is the one that was looked at.
        raise Unanswered
    seen_pushes.note(place.state_dir, hook, commit, ref, remote)
    if hook == "check-pushed":
        # Of a branch it says what the push does, and refuses nothing.
        return _what_it_does(place, f"{remote}/{ref[len('refs/heads/') :]}", before)
    pusher = _pushing_git()
    decision = _read_decision(place, pusher, environ) if hook == "register" else None
    validated = ""
    if decision is None:
        validated, entry = _decide(place, pusher, before, known)
        if hook != NATIVE and _may_hide_refs(pusher[2]):
            raise Unanswered
        # What changes nothing that is registered says nothing.
        decision = ["", entry]
        _write_decision(place, pusher, environ, decision)
    if hook == "validate":
        return validated
    told, entry = decision
    if entry:
        if _waiting(place):
            # Another push, or this very one: whether it is the same is for the full way to say.
            raise Unanswered
        _enqueue(place, entry, environ)
    return told


def _decide(place: Place, pusher: Process, before: str, known: str) -> tuple[str, str]:
    """For a push that changes nothing on which its registration rests: what validate says, and the entry.

    `before` is the commit of the tracking ref, `known` what git says that the remote has, if it does.

    Raises:
        Unanswered: it changes something, or it is not known whether it does.
    """
    configuration = place.git("config", "-z", "--list")
    key = _key(place, place.commit, configuration)
    record = _read(place)["records"][key]
    if not -60 < time.time() - float(record["at"]) < AGE_LIMIT or record["installed"] != _installed(record["watched"]):
        raise Unanswered
    others = {_last_registered(place), before, known or before} - {place.commit}
    if any(_key(place, commit, configuration) != key for commit in others):
        raise Unanswered
    if _left_default_branch(place, record["default_branch"]) != record["left_at"]:
        # Another set of flows is registered from the branch.
        raise Unanswered
    return record["validate"], "" if is_queued(place, pusher) else _entry(place, pusher, before)


def _mark(place: Place, pusher: Process, environ: Mapping[str, str]) -> list[str]:
    """For which push a decision holds: the same git process, remote, URL, ref, commit and SKIP."""
    return [__version__, *pusher[:2], place.remote, place.url, place.ref, place.commit, environ.get("SKIP", "")]


def _decision_file(place: Place) -> str:
    return os.path.join(place.state_dir, "fast-path.decision")


def _write_decision(place: Place, pusher: Process, environ: Mapping[str, str], decision: Sequence[str]) -> None:
    """Leave to the hooks that come after this one what `register` says and queues."""
    state_files.replace(_decision_file(place), "\0".join([*_mark(place, pusher, environ), *decision]))


def _read_decision(place: Place, pusher: Process, environ: Mapping[str, str]) -> list[str] | None:
    """What the first hook of this very push decided; None when it decided nothing."""
    mark = _mark(place, pusher, environ)
    try:
        with open(_decision_file(place), encoding="utf-8", errors="surrogateescape", newline="") as file:
            parts = file.read().split("\0")
    except OSError:
        return None
    known = parts[: len(mark)] == mark and len(parts) == len(mark) + 2
    return parts[len(mark) :] if known else None


def _last_registered(place: Place) -> str:
    """The commit of the branch that was registered last, at the API that Prefect is set to.

    Raises:
        Unanswered: the last push of the branch ended otherwise, or a push was refused and that was not told yet.
    """
    import json

    from ..core import fingerprints

    with open(os.path.join(place.state_dir, "log.jsonl"), "rb") as file:
        lines = file.read().splitlines()
    if _has_untold_refusal(place, lines):
        raise Unanswered
    name = json.dumps(place.ref).encode()
    # From the end: half a line that a full disk has left counts until the next push of the branch.
    newest_first = (json.loads(line) for line in reversed(lines) if name in line)
    last = next((line for line in newest_first if (line["remote"], line["ref"]) == (place.remote, place.ref)), None)
    if last is None or last["result"] not in ("registered", "nothing to register") or last.get("left_out") or last.get("unclonable"):
        raise Unanswered
    if last["api"] != fingerprints.of_prefect_configuration():
        raise Unanswered
    commit: str = last["commit"]
    return commit


def _has_untold_refusal(place: Place, lines: Sequence[bytes]) -> bool:
    """Whether a push that was refused is waiting to be told, as `deploy/pending.py` marks what was."""
    import json

    refused = next((line for line in reversed(lines) if b'"result": "refused"' in line), None)
    if refused is None:
        return False
    try:
        with open(os.path.join(place.state_dir, "told"), encoding="utf-8") as file:
            return bool(file.read() != str(json.loads(refused)["time"]))
    except FileNotFoundError:
        return True


def is_queued(place: Place, pusher: Process) -> bool:
    """Whether git's own hook has queued this very push already.

    Raises:
        Unanswered: another push waits.
    """
    import json

    folder, names = os.path.join(place.state_dir, "pending"), _waiting(place)
    mine = (place.remote, place.ref, place.commit, {"pid": int(pusher[0]), "started": pusher[1]})
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                entry = json.load(file)
            known = (entry["remote"], entry["ref"], entry["commit"], entry["pusher"])
        except (ValueError, KeyError, TypeError):
            # Of another version, or torn.
            raise Unanswered from None
        if known != mine:
            raise Unanswered
    return bool(names)


def _waiting(place: Place) -> list[str]:
    """Names of the files of the pushes that wait."""
    folder = os.path.join(place.state_dir, "pending")
    return [name for name in os.listdir(folder) if name.endswith(".json")] if os.path.isdir(folder) else []


def _left_default_branch(place: Place, default: str) -> str:
    """Where the branch left the remote's default branch; empty for the default branch itself, or where none is known."""
    if not default or place.ref == f"refs/heads/{default}":
        return ""
    return place.git("merge-base", f"refs/remotes/{place.remote}/{default}", place.commit).decode().strip()


def _may_hide_refs(arguments: Sequence[str]) -> bool:
    """Whether a push may have refs that pre-commit does not show, of which something may have to be said (`hidden_refs`)."""
    words = arguments[arguments.index("push") + 1 :] if "push" in arguments else None
    if words is None or any(word.startswith("-") and word not in QUIET for word in words):
        return True
    refspecs = [word for word in words if not word.startswith("-")][1:]
    return len(refspecs) > 1 or any("*" in word for word in refspecs)


QUIET = ("-q", "--quiet", "-v", "--verbose", "-u", "--set-upstream", "--progress", "--no-progress", "-f", "--force")
"""Options of `git push` that add no ref to it."""


def _what_it_does(place: Place, where: str, old: str) -> str:
    """What the push does to its branch, in the words of `deploy/remote_state.py`."""
    if old == place.commit:
        return f"{where}: stays at {old[:7]}"
    ahead, behind = map(int, place.git("rev-list", "--left-right", "--count", f"{place.commit}...{old}").split())
    forced = f", dropping {behind} commit{'s' * (behind != 1)} that it has" if behind else ""
    return f"{where}: {ahead} commit{'s' * (ahead != 1)} from {old[:7]} to {place.commit[:7]}{forced}"


def _entry(place: Place, pusher: Process, before: str) -> str:
    """The queue entry of the push, as `deploy/pending.py` has it, but for its name and time."""
    import json

    entry = {
        "remote": place.remote, "url": place.url, "ref": place.ref, "commit": place.commit, "pushed_object": place.commit,
        "tracking_before": before, "pusher": {"pid": int(pusher[0]), "started": pusher[1]}, "project": None, "attempts": 0,
        "not_before": 0.0, "error": "",
    }  # fmt: skip
    return json.dumps(entry)[1:]


def _enqueue(place: Place, entry: str, environ: Mapping[str, str]) -> None:
    """Queue the registration, and leave a watcher."""
    name = f"{time.time_ns():020d}-{os.getpid()}"
    path = os.path.join(place.state_dir, "pending", f"{name}.json")
    state_files.replace(path, f'{{"format": 1, "id": "{name}", "created": {time.time()!r}, {entry}', durable=True)
    try:
        _leave(watcher_process.command(place.common_dir, place.top, [name]), place.state_dir, environ)
    except OSError:
        # No process could be made: the full way has the words for that.
        os.unlink(path)
        raise


def _leave(command: Sequence[str], folder: str, environ: Mapping[str, str]) -> None:
    """Start a process that outlives this one, in a session of its own, with nothing of ours open."""
    sys.stdout.flush()
    if os.fork():
        return
    try:
        os.setsid()
        os.chdir(folder)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        for descriptor in range(3, 256):
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                pass
        os.execve(command[0], list(command), watcher_process.environment(environ))
    finally:
        os._exit(1)


# Writing ----------------------------------------------------------------------------------------------


def place_of(repository: Repository, update: RefUpdate) -> Place:
    """Where a push of a ref stands, for those who write what is read here.

    Raises:
        Unanswered: it is a push that is never answered here.
    """
    folders = (repository.git_dir, repository.common_dir, repository.top or "")
    return Place(folders, (update.remote, update.url), update.ref, update.commit or "")


def remember(place: Place, interpreter: Interpreter, default_branch: str | None, said: str) -> None:
    """Keep what `validate` said of a push that was checked without a remark.

    Only of files that nothing but themselves, the settings of the commit and the interpreter decide.

    Raises:
        Unanswered, OSError: it could not be kept, so that the next push is checked in full.
    """
    import json

    key = _key(place, place.commit, place.git("config", "-z", "--list"))
    watched = {"folders": list(interpreter.folders), "files": list(interpreter.looked_at)}
    record = {
        "at": time.time(), "watched": watched, "installed": _installed(watched), "validate": said,
        "default_branch": default_branch or "", "left_at": _left_default_branch(place, default_branch or ""),
    }  # fmt: skip
    kept = _read(place)
    newest = sorted(kept["records"].items(), key=lambda item: -float(item[1]["at"]))[: MOST - 1]
    kept["records"] = {**dict(newest), key: record}
    state_files.replace(os.path.join(place.state_dir, "fast-path.json"), json.dumps(kept))


def leave_decision(place: Place, told: str, before: str | None, queued: bool) -> None:
    """Leave to the register hook of this push what it says, and whether it queues it.

    `before` is the commit of the tracking ref.

    Raises:
        Unanswered, OSError: another push waits, or the push cannot be seen: the register hook takes the full way.
    """
    pusher = _pushing_git()
    if before is None or is_queued(place, pusher):
        raise Unanswered
    _write_decision(place, pusher, os.environ, [told, _entry(place, pusher, before) if queued else ""])


# Both -------------------------------------------------------------------------------------------------


def _key(place: Place, commit: str, configuration: bytes) -> str:
    """Hash of all that decides about a commit of a branch.

    It covers the blob and mode of every file that can decide, the settings of the machine and the environment, ref,
    remote URL and our version; the interpreter is told by `_installed`.
    """
    import hashlib

    content = hashlib.sha256(repr((__version__, place.remote, place.ref, sys.executable)).encode("utf-8", "surrogateescape"))
    for line in configuration.split(b"\0"):
        if line.startswith((b"prefect.", b"user.", f"remote.{place.remote}.".encode("utf-8", "surrogateescape"), b"url.", b"core.hookspath")):
            content.update(line + b"\0")
    for name, value in sorted(os.environ.items()):
        if name in WORKER_VARIABLES or name.startswith(("GIT_PREFECT_", "PREFECT__")):
            content.update(f"{name}={value}\0".encode("utf-8", "surrogateescape"))
    lines = place.git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
    # A link to a file makes that file decide, whatever it is called.
    everything = any(line.startswith(LINK) for line in lines)
    for line in lines:
        if everything or line.endswith(DECIDING) or line.startswith(SUBMODULE):
            content.update(line + b"\0")
    return content.hexdigest()


def _installed(watched: Mapping[str, Sequence[str]]) -> str:
    """Fingerprint of the interpreter that loads flow files, and of those that would come before it."""
    from ..core import fingerprints

    return f"{fingerprints.of_packages(watched['folders'])} {fingerprints.of_files(watched['files'])}"


def _read(place: Place) -> dict[str, Any]:
    """What is kept: records by their key."""
    import json

    try:
        with open(os.path.join(place.state_dir, "fast-path.json"), "rb") as file:
            kept: dict[str, Any] = json.load(file)
        if kept["format"] == FORMAT:
            known = {key: one for key, one in kept["records"].items() if isinstance(one["at"], float)}
            return {"format": FORMAT, "records": known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return {"format": FORMAT, "records": {}}


def _pushing_git() -> Process:
    """The `git push` above us: its pid, when it started, and its arguments (as `git/process.py` finds it).

    Raises:
        Unanswered: there is none.
    """
    pid = os.getppid()
    while pid > 1:
        with open(f"/proc/{pid}/stat", "rb") as stat, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            # The name in parentheses may hold anything; the fields count from behind the last one.
            fields = stat.read().rpartition(b")")[2].split()
            arguments = cmdline.read().decode("utf-8", "replace").split("\0")[:-1]
        ours = ("prefect", "pre-push") in zip(arguments, arguments[1:])
        if arguments and os.path.basename(arguments[0]) == "git" and not ours:
            return str(pid), fields[19].decode(), arguments
        pid = int(fields[1])
    raise Unanswered


def _run(command: Sequence[str], environ: dict[str, str]) -> bytes:
    """What a command prints; without `subprocess`, whose import takes as long as Python's start.

    Raises:
        Unanswered: it failed.
    """
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    try:
        pid = os.posix_spawnp(command[0], list(command), environ, file_actions=actions)
    finally:
        os.close(writer)
        os.close(null)
    with open(reader, "rb") as file:
        printed = file.read()
    if os.waitpid(pid, 0)[1]:
        raise Unanswered
    return printed
