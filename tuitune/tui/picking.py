"""A list to choose from whose items must be looked for: it is open at once, and filled when they are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuitune.tui.found import PickItem
from tuitune.tui.picker import Picker

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune


def pick(
    app: TuiTune,
    title: str,
    look: Callable[[], list[PickItem]],
    then: Callable[[str], None],
    *,
    group: str,
    chosen: str | None = None,
    nothing: str = "",
    say: Callable[[str], None] | None = None,
) -> None:
    """Let the user choose among what `look` finds in a thread; `then` gets the key of it.

    nothing: what is said where there is nothing to choose from; say: by whom, the app unless something else.
    """
    picker = Picker(title, None, chosen=chosen)

    def found(items: list[PickItem]) -> None:
        if items:
            picker.fill(items)
        elif picker.is_active:
            picker.answer(None)
            (say or app.say)(nothing)

    def looked() -> list[PickItem]:
        try:
            return look()
        except Exception:
            app.call_from_thread(picker.answer, None)
            raise  # it is said by the app

    app.push_screen(picker, lambda key: None if key is None else then(key))
    app.in_thread(group, looked, found)
