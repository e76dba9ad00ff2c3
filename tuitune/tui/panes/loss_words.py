"""What the Loss pane says where there is no curve, and below a curve that does not grow."""

from __future__ import annotations

import time

from tuitune.run import events
from tuitune.text import clean, clean_line
from tuitune.tui.kit.rows import R, Row, cells, slim, width_of
from tuitune.tui.kit.units import binary, lasting, whole_seconds
from tuitune.tui.panes.wrapping import wrapped
from tuitune.tui.runview import Phase, RunView

_MEASURE = 72
_BYTES = 1 << 20  # nobody has so many rows that a smaller bar would do for them
_ORDER = ("prepare", "tokenize", "load", "train")
_PHASES = {  # at work, done, to come
    "prepare": ("preparing the model", "model prepared", "prepare the model"),
    "tokenize": ("tokenising the data", "data tokenised", "tokenise the data"),
    "load": ("loading the model", "model loaded", "load the model"),
    "train": ("making the first step", "first step made", "make the first step"),
}
_SHOWN = "It shows the loss as it falls, its evaluations ◆, learning rate, gradient norm, tokens per second, time left."


def no_run(width: int) -> list[Row]:
    """Return what to do while there is no run, and what will appear."""
    return [
        [],
        R("strong b", "No run yet"),
        [],
        R("accent b", "^r  ", "ink", "start the recipe as it stands"),
        [],
        *paragraph(f"The curve appears here. {_SHOWN}", width, "quiet"),
    ]


def before_first(view: RunView, width: int, now: float | None = None) -> list[Row]:
    """Return how far the work before the first step is."""
    now = time.time() if now is None else now
    over = view.status in ("failed", "crashed", "stopped", "finished")
    rows: list[Row] = [[], R("strong b", "Before the first step"), []]
    for phase in view.phases:
        rows += _phase(phase, view, min(width, _MEASURE), now, over)
    if over:
        return [*rows, [], *_lines(ending(view), width)]
    if not view.phases:
        rows.append(R("accent", "● ", "strong b", "starting"))
    reached = [_ORDER.index(phase.name) for phase in view.phases if phase.name in _ORDER]
    rows += [R("faint", "· ", "quiet", _PHASES[name][2]) for name in _ORDER[max(reached, default=-1) + 1 :]]
    keys = R("accent b", "f9  ", "ink", "cancel")
    return [*rows, [], *paragraph(f"Then the curve appears here. {_SHOWN}", width, "quiet"), [], keys]


def _phase(phase: Phase, view: RunView, width: int, now: float, over: bool) -> list[Row]:
    doing, done, _ = _PHASES.get(phase.name, (clean_line(phase.name),) * 3)
    if phase.ended is not None and not over:
        return [R("ok", "✓ ", "ink", done, "quiet", f"  {lasting(phase.ended - phase.started)}")]
    if over:
        last = phase is view.phases[-1]
        return [R("error", "▲ ", "ink", doing) if last else R("ok", "✓ ", "ink", done)]
    row = R("accent", "● ", "strong b", doing, "ink", f"  {whole_seconds(now - phase.started)}")
    if phase.name == "train":
        return [row + (R("quiet", f"   step {view.picture.step:,} is made") if view.picture.step else [])]
    if not phase.total:
        return [row]
    figures = _amounts(phase.done, phase.total)
    left = max(8, min(width - cells(figures) - 4, 48))
    bar = slim([(min(phase.done, phase.total), "accent")], phase.total, left)
    return [row, [("  ", "ink"), *bar, (f"  {figures}", "ink")]]


def _amounts(done: int, total: int) -> str:
    if total >= _BYTES:
        return f"{binary(done)} of {binary(total)}"
    return f"{done:,} of {total:,}"


def ending(view: RunView) -> list[tuple[str, str]]:
    """Return (role, sentence) for a run that does not train: what happened, and what to do next."""
    step, status = view.picture.step, view.status
    match status, view.picture.end:
        case "paused", _:
            return [("warn b", f"▪ Paused at step {step:,}."), ("ink", "^r goes on; f9 stops and saves.")]
        case "stopping", _:
            return [("warn b", "▪ Stopping."), ("ink", "The step at hand is finished and saved first.")]
        case "failed", events.RunFailed(message=message, hint=hint):
            return [
                ("error b", f"▲ Failed: {clean(message)}"),
                ("ink", clean(hint)),
                ("quiet", _again(view)),
            ]
        case "failed", _:
            said = clean(view.state.message) if view.state is not None else ""
            return [("error b", f"▲ Failed at step {step:,}{f': {said}' if said else '.'}"), ("quiet", _again(view))]
        case "crashed", _:
            what = f"▲ Crashed at step {step:,}: the process ended without a word."
            return [("error b", what), ("ink", _again(view)), ("quiet", "6, then t shows the end of console.log.")]
        case "finished", events.RunFinished(seconds=seconds):
            what = f"✓ Finished: {step:,} steps in {_took(view, seconds)}."
            return [("ok b", what), ("ink", "4 talks to the tuned model; ^r begins another run.")]
        case "stopped", events.RunFinished(seconds=seconds):
            if not step:
                return [("warn b", "▪ Cancelled before the first step."), ("ink", "^r starts again.")]
            return [("warn b", f"▪ Stopped at step {step:,} after {_took(view, seconds)}."), ("ink", _again(view))]
        case "finished" | "stopped", _:
            return [("warn b", f"▪ {status.capitalize()} at step {step:,}."), ("ink", _again(view))]
    return []


def _took(view: RunView, seconds: float) -> str:
    attempts = view.picture.attempts
    several = f" ({attempts.count} attempts)" if attempts.count > 1 else ""
    return lasting(attempts.seconds if attempts.count else seconds) + several


def _again(view: RunView) -> str:
    saved = view.picture.saved
    if saved is not None and saved.step <= view.picture.step:
        return f"^r goes on from checkpoint-{saved.step}."
    return "No checkpoint was saved; ^r starts again."


def notes(view: RunView, width: int, most: int) -> list[Row]:
    """Return at most `most` lines below the curve; nothing while it grows."""
    if not (said := ending(view)) or most <= 0:
        return []
    rows = _lines(said, width)
    if len(rows) <= most:
        return rows
    return [*rows[: most - 1], [*rows[most - 1], ("  …  6 tells all", "quiet")]]


def _lines(said: list[tuple[str, str]], width: int) -> list[Row]:
    """Return the sentences, one behind the other as long as a line holds them."""
    rows: list[Row] = []
    alone = False
    for role, text in said:
        found = wrapped([(text, role)], width) if text else []
        if rows and found and alone and len(found) == 1 and width_of(rows[-1]) + 2 + cells(text) <= width:
            rows[-1] = [*rows[-1], (f"  {text}", role)]
        else:
            rows += found
            alone = len(found) == 1 and not role.startswith("error")
    return rows


def paragraph(text: str, width: int, role: str) -> list[Row]:
    """Return a text in lines that can be read."""
    return wrapped([(text, role)], min(width, _MEASURE))
