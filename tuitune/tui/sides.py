"""Who answers in the two columns of a comparison: words that name them, and what is in memory for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.chat.base import Chat
from tuitune.chat.live import LiveChat
from tuitune.chat.loading import Note, Progress
from tuitune.chat.local import LocalChat
from tuitune.chat.server import called, check_address, is_address
from tuitune.chat.several import Several
from tuitune.chat.weights import Weights
from tuitune.errors import TuiTuneError, UsageError
from tuitune.face import served, whom
from tuitune.face.whom import Meant
from tuitune.text import clean_line
from tuitune.tui.asking import PickItem
from tuitune.tui.inmemory import Asked, Bringing, free
from tuitune.tui.subjects import default_subject, named, run_of, subjects, training_runs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

BASE = whom.BASE
SERVER = "server:"  # in place of a word, until its address is known


@dataclass
class _Held:
    weights: Weights
    chat: LocalChat


class Sides:
    """Finds and loads two partners; weights of one model are in memory once.

    words: who answers left and right, as a command names them; "base" is what the other side was before training. The
    names of partners for `partner` are "0" and "1".
    """

    def __init__(self, left: str, right: str) -> None:
        self.words = [left, right]
        self._several = Several()
        self._held: list[_Held | None] = [None, None]
        self._lock = threading.Lock()
        self._bringing = Bringing()

    def label(self, place: int) -> str:
        """Return what a side is called."""
        return BASE if self.words[place] == BASE else _called(self.words[place])

    def signature(self, place: int) -> str:
        """Return whose the answers of a side are, which still says it when the other side is somebody else."""
        word, other = self.words[place], self.words[1 - place]
        return f"{BASE} of {_called(other)}" if word == BASE else _called(word)

    @property
    def same(self) -> bool:
        """Whether both sides are one model, so that the answers cannot differ."""
        return self.words[0] == self.words[1]

    def choose(self, place: int, word: str) -> None:
        """Let another one answer on a side. Raises UsageError where both would be the base of the other."""
        if "://" in word:
            check_address(word)
        if word == BASE and self.words[1 - place] == BASE:
            raise UsageError("the other side is what this one was before training", "choose somebody else for it first")
        self.words[place] = word

    def swap(self) -> None:
        """Let left answer right; what is in memory stays."""
        with self._lock:
            self.words.reverse()
            self._held.reverse()

    def apart(self) -> bool:
        """Whether the two can answer at the same time. Looks at the disk."""
        try:
            left, right = self._meant(0), self._meant(1)
        except TuiTuneError:  # which of them and why is said when it is asked
            return False
        if isinstance(left, LiveChat) and isinstance(right, LiveChat):
            return left.run != right.run
        return not (isinstance(left, Weights) and isinstance(right, Weights)) or left.model != right.model

    def partner(self, kind: str, *, progress: Progress, note: Note) -> Chat:
        """Return who answers on a side, loaded; blocks, and raises TuiTuneError."""
        place = int(kind)
        with self._lock:
            who = self._meant(place)
            if not isinstance(who, Weights):
                self._drop(place)
                return who
            held = self._held[place]
            if held is None or held.weights != who:
                self._drop(place)
                chat = self._bringing.bring(who, self._add, progress=progress, note=note)
                held = self._held[place] = _Held(who, chat)
            return Asked(held.chat, held.chat.title, base=False)

    def release(self) -> None:
        """Give the memory back, and give up loading."""
        self._bringing.give_up()
        self._held = [None, None]
        self._several = Several()

    def free(self) -> None:
        """Give the memory back at once; may take a moment."""
        self.release()
        free()

    def _meant(self, place: int) -> Meant:
        word, other = self.words[place], self.words[1 - place]
        return whom.whom(word, whom.whom(other) if word == BASE else None)

    def _add(self, who: Weights, *, progress: Progress, note: Note) -> LocalChat:
        return self._several.add(who, progress=progress, note=note)

    def _drop(self, place: int) -> None:
        held, self._held[place] = self._held[place], None
        if held is not None:
            self._several.drop(held.chat)
            del held
            free()


def _called(word: str) -> str:
    return clean_line(called(word)) if is_address(word) else named(word)


def offered(sides: Sides, place: int) -> list[PickItem]:
    """Return who could answer on a side. Looks at the disk."""
    base = PickItem(BASE, BASE, f"{sides.label(1 - place)} before training", "This comparison")
    # The token of a server of ours is found when it is asked; it stands in no word.
    ours = [
        PickItem(each.word, clean_line(each.name), f"at {clean_line(each.place)}", "Servers")
        for each in served.models()
    ]  # fmt: skip
    server = PickItem(SERVER, "a server", "OpenAI-style, by its address", "Elsewhere")
    return [*([base] if sides.words[1 - place] != BASE else []), *subjects(live=True), *ours, server]


def at_first(app: TuiTune, subject: str | None, picked: str | None = None) -> Sides:
    """Return who is compared at first: somebody with the base, else a model with itself. Looks at the disk.

    In this order: who is named, the open run while it trains, who was picked in the chat, the open run, another one in
    training, the newest run with weights, the recipe's model.
    """
    control = app.control
    training = control.run if control.live else None  # it answers before it has saved anything
    word = subject or (str(training.path) if training is not None else picked)
    if word is None and control.run is None:
        word = next((str(run.path) for run in training_runs()), None)
    word = word or default_subject(app)
    if word is None:
        recipe = app.draft.recipe()
        word = recipe.model_name_or_path if recipe is not None else "smollm2-135m"
    return Sides(word, "base" if run_of(word) is not None else word)
