"""The snapshot is what dulwich writes in an agent, whatever the user's git is set to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect.utilities.git import TemporaryGitRepo

from git_prefect.git import run_git, tree_of
from git_prefect.git.snapshot import snapshot_of

from ..repository import Clone


def contents(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name == ".git" or name.startswith(".git/"):
            continue
        if path.is_symlink():
            found[name] = f"→ {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


HARD = {
    ".gitattributes": "*.txt text eol=crlf\n*.id ident\n*.py working-tree-encoding=UTF-16\n*.bin filter=lfs\n",
    "a.txt": "one\ntwo\n",
    "b.id": "$Id$\n",
    "flows/deep/er/größe x.py": "print('ä')\n",
    "c.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    ".gitignore": "*.ignored\n",
}


@pytest.fixture
def hard(work: Clone, remote: Path) -> Clone:
    """A repository with everything that git would convert, pushed."""
    work.git("config", "core.autocrlf", "true")
    work.write(HARD)
    (work.path / "link").symlink_to("a.txt")
    for name in HARD:
        # As blobs that no filter has seen.
        blob = run_git(work.repository, "hash-object", "-w", "--no-filters", "--", name).decode().strip()
        work.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    work.git("update-index", "--add", "link")
    work.git("commit", "--quiet", "-m", "hard")
    work.git("push", "--quiet")
    return work


def test_the_snapshot_is_what_an_agent_clones(hard: Clone, remote: Path) -> None:
    # dulwich's own checkout converts line ends by now; Prefect then writes the branch's raw blobs over it.
    with TemporaryGitRepo(str(remote), branch_name="main") as agent:
        expected = contents(Path(agent.temp_dir.name))
    with snapshot_of(hard.repository, tree_of(hard.repository, "HEAD")) as folder:
        assert contents(folder) == expected


def test_sparse_checkout_does_not_thin_it(hard: Clone) -> None:
    hard.git("sparse-checkout", "set", "nothing")
    with snapshot_of(hard.repository, tree_of(hard.repository, "HEAD")) as folder:
        assert "flows/deep/er/größe x.py" in contents(folder)


def test_what_loads_leave_behind_is_gone_the_next_time(work: Clone) -> None:
    work.commit({"a.py": "1\n", "b.py": "2\n", ".gitignore": "*.log\n"})
    tree = tree_of(work.repository, "HEAD")
    with snapshot_of(work.repository, tree) as folder:
        expected = contents(folder)
        (folder / "a.py").write_text("changed\n")
        (folder / "b.py").unlink()
        (folder / "new" / "nested").mkdir(parents=True)
        (folder / "new" / "x.log").write_text("x")
        (folder.parent / "repository.git" / "index.lock").write_text("")
    with snapshot_of(work.repository, tree) as folder:
        assert contents(folder) == expected
        assert sorted(os.listdir(folder)) == [".gitignore", "README", "a.py", "b.py"]


def test_it_leaves_no_trace_in_the_users_repository(work: Clone) -> None:
    before = (
        work.git("status", "--porcelain", "--ignored"),
        work.git("worktree", "list"),
        work.git("for-each-ref"),
    )
    with snapshot_of(work.repository, tree_of(work.repository, "HEAD")):
        pass
    assert (
        work.git("status", "--porcelain", "--ignored"),
        work.git("worktree", "list"),
        work.git("for-each-ref"),
    ) == before


def test_sha256(tmp_path: Path) -> None:
    made = Clone(tmp_path / "sha256")
    made.path.mkdir()
    made.git("init", "--quiet", "--object-format=sha256")
    made.commit({"a.py": "1\n"})
    with snapshot_of(made.repository, tree_of(made.repository, "HEAD")) as folder:
        assert contents(folder) == {"a.py": b"1\n"}
