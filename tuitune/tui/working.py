"""How the app works in threads and speaks to the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from textual.notifications import Notify
from textual.worker import get_current_worker

from tuitune.errors import TuiTuneError
from tuitune.run import RunDir
from tuitune.text import clean
from tuitune.tui.control import Level
from tuitune.tui.copying import copy

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

T = TypeVar("T")


class Working:
    """Threads and messages; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    # -- work that takes time ----------------------------------------------------------------------------------

    def in_thread(self, group: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do `work` in a thread and give its result to `then`; what goes wrong is said.

        A later work of the group takes the place of one before it, whose result is then given to nobody.
        """

        def body() -> None:
            worker = get_current_worker()

            def take(result: T) -> None:
                # Asked here, where nothing else runs: another work may have begun since the thread was done.
                if not worker.is_cancelled:
                    then(result)

            try:
                result = work()
            except TuiTuneError as error:
                self._app.call_from_thread(self.say_error, error)
            except Exception as error:  # a fault in a thread must not take the screen down
                self._app.call_from_thread(self.say, f"{type(error).__name__}: {error}", "error")
            else:
                self._app.call_from_thread(take, result)

        self._app.run_worker(body, thread=True, group=group, exit_on_error=False, exclusive=True, description=group)

    def forget(self, group: str) -> None:
        """Let what the group still works on come to nothing."""
        self._app.workers.cancel_group(self._app, group)

    def begin_work(self, find: Callable[[], RunDir]) -> None:
        """Find or make a run directory in a thread, then start the engine there."""
        if self._app.beginning:
            return
        self._app.beginning = True

        def found(run: RunDir) -> None:
            self._app.partners.make_room()
            self._app.draft.note([])  # everything was there
            self._app.control.go(run)
            self._app.show_curve()

        def body() -> None:
            try:
                run = find()
                self._app.call_from_thread(found, run)
            except TuiTuneError as error:
                self._app.call_from_thread(self._not_begun, error)
            finally:
                self._app.beginning = False
                self._app.call_from_thread(self._app.tick)

        self._app.run_worker(body, thread=True, group="begin", exit_on_error=False, description="start a run")

    # -- saying ------------------------------------------------------------------------------------------------

    def say(self, text: str, level: Level = "information") -> None:
        """Show a short message; the text is never parsed."""
        self._app.notify(clean(text), severity=level, markup=False, timeout=10 if level == "error" else 5)

    def on_notify(self, event: Notify) -> None:
        """Let a message that is said again take the place of the former one, rather than stand below it."""
        new = event.notification
        for old in list(self._app._notifications):
            if (old.message, old.severity) == (new.message, new.severity):
                self._app._unnotify(old, refresh=False)

    def _tell(self, text: str, level: Level) -> None:
        self.say(text, level)  # `notify` may be called from any thread

    def _not_begun(self, error: TuiTuneError) -> None:
        self.say_error(error)
        problems = [each for each in getattr(error, "problems", ()) if each.level == "error"]
        if problems:
            self._app.draft.note([replace(each, level="warning", line=None) for each in problems])
            self._app.show_field(problems[0].key)

    def say_error(self, error: TuiTuneError) -> None:
        """Show an error of ours with what to do about it."""
        problems = [str(problem) for problem in getattr(error, "problems", ()) if problem.level == "error"]
        self.say("\n".join(text for text in ([error.message, *problems, error.hint]) if text), "error")

    def copy(self, text: str) -> None:
        """Put a text into the user's clipboard, as far as terminals allow it."""
        self.say(copy(self._app, text))
