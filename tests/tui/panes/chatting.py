"""A partner that says what a test wants, when it wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from textual.pilot import Pilot

from tests.tui.given import Bench, bench, until
from tuitune.chat.base import Answer, Chat, NotWriting, Options, Turn
from tuitune.errors import TuiTuneError
from tuitune.recipe import Recipe
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.partners import Partners, Who

CSS = "Pane { height: 1fr; padding: 0 1; background: $surface; }"
HERE = [Who("base", "base"), Who("live", "live @412"), Who("tuned", "tuned")]


class Speaker:
    """Says `pieces`, waiting before each until `go` lets it; then raises `error`, if there is one."""

    title = "speaker"

    def __init__(self, *pieces: str, error: Exception | None = None, held: bool = False) -> None:
        self.pieces, self.error = pieces, error
        self.go, self.said = threading.Semaphore(0 if held else 10_000), threading.Event()
        self.asked: list[tuple[list[Turn], str | None, Options]] = []

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        tools: str = "",
        sampling: Options,
        on_text: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Answer:
        self.asked.append((list(turns), system, sampling))
        text = ""
        for piece in self.pieces:
            if self._waits(stop):
                return Answer(text, 1, 1.0, "stopped")
            text += piece
            on_text(piece)
            self.said.set()
        if self.error is not None and not self._waits(stop):
            raise self.error
        return Answer(text, len(self.pieces), 0.5, "end")

    def _waits(self, stop: Callable[[], bool]) -> bool:
        while not self.go.acquire(timeout=0.01):
            if stop():
                return True
        return stop()


class Critic(Speaker):
    """A reward model that scores an answer by its length; without pieces it writes none."""

    @property
    def judge(self) -> Critic:
        return self

    def reply(self, turns: Sequence[Turn], **more: Any) -> Answer:
        if not self.pieces:
            raise NotWriting("it writes none", "write one yourself: /answer TEXT")
        return super().reply(turns, **more)

    def score(self, turns: Sequence[Turn], *, system: str | None = None) -> float:
        return float(len(turns[-1].content))


class Fake(Partners):
    """Partners without models."""

    def __init__(self, *speakers: Chat | TuiTuneError, people: Sequence[Who] = HERE, live: bool = True) -> None:
        super().__init__(lambda: Recipe(dataset="identity"), lambda: None, lambda: self.training)
        self.people, self.training = list(people), live
        self.wanted: list[str] = []
        self._next: Iterator[Chat | TuiTuneError] = iter(speakers)

    def options(self) -> list[Who]:
        return list(self.people)

    def partner(self, kind: str, **more: Any) -> Chat:
        self.wanted.append(kind)
        found = next(self._next)
        if isinstance(found, TuiTuneError):
            raise found
        return found


def table(partners: Partners) -> tuple[Bench, ChatPane]:
    """Return an app that shows a chat pane."""
    pane = ChatPane(partners)
    return bench(pane, css=CSS), pane


async def ready(pilot: Pilot[Any], pane: ChatPane) -> None:
    """Wait until the pane knows who is there, and give the prompt the keys."""
    await until(pilot, lambda: not pane._looking and pane.people == pane.partners.options())
    pane.focus_first()
    await pilot.pause()


async def say(pilot: Pilot[Any], pane: ChatPane, text: str) -> None:
    """Type a question and wait for the end of its answer."""
    pane.prompt.fill(text)
    await pilot.press("enter")
    await until(pilot, lambda: not pane.busy)
