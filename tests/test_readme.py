"""README, manifest and code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import yaml

from git_prefect.cli import COMMANDS, HOOKS
from git_prefect.errors import ExitCode
from git_prefect.settings import PER_MACHINE, Runtime, Settings, Target

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MANIFEST = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


def table_after(text: str) -> dict[str, str]:
    """First and second column of the first table after some text, without backticks."""
    rows = README[README.index(text) :].split("\n\n")
    table = next(block for block in rows if block.startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].replace("`", ""): row[1].replace("`", "") for row in cells}


def keys(kind: type) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def test_the_settings_tables_list_every_key() -> None:
    assert set(table_after("## Settings")) == keys(Settings) - {"target", "runtime"}
    target = table_after("`[[tool.git-prefect.target]]`: where")
    assert set(target) - {"branch or tag"} | {"branch", "tag"} == keys(Target)
    assert set(table_after("`[[tool.git-prefect.runtime]]`: one entry")) == keys(Runtime)


def test_the_defaults_are_those_of_the_code() -> None:
    told = table_after("## Settings")
    plain = Settings()
    for key, default in told.items():
        value = getattr(plain, key.replace("-", "_"))
        spelled = msgspec.json.encode(value).decode() if value is not None else None
        if re.fullmatch(r'[\[{"\d].*|true|false', default):
            assert default in (spelled, str(value).removesuffix(".0")), key
        else:
            assert value in (None, []), key


def test_what_a_machine_can_set_is_named() -> None:
    paragraph = README[README.index("What differs from machine to machine") :].split("\n\n")[0]
    assert all(f"`{key}`" in paragraph or f"prefect.{key}" in paragraph for key in PER_MACHINE)


def test_hooks_are_in_the_manifest_and_in_the_readme() -> None:
    ids = [hook["id"] for hook in MANIFEST]
    assert ids == [f"prefect-{name}" for name in HOOKS]
    assert [hook["entry"] for hook in MANIFEST] == [f"git-prefect {name}" for name in HOOKS]
    assert list(table_after("## Hooks")) == ids
    assert re.findall(r"- id: (\S+)", README) == ids


def test_the_output_shown_has_the_hooks_names() -> None:
    shown = re.findall(r"^(.+?)\.{5,}Passed$", README, re.MULTILINE)
    assert shown == [hook["name"] for hook in MANIFEST]


def test_every_exit_code_is_told() -> None:
    paragraph = README[README.index("## Exit codes") :].split("\n\n")[1]
    assert sorted(map(int, re.findall(r"\b\d+\b", paragraph))) == sorted(code.value for code in ExitCode)


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"git prefect ([a-z-]+)", README))
    assert named <= {*COMMANDS, "status"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= targets
