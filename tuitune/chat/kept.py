"""A conversation that cannot be lost: kept at every change, the answer being written included, and with a way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tuitune.chat.base import Answer, Chat, Options, Role, Turn, judged
from tuitune.chat.conversation import Conversation
from tuitune.chat.partial import Partial
from tuitune.errors import RunError, TuiTuneError
from tuitune.run import places

_MOST_UNDO = 50


class Kept:
    """A conversation with a way back; `warning` holds why the last change could not be written, if it could not.

    The file begins with the first question; place: where, None for the user's chats. on_disk: false for what is not to
    be kept.
    """

    def __init__(
        self, conversation: Conversation | None = None, *, place: Path | None = None, on_disk: bool = True
    ) -> None:
        self._talk = conversation or Conversation()
        self._place, self._on_disk = place, on_disk
        self._before: list[tuple[Turn, ...]] = []
        self.changes = 0  # that can be, or could once be, taken back
        self._partial: Partial | None = None
        self.warning: TuiTuneError | None = None

    @classmethod
    def load(cls, path: Path) -> Kept:
        """Go on with a conversation; an answer that a crash cut off is taken in as far as it came."""
        talk = cls(Conversation.load(path))
        by, text = Partial.left(path)
        if text and talk.turns and not talk.turns[-1].is_answer:
            talk._keep(lambda: talk._talk.answer(text, by=by, reason="lost"))
        Partial.remove(path)
        return talk

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

    def clear(self) -> None:
        """Forget all turns; the file keeps them."""
        self.remember()
        self._keep(self._talk.clear)

    def drop(self, count: int = 1) -> None:
        """Remove the last turns."""
        self.remember()
        for _ in range(min(count, len(self.turns))):
            self._keep(self._talk.undo)

    def rewrite(self, place: int, text: str) -> None:
        """Change the turn at `place`; an answer keeps what follows, behind a question that is another all goes."""
        old = self.turns[place]
        self.remember()
        if old.is_answer:
            self.become([*self.turns[:place], _rewritten(old, text), *self.turns[place + 1 :]])
        else:
            self.become([*self.turns[:place], replace(old, content=text)])

    def again(self, place: int | None = None) -> bool:
        """Let the question of the answer at `place` (None: the last one) wait for an answer again; what follows goes.

        Returns False where there is no question.
        """
        last = len(self.turns) - 1 if place is None else place
        at = max((n for n in range(last + 1) if not self.turns[n].is_answer), default=None)
        if at is None:
            return False
        self.remember()
        self.become(self.turns[: at + 1])
        return True

    def replace(self, turns: Sequence[Turn], system: str | None, tools: str) -> None:
        """Go on with another conversation, such as one from a file; `undo` brings the turns back."""
        self._begin()
        self.remember()
        self.instruct(system)
        self.offer(tools)
        self.become(turns)

    def remember(self) -> None:
        """Let `undo` come back to what is now."""
        self._before = [*self._before[1 - _MOST_UNDO :], tuple(self.turns)]
        self.changes += 1

    def undo(self) -> bool:
        """Come back to what was before the last change of this kind."""
        if not self._before:
            return False
        self.changes -= 1
        self.become(self._before.pop())
        return True

    def become(self, wanted: Sequence[Turn]) -> None:
        """Have other turns."""
        # Step by step: where the disk is full, all of them must be made in memory.
        while self.turns != list(wanted[: len(self.turns)]):
            self._keep(self._talk.undo)
        for turn in wanted[len(self.turns) :]:
            self._keep(partial(self._talk.add, turn))

    # -- the answer on its way -----------------------------------------------------------------------------------

    def begin_answer(self, by: str) -> Partial:
        """Return where the pieces of an answer are kept until it is whole."""
        self._partial = Partial(self.path, by)
        return self._partial

    def end_answer(self, turn: Turn) -> None:
        """Add the answer."""
        self._keep(lambda: self._talk.add(turn))
        self.close()

    def give_up_answer(self) -> str:
        """Drop an answer of which there is nothing, and return the question, which is taken back."""
        text = self.take_back()
        self.close()
        return text

    def close(self) -> None:
        """Let go of an answer on its way: what is kept of it is removed."""
        if self._partial is not None:
            self._partial.close()
            self._partial = None

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


def _rewritten(old: Turn, text: str) -> Turn:
    """Return an answer with another text, which nobody has scored or counted."""
    role: Role = "assistant"
    if old.role == "function":
        from tuitune.chat.tools import parts

        role = "function" if parts(text)[1] else "assistant"
    return Turn(role, text, old.by, "edited")


def answered(
    partner: Chat,
    talk: Kept,
    sampling: Options,
    on_text: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Answer:
    """Let a partner answer the last turn, and put the answer with its score into the conversation.

    What came of an answer that a crash cuts off is on disk. Where there is no answer the question waits for another
    try. Raises TuiTuneError.
    """
    part = talk.begin_answer(partner.title)

    def piece(text: str) -> None:
        part.add(text)
        on_text(text)

    try:
        found = partner.reply(
            talk.turns, system=talk.system, tools=talk.tools, sampling=sampling, on_text=piece, stop=stop
        )  # fmt: skip
        if found.reason == "stopped" and not found.text.strip():
            return found
        found = replace(found, score=judged(partner, talk.turns, found.text, system=talk.system))
        talk.end_answer(found.turn(partner.title))
    finally:
        talk.close()
    return found


def _unkept(error: Exception) -> TuiTuneError:
    reason = error.message if isinstance(error, TuiTuneError) else str(error)
    return RunError(f"this conversation is not kept: {reason}", "make room, or set TUITUNE_HOME to another place")


def earlier(most: int = 200) -> list[Path]:
    """Return the files of kept conversations, newest first."""
    try:
        found = list((places.home() / "chats").glob("*.jsonl"))
    except (OSError, TuiTuneError):
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)[:most]
