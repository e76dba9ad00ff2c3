"""The screens beside the Workbench."""

from __future__ import annotations

import pytest

from tests.tui.test_app import MIDDLE, go, home, made, opened, until  # noqa: F401
from tuitune.tui.keys import KeysLine
from tuitune.tui.screens import table


@pytest.mark.parametrize("place", table.PLACES, ids=[place.name for place in table.PLACES])
def test_every_screen_opens_and_goes_back(place: table.Place) -> None:
    async def work() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            bench = app.screen
            app.show_screen(place.name)
            await until(pilot, lambda: table.kind_of(app.screen) == place.name and bool(app.screen.query(KeysLine)))
            await until(pilot, lambda: bool(app.screen.keys))  # type: ignore[attr-defined]
            await app.run_action(f"show('{place.name}')")
            await until(pilot, lambda: app.screen is bench)

    go(work)


@pytest.mark.parametrize("place", table.PLACES, ids=[place.name for place in table.PLACES])
def test_a_screen_that_is_left_at_once_is_no_fault(place: table.Place) -> None:
    async def work() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            bench = app.screen
            for _ in range(2):
                app.action_show(place.name)
                app.action_show(place.name)
            await pilot.pause(0.3)
            await until(pilot, lambda: app.screen is bench)

    go(work)


def test_a_screen_that_cannot_be_opened_does_not_end_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.NAMED, "serve", table.Place("serve", "Serve", "tuitune.tui.nowhere:Screen", "s"))

    async def work() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            bench = app.screen
            app.show_screen("serve")
            await until(pilot, lambda: any("cannot be opened" in str(note.message) for note in app._notifications))
            assert app.screen is bench

    go(work)
