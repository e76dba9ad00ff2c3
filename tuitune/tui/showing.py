"""How the user comes to another screen: data, runs, evaluate and the others, the help, the letters of the jump."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tuitune.tui.jump import JumpScreen
from tuitune.tui.screens.table import PLACES, kind_of, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuitune.tui.app import TuiTune

T = TypeVar("T")


class Showing:
    """The screens that are open, and the actions that open others; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def screen_of(self, kind: type[T]) -> T | None:
        """Return the screen of a kind that is open."""
        return next((screen for screen in self._app.screen_stack if isinstance(screen, kind)), None)

    def everywhere(self, kind: type[T]) -> Iterator[T]:
        """Yield the widgets of a kind on all screens that are open."""
        for screen in self._app.screen_stack:
            yield from screen.query(kind)  # type: ignore[type-var]

    def action_show(self, name: str) -> None:
        """Show a screen, or go back to where one came from."""
        if kind_of(self._app.screen) == name:
            self._app.pop_screen()
        else:
            self.show_screen(name)

    def show_screen(self, name: str, subject: str | None = None, *beside: str) -> None:
        """Show a screen about `subject`: a run, a folder or a model, named as a command would name it."""
        app = self._app
        try:
            screen = made(name, subject, *beside)
        except Exception as error:  # a training in this process must not end with a screen that cannot be opened
            app.say(f"this screen cannot be opened: {type(error).__name__}: {error}", "error")
            return
        here = kind_of(app.screen)
        if here is not None and here != name:
            app.switch_screen(screen)
        else:
            app.push_screen(screen)

    def action_jump(self) -> None:
        """Show a letter at every place."""
        self._app.push_screen(JumpScreen.over(self._app.screen))

    def action_help_here(self) -> None:
        """Explain the pane that has the keys."""
        from tuitune.tui.help import HelpScreen

        self._app.push_screen(HelpScreen.for_focus(self._app))

    def commands_of_screens(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Name the screens for the palette."""
        for place in PLACES:
            yield f"screen: {place.title}", place.note, partial(self.show_screen, place.name)
