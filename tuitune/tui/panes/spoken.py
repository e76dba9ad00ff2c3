"""A conversation on the screen: what was said, a turn of it that is chosen, and what is told below."""

from __future__ import annotations

from dataclasses import replace

from tuitune.chat.kept import Kept
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import Row
from tuitune.tui.panes.blocks import Block, block_of
from tuitune.tui.panes.turns import Transcript

_MOST_TURNS = 60


class Spoken(Pane):
    """Shows a conversation, one turn of which can be chosen."""

    counts = False  # whether every answer shows its tokens

    def __init__(self, *, classes: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(classes=classes, id=id)
        self.talk = Kept()
        self.chosen: int | None = None
        self.opened = False  # thoughts
        self._start = 0
        self._notes: list[Block] = []
        self.transcript = Transcript()

    def on_mount(self) -> None:
        """Show what there is."""
        self.refresh_turns()

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def nothing(self) -> list[Row]:
        """Return what is shown while nothing was said."""
        return []

    def unanswered(self) -> list[Block]:
        """Return what is said of a last question that nobody answers."""
        return []

    def compared_with(self, place: int) -> str | None:
        """Return another answer that the one at `place` is compared with, None for none."""
        return None

    # -- a turn of it ------------------------------------------------------------------------------------------------

    def choose_turn(self, by: int) -> None:
        """Choose the turn before or after the chosen one; behind the last one none is."""
        count = len(self.talk.turns)
        at = (count if self.chosen is None else self.chosen) + by
        self.chosen = max(0, at) if at < count else None
        if not count:
            self.chosen = None
        self.refresh_turns()
        if self.chosen is None:
            self.transcript.follow()
        else:
            self.transcript.reveal()

    def fold(self) -> None:
        """Show thoughts, or hide them."""
        self.opened = not self.opened
        self.transcript.opened = self.opened
        self.refresh_turns()

    # -- saying ------------------------------------------------------------------------------------------------------

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something below the turns, until the next question."""
        self._notes = [Block("", clean(text), "error" if error else "note")]
        self.transcript.follow()
        self.refresh_turns()

    def say_no_more(self) -> None:
        """Take what was said below the turns away, such as what was wrong with a former file."""
        self._notes.clear()
        self.refresh_turns()

    def refresh_turns(self) -> None:
        """Show the conversation as it is now."""
        if not self.is_attached:
            return
        turns, notes = self.talk.turns, list(self._notes)
        if self.talk.warning is not None:
            notes.append(Block("", in_words(self.talk.warning), "error"))
            self.talk.warning = None
            self._notes = notes
        if self.chosen is not None and self.chosen >= len(turns):
            self.chosen = None
        start = max(0, len(turns) - _MOST_TURNS)
        # While something earlier is read or chosen, nothing above it goes away.
        earliest = self._start if self.chosen is None else min(self._start, self.chosen)
        self._start = start if self.transcript.following and self.chosen is None else min(start, earliest)
        blocks = [self._block(place) for place in range(self._start, len(turns))]
        if self._start:
            where = f", in {clean_line(str(self.talk.path))}" if self.talk.path else ""
            blocks.insert(0, Block("", f"{self._start} earlier turns{where}", "note"))
        self.transcript.blocks = [*blocks, *self.unanswered(), *notes]
        self.transcript.empty = self.nothing()
        self.transcript.redraw()

    def _block(self, place: int) -> Block:
        chosen = place == self.chosen
        turn = self.talk.turns[place]
        block = block_of(turn, opened=self.opened, chosen=chosen, counts=self.counts or chosen)
        beside = self.compared_with(place)
        return block if beside is None else replace(block, beside=beside)


def in_words(error: TuiTuneError) -> str:
    """Return an error with what to do about it, cleaned."""
    return "\n".join(clean(text) for text in (error.message, error.hint) if text)
