"""Print a reply while it is written; ctrl+c ends the reply and nothing else."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TextIO

from tuitune.chat.base import Answer, Chat, Options
from tuitune.chat.conversation import Conversation
from tuitune.text import StreamCleaner


@contextlib.contextmanager
def printed(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Yield what prints raw pieces of text, cleaned; a last line without an end gets one."""
    cleaner, last = StreamCleaner(), ""

    def write(text: str) -> None:
        nonlocal last
        if text:
            last = text[-1]
            stream.write(text)
            stream.flush()

    try:
        yield lambda piece: write(cleaner.feed(piece))
    finally:
        write(cleaner.flush())
        if last != "\n":
            write("\n")


def answer(partner: Chat, talk: Conversation, options: Options, on_text: Callable[[str], None]) -> Answer:
    """Let the partner answer the last turn, and put the answer into the conversation."""
    with interruptible() as stop:
        found = partner.reply(talk.turns, system=talk.system, sampling=options, on_text=on_text, stop=stop)
    talk.answer(found.text, by=partner.title, reason=found.reason)
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
