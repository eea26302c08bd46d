"""Which target takes a ref, and the project that it leads to."""

from __future__ import annotations

import pytest

from git_prefect.core.model import RefUpdate
from git_prefect.core.settings import Target
from git_prefect.core.targets import matches, pattern_like, project_of, slug, target_of


def update(ref: str) -> RefUpdate:
    return RefUpdate("origin", "https://example.com/r.git", ref, "c", "c", None, "push")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("main", "main", True),
        ("main", "old/main", False),
        ("main", "main/x", False),
        ("feature/*", "feature/x", True),
        ("feature/*", "feature/x/y", False),
        ("feature/**", "feature/x/y", True),
        ("feature/**", "feature", False),
        ("**", "anything/at/all", True),
        ("v*", "v1.0", True),
        ("v*", "v1/rc", False),
        ("v[0-9]*", "vnext", False),
        ("**/hotfix", "a/b/hotfix", True),
    ],
)
def test_patterns_are_gits_own(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("ref", "pattern"),
    [
        ("refs/tags/v1.4", "v*"), ("refs/tags/1.4", "[0-9]*"), ("refs/tags/release-7", "release-*"), ("refs/tags/build-7", "build-7"),
        ("refs/tags/7", "7"), ("refs/heads/v1", "v1"),
    ],
)  # fmt: skip
def test_a_target_for_a_release_takes_its_like(ref: str, pattern: str) -> None:
    assert pattern_like(update(ref)) == pattern
    assert matches(pattern, ref.split("/", 2)[2])


def test_the_first_target_that_matches_wins() -> None:
    targets = [
        Target(project="hot", branch="feature/hot"),
        Target(project="dev", branch="feature/**"),
        Target(project="production", tag="v*"),
    ]
    found = [
        target_of(targets, update(ref))
        for ref in (
            "refs/heads/feature/hot",
            "refs/heads/feature/x",
            "refs/tags/v1",
            "refs/heads/v1",
            "refs/notes/v1",
        )
    ]
    assert found == [targets[0], targets[1], targets[2], None, None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", "main"),
        ("feature/add-x", "feature--add-x"),
        ("feature--x", "feature--x-f9251b16"),
        ("Feature/X", "feature--x-02cc1910"),
        ("v1.0", "v1.0"),
        ("größe", "gr-e-d353a267"),
        ("x" * 80, "x" * 60 + "-d929cdee"),
    ],
)
def test_slugs(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_no_two_branches_share_a_project() -> None:
    names = [
        "feature/x",
        "feature--x",
        "feature-x",
        "Feature/x",
        "feature/X",
        "f/x",
        "x" * 61,
        "x" * 62,
        "ä",
        "ö",
        "-",
    ]
    assert len({slug(name) for name in names}) == len(names)


def test_a_project_name_is_filled_in() -> None:
    target = Target(project="{repo}-{user}-{branch}", branch="**")
    assert project_of(target, update("refs/heads/feature/x"), "ada", "team/etl") == "team--etl-ada-feature--x"
