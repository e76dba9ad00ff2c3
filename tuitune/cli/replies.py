"""Print a reply while it is written; ctrl+c ends the reply and nothing else."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TextIO

from rich.status import Status

from tuitune.chat.base import Answer, Chat, Options
from tuitune.chat.kept import Kept, answered
from tuitune.chat.thinking import Splitter
from tuitune.chat.tools import shown
from tuitune.cli.console import can_draw, say, screen
from tuitune.text import StreamCleaner

Write = Callable[[str], None]


@contextlib.contextmanager
def printed(stream: TextIO, wait_on: TextIO | None = None) -> Iterator[Write]:
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


@contextlib.contextmanager
def folded(out: Write) -> Iterator[Write]:
    """Yield what passes on the pieces of an answer without its thoughts."""
    splitter = Splitter()
    yield lambda piece: out(splitter.feed(piece))
    out(splitter.flush())


def answer(partner: Chat, talk: Kept, options: Options, on_text: Write) -> Answer:
    """Let the partner answer the last turn, and put the answer into the conversation."""
    with interruptible() as stop:
        return answered(partner, talk, options, on_text, stop)


def tell(done: Answer, stream: TextIO | None = None, *, counts: bool) -> None:
    """Say below an answer what it calls, what it is worth and, with `counts`, how it came about."""
    for call in done.calls:
        say(screen(stream), f"-> {shown(call)}", "cyan")
    words = []
    if done.reason != "end":
        words.append("cut off at max_new_tokens" if done.reason == "length" else "stopped")
    if counts and done.thoughts:
        words.append(f"thought {len(done.thoughts.split())} words, /thoughts shows them")
    if counts and done.tokens:
        words.append(f"{done.tokens} tokens" + (f", {done.tokens / done.seconds:.0f}/s" if done.seconds > 0 else ""))
    if counts and words:
        say(screen(stream), f"({', '.join(words)})", "dim")
    if done.score is not None:
        say(screen(stream), f"score {done.score:.4g}", "bold")


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
