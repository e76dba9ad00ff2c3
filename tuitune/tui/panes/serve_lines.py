"""The lines of the Serve pane: what is asked for, in words."""

from __future__ import annotations

from dataclasses import dataclass

from tuitune.serve.limits import Limits
from tuitune.tui.serving import USUAL, Asked
from tuitune.tui.subjects import named

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is about, its words, a note; place: which model."""

    kind: str
    name: str
    words: str
    note: str = ""
    place: int = 0


def lines_of(asked: Asked) -> list[Line]:
    """Return a line for each model and each setting."""
    lines = [
        Line("model", "" if place else "models", named(each.word), f"as {each.name}" if each.name else "", place)
        for place, each in enumerate(asked.models)
    ] or [Line("add", "models", "choose one", "w")]
    lines += [Line("add", "", "+ another model", "a")] if asked.models else []
    lines.append(Line("host", "host", asked.host or USUAL.host, "" if asked.host else "this machine only"))
    lines.append(Line("port", "port", str(USUAL.port if asked.port is None else asked.port or "any that is free")))
    lines += [
        _limit("rows", "at once", asked.rows, f"{_LIMITS.rows}", "answers"),
        _limit("queue", "waiting", asked.queue, f"{_LIMITS.queue}", "answers"),
        _limit("context", "context", asked.context, "all that the model takes", "tokens, with the answer"),
        _limit("answer", "answer", asked.answer, "what the context leaves", "tokens at most"),
        _limit("seconds", "time", asked.seconds, f"{_LIMITS.seconds:g}", "seconds at most"),
    ]
    return lines


def _limit(kind: str, name: str, value: float | None, usual: str, unit: str) -> Line:
    known = value is not None or usual.isdigit()
    unit = unit.removesuffix("s") if value == 1 and unit == "answers" else unit
    return Line(kind, name, usual if value is None else f"{value:,.0f}", unit if known else "")
