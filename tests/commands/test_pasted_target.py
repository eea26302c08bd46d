"""The target that a hint has to paste for a tag, as the file of the settings has to have it."""

from __future__ import annotations

import pytest

from .conftest import Desk


@pytest.mark.parametrize(
    ("path", "prefix", "borrowed"),
    [
        pytest.param("pyproject.toml", "tool.git-prefect.", False, id="pyproject"),
        pytest.param("pyproject.toml", "tool.git-prefect.", True, id="a commit without settings, beside pyproject"),
        pytest.param("etl/pyproject.toml", "tool.git-prefect.", True, id="a folder's"),
        pytest.param(".git-prefect.toml", "", True, id="a file of its own"),
    ],
)
def test_a_tag_is_explained_with_lines_to_paste(desk: Desk, path: str, prefix: str, borrowed: bool) -> None:
    desk.clone.git("rm", "--quiet", "pyproject.toml")
    desk.clone.git("commit", "--quiet", "-m", "no settings")
    old = desk.clone.head()
    desk.clone.commit({path: f'[[{prefix}target]]\nbranch = "main"\nproject = "etl"\n'})
    desk.clone.git("push", "--quiet", "origin", "main")
    desk.clone.git("tag", "v1.4", old if borrowed else "HEAD")
    code, out, err = desk("register", "--explain", "--ref", "v1.4")
    assert (code, err) == (1, "")
    assert out.splitlines()[-5:] == [
        "  no target takes v1.4, so it is not registered [no-target]",
        '    hint: add a target with tag = "v*" and a project to the settings',
        f"      [[{prefix}target]]",
        '      tag = "v*"',
        '      project = "production"',
    ]
    # Pasted as they are, they take the tag.
    lines = "\n".join(line.strip() for line in out.splitlines()[-3:])
    content = (desk.clone.path / path).read_text()
    desk.clone.commit({path: f"{content}\n{lines}\n"})
    desk.clone.git("push", "--quiet", "origin", "main")
    desk.clone.git("tag", "--force", "v1.4", old if borrowed else "HEAD")
    code, out, _ = desk("register", "--explain", "--ref", "v1.4")
    assert (code, 'tag = "v*": takes it' in out) == (0, True)
