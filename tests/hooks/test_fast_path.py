"""The fast path: which pushes it answers, that its answer is the full way's, and what it may import."""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from git_prefect.core.model import RefUpdate
from git_prefect.deploy import pending, seen_pushes
from git_prefect.git.process import ancestors
from git_prefect.hooks import fast_path

from ..repository import Clone, known_checks

PACKAGE = Path(fast_path.__file__).parents[1]
LIGHT = {"core.fingerprints", "core.state_files", "core.git_environment", "deploy.seen_pushes", "deploy.watcher_process"}
"""What of ours it may import; they import the standard library alone."""
STANDARD = {"__future__", "hashlib", "io", "json", "os", "sys", "time"}
"""What of the standard library all these may import: modules that Python has loaded anyway, or that take a millisecond."""

RUNNER = """\
import io, json, sys
from git_prefect.__main__ import main
sys.argv, out, sys.stdout = ["git-prefect", sys.argv[1], *sys.argv[3:]], sys.argv[2], io.StringIO()
code = main()
with open(out, "a") as file:
    print(json.dumps([sys.argv[1], code, sys.stdout.getvalue(), "msgspec" not in sys.modules]), file=file)
sys.exit(code)
"""
"""A hook as pre-commit runs it; what it printed, and whether it was answered by the fast path."""

HOOK = """\
#!/bin/sh
while read -r local commit ref known; do
    for hook in $HOOKS; do
        PRE_COMMIT=1 PRE_COMMIT_REMOTE_NAME=$1 PRE_COMMIT_REMOTE_URL=$2 PRE_COMMIT_LOCAL_BRANCH=$local \\
        PRE_COMMIT_REMOTE_BRANCH=$ref PRE_COMMIT_FROM_REF=$known PRE_COMMIT_TO_REF=$commit \\
        '{python}' '{runner}' "$hook" '{out}' || exit 1
    done
done
"""

SETTINGS = """\
clone-url-secret = "CLONE_URL"
[[target]]
branch = "**"
project = "{project}"
create-project = true
"""
FLOW = "from prefect import Flow, task\n\n@task\ndef one(): ...\n\nwith Flow('etl') as flow:\n    one()\n"


FIRST_DECIDES = [False, True, True]
"""Which hooks are answered by the fast path where the first one takes the full way, and leaves its decision."""


class Answer(NamedTuple):
    """What one hook did in a push."""

    hook: str
    code: int
    said: str
    fast: bool


class Pusher(NamedTuple):
    """A clone whose pushes run the three hooks, one after the other, as pre-commit does."""

    clone: Clone
    out: Path

    def push(self, *arguments: str, check: bool = True, **environ: str) -> list[Answer]:
        """Push, wait until what was queued is registered, and tell what the hooks did."""
        self.out.unlink(missing_ok=True)
        self.clone.git("push", *(arguments or ("origin", "main")), check=check, **environ)
        deadline = time.monotonic() + 60
        # In CI nothing waits for the push to arrive.
        while "CI" not in environ and pending.entries(self.clone.repository) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [Answer(*json.loads(line)) for line in self.out.read_text().splitlines()]

    def idle(self, **environ: str) -> list[Answer]:
        """Push a commit that changes no flow."""
        self.clone.commit({"README": f"{os.urandom(4).hex()}\n"})
        return self.push(**environ)

    @property
    def state(self) -> Path:
        """The folder of our state."""
        return Path(self.clone.repository.state_dir)

    def last(self) -> dict[str, Any]:
        """The last line of the log."""
        return pending.log_lines(self.clone.repository)[-1]


NATIVE_HOOK = """\
#!/bin/sh
'{python}' '{runner}' pre-push '{out}' "$@"
"""
"""git's own hook, as `git prefect install` has it call us."""


@pytest.fixture
def adopted(
    work: Clone, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Path
) -> Iterator[Pusher]:
    """A clone with a flow and settings, nothing pushed."""
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api_url)
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.setenv("HOOKS", "validate check-pushed register")
    runner, out = tmp_path / "runner.py", tmp_path / "answers"
    runner.write_text(RUNNER)
    hook = work.path / ".git" / "hooks" / "pre-push"
    hook.write_text(HOOK.format(python=sys.executable, runner=runner, out=out))
    hook.chmod(0o755)
    work.commit({"flows/etl.py": FLOW, ".git-prefect.toml": SETTINGS.format(project=tmp_path.name)})
    with known_checks(work, checks):
        yield Pusher(work, out)


@pytest.fixture
def registered(adopted: Pusher) -> Pusher:
    """A clone whose flow is registered, by a push that left a record."""
    # The first push of a clone has something to say of the refs that pre-commit does not show.
    assert [one.fast for one in adopted.push()] == [False, True, False]
    return adopted


@pytest.fixture
def native(adopted: Pusher) -> Pusher:
    """As `registered`, by git's own hook."""
    hook = adopted.clone.path / ".git" / "hooks" / "pre-push"
    runner = adopted.out.with_name("runner.py")
    hook.write_text(NATIVE_HOOK.format(python=sys.executable, runner=runner, out=adopted.out))
    assert [one.fast for one in adopted.push()] == [False]
    return adopted


def imported(path: Path) -> set[str]:
    """The modules that a module imports when it runs; of ours the dotted name below the package."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" if node.module else "" for alias in node.names}
            ours = {name if (PACKAGE / f"{name.replace('.', '/')}.py").exists() else str(node.module) for name in names if name}
            found |= ours
    return found


def test_what_it_may_import() -> None:
    assert imported(Path(fast_path.__file__)) - STANDARD <= LIGHT
    for name in LIGHT:
        assert imported(PACKAGE / f"{name.replace('.', '/')}.py") <= {*STANDARD, *LIGHT}, name
    assert imported(PACKAGE / "__init__.py") <= STANDARD
    for folder in ("core", "deploy", "hooks"):
        assert imported(PACKAGE / folder / "__init__.py") == set(), folder


def test_it_answers_as_the_full_way_does_and_queues_the_push(registered: Pusher) -> None:
    (registered.state / "fast-path.json").unlink()
    full = registered.idle()
    head, first = registered.clone.head()[:7], registered.clone.head("HEAD~")[:7]
    assert [one.fast for one in full] == FIRST_DECIDES
    answers = registered.idle()
    now = registered.clone.head()
    assert [one.fast for one in answers] == [True, True, True]
    assert [(one.hook, one.code) for one in answers] == [("validate", 0), ("check-pushed", 0), ("register", 0)]
    # The commits of a push aside, each hook says what it said before.
    said = [one.said.replace(head, now[:7]).replace(first, head) for one in full]
    assert [one.said for one in answers] == said
    assert answers[2].said == "", "it changes nothing that is registered"
    assert (registered.last()["result"], registered.last()["commit"]) == ("registered", now)
    # All three are noted as having seen it.
    with open(seen_pushes.path_of(str(registered.state)), encoding="utf-8") as file:
        lines = [line.split(" ")[1:] for line in file.read().splitlines() if now in line]
    assert lines == [[hook, now, "refs/heads/main", "origin"] for hook in ("validate", "check-pushed", "register")]


def test_a_queue_entry_is_as_the_full_way_writes_it(registered: Pusher) -> None:
    seen: list[list[pending.Entry]] = []
    for _ in range(2):
        # The remote refuses, so that the entry is closed, and not registered: what counts is how it was written.
        entries = registered.state / "entries"
        hook = registered.clone.path / ".git" / "hooks" / "pre-push"
        script = hook.read_text()
        hook.write_text(f"{script}cp {registered.state}/pending/*.json {entries}\n")
        registered.idle()
        hook.write_text(script)
        content = json.loads(entries.read_text())
        seen.append(sorted(content))
        entry = pending.Entry(**{**content, "pusher": None})
        assert (entry.remote, entry.ref, entry.commit) == ("origin", "refs/heads/main", registered.clone.head())
        assert entry.commit == entry.pushed_object != entry.tracking_before
        (registered.state / "fast-path.json").unlink(missing_ok=True)
    assert seen[0] == seen[1]
    assert registered.last()["result"] == "registered"


def _flow(pusher: Pusher) -> None:
    pusher.clone.commit({"flows/more.py": FLOW.replace("etl", "more")})


def _settings(pusher: Pusher) -> None:
    pusher.clone.commit({".git-prefect.toml": (pusher.clone.path / ".git-prefect.toml").read_text() + 'schedule = "off"\n'})


def _template(pusher: Pusher) -> None:
    pusher.clone.commit({"k8s/job.yaml": "kind: Job\n"})


def _link(pusher: Pusher) -> None:
    (pusher.clone.path / "flows" / "data").symlink_to("../README")
    pusher.clone.git("add", "flows/data")


def _mode(pusher: Pusher) -> None:
    (pusher.clone.path / "flows" / "etl.py").chmod(0o755)
    pusher.clone.git("add", "flows/etl.py")


def _machine(pusher: Pusher) -> None:
    pusher.clone.git("config", "prefect.timeout", "20")


def _identity(pusher: Pusher) -> None:
    pusher.clone.git("config", "user.email", "bob@example.com")


def _fetch_refspec(pusher: Pusher) -> None:
    pusher.clone.git("config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main")


def _log(pusher: Pusher, **changes: Any) -> None:
    path = pusher.state / "log.jsonl"
    *lines, last = path.read_text().splitlines()
    kept = {key: value for key, value in {**json.loads(last), **changes}.items() if value is not None}
    path.write_text("\n".join([*lines, json.dumps(kept), ""]))


def _record(pusher: Pusher, **changes: Any) -> None:
    path = pusher.state / "fast-path.json"
    kept = json.loads(path.read_text())
    kept["records"] = {key: {**one, **changes} for key, one in kept["records"].items()}
    path.write_text(json.dumps(kept))


FULL: dict[str, Callable[[Pusher], None]] = {
    "a flow is added": _flow,
    "the settings change": _settings,
    "a template changes": _template,
    "a link is added": _link,
    "the mode of a flow file changes": _mode,
    "a setting of the machine changes": _machine,
    "the user changes": _identity,
    "the tracking ref is another": _fetch_refspec,
    "the last registration failed": lambda pusher: _log(pusher, result="failed"),
    "the last push was refused": lambda pusher: _log(pusher, result="refused"),
    "the last push has not arrived": lambda pusher: _log(pusher, result="not arrived"),
    "a flow was left out": lambda pusher: _log(pusher, left_out=["flows/etl.py"]),
    "a clone fails": lambda pusher: _log(pusher, unclonable=["no"]),
    "another API": lambda pusher: _log(pusher, api="another"),
    "a log of 0.1.0": lambda pusher: _log(pusher, api=None),
    "no log": lambda pusher: (pusher.state / "log.jsonl").unlink(),
    "an old record": lambda pusher: _record(pusher, at=time.time() - fast_path.AGE_LIMIT - 1),
    "a record of tomorrow": lambda pusher: _record(pusher, at=time.time() + 3600),
    "another interpreter": lambda pusher: _record(pusher, installed="another"),
    "a record without a part": lambda pusher: _record(pusher, watched=None),
    "a torn record": lambda pusher: (pusher.state / "fast-path.json").write_text("{"),
    "a record of another format": lambda pusher: (pusher.state / "fast-path.json").write_text('{"format": 0}'),
    "no record": lambda pusher: (pusher.state / "fast-path.json").unlink(),
}


@pytest.mark.parametrize("change", FULL)
def test_what_takes_the_full_way(registered: Pusher, change: str) -> None:
    assert [one.fast for one in registered.idle()] == [True, True, True], "else this proves nothing"
    FULL[change](registered)
    # The first hook that runs decides.
    assert [one.fast for one in registered.idle(HOOKS="register")] == [False]


def test_half_a_line_of_the_log_counts_until_the_next_push(registered: Pusher) -> None:
    (registered.state / "log.jsonl").write_text('{"ref": "refs/heads/main"')
    assert [registered.idle()[0].fast for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    "environ",
    [
        {"GIT_PREFECT_TIMEOUT": "20"},
        {"CI": "true"},
        {"PREFECT__SERVER__HOST": "http://elsewhere"},
        {"TZ": "Asia/Tokyo"},
        {"GIT_PREFECT_SKIP": "1"},
    ],
)
def test_another_environment_takes_the_full_way(registered: Pusher, environ: dict[str, str]) -> None:
    assert [one.fast for one in registered.idle(HOOKS="register", **environ)] == [False]


def test_a_push_that_waits_takes_the_full_way(registered: Pusher) -> None:
    other = registered.state / "pending" / "0.json"
    other.parent.mkdir(exist_ok=True)
    other.write_text(json.dumps({"format": pending.FORMAT + 1}))
    registered.clone.commit({"README": "more\n"})
    registered.out.unlink()
    registered.clone.git("push", "origin", "main")
    assert [Answer(*json.loads(line)).fast for line in registered.out.read_text().splitlines()] == [False, True, False]


def test_another_push_that_waits_takes_the_full_way(registered: Pusher) -> None:
    clone = registered.clone
    other = RefUpdate("origin", "", "refs/heads/other", clone.head(), clone.head(), None, "push")
    # Its push is still running: this process is.
    made = pending.record(clone.repository, other, None, ancestors()[0][0], None)
    clone.commit({"README": "more\n"})
    registered.out.unlink()
    clone.git("push", "origin", "main")
    assert [Answer(*json.loads(line)).fast for line in registered.out.read_text().splitlines()] == [False, True, False]
    assert made in pending.entries(clone.repository)


@pytest.mark.parametrize("arguments", [("origin", "main", "HEAD:refs/heads/other"), ("--follow-tags", "origin", "main")])
def test_a_push_of_more_refs_takes_the_full_way(registered: Pusher, arguments: tuple[str, ...]) -> None:
    registered.clone.commit({"README": "more\n"})
    answers = registered.push(*arguments)
    assert not any(one.fast for one in answers if one.hook != "check-pushed")


def test_a_decision_counts_for_its_own_push_only(registered: Pusher) -> None:
    registered.idle()
    decision = registered.state / "fast-path.decision"
    *mark, told, entry = decision.read_text().split("\0")
    head = registered.clone.head()
    assert mark[3:] == ["origin", str(registered.clone.git("remote", "get-url", "origin")), "refs/heads/main", head, ""]
    assert (told, json.loads("{" + entry)["commit"]) == ("", head)
    # Of another process, commit, or SKIP it is not believed: the hook looks for itself.
    for position in range(len(mark)):
        registered.clone.commit({"README": f"{position}\n"})
        other = [*mark[:position], "another", *mark[position + 1 :]]
        decision.write_text("\0".join([*other, "of another push", ""]))
        (answer,) = registered.push(HOOKS="register")
        assert answer.fast and answer.said != "of another push\n"
        assert registered.last()["commit"] == registered.clone.head()


def test_a_hook_that_is_skipped_decides_nothing(registered: Pusher) -> None:
    answers = registered.idle(HOOKS="register", SKIP="prefect-validate,prefect-check-pushed")
    assert [(one.hook, one.fast) for one in answers] == [("register", True)]
    assert registered.last()["commit"] == registered.clone.head()


def test_what_refuses_a_push_leaves_no_decision(registered: Pusher) -> None:
    registered.clone.commit({"flows/etl.py": FLOW + "nope\n"})
    answers = registered.push(check=False)
    assert [(one.hook, one.code) for one in answers] == [("validate", 1)]
    (answer,) = registered.push(check=False, HOOKS="register")
    assert not answer.fast
    assert "nothing is queued" in answer.said


def test_the_full_ways_decision_is_said_and_queued_by_the_last_hook(registered: Pusher) -> None:
    registered.clone.commit({"flows/more.py": FLOW.replace("etl", "more")})
    answers = registered.push()
    assert [one.fast for one in answers] == FIRST_DECIDES
    assert answers[2].said.startswith("origin/main: 2 flows → project")
    assert [(flow["flow"], flow["action"]) for flow in registered.last()["flows"]] == [("etl", "unchanged"), ("more", "created")]


def test_it_is_not_asked_by_hand(registered: Pusher, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fast_path.answer([]) is None
    assert fast_path.answer(["status"]) is None
    assert fast_path.answer(["validate"]) is None
    assert fast_path.answer(["validate", "--ref", "main"]) is None


def test_settings_of_the_default_branch_take_the_full_way(registered: Pusher) -> None:
    clone = registered.clone
    clone.git("checkout", "--quiet", "-b", "old", "HEAD~")
    clone.commit({"flows/a.py": FLOW.replace("etl", "a")})
    for _ in range(2):
        clone.commit({"README": f"{os.urandom(4).hex()}\n"})
        answers = registered.push("-u", "origin", "old")
    assert not answers[0].fast


def test_what_a_link_leads_to_takes_the_full_way(registered: Pusher) -> None:
    clone = registered.clone
    clone.write({"src/two.txt": FLOW.replace("etl", "two")})
    (clone.path / "flows" / "two.py").symlink_to("../src/two.txt")
    clone.git("add", ".")
    clone.commit({"README": "linked\n"})
    registered.push()
    clone.commit({"src/two.txt": FLOW.replace("etl", "two") + "nope\n"})
    assert [(one.fast, one.code) for one in registered.push(check=False)] == [(False, 1)]


READS = FLOW.replace("    one()\n", "    for _ in open(__file__.replace('etl.py', 'tables.csv')):\n        one()\n")


def test_data_that_a_load_reads_takes_the_full_way(registered: Pusher) -> None:
    clone = registered.clone
    clone.commit({"flows/etl.py": READS, "flows/tables.csv": "a\n"})
    registered.push()
    assert [registered.idle()[0].fast for _ in range(2)] == [False, False]
    clone.commit({"flows/tables.csv": "a\nb\n"})
    answers = registered.push()
    assert not answers[0].fast
    assert answers[-1].said.startswith("origin/main: 1 flow → project"), "it is registered anew"
    assert [flow["action"] for flow in registered.last()["flows"]] == ["updated"]
    clone.commit({"flows/tables.csv": b"\xff"})
    assert [(one.hook, one.code) for one in registered.push(check=False)] == [("validate", 1)]


JOB = 'kind: Job\napiVersion: batch/v1\nspec: {template: {spec: {containers: [{name: flow}]}}}\n'


def test_a_template_of_another_suffix_takes_the_full_way(registered: Pusher) -> None:
    clone = registered.clone
    runtime = '\n[[runtime]]\nflows = ["flows/**"]\nrun-config = { type = "KubernetesRun", job-template-path = "k8s/job.tpl" }\n'
    settings = (clone.path / ".git-prefect.toml").read_text()
    clone.commit({".git-prefect.toml": settings + runtime, "k8s/job.tpl": JOB})
    registered.push()
    assert not registered.idle()[0].fast
    clone.commit({"k8s/job.tpl": "kind: [Job\n"})
    answers = registered.push(check=False)
    assert [(one.hook, one.code) for one in answers if one.code] == [("register", 2)]


def test_a_python_that_comes_first_on_path_takes_the_full_way(
    registered: Pusher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GIT_PREFECT_PYTHON")
    first = tmp_path / "venv" / "bin"
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{os.environ['PATH']}")
    registered.idle()
    assert [one.fast for one in registered.idle()] == [True, True, True]
    first.mkdir(parents=True)
    (first / "python3").symlink_to(sys.executable)
    assert not registered.idle()[0].fast


def test_where_the_branch_left_the_default_branch_counts(registered: Pusher) -> None:
    clone = registered.clone
    clone.git("checkout", "--quiet", "-b", "feature")
    clone.commit({"flows/two.py": FLOW.replace("etl", "two")})
    registered.push("-u", "origin", "feature")
    clone.commit({"README": "more\n"})
    answers = registered.push("origin", "feature")
    assert [one.fast for one in answers] == [True, True, True]
    # Merged on the remote, and fetched: from now on the branch has no flow of its own.
    clone.git("push", "--no-verify", "origin", "feature:main")
    clone.commit({"README": "and more\n"})
    answers = registered.push("origin", "feature")
    assert not answers[0].fast


def test_a_push_that_removes_what_somebody_else_pushed_takes_the_full_way(registered: Pusher) -> None:
    clone, before = registered.clone, registered.clone.head()
    clone.commit({"flows/two.py": FLOW.replace("etl", "two")})
    clone.git("push", "--no-verify", "origin", "main")
    clone.git("reset", "--quiet", "--hard", before)
    clone.commit({"README": "forced\n"})
    assert not registered.push("--force", "origin", "main")[0].fast


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1, "records": {"x": "y"}}', '{"format": 1, "records": {"x": {}}}'])
def test_nothing_that_is_kept_stops_a_push(registered: Pusher, content: str) -> None:
    (registered.state / "fast-path.json").write_text(content)
    assert [(one.fast, one.code) for one in registered.idle()] == [(False, 0), (True, 0), (True, 0)]
    assert [one.fast for one in registered.idle()] == [True, True, True]


def test_an_output_that_lacks_a_letter_stops_no_push(registered: Pusher) -> None:
    """What a person would see as an arrow is escaped."""
    runner = registered.out.with_name("plain.py")
    runner.write_text("import sys\nfrom git_prefect.__main__ import main\nsys.argv = sys.argv[:2]\nsys.exit(main())\n")
    hook = registered.clone.path / ".git" / "hooks" / "pre-push"
    hook.write_text(HOOK.format(python=sys.executable, runner=runner, out="").replace(" '' ", " >&2 "))
    registered.clone.commit({"flows/more.py": FLOW.replace("etl", "more")})
    printed = registered.clone.git("push", "origin", "main", PYTHONIOENCODING="ascii")
    assert "origin/main: 2 flows \\u2192 project" in printed


def test_a_push_is_queued_once(registered: Pusher) -> None:
    answers = registered.idle(HOOKS="validate register register")
    assert [(one.hook, one.fast) for one in answers] == [("validate", True), ("register", True), ("register", False)]
    assert answers[2].said == ""
    lines = [line for line in pending.log_lines(registered.clone.repository) if line["commit"] == registered.clone.head()]
    assert [line["result"] for line in lines] == ["registered"]


def test_gits_own_hook_is_answered_as_on_the_full_way(native: Pusher) -> None:
    (native.state / "fast-path.json").unlink()
    (full,) = native.idle()
    (answer,) = native.idle()
    now = native.clone.head()
    assert (full.fast, answer.fast, answer.code) == (False, True, 0)
    assert answer.said == full.said == ""
    assert (native.last()["result"], native.last()["commit"]) == ("registered", now)


def test_gits_own_hook_takes_the_full_way_for_more_than_one_branch(native: Pusher) -> None:
    clone = native.clone
    clone.commit({"README": "more\n"})
    assert [one.fast for one in native.push("origin", "main", "HEAD:refs/heads/other")] == [False]
    clone.git("tag", "v1")
    assert [one.fast for one in native.push("origin", "v1")] == [False]
    assert [one.fast for one in native.push("origin", ":other")] == [False]
    clone.commit({"README": "and more\n"})
    assert [one.fast for one in native.push("origin", "main", SKIP="prefect-validate")] == [False]


def test_gits_own_hook_refuses_what_the_full_way_refuses(native: Pusher) -> None:
    assert [one.fast for one in native.idle()] == [True]
    native.clone.commit({"flows/etl.py": FLOW + "nope\n"})
    assert [(one.fast, one.code) for one in native.push(check=False)] == [(False, 1)]


def test_what_is_said_of_a_change_is_not_said_again(native: Pusher) -> None:
    native.clone.commit({"flows/etl.py": FLOW.replace("etl", "renamed")})
    (answer,) = native.push()
    assert "flow 'etl' is renamed to renamed" in answer.said
    (answer,) = native.idle()
    assert (answer.fast, "is renamed" in answer.said) == (True, False)
