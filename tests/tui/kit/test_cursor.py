"""A list with a cursor: keys, wheel and clicks move it, only what is in view is drawn, and each thing is told once."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import BindingType
from textual.events import MouseScrollDown
from textual.message import Message

from tests.tui.given import Bench
from tuitune.tui.kit.cursor import CursorList, cursor_keys
from tuitune.tui.kit.rows import R, Row


class Lines(CursorList):
    """A thousand numbers below a title."""

    HEAD = 1
    BINDINGS: ClassVar[list[BindingType]] = cursor_keys("lines", "line", [("enter", "open", "Open", "open", "open it")])
    drawn: ClassVar[set[int]] = set()

    def __len__(self) -> int:
        return 1000

    def rows(self, width: int, height: int) -> list[Row]:
        found = list(self.in_view(height))
        self.drawn.update(found)
        return [R("quiet", "title"), *(self.pointed(R("ink", f"line {n}"), n, width) for n in found)]


class Told(Bench):
    def on_cursor_list_moved(self, message: Message) -> None:
        self.heard.append(message)

    on_cursor_list_opened = on_cursor_list_moved


def test_keys_clicks_and_the_wheel_move_the_cursor_and_each_is_told_once() -> None:
    lines = Lines()
    app = Told(lines)
    told = [CursorList.Opened, CursorList.Moved]

    def heard() -> list[int]:
        found = [sum(isinstance(each, kind) for each in app.heard) for kind in told]
        app.heard.clear()
        return found

    async def work() -> None:
        async with app.run_test(size=(60, 20)) as pilot:
            lines.focus()
            await pilot.press("down", "j", "up", "enter")
            assert (lines.at, heard()) == (1, [1, 3])
            await pilot.click(lines, offset=(5, 4))
            assert (lines.at, heard()) == (3, [0, 1])
            await pilot.click(lines, offset=(5, 7), times=2)
            assert (lines.at, heard()[0]) == (6, 1)
            await pilot.click(lines, offset=(5, 0))  # the title is no line
            assert (lines.at, heard()) == (6, [0, 0])
            await pilot._post_mouse_events([MouseScrollDown], lines, (5, 5), button=0)
            assert (lines.at, heard()) == (7, [0, 1])
            height = lines.content_size.height
            await pilot.press("pagedown")
            assert lines.at == 7 + height - 2
            await pilot.press("end", "down")
            assert lines.at == 999
            assert len(lines.drawn) < 5 * height

    asyncio.run(work())
