"""The key that saves the screen as a picture."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.tui.test_app import made, opened, until
from tuitune.tui.panes.recipe import RecipePane
from tuitune.tui.picture import keep


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_key_saves_the_screen_and_says_where(home: Path) -> None:
    async def go() -> None:
        app = made()
        async with opened(app) as pilot:
            app.screen.query_one(RecipePane).focus()
            await pilot.press("P")
            await until(pilot, lambda: bool(list((home / "screenshots").glob("*.svg"))))
            [path] = (home / "screenshots").glob("*.svg")
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
            text = "".join(ET.parse(path).getroot().itertext()).replace("\xa0", " ")
            assert "smollm2-135m" in text
            await until(pilot, lambda: any(str(path) in str(note.message) for note in app._notifications))

    asyncio.run(go())


def test_pictures_of_one_second_stand_beside_each_other(home: Path) -> None:
    paths = [keep("<svg/>") for _ in range(3)]
    assert len(set(paths)) == 3
    assert all(path.read_text() == "<svg/>" for path in paths)


def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    async def go() -> None:
        app = made()
        async with opened(app) as pilot:
            (home / "screenshots").write_text("a file")
            app.action_shoot()
            await until(pilot, lambda: any("cannot be saved" in str(note.message) for note in app._notifications))

    asyncio.run(go())
