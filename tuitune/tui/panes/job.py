"""One question on its way to an answer, seen from two threads: one that waits for the model, one that draws."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from tuitune.chat.base import Answer, Chat, Options, Turn, judged, typed
from tuitune.chat.live import LiveChat
from tuitune.chat.loading import Note, Progress
from tuitune.chat.partial import Partial
from tuitune.chat.thinking import Splitter
from tuitune.errors import Stopped, TuiTuneError
from tuitune.text import StreamCleaner, clean, clean_line
from tuitune.tui.panes.blocks import counted


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and whom: `by` is the name of the answer; `again` for another answer to the same.

    typed: an answer of the user's own, which a reward model is to score.
    """

    kind: str
    by: str
    turns: tuple[Turn, ...]
    system: str | None
    sampling: Options
    again: bool = False
    typed: str | None = None
    tools: str = ""


class Finds(Protocol):
    """Who knows the partners."""

    def partner(self, kind: str, *, progress: Progress, note: Note) -> Chat:
        """Return who is asked, loaded; blocks, and raises TuiTuneError. Whoever raises in `progress` cancels it."""
        ...


@dataclass(frozen=True, slots=True)
class Loading:
    """How far a model is on its way into memory."""

    stage: str
    done: int = 0
    total: int | None = None


@dataclass(eq=False)
class Job:
    """Asks, and collects what comes; `partial` keeps it on disk."""

    question: Question
    partial: Partial
    outcome: Answer | TuiTuneError | None = None
    loading: Loading | None = None
    notes: list[str] = field(default_factory=list)
    raw: str = ""
    tokens: int = 0
    unit: Literal["tokens", "characters"] = "tokens"
    began: float = field(default_factory=time.monotonic)
    first: float | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._cleaner, self._splitter = StreamCleaner(), Splitter()
        self._fresh: list[str] = []
        self._stop, self._abandon = threading.Event(), threading.Event()
        self._told = False

    # -- in the thread that waits --------------------------------------------------------------------------------

    def work(self, partners: Finds) -> None:
        """Ask and wait; whatever goes wrong becomes the outcome."""
        question = self.question
        try:
            partner = partners.partner(question.kind, progress=self._progress, note=self._note)
            self._checked()
            self.loading = None
            self.began = time.monotonic()
            if isinstance(partner, LiveChat):
                self.unit = "characters"  # a run tells the tokens of an answer only at its end
            found = self._asked_for(partner)
        except TuiTuneError as error:
            self.outcome = error
        except Exception as error:  # a fault of a library must cost the answer only
            text = clean_line(str(error))[:300] or "no reason given"
            self.outcome = TuiTuneError(f"the answer failed: {type(error).__name__}: {text}", "the log says more")
        else:
            self.outcome = found

    def _asked_for(self, partner: Chat) -> Answer:
        question = self.question
        if question.typed is not None:
            return typed(partner, question.turns, question.typed, system=question.system)
        found = partner.reply(
            question.turns, system=question.system, tools=question.tools, sampling=question.sampling,
            on_text=self._take, stop=self._asked,
        )  # fmt: skip
        with self._lock:
            self._fresh.append(self._cleaner.feed(self._splitter.flush()))
        if self.stopping or not found.text.strip():
            return found
        return replace(found, score=judged(partner, question.turns, found.text, system=question.system))

    def _progress(self, stage: str, done: int, total: int | None) -> None:
        self._checked()
        self.loading = Loading(clean_line(stage), done, total)

    def _checked(self) -> None:
        if self.stopping:
            raise Stopped("loading was cancelled")

    def _note(self, text: str) -> None:
        self.notes.append(clean_line(text))

    def _take(self, piece: str) -> None:
        with self._lock:
            if self._abandon.is_set():
                return
            self.raw += piece
            self.tokens += 1
            self.first = self.first or time.monotonic()
            self._fresh.append(self._cleaner.feed(self._splitter.feed(piece)))
            self.partial.add(piece)

    def _asked(self) -> bool:
        # The first time a run is told to end its answer; then nobody waits for that any more.
        if self._abandon.is_set() and self._told:
            raise Stopped("nobody waits for the answer any more")
        self._told = self._stop.is_set()
        return self._told

    # -- in the thread that draws ---------------------------------------------------------------------------------

    def fresh(self) -> str:
        """Return the cleaned text that has been said since the last call, without thoughts."""
        with self._lock:
            text, self._fresh = "".join(self._fresh), []
        return text

    @property
    def thoughts(self) -> str:
        """The thoughts so far, cleaned."""
        with self._lock:
            return clean(self._splitter.thoughts)

    def stop(self) -> None:
        """End the answer; what has come is kept."""
        self._stop.set()

    def abandon(self) -> str:
        """Wait no longer, and return what has come so far; nothing is taken in any more."""
        with self._lock:
            self._stop.set()
            self._abandon.set()
            return self.raw

    @property
    def stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def words(self) -> str:
        """Return in a few words how it goes."""
        now = time.monotonic()
        if self.stopping:
            return "stopping"
        if self.first is None:
            return f"asked, {now - self.began:.0f} s"
        count = self.tokens if self.unit == "tokens" else len(self.raw)
        speed = count / max(0.1, now - self.first)
        words = counted(count, self.unit)
        return f"{words}, {speed:.0f}/s" if now - self.first >= 0.5 else words
