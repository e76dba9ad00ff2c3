"""What is typed on the Evaluate pane: how many rows, and which file of metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.tui.asking import TextAsk

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune


def ask_rows(app: TuiTune, now: int | None, then: Callable[[int | None], None]) -> None:
    """Let the user say how many rows are measured at most; None: all."""

    def typed(text: str | None) -> None:
        if text is not None:
            then(int(text) if text.strip() else None)

    title = "How many rows at most? Nothing: all"
    app.push_screen(TextAsk(title, "" if now is None else str(now), "all", validate=_rows_problem), typed)


def ask_metric(app: TuiTune, now: str, then: Callable[[str], None]) -> None:
    """Let the user name a file of metrics, by its path; "" is none."""

    def typed(text: str | None) -> None:
        if text is not None:
            then(str(Path(text.strip()).expanduser().absolute()) if text.strip() else "")

    facts = ["A Python file of yours that scores answers; it runs with your rights."]
    app.push_screen(TextAsk("Which file?", now, "nothing: none", validate=_metric_problem, facts=facts), typed)


def _rows_problem(text: str) -> str | None:
    text = text.strip()
    return None if not text or (text.isascii() and text.isdigit() and 0 < int(text) < 10**9) else "a whole number"


def _metric_problem(text: str) -> str | None:
    path = Path(text.strip()).expanduser()
    if not text.strip() or (path.is_file() and path.suffix == ".py"):
        return None
    return "is no Python file" if path.is_file() else "there is no such file"
