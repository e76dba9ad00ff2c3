"""A conversation whose every change goes to disk; where that cannot be, it is made in memory all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tuitune.chat.base import Options, Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.hold import Hold
from tuitune.errors import RunError, TuiTuneError


class OnDisk:
    """What is said, to whom and how; `warning` holds why the last change could not be written, if it could not.

    The file begins with the first question; place: where, None for the user's chats, whose files are held until
    `leave`. on_disk: false for what is not to be kept.
    """

    def __init__(
        self, conversation: Conversation | None = None, *, place: Path | None = None, on_disk: bool = True
    ) -> None:
        self._talk = conversation or Conversation()
        self._place, self._on_disk = place, on_disk
        self._hold: Hold | None = None
        self.warning: TuiTuneError | None = None

    def leave(self) -> None:
        """Let others go on with it; nothing more is to be said here."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    @property
    def path(self) -> Path | None:
        """The file, once there is something in it."""
        return self._talk.path

    @property
    def turns(self) -> list[Turn]:
        """All turns, oldest first."""
        return self._talk.turns

    @property
    def system(self) -> str | None:
        """The system message, None for the partner's own."""
        return self._talk.system

    @property
    def tools(self) -> str:
        """The tools that may be called, as JSON."""
        return self._talk.tools

    @property
    def whom(self) -> str:
        """Who was asked last."""
        return self._talk.whom

    @property
    def sampling(self) -> Options | None:
        """How answers are drawn, None where it was never said."""
        return self._talk.sampling

    @property
    def waits_for_tools(self) -> bool:
        """Whether the last turn calls tools, so that what they answer comes next."""
        return bool(self.turns) and self.turns[-1].role == "function"

    def ask(self, text: str) -> None:
        """Add a question, or what tools answered where they were called."""
        self._begin()
        turn = Turn("user", text)
        if self.waits_for_tools:
            from tuitune.chat.tools import results

            turn = Turn("observation", results(text))
        self._keep(lambda: self._talk.add(turn))

    def instruct(self, system: str | None) -> None:
        """Set the system message."""
        self._keep(lambda: self._talk.instruct(system))

    def offer(self, tools: str) -> None:
        """Set the tools that may be called."""
        self._keep(lambda: self._talk.offer(tools))

    def ask_of(self, name: str) -> None:
        """Note who is asked from now on."""
        self._keep(lambda: self._talk.ask_of(name))

    def draw(self, sampling: Options) -> None:
        """Note how answers are drawn from now on."""
        self._keep(lambda: self._talk.draw(sampling))

    def take_back(self) -> str:
        """Remove the last turn, and return its text; not a change that can be taken back."""
        text = self.turns[-1].content
        self._keep(self._talk.undo)
        return text

    def become(self, wanted: Sequence[Turn]) -> None:
        """Have other turns."""
        # Step by step: where the disk is full, all of them must be made in memory.
        while self.turns != list(wanted[: len(self.turns)]):
            self._keep(self._talk.undo)
        for turn in wanted[len(self.turns) :]:
            self._keep(partial(self._talk.add, turn))

    def _begin(self) -> None:
        if self._talk.path is not None or not self._on_disk:
            return
        old = self._talk
        try:
            fresh = Conversation(self._place) if self._place is not None else Conversation.begin()
        except (OSError, TuiTuneError) as error:
            self.warning = _unkept(error)
            return
        turns, self._talk = list(self.turns), fresh
        if old.system is not None:
            self.instruct(old.system)
        if old.tools:
            self.offer(old.tools)
        if old.whom:
            self.ask_of(old.whom)
        if old.sampling is not None:
            self.draw(old.sampling)
        self.become(turns)

    def _keep(self, change: Callable[[], None]) -> None:
        try:
            change()
        except RunError as error:
            self.warning = error  # the change is made all the same, in memory
        else:
            if self._hold is None and self._place is None and self.path is not None:
                self._hold = Hold.take(self.path)  # there since this change


def _unkept(error: Exception) -> TuiTuneError:
    reason = error.message if isinstance(error, TuiTuneError) else str(error)
    return RunError(f"this conversation is not kept: {reason}", "make room, or set TUITUNE_HOME to another place")
