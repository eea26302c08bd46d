"""The command line of a `git push`."""

from __future__ import annotations

import pytest

from git_prefect.git.process import is_quiet


@pytest.mark.parametrize(
    ("typed", "quiet"),
    [
        ("git push -q", True),
        ("git push --quiet origin main", True),
        ("git push origin main -uq", True),
        ("git push --qui", True),
        ("git -C push push -q", True),
        ("/usr/bin/git --no-pager push --no-verify -qf", True),
        ("git push -qo ci.skip", True),
        ("git push", False),
        ("git push -q -v", False),
        ("git push -v -q", True),
        ("git push -vq -qv", False),
        ("git push -q --no-quiet", False),
        ("git push -q --verbose", False),
        ("git push -q --verify", True),
        ("git push -o -q", False),
        ("git push -oq", False),
        ("git push -o q -- -q", False),
        ("git push --repo -q origin", False),
        ("git push origin quiet", False),
        ("git -q fetch", False),
        ("", False),
    ],
)
def test_whether_a_push_is_quiet(typed: str, quiet: bool) -> None:
    assert is_quiet(typed.split()) is quiet
