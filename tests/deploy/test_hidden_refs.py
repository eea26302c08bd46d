"""Which refs of a push pre-commit leaves out, by the command line of `git push`."""

from __future__ import annotations

import pytest

from git_prefect.deploy.hidden_refs import PushArguments, asked


@pytest.mark.parametrize(
    ("line", "options", "refs"),
    [
        ("git push", [], []),
        ("git push origin", [], []),
        ("git push origin main v1.0", [], ["main", "v1.0"]),
        ("git push -u origin +a:b refs/tags/v1:refs/tags/v2", ["-u"], ["b", "refs/tags/v2"]),
        ("git -C /somewhere push --all origin", ["--all"], []),
        ("git push -o ci.skip --push-option x origin main --tags", ["--tags"], ["main"]),
        ("git push --repo=origin main", ["--repo=origin"], ["main"]),
        ("git push origin main tag v1.0", [], ["main", "refs/tags/v1.0"]),
        ("git push origin :gone main", [], ["main"]),
        ("git push origin --delete one two", ["--delete"], []),
        ("git push origin refs/heads/*:refs/heads/* ^refs/heads/no", [], ["refs/heads/*"]),
        ("git push -- origin main", [], ["main"]),
        ("", [], []),
    ],
)
def test_the_command_line_is_read_as_git_does(line: str, options: list[str], refs: list[str]) -> None:
    assert asked(line.split()) == PushArguments(options, refs)
