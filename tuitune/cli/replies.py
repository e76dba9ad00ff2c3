"""Print a reply while it is written; ctrl+c ends the reply and nothing else."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import TextIO

from rich.status import Status

from tuitune.chat.base import Answer, Chat, Options, judged
from tuitune.chat.conversation import Conversation
from tuitune.cli.console import can_draw, screen
from tuitune.text import StreamCleaner


@contextlib.contextmanager
def printed(stream: TextIO, wait_on: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """Yield what prints raw pieces of text, cleaned; a last line without an end gets one.

    wait_on: the terminal on which something moves until the first piece comes.
    """
    cleaner, last = StreamCleaner(), ""
    moving = contextlib.ExitStack()

    def write(text: str) -> None:
        nonlocal last
        if text:
            moving.close()
            last = text[-1]
            stream.write(text)
            stream.flush()

    with moving:
        if wait_on is not None and can_draw(console := screen(wait_on)):
            moving.enter_context(Status("", console=console))
        try:
            yield lambda piece: write(cleaner.feed(piece))
        finally:
            write(cleaner.flush())
            if last and last != "\n":
                write("\n")


def answer(partner: Chat, talk: Conversation, options: Options, on_text: Callable[[str], None]) -> Answer:
    """Let the partner answer the last turn, and put the answer into the conversation."""
    with interruptible() as stop:
        found = partner.reply(talk.turns, system=talk.system, sampling=options, on_text=on_text, stop=stop)
        if found.reason != "stopped" or found.text.strip():
            found = replace(found, score=judged(partner, talk.turns, found.text, system=talk.system))
    talk.answer(found.text, by=partner.title, reason=found.reason, score=found.score)
    return found


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a question that becomes true at ctrl+c; a second ctrl+c interrupts as usual."""
    wished = threading.Event()

    def arrived(number: int, frame: FrameType | None) -> None:
        if wished.is_set():
            raise KeyboardInterrupt
        wished.set()

    before = signal.signal(signal.SIGINT, arrived)
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGINT, before)
