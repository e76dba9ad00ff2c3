"""What a screen shows at the very first: not even for a moment what is made for another size."""

from __future__ import annotations

import pytest

from tests.tui.test_app import SMALL, go, home, made, opened, recipe, until  # noqa: F401
from tuitune.tui.kit import pane
from tuitune.tui.kit.rows import Row


@pytest.mark.parametrize("name", ["export", "compare", "recipe_text"])
def test_where_one_pane_fits_its_wide_title_never_shows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    drawn: list[bool] = []
    title_row = pane.title_row

    def seen(*given: object, narrow: bool, focused: bool) -> Row:
        drawn.append(narrow)
        return title_row(*given, narrow=narrow, focused=focused)  # type: ignore[arg-type]

    monkeypatch.setattr(pane, "title_row", seen)

    async def work() -> None:
        async with opened(made(), SMALL) as pilot:
            drawn.clear()
            await pilot.app.run_action(name if name == "recipe_text" else f"show('{name}')")
            await until(pilot, lambda: len(drawn) > 1)
            assert all(drawn)

    go(work)
