"""The recipe pane on a bench, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from tests.tui.given import Bench, bench, screen_text
from tuitune.tui.draft import Draft
from tuitune.tui.panes.field_edit import FieldEdit
from tuitune.tui.panes.recipe import RecipePane

SIZES = [(40, 30), (80, 24)]
CSS = "RecipePane { padding: 0 1; height: 1fr; }"


class Desk:
    """The pane on a bench, with what a test needs at hand."""

    def __init__(self, pilot: Pilot[None], app: Bench, pane: RecipePane, draft: Draft) -> None:
        self.pilot, self.app, self.pane, self.draft = pilot, app, pane, draft

    async def at(self, key: str, *keys: str) -> None:
        """Go to a field and press keys there."""
        self.pane.go_to(key)
        await self.press(*keys)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    @property
    def text(self) -> str:
        return screen_text(self.app)

    def row(self, key: str) -> str:
        """Return the row of a field on the screen."""
        rows = [line for line in self.text.split("\n") if f" {key} " in line[:40] and line.strip()[:1] != key[:1]]
        rows = rows or [line for line in self.text.split("\n") if f" {key} " in line]
        assert rows, f"{key} is not on the screen:\n{self.text}"
        return rows[0]

    @property
    def edit(self) -> FieldEdit:
        return self.app.query_one(FieldEdit)

    @property
    def said(self) -> str:
        return " ".join(str(each.message) for each in self.app._notifications)


@asynccontextmanager
async def desk(size: tuple[int, int] = (40, 30), text: str | None = None) -> AsyncIterator[Desk]:
    draft = Draft()
    draft.use_preset("quickstart")
    if text is not None:
        draft.replace(text)
    pane = RecipePane(draft)
    app = bench(pane, css=CSS)
    async with app.run_test(size=size, notifications=True) as pilot:
        pane.focus_first()
        await pilot.pause()
        yield Desk(pilot, app, pane, draft)
    draft.close()


def on_both(steps: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a test at 40 and at 80 columns."""

    async def go() -> None:
        for size in SIZES:
            async with desk(size) as each:
                await steps(each)

    asyncio.run(go())
