"""README, docs, manifest and code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import yaml

from git_prefect.cli import COMMANDS, HOOKS
from git_prefect.core.errors import ExitCode
from git_prefect.core.settings import PER_MACHINE, Keys, Runtime, Settings, Target

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
HOOKS_PAGE = (ROOT / "docs" / "hooks.md").read_text()
PAGES = {
    page: page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md")
}
MANIFEST = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


def table_after(text: str, page: str = SETTINGS) -> dict[str, str]:
    """First and second column of the first table after some text, without backticks."""
    rows = page[page.index(text) :].split("\n\n")
    table = next(block for block in rows if block.startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].replace("`", ""): row[1].replace("`", "") for row in cells}


def keys(kind: type) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def test_the_settings_tables_list_every_key() -> None:
    assert set(table_after("# Settings")) == keys(Keys) - {"target", "runtime"}
    target = table_after("`[[tool.git-prefect.target]]`: where")
    assert set(target) - {"branch or tag"} | {"branch", "tag"} == keys(Target)
    assert set(table_after("`[[tool.git-prefect.runtime]]`: one entry")) == keys(Runtime)


def test_the_defaults_are_those_of_the_code() -> None:
    told = table_after("# Settings")
    plain = Settings()
    for key, default in told.items():
        value = getattr(plain, key.replace("-", "_"))
        spelled = msgspec.json.encode(value).decode() if value is not None else None
        if re.fullmatch(r'[\[{"\d].*|true|false', default):
            assert default in (spelled, str(value).removesuffix(".0")), key
        else:
            assert value in (None, []), key


def test_what_a_machine_can_set_is_named() -> None:
    paragraph = SETTINGS[SETTINGS.index("What differs from machine to machine is set") :].split("\n\n")[0]
    assert all(f"`{key}`" in paragraph or f"prefect.{key}" in paragraph for key in PER_MACHINE)


def test_hooks_are_in_the_manifest_and_in_the_readme() -> None:
    ids = [hook["id"] for hook in MANIFEST]
    assert ids == [f"prefect-{name}" for name in HOOKS]
    assert [hook["entry"] for hook in MANIFEST] == [f"git-prefect {name}" for name in HOOKS]
    assert list(table_after("## Hooks", README)) == ids
    assert re.findall(r"^ +- id: (\S+)", README, re.MULTILINE) == ids


def test_the_output_shown_has_the_hooks_names() -> None:
    shown = re.findall(r"^(.+?)\.{5,}Passed$", README, re.MULTILINE)
    assert list(dict.fromkeys(shown)) == [hook["name"] for hook in MANIFEST]


def test_every_exit_code_is_told() -> None:
    paragraph = HOOKS_PAGE[HOOKS_PAGE.index("## Exit codes") :].split("\n\n")[1]
    assert sorted(map(int, re.findall(r"\b\d+\b", paragraph))) == sorted(code.value for code in ExitCode)


def test_the_commands_table_lists_every_command() -> None:
    told = [re.findall(r"git prefect ([a-z-]+)", cell) for cell in table_after("## Commands", README)]
    assert sorted(name for names in told for name in names) == sorted(COMMANDS)


def test_every_command_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, text in PAGES.items():
        named = set(re.findall(r"`git prefect ([a-z][a-z-]+)|^\$ git prefect ([a-z][a-z-]+)", text, re.MULTILINE))
        assert {one or other for one, other in named} <= set(COMMANDS), page
        assert set(re.findall(r"`?\bmake ([a-z-]+)`", text)) <= targets, page


def test_every_link_leads_somewhere() -> None:
    for page, text in PAGES.items():
        headings = {
            path: {
                re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
                for line in path.read_text().splitlines()
                if line.startswith("#")
            }
            for path in PAGES
        }
        for link in re.findall(r"\]\(([^)]+)\)", text):
            file, _, heading = link.partition("#")
            if "://" in link:
                continue
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), f"{page}: {link}"
            assert not heading or heading in headings[target], f"{page}: {link}"


def test_the_architecture_page_names_what_exists() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    package = ROOT / "hooks" / "git_prefect"
    for folder, name in re.findall(r"\b([a-z_]+)/([a-z_]+)\.py\b", page):
        root = ROOT if folder in ("tests", "benchmarks") else package
        assert (root / folder / f"{name}.py").exists(), f"{folder}/{name}.py"
    for name in re.findall(r"`(?:delivery|fast_path|registration)\.([a-z_]+)`", page):
        assert any(f"def {name}(" in path.read_text() for path in package.rglob("*.py")), name


def test_the_readme_has_every_command_and_leads_to_every_page() -> None:
    named = re.findall(r"git prefect ([a-z-]+)", " ".join(table_after("## Commands", README)))
    assert sorted(named) == sorted(COMMANDS)
    for page in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{page.name}" in README, page
