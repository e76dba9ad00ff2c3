"""The data of a recipe in plain lines: what they come to, what is wrong, and examples with what is trained marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tuitune.cli.console import say
from tuitune.data.look_facts import facts, figures, lengths, row_words, unit
from tuitune.text import clean_line
from tuitune.tui.kit.flow import Flow, Line

if TYPE_CHECKING:
    from tuitune.data.look import Look, Side
    from tuitune.data.look_view import Block

_MARGIN = 12
_BAR = 40
_BINS = 10
_BAD = 10  # rows left out that are named
_WIDE = 1_000_000
_OPEN, _CLOSE = "{+", "+}"  # around what is trained, where nothing else can show it
_MARKS = {"ok": ("✓", "green"), "warn": ("▲", "yellow"), "info": (" ", "")}
TRAINED, SPECIAL = "cyan underline", "blue"


def show(console: Console, look: Look, side: Side, chosen: Sequence[int]) -> None:
    """Print all of it."""
    held = _held(look) if side is look.train else []
    for name, value in ((unit(look, side), f"{len(side):,}"), *held, *figures(look, side)):
        console.print(Text(f"{name:<24}{value}"), soft_wrap=True)
    for fact in facts(look, side):
        mark, style = _MARKS[fact.level]
        console.print(Text(f"{mark} {fact.text:<28}  {fact.value}".rstrip(), style), soft_wrap=True)
    for bad in look.report.bad[:_BAD]:
        console.print(Text(f"    {clean_line(str(bad))}", "yellow"), soft_wrap=True)
    _histogram(console, side)
    if chosen:
        say(console, "")
        legend = "underlined" if console.is_terminal else f"in {_OPEN} {_CLOSE}"
        say(console, f"trained tokens are {legend}; ↵ is a line end, · a blank", "dim")
    for place in chosen:
        _example(console, look, side, place)


def _held(look: Look) -> list[tuple[str, str]]:
    return [] if look.evaluation is None else [("held back", f"{len(look.evaluation):,} for evaluation")]


def _histogram(console: Console, side: Side) -> None:
    found = side.histogram(_BINS)
    most = max((each.count for each in found), default=0)
    say(console, "")
    say(console, "tokens per sequence, " + ", ".join(f"{name} {value}" for name, value in lengths(side)))
    for each in found:
        bar = "━" * max(1, round(each.count / most * _BAR)) if each.count else ""
        console.print(Text(f"{each.low:>9,} {bar} {each.count:,}"), soft_wrap=True)


def _example(console: Console, look: Look, side: Side, place: int) -> None:
    view = side.view(place)
    say(console, "")
    head = [f"{place + 1:,}", view.origin, f"{view.tokens:,} tokens", f"{view.trained:,} trained"]
    words = [clean_line(each) for each in (*head, *row_words(look, side, place)) if each]
    console.print(Text("   ".join(words), "bold"), soft_wrap=not console.is_terminal)
    for block in view.blocks:
        if block.title:
            say(console, f"{block.title}, {block.stop - block.start:,} tokens", "dim")
        for line in _lines(console, block):
            console.print(line, soft_wrap=not console.is_terminal, crop=False, overflow="ignore")
    for key, value in view.columns.items():
        say(console, f"{clean_line(str(key))}: {clean_line(str(value))}")


def _lines(console: Console, block: Block) -> Iterator[Text]:
    width = console.width - _MARGIN if console.is_terminal else _WIDE
    flow = Flow(block.strand, block.start, block.stop, width, gaps=False)
    number = 0
    while (line := flow.line(number)) is not None:
        yield _drawn(line, marked=not console.is_terminal)
        number += 1


def _drawn(line: Line, *, marked: bool) -> Text:
    role = line.role[: _MARGIN - 1]
    text, open_ = Text(), False
    text.append(role + " " * (_MARGIN - cell_len(role)), "dim")
    for bit in line.bits:
        if marked and bit.token.trained != open_:
            text.append(_OPEN if bit.token.trained else _CLOSE)
            open_ = bit.token.trained
        text.append(bit.text, TRAINED if bit.token.trained else SPECIAL if bit.token.special else "")
    if open_:
        text.append(_CLOSE)
    return text
