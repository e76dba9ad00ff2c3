"""The README is true: its commands exist, its recipe is good, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tuitune.cli.app import app
from tuitune.recipe import Document
from tuitune.tui.opening import is_recipe

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    "\n".join(line[4:] for line in block.splitlines())
    for block in re.findall(r"(?:^(?:    .*)?\n)+", TEXT, re.MULTILINE)
]
COMMANDS = [
    line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("tuitune ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    if words and is_recipe(words[0]):
        return  # the app opens on it
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        found = command.get_command(None, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) > 15


def test_the_recipe_is_good(tmp_path: Path) -> None:
    text = next(block for block in BLOCKS if "model_name_or_path" in block)
    assert [p for p in Document.parse(text).problems() if p.level == "error"] == []


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "check", "test-slow"):
        assert f"make {target}" in TEXT
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_preset_is_a_good_recipe() -> None:
    presets = sorted((ROOT / "presets").glob("*.yaml"))
    assert presets
    for preset in presets:
        assert [p for p in Document.read(preset).problems() if p.level == "error"] == [], preset


def test_the_settings_of_the_page_are_good(tmp_path: Path) -> None:
    from tuitune.tui.actions import keymap_problems
    from tuitune.tui.settings import Settings
    from tuitune.tui.views import with_keys

    page = (ROOT / "docs/app.md").read_text(encoding="utf-8")
    block = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    path = tmp_path / "settings.yaml"
    path.write_text(block)
    settings = Settings.load(path)
    assert settings.problems == []
    assert settings.values().keys() == {line.partition(":")[0] for line in block.splitlines() if line.strip()}
    assert keymap_problems(settings.keymap, with_keys()) == []
