"""`tuitune demo`: the quickstart recipe, then the same questions to the model before and after it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from tuitune.chat.base import Turn
from tuitune.cli.bars import bars
from tuitune.cli.chat import weights_of
from tuitune.cli.console import say, screen
from tuitune.cli.drive import drive
from tuitune.cli.open import identity
from tuitune.cli.train import aside
from tuitune.face.asking import read_good
from tuitune.face.start import open_run
from tuitune.resources import preset
from tuitune.run import RunDir
from tuitune.run.streams import guard
from tuitune.text import clean

QUESTIONS = ("Who am I talking to?", "Which team built you?", "What is the capital of France?")
_GREEDY = {"temperature": 0, "max_new_tokens": 60}


def demo(settings: Sequence[str], *, name: str | None, author: str | None) -> int:
    """Train the quickstart recipe and compare answers; return the exit code."""
    document, _ = read_good(preset("quickstart"), [*identity(name, author), *settings])
    run = open_run(document, tell=aside)
    code = drive(run)
    if code == 0:
        _compare(run)
    return code


def _compare(run: RunDir) -> None:
    from tuitune.chat.local import LocalChat

    rows: list[tuple[str, str, str]] = []
    with guard(run.console) as real, bars(real.err) as progress:
        partner = LocalChat.load(weights_of(run), progress=progress)
        for number, question in enumerate(QUESTIONS):
            progress("ask", number, len(QUESTIONS))
            before, after = (
                partner.reply([Turn("user", question)], sampling=_GREEDY, base=base).text for base in (True, False)
            )
            rows.append((question, before, after))
    _show(rows)


def _show(rows: Sequence[tuple[str, str, str]]) -> None:
    console = screen(sys.stdout)
    table = Table(show_lines=True)
    table.add_column("asked", overflow="fold", max_width=20)
    table.add_column("before", overflow="fold")
    table.add_column("after", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell.strip())) for cell in row))
    console.print(table)
    say(console, "the answers are the likeliest ones; the model is small, and so is what it learnt from")
