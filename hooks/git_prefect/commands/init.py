"""git prefect init: settings and the pre-commit entry for the repository at hand, shown before they are written."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from pathspec import GitIgnoreSpec

from .. import __version__, git
from ..core.errors import ExitCode, NotAuthorised, OutOfReach, UsageError
from ..core.model import GitStorage
from ..core.targets import slug
from ..deploy.commit_settings import settings_at
from ..deploy.hook_steps import missing_hook_steps
from ..deploy.native_hook import is_pre_commits
from ..deploy.source_tree import how_to_name_flow_files, tree_of_work_tree
from ..flows import interpreter
from ..flows.discovery import Packages, flow_paths
from ..git import hooks_path, remotes
from ..git.clone_url import storage_of, why_not_clonable
from ..git.ls_remote import ask_remote
from ..report import style
from ..report.invocation import git_prefect
from ..report.options import Parser
from ..report.style import PLAIN, Look
from ..report.text import listed
from .additions import Addition, hooks_addition, settings_addition
from .hook_version import existing_rev
from .releases import Releases, releases_among, tags_of

DIFF = {"+": "green", "-": "red", "@": "cyan"}
"""The colours of git's own diffs."""
HOME = "https://github.com/git-prefect/git-prefect"
SHOWN = 5
"""So many flow files are named; the rest is counted."""
SECRETS = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN", "bitbucket": "BITBUCKET_TOKEN"}
"""What people call the Prefect secret that holds the token of a host."""
OTHER_STORAGE = (
    "Azure",
    "Bitbucket",
    "CodeCommit",
    "Docker",
    "GCS",
    "GitHub",
    "GitLab",
    "Local",
    "Module",
    "S3",
    "Webhook",
)
"""The storages of Prefect 1 beside Git."""


class Found(msgspec.Struct, frozen=True):
    """The repository at hand."""

    top: Path
    flows: list[str]
    remote: str
    url: str
    default_branch: str
    clone_knows_it: bool
    """Whether this clone takes the same branch for the default one, as other clones will."""
    python: interpreter.Interpreter
    projects: dict[str, str]
    """Where flow files register themselves → the first file that does."""
    storages: dict[str, list[str]]
    """Storages other than Git that flow files name → the files."""
    advice: str
    """How to name the flow files, where none is found; empty where nothing looks like one."""
    settings: str
    """The settings file of a folder below the root; empty where there is none."""
    has_no_target: bool
    """Whether the settings that are there have no target."""
    untracked: list[str]
    """The flow files, tests aside, that git does not track yet."""
    releases: Releases | None


def main(argv: Sequence[str]) -> int:
    """Find, show, ask, write; exit code 2 when there is nobody to ask and no `--yes`.

    Raises:
        UsageError: no work tree, no remote, or a file that cannot be read as TOML or YAML.
    """
    parser = Parser(
        prog="git prefect init",
        description="Write settings and the pre-commit entry for this repository. Nothing that is there is changed.",
        epilog="Exit codes: 0 written, nothing to write or declined, 2 usage, or nobody to ask.",
    )
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be written")
    options = parser.parse_args(argv)
    repository = git.open_repository()
    found = look_around(repository)
    shown_as = style.of()
    print(told(found, shown_as))
    additions = [_settings(found), _hooks(repository, found)]
    for addition in additions:
        print(f"\n{shown(addition, shown_as)}")
    if all(one.is_there for one in additions):
        print(f"\n{missing_steps(repository, found, [one.name for one in additions])}")
        return ExitCode.OK
    written = [one for one in additions if one.after is not None]
    if written and not options.dry_run:
        names = " and ".join(one.name for one in written)
        if not options.yes and not _agreed(names):
            print("nothing was written")
            return ExitCode.OK
        for one in written:
            (found.top / one.name).write_bytes(one.after or b"")
        print(f"\nwrote {names}")
    if not options.dry_run:
        print(f"\n{next_steps(repository, found, [one.name for one in additions])}")
    return ExitCode.OK


def _settings(found: Found) -> Addition:
    addition = settings_addition(found.top, settings_lines(found), found.settings)
    if not addition.is_there or not found.has_no_target:
        return addition
    lines = _target_lines(found)
    if addition.name.endswith("pyproject.toml"):
        lines = [line.replace("[[", "[[tool.git-prefect.") for line in lines]
    text = "\n".join(lines)
    return msgspec.structs.replace(addition, text=text, reason="has no target, so no flow is registered")


def _hooks(repository: git.Repository, found: Found) -> Addition:
    runs_at_push = is_pre_commits(hooks_path.hooks_folder(repository) / "pre-push")
    addition = hooks_addition(found.top, HOME, f"v{__version__}", runs_at_push)
    if HOME not in addition.text:
        return addition
    rev, about_rev = existing_rev(repository, HOME)
    addition = hooks_addition(found.top, HOME, rev, runs_at_push)
    notes = [one for one in (addition.note, about_rev) if one]
    return msgspec.structs.replace(addition, note="\n".join(notes))


def look_around(repository: git.Repository) -> Found:
    """What the settings are made from.

    Raises:
        UsageError: there is no work tree or no remote.
    """
    if repository.top is None:
        raise UsageError("a bare repository has no files to add settings to", "run this in a clone with a work tree")
    top = Path(repository.top)
    tree = tree_of_work_tree(repository)
    settings = settings_at(repository, None, "origin")
    python = _python(repository, top)
    flows = flow_paths(tree, settings.settings, Packages(python.folders, python.fingerprint))
    sources = {path: (top / path).read_bytes() for path in flows}
    remote = remotes.default_remote(repository)
    known = git.default_branch(repository, remote)
    try:
        answer = ask_remote(repository, remote, "HEAD", "refs/tags/*")
    except (NotAuthorised, OutOfReach):
        answer = None
    default = (answer and answer.head) or known
    active = git.ask(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    projects: dict[str, str] = {}
    storages: dict[str, list[str]] = {}
    for path, source in sources.items():
        for name in _projects(source):
            projects.setdefault(name, path)
        for name in _storages(source):
            storages.setdefault(name, []).append(path)
    return Found(
        top, flows, remote, remotes.remote_url(repository, remote), default or active or "main", known in (None, default),
        python, projects, storages, "" if flows else how_to_name_flow_files(tree, settings.settings),
        settings.origin if settings.folder else "", settings.origin != "defaults" and not settings.settings.target,
        _untracked(repository, flows), releases_among(tags_of(repository, answer)),
    )  # fmt: skip


def _untracked(repository: git.Repository, flows: Sequence[str]) -> list[str]:
    listing = git.run_git(repository, "ls-files", "-z", "--others", "--exclude-standard")
    others = set(listing.decode("utf-8", "surrogateescape").split("\0"))
    tests = _tests(flows).values()
    return [path for path in flows if path in others and not any(path in some for some in tests)]


def _tests(flows: Sequence[str]) -> dict[str, list[str]]:
    """Patterns of tests that match flow files → those files."""
    found = {
        pattern: [path for path in flows if GitIgnoreSpec.from_lines([pattern]).match_file(path)]
        for pattern in ("test/", "tests/", "test_*.py", "*_test.py")
    }
    return {pattern: paths for pattern, paths in found.items() if paths}


def _python(repository: git.Repository, top: Path) -> interpreter.Interpreter:
    """The one that a push would take; before one outside of the repository, any environment inside that has Prefect."""
    configured = settings_at(repository, None, "origin").settings.python
    usual = interpreter.find(top, configured, Path(repository.state_dir))
    if configured or usual.origin.endswith("of the repository"):
        return usual
    for config in sorted([*top.glob("*/pyvenv.cfg"), *top.glob(".*/pyvenv.cfg")]):
        try:
            one = interpreter.find(top, f"{config.parent.name}/bin/python", Path(repository.state_dir))
        except UsageError:
            continue
        if one.prefect:
            return one
    return usual


def _calls(source: bytes) -> Iterator[tuple[str, ast.Call]]:
    """The calls of a source, each with the last name of what is called."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def _projects(source: bytes) -> list[str]:
    """The projects that `flow.register("project")` and `flow.register(project_name="project")` name."""
    found = []
    for name, call in _calls(source):
        named = [one.value for one in call.keywords if one.arg == "project_name"] or call.args[:1]
        for value in named if name == "register" else []:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and "{" not in value.value:
                found.append(value.value)
    return [name for name in found if name.strip()]


def _storages(source: bytes) -> list[str]:
    called = [name for name, _ in _calls(source) if name in OTHER_STORAGE]
    return list(dict.fromkeys(called)) if b"storage" in source else []


def told(found: Found, seen: Look = PLAIN) -> str:
    """What was found, a line each, and what it means for a push."""
    return "\n".join([f"in {found.top}", *(_wrapped(line, seen) for line in _facts(found))])


def _wrapped(fact: str, seen: Look) -> str:
    # The names and their indent are as wide as "  flow files  ".
    return seen.wrap(style.whole(fact), 0, 14 - (len(fact) - len(fact.lstrip())))


def _facts(found: Found) -> list[str]:
    lines = []
    shown = listed(found.flows, SHOWN)
    lines.append(
        f"  flow files  {len(found.flows)}: {shown}" if found.flows else "  flow files  none yet: no .py builds a Flow"
    )
    if found.untracked:
        lines.append(f"              untracked, so no push has them yet: {listed(found.untracked, SHOWN)}")
    lines += [f"              {found.advice}"] if found.advice else []
    for storage, paths in found.storages.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        lines.append(
            f"              {paths[0]}{more}: {storage} storage, left there until you say otherwise: "
            f"{git_prefect('explain', 'other-storage')}"
        )
    lines.append(f"  remote      {found.remote}: {found.url}, default branch {found.default_branch}")
    lines.append(f"  python      {found.python.describe()}")
    if found.python.own:
        lines.append("              git-prefect's own: what flows import may be missing there")
    if found.python.problem:
        lines.append(f"              {found.python.problem}")
    if found.python.own or found.python.problem:
        lines.append(f"              hint: git config prefect.python {_where_python_is(found.top)}")
    return lines


def _where_python_is(top: Path) -> str:
    """How the tool that manages the repository's environment tells its interpreter."""
    if (top / "poetry.lock").exists():
        return '"$(poetry env info --executable)"'
    if (top / "Pipfile").exists():
        return '"$(pipenv --py)"'
    if (top / "environment.yml").exists():
        named = re.search(r"^name:\s*(\S+)", (top / "environment.yml").read_text(errors="replace"), re.MULTILINE)
        return f'"$(conda run -n {named[1] if named else "NAME"} which python)"'
    return "PATH-TO-THE-PYTHON-THAT-HAS-THEM"


def settings_lines(found: Found) -> list[str]:
    """The settings in TOML, without a table around them."""
    lines = []
    if not found.clone_knows_it:
        lines.append(f"default-branch = {_quoted(found.default_branch)}")
    tests = _tests(found.flows)
    if tests:
        paths = listed(sorted({path for some in tests.values() for path in some}), 2)
        lines.append(f"exclude = [{', '.join(map(_quoted, tests))}]  # tests that build a flow: {paths}")
    inside = _inside(found)
    if inside:
        lines.append(f"python = {_quoted(inside)}")
    lines += _access(found)
    if found.releases and found.releases.annotated:
        lines.append(
            f'companion-tag = "flows/{{tag}}"  # no agent can run an annotated tag such as {found.releases.newest}: '
            "a lightweight one is pushed beside each"
        )
    return [*lines, "", *_target_lines(found)] if lines else _target_lines(found)


def _target_lines(found: Found) -> list[str]:
    """The targets: of releases where the repository has tags for them, of the default branch, of every other branch."""
    project, why = _repository_name(found.url), ""
    if len(found.projects) == 1:
        ((project, path),) = found.projects.items()
        why = f"  # where {path} registers itself"
    branch = f"branch = {_quoted(found.default_branch)}"
    first = [
        "[[target]]",
        branch,
        f"project = {_quoted(project)}{why}",
        "create-project = true",
        "# with releases, a target with tag = \"v*\" takes this project, and this branch another one with schedule = \"off\"",
    ]
    if found.releases:
        first = [
            f"# releases, such as {found.releases.newest}",
            "[[target]]",
            f"tag = {_quoted(found.releases.pattern)}",
            f"project = {_quoted(project)}{why}",
            "create-project = true",
            "",
            f"# {found.default_branch}, ahead of its release: a project of its own, and schedules run in the release only",
            "[[target]]",
            branch,
            f"project = {_quoted(f'{project}-{slug(found.default_branch)}')}",
            'schedule = "off"',
            "create-project = true",
        ]
    return [
        *first,
        "",
        "# every other branch: a project of its own, and nothing runs by itself",
        "[[target]]",
        'branch = "**"',
        f"project = {_quoted(project + '-{branch}')}",
        'schedule = "off"',
        "create-project = true",
    ]


def _inside(found: Found) -> str | None:
    """The interpreter as a setting, when it is in the repository and not where a push looks anyway."""
    if found.python.origin != "setting python":
        return None
    path = Path(found.python.path)
    try:
        inside = path.relative_to(found.top)
    except ValueError:
        return None
    return inside.as_posix()


def _access(found: Found) -> list[str]:
    """How agents clone the remote, as far as it shows in its URL."""
    where = storage_of(found.url)
    if where.use_ssh and not why_not_clonable(found.url, where):
        return [
            "# agents clone over ssh, as this clone does; over https with the token in a Prefect secret:",
            f"# token-secret = {_quoted(_secret(where))}",
        ]
    token = storage_of(found.url, token_secret=_secret(where))
    if not why_not_clonable(found.url, token):
        return [f"token-secret = {_quoted(_secret(where))}  # the Prefect secret that agents clone with"]
    return ['clone-url-secret = "GIT_CLONE_URL"  # the Prefect secret with the clone URL']


def _secret(where: GitStorage) -> str:
    return next((name for host, name in SECRETS.items() if host in where.repo_host), "GIT_TOKEN")


def _repository_name(url: str) -> str:
    return storage_of(url).repo.rpartition("/")[2] or "flows"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def shown(addition: Addition, seen: Look = PLAIN) -> str:
    """The change as a diff; what is there already in a line; what has to be pasted with the reason."""
    notes = [seen.wrap(style.whole(line)) for line in addition.note.splitlines()]
    if addition.after is not None:
        changed = "\n".join(
            seen.paint("bold" if line.startswith(("---", "+++")) else DIFF.get(line[:1], ""), line)
            for line in addition.diff().splitlines()
        )
        return "\n".join([changed, *(["", *notes] if notes else [])])
    if addition.is_there:
        return "\n".join([f"{addition.name} {addition.reason}: left as it is", *notes])
    pasted = f"{addition.name} {addition.reason}; paste by hand:\n\n{addition.text.rstrip()}"
    return "\n".join([pasted, *(["", *notes] if notes else [])])


def _agreed(names: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "nothing was written: there is no terminal to ask on",
            f"{git_prefect('init', '--yes')} writes what is shown above",
        )
    try:
        answer = input(f"\nWrite {names}? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def next_steps(repository: git.Repository, found: Found, files: Sequence[str]) -> str:
    """What to type from here to a registered flow, without what is done in this clone; `files` are to be committed."""
    steps = [
        f"{git_prefect('validate')}  # what is broken already stops no push",
        *missing_hook_steps(repository),
        *_committing(repository, found, files),
        _push(repository, found),
        git_prefect("status"),
    ]
    return "\n".join(["next:", *(f"  {step}" for step in steps)])


def missing_steps(repository: git.Repository, found: Found, files: Sequence[str]) -> str:
    """What is left to type in a repository that has settings and hooks."""
    commits = _committing(repository, found, files)
    unpushed = git.ask(repository, "rev-list", "--max-count=1", "HEAD", "--not", f"--remotes={found.remote}")
    steps = [*missing_hook_steps(repository), *commits, *([_push(repository, found)] if commits or unpushed else [])]
    if not steps:
        return f"nothing is missing; what is registered: {git_prefect('status')}"
    return "\n".join(["missing:", *(f"  {step}" for step in steps)])


def _committing(repository: git.Repository, found: Found, files: Sequence[str]) -> list[str]:
    """The commands that commit the settings, the hooks and the flow files that are in no commit."""
    changed = [name for name in files if git.ask(repository, "status", "--porcelain", "--", f":/{name}")]
    added = [*changed, *found.untracked]
    if not added:
        return []
    paths = [shlex.quote(os.path.relpath(found.top / path)) for path in added]
    return [f"git add {' '.join(paths)}", "git commit -m 'Register flows by git push'"]


def _push(repository: git.Repository, found: Found) -> str:
    """The push of the active branch, as git takes it: the first one of a branch names its upstream."""
    active = git.ask(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    if active is None:
        return shlex.join(("git", "push", found.remote, f"HEAD:refs/heads/{found.default_branch}"))
    follows = git.setting(repository, f"branch.{active}.merge") == f"refs/heads/{active}"
    # A push to another remote than the one that is pulled from needs no upstream.
    if follows or git.setting(repository, f"branch.{active}.remote") not in (None, found.remote):
        return "git push"
    return shlex.join(("git", "push", "-u", found.remote, active))
