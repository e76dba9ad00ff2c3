"""The list to choose from: its notes begin below each other, and it is as wide as they need."""

from __future__ import annotations

import asyncio

from tests.tui.given import bench, screen_text
from tuitune.tui.found import PickItem
from tuitune.tui.picker import Picker

NOTE = "what this one is good for, told in a whole sentence that is longer than half of a usual screen is wide"
ITEMS = [PickItem("a", "short", NOTE), PickItem("b", "rather longer", "brief"), PickItem("c", "open a file …", "")]


def shown(size: tuple[int, int], items: list[PickItem], later: list[PickItem] | None = None) -> list[str]:
    async def go() -> list[str]:
        app = bench()
        async with app.run_test(size=size) as pilot:
            picker = Picker("Begin from", None if later else items)
            app.push_screen(picker)
            await pilot.pause()
            if later:
                picker.fill(later)
                await pilot.pause()
                await pilot.pause()
            return screen_text(app).split("\n")

    return asyncio.run(go())


def test_where_there_is_room_no_note_is_cut_and_all_begin_below_each_other() -> None:
    for lines in (shown((160, 30), ITEMS), shown((160, 30), ITEMS, later=ITEMS)):
        whole = next(line for line in lines if NOTE in line)
        brief = next(line for line in lines if "brief" in line)
        assert whole.index(NOTE) == brief.index("brief")


def test_on_a_small_screen_notes_give_way_to_the_edge() -> None:
    lines = shown((80, 24), ITEMS)
    cut = next(line for line in lines if "what this one" in line)
    assert cut.rstrip(" │").endswith("…")
    assert max(map(len, lines)) <= 80


def test_beside_long_titles_notes_stand_at_the_right() -> None:
    lines = shown((80, 24), [PickItem("a", "x" * 60, "4 KB"), PickItem("b", "y", "now")])
    assert next(line for line in lines if "4 KB" in line).rstrip(" │").endswith("4 KB")
    assert next(line for line in lines if "now" in line).index("now") > 40
