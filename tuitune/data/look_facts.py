"""What is to be said about a data set, in words for every face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.data.look import Look
    from tuitune.data.look_side import Filter, Side

TRAINED = "trained"
"""The name of the figure that a bar may stand for."""

Level = Literal["ok", "warn", "info"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was looked at: how it stands, in words and a number; `rows` lists those that it is about."""

    level: Level
    text: str
    value: str = ""
    rows: Filter | Literal["bad", ""] = ""


def facts(look: Look, side: Side) -> list[Fact]:
    """Return what was checked, the worse things where they belong; foreign names in it are cleaned."""
    return [*_ends(look, side), *_cuts(look, side), *_rows(look, side), *_origins(look)]


def _ends(look: Look, side: Side) -> Iterator[Fact]:
    if not look.checks_ends or not side.rows_answered:
        return
    if not look.setting.stop:
        yield Fact("warn", "this template names no end token", "", "unended")
        return
    answers, ended, closed = (int(each.sum()) for each in (side.answers, side.ended, side.closed))
    end = clean_line(look.stop_text)
    yield Fact(_good(ended == answers), f"answers end in {end}", _of(ended, answers), "unended")
    if closed:
        yield Fact(_good(closed == answers), "the end is trained", _of(closed, answers), "unended")
    else:
        yield Fact("warn", "the end is never trained", _of(closed, answers), "unended")


def _cuts(look: Look, side: Side) -> Iterator[Fact]:
    limit, cut = look.setting.cutoff_len, len(side.places("cut"))
    longest = side.longest
    if cut:
        lost = f"{cut:,} ({_percent(cut, len(side))})"
        yield Fact("warn", f"rows cut at {limit:,}", lost, "cut")
        yield Fact("info", "tokens lost to that", f"{side.lost or 0:,}", "cut")
    elif side.lost is None and look.report.truncated:
        yield Fact("warn", f"rows cut at {limit:,}", f"{look.report.truncated:,}")
    else:
        yield Fact("ok", f"nothing cut at {limit:,}", f"max {longest:,}", "longest")


def _rows(look: Look, side: Side) -> Iterator[Fact]:
    report, twice = look.report, len(side.places("twice"))
    yield Fact(_good(not twice), "duplicates" if twice else "no duplicates", f"{twice:,}" if twice else "", "twice")
    untrained = len(side.places("untrained"))
    if untrained and look.setting.kind != "prompt":
        yield Fact("warn", "rows with nothing to learn", f"{untrained:,}", "untrained")
    if report.bad_count:
        empty = f", {report.empty:,} empty" if report.empty else ""
        yield Fact("warn", "rows left out", f"{report.bad_count:,}{empty}", "bad")
    else:
        yield Fact("ok", "every row is used")


def _origins(look: Look) -> Iterator[Fact]:
    yield Fact("info", "template", clean_line(look.template))
    if look.setting.sampled:
        yield Fact("info", "streamed: the first rows only", f"{look.setting.sampled:,}")
    for fact in look.report.facts:
        yield Fact("info", clean_line(fact))
    for note in look.report.notes:
        yield Fact("warn", clean_line(note))


def figures(look: Look, side: Side) -> list[tuple[str, str]]:
    """Return what the examples come to: names and values."""
    learns, first = look.setting.kind != "prompt", side is look.train
    found = [("tokens", f"{side.tokens:,}")]
    if learns:
        found.append((TRAINED, f"{side.trained_tokens:,} ({_percent(side.trained_tokens, side.tokens)})"))
    packs = side.packs
    if packs is not None:
        found.append(("packs are full to", f"{packs.fullness:.1%}".replace("%", " %")))
    if packs is not None and packs.most > 1:
        found.append(("sequences in a pack", f"{packs.least:,} to {packs.most:,}, mean {packs.mean:.1f}"))
    if learns and first:
        found.append(("steps", f"{side.steps_per_epoch:,} per epoch, {side.steps:,} in all"))
    if first and side.saved >= 0.005:
        found.append(
            (
                "padding, prompts saved" if side.shared.any() else "padding avoided",
                f"{side.saved:.0%}".replace("%", " %") + " of the work",
            )
        )
    return found


def unit(look: Look, side: Side) -> str:
    """Return what an example is called."""
    if side.packs is not None and side.several:
        return "packs"
    return {"prompt": "prompts", "pair": "pairs"}.get(look.setting.kind, "rows")


def lengths(side: Side) -> list[tuple[str, str]]:
    """Return how long the sequences are."""
    return [
        ("median", f"{side.quantiles[0]:,}"),
        ("p95", f"{side.quantiles[1]:,}"),
        ("max", f"{side.longest:,}"),
    ]


def row_words(look: Look, side: Side, place: int) -> list[str]:
    """Return what is to be said about one example, worst first; foreign names in it are not cleaned."""
    view = side.view(place)
    found = []
    if view.lost:
        found.append(f"cut: {view.lost:,} tokens lost")
    if view.ended is False:
        found.append(f"the end {look.stop_text} is not trained in every answer")
    if not view.trained and look.setting.kind != "prompt":
        found.append("nothing to learn")
    if view.like is not None:
        found.append(f"the same as {view.like + 1:,}")
    return found


def _good(fine: bool) -> Level:
    return "ok" if fine else "warn"


def _of(some: int, everything: int) -> str:
    return f"{some:,} / {everything:,}"


def _percent(some: int, everything: int) -> str:
    return f"{some / everything:.1%}".replace("%", " %") if everything else "0 %"
