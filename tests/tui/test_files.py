"""Opening and saving: folders, completion, recent files, and nothing replaced unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.cli.given import EVIL
from tests.tui.given import bench, screen_text
from tuitune.run import places
from tuitune.tui.filedialog import FileDialog
from tuitune.tui.files import OpenFile, SaveFile, presets
from tuitune.tui.folders import as_typed, completed, listing, where


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "recipes").mkdir(parents=True)
    for name in ("alpha.yaml", "alpine.yml", "b.json", "notes.txt", ".hidden.yaml", "recipes/deep.yaml"):
        (folder / name).write_text("stage: sft\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def ask(dialog: FileDialog, test: Callable[[Pilot[Any]], Awaitable[None]]) -> list[Path | None]:
    """Show a dialog, drive it, and return its answers, if it gave one."""
    answers: list[Path | None] = []

    async def go() -> None:
        app = bench()
        async with app.run_test(size=(100, 30), notifications=True) as pilot:
            app.push_screen(dialog, answers.append)
            await settled(pilot)
            await test(pilot)
            await pilot.pause()

    asyncio.run(go())
    return answers


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until folders are read."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def type_in(pilot: Pilot[Any], text: str) -> None:
    dialog = pilot.app.screen
    assert isinstance(dialog, FileDialog)
    dialog.value = text
    await settled(pilot)


def test_a_folder_is_listed_and_a_file_chosen(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        shown = screen_text(pilot.app)
        assert [name in shown for name in ("recipes/", "alpha.yaml", "alpine.yml", "b.json")] == [True] * 4
        assert [name in shown for name in ("notes.txt", ".hidden")] == [False] * 2
        await pilot.press("down", "down", "enter")

    assert ask(OpenFile(), test) == [here / "alpine.yml"]


def test_recent_files_come_first(here: Path) -> None:
    recent = here / "recipes" / "deep.yaml"

    async def test(pilot: Pilot[Any]) -> None:
        assert "Recent" in screen_text(pilot.app)
        await pilot.press("enter")

    assert ask(OpenFile([recent]), test) == [recent]


def test_a_folder_is_entered(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        await settled(pilot)
        assert "deep.yaml" in screen_text(pilot.app)
        await pilot.press("enter")

    assert ask(OpenFile(), test) == [here / "recipes" / "deep.yaml"]


def test_tab_completes_as_a_shell_does(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        dialog = pilot.app.screen
        assert isinstance(dialog, FileDialog)
        await pilot.press("a", "tab")
        assert dialog.value == "alp"
        await pilot.press("h", "tab")
        assert dialog.value == "alpha.yaml"
        await type_in(pilot, "~/work/rec")
        await pilot.press("tab")
        await settled(pilot)
        assert dialog.value == "~/work/recipes/"
        await pilot.press("enter")

    assert ask(OpenFile(), test) == [here / "recipes" / "deep.yaml"]


def test_what_is_not_there_is_said_and_escape_answers_nothing(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        await type_in(pilot, "nowhere/x")
        assert "there is no folder" in screen_text(pilot.app)
        await pilot.press("enter")
        assert "there is no such file" in screen_text(pilot.app)
        await type_in(pilot, "notes.txt")
        await pilot.press("escape")

    assert ask(OpenFile(), test) == [None]


def test_saving_under_a_new_name(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        await type_in(pilot, "fresh")
        await pilot.press("enter")

    assert ask(SaveFile(here / "quickstart.yaml"), test) == [here / "fresh.yaml"]


def test_an_existing_file_needs_a_second_enter(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        assert "alpha.yaml exists: enter again replaces it" in screen_text(pilot.app)
        await type_in(pilot, "b.json")
        await pilot.press("enter")
        assert "b.json exists" in screen_text(pilot.app)
        await pilot.press("enter")

    assert ask(SaveFile(here / "alpha.yaml"), test) == [here / "b.json"]


def test_a_folder_is_no_file_to_save_to(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        await type_in(pilot, "recipes")
        await pilot.press("enter")
        assert "name a file in this folder" in screen_text(pilot.app)

    assert ask(SaveFile(here / "x.yaml"), test) == []


def test_the_mouse_opens_too(here: Path) -> None:
    async def test(pilot: Pilot[Any]) -> None:
        rows = screen_text(pilot.app).split("\n")
        y = next(n for n, row in enumerate(rows) if "b.json" in row)
        await pilot.click(offset=(rows[y].index("b.json"), y))

    assert ask(OpenFile(), test) == [here / "b.json"]


def test_foreign_names_do_nothing(here: Path) -> None:
    name = f"{EVIL}[nope].yaml"
    (here / "recipes" / name).write_text("stage: sft\n")
    (here / "recipes" / "deep.yaml").unlink()
    (here / "recipes" / "two\nlines.yaml").write_text("")

    async def test(pilot: Pilot[Any]) -> None:
        dialog = pilot.app.screen
        assert isinstance(dialog, FileDialog)
        await type_in(pilot, "recipes/")
        await pilot.press("tab")
        await settled(pilot)
        assert not set(screen_text(pilot.app)) & set("\x1b\x07\x9b\u202e")
        await pilot.press("enter")

    assert ask(OpenFile(), test) == [here / "recipes" / name]


def test_paths_as_they_are_typed(here: Path, tmp_path: Path) -> None:
    assert as_typed(here / "a.yaml") == "a.yaml"
    assert as_typed(tmp_path / "b.yaml") == "~/b.yaml"
    assert as_typed(Path("/etc/c.yaml")) == "/etc/c.yaml"
    assert where("/et") == (Path("/"), "et")
    assert where("~") == (tmp_path, "")
    assert where("") == (here, "")
    assert completed("zzz", listing(here)) == "zzz"


def test_presets_have_notes_and_the_users_come_first(here: Path) -> None:
    own = places.home() / "presets"
    own.mkdir(exist_ok=True)
    (own / "house.yaml").write_text("# How we do it here.\nstage: sft\n")
    first, *others = presets()
    assert (first.name, first.note, first.own) == ("house", "How we do it here.", True)
    assert "quickstart" in [each.name for each in others]
    assert not any(each.own for each in others)
    assert all(each.note for each in others)
