"""Work in threads whose result comes too late is given to nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App

from tests.tui.test_app import go, until
from tuitune.tui.app import TuiTune
from tuitune.tui.working import Working


class Worked(Working, App[None]):
    """No more than what works in threads."""

    say = TuiTune.say


@pytest.mark.parametrize("later", ["another", "none"])
def test_a_result_on_its_way_is_dropped_when_something_later_is_asked(later: str) -> None:
    taken: list[str] = []
    on_its_way, go_on = threading.Event(), threading.Event()

    class Slow(Worked):
        def call_from_thread(self, callback: Callable[..., Any], *args: Any, **more: Any) -> Any:
            on_its_way.set()
            assert go_on.wait(60)
            return super().call_from_thread(callback, *args, **more)

    async def work() -> None:
        app = Slow()
        async with app.run_test() as pilot:
            app.in_thread("group", lambda: "early", taken.append)
            await until(pilot, on_its_way.is_set)
            if later == "another":
                app.in_thread("group", lambda: "late", taken.append)
            else:
                app.forget("group")
                app.in_thread("another group", lambda: "late", taken.append)
            go_on.set()
            await until(pilot, lambda: "late" in taken)
        assert taken == ["late"]

    go(work)
