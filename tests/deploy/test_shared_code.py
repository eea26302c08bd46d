"""Which flow files a changed module concerns, asked more than once in a push."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from git_prefect.core.deployment import Deployment
from git_prefect.core.model import CheckedFile, LoadedFlow, RefUpdate
from git_prefect.core.settings import Settings, Source, Target
from git_prefect.deploy import selection, shared_code
from git_prefect.deploy.resolver import deployed, resolve_by
from git_prefect.flows.imports import Imports

from ..repository import Clone

SETTINGS = Settings(clone_url_secret="CLONE_URL", target=[Target(project="dev", branch="feature/**")])
FLOWS = [CheckedFile(path, "", (LoadedFlow(path[:1], 1, {}, None, None),), (), False) for path in ("a.py", "b.py", "c.py")]


def pushed(work: Clone) -> Deployment:
    update = RefUpdate("origin", "", "refs/heads/feature/x", work.head(), work.head(), None, "push")
    return deployed(resolve_by(work.repository, update, Source(SETTINGS, ".git-prefect.toml")))


def test_the_import_graph_of_a_commit_is_built_once(work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []

    class Counted(Imports):
        def __init__(self, *arguments: object) -> None:
            built.append(arguments)
            super().__init__(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_code, "Imports", Counted)
    work.commit({"a.py": "import lib\n", "b.py": "import between\n", "c.py": "", "between.py": "import src.lib\n", "lib.py": "", "src/lib.py": ""})
    work.git("push", "--quiet", "origin", "main")
    base = work.head()
    work.git("switch", "--quiet", "--create", "feature/x")
    work.commit({"lib.py": "x = 1\n"})
    ref = pushed(work)
    said = "lib.py: 1 flow in a.py imports it from the clone: runs use the new code from the next run on"
    for _ in range(2):
        assert selection.concerned_paths(work.repository, ref, FLOWS) == {"lib.py", "a.py"}
        assert shared_code.shared_changes(work.repository, ref, base, FLOWS) == [said]
    assert len(built) == 1
    work.commit({"src/lib.py": "x = 1\n"})
    assert selection.concerned_paths(work.repository, pushed(work), FLOWS) == {"lib.py", "src/lib.py", "a.py", "b.py"}
    # Another folder of the image is another graph: there, a.py imports another module.
    in_image = replace(pushed(work), source=Source(replace(SETTINGS, import_roots=["src"]), ".git-prefect.toml"))
    assert shared_code.importers(work.repository, in_image, base, FLOWS) == {"a.py": ["src/lib.py"], "b.py": ["src/lib.py"]}
    assert len(built) == 3
