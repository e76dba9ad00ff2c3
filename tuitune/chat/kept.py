"""A conversation that cannot be lost: kept at every change, the answer being written included, and with a way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tuitune.chat.base import Answer, Chat, Options, Role, Turn, judged
from tuitune.chat.conversation import Conversation
from tuitune.chat.hold import Hold
from tuitune.chat.ondisk import OnDisk
from tuitune.chat.partial import Partial
from tuitune.errors import TuiTuneError
from tuitune.run import places

_MOST_UNDO = 50


class Kept(OnDisk):
    """A conversation on disk with a way back, and with the answer that is being written.

    is_copy: it goes on with what somebody else has open, and gets a file of its own with the first change.
    """

    def __init__(
        self, conversation: Conversation | None = None, *, place: Path | None = None, on_disk: bool = True
    ) -> None:
        super().__init__(conversation, place=place, on_disk=on_disk)
        self._before: list[tuple[Turn, ...]] = []
        self.changes = 0  # that can be, or could once be, taken back
        self._partial: Partial | None = None
        self.is_copy = False

    @classmethod
    def go_on(cls, path: Path) -> Kept:
        """Go on with one of the user's chats, or with a copy of it while somebody else has it open.

        Raises OSError where it cannot be read.
        """
        hold = Hold.take(path)
        if hold is not None:
            talk = cls.load(path)
            talk._hold = hold
            return talk
        theirs = Conversation.load(path)
        theirs.path = None
        talk = cls(theirs)
        talk.is_copy = True
        return talk

    @classmethod
    def load(cls, path: Path) -> Kept:
        """Go on with a conversation; an answer that a crash cut off is taken in as far as it came."""
        talk = cls(Conversation.load(path), place=path)
        by, text = Partial.left(path)
        if text and talk.turns and not talk.turns[-1].is_answer:
            talk._keep(lambda: talk._talk.answer(text, by=by, reason="lost"))
        Partial.remove(path)
        return talk

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
        if self.turns:
            self._begin()  # a copy has no file before its first change
        self._before = [*self._before[1 - _MOST_UNDO :], tuple(self.turns)]
        self.changes += 1

    def undo(self) -> bool:
        """Come back to what was before the last change of this kind."""
        if not self._before:
            return False
        self.changes -= 1
        self.become(self._before.pop())
        return True

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

    What came of an answer that a crash cuts off is on disk; of one that fails it is taken in as a part. Where there is
    no answer the question waits for another try. Raises TuiTuneError.
    """
    part = talk.begin_answer(partner.title)
    came: list[str] = []

    def piece(text: str) -> None:
        part.add(text)
        came.append(text)
        on_text(text)

    try:
        found = partner.reply(
            talk.turns, system=talk.system, tools=talk.tools, sampling=sampling, on_text=piece, stop=stop
        )  # fmt: skip
        if found.reason == "stopped" and not found.text.strip():
            return found
        found = replace(found, score=judged(partner, talk.turns, found.text, system=talk.system))
        talk.end_answer(found.turn(partner.title))
    except TuiTuneError:
        if (text := "".join(came)).strip():
            talk.end_answer(Turn("assistant", text, partner.title, "lost"))
        raise
    finally:
        talk.close()
    return found


def earlier(most: int = 200) -> list[Path]:
    """Return the files of kept conversations, newest first."""
    try:
        found = list((places.home() / "chats").glob("*.jsonl"))
    except (OSError, TuiTuneError):
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)[:most]
