"""A start that is asked for while a screen still finds out what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tuitune.tui.screens.paned import PanedScreen

T = TypeVar("T")


class StartsLater:
    """What a screen needs to remember a start; a part of the screen."""

    if TYPE_CHECKING:

        def action_start(self) -> None:
            """Start what is asked for."""

    _finding = False
    _wanted_start = False  # asked for meanwhile

    @property
    def _found_for(self) -> PanedScreen:
        return self  # type: ignore[return-value]

    def find_subject(self, group: str, look: Callable[[], T], show: Callable[[T], bool]) -> None:
        """Let `look` find in a thread what the screen is about, then begin what was asked for meanwhile.

        show: shows what was found; returns False where the user has chosen something else by then.
        """
        self._finding = True

        def looked() -> T:
            try:
                return look()
            except Exception:
                self._finding = self._wanted_start = False  # why is said by the app
                raise

        def found(result: T) -> None:
            if self._found_for.is_attached:
                self._finding, wanted, self._wanted_start = False, self._wanted_start, False
                self._begin_found(wanted, shown=show(result))

        self._found_for.app.in_thread(group, looked, found)

    def _begin_found(self, wanted: bool, *, shown: bool) -> None:
        if wanted and shown:
            self.action_start()
        elif wanted:
            self._found_for.app.say("something else is asked for now: s once more starts that", "warning")

    def starts_later(self) -> bool:
        """Return whether it is not known yet what the screen is about; then a start is remembered, and that is said."""
        if self._finding:
            self._wanted_start = True
            self._found_for.app.say("looking what this is about; it starts as soon as that is known")
        return self._finding
