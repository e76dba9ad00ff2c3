"""What stands below a run's curve: its other figures as sparklines on the same axis, and how far it is."""

from __future__ import annotations

import math

from tuitune.face import figures
from tuitune.recipe import Recipe
from tuitune.text import clean_line
from tuitune.tui.kit.axis import foot
from tuitune.tui.kit.rows import R, Row, cut, slim, spark, width_of
from tuitune.tui.kit.units import fixed, lasting, scientific
from tuitune.tui.panes.loss_frame import EDGE, NARROW_SIDE, Frame, Summaries
from tuitune.tui.panes.loss_look import Look
from tuitune.tui.runview import RunView

_SCHEDULES = {
    "cosine_with_restarts": "restarts", "constant_with_warmup": "constant", "inverse_sqrt": "1/√step",
    "reduce_lr_on_plateau": "plateau", "cosine_with_min_lr": "cosine", "cosine_warmup_with_min_lr": "cosine",
    "warmup_stable_decay": "wsd", "polynomial": "poly",
}  # fmt: skip


class Below(Frame):
    """What stands below the curve of a plot."""

    def __init__(self, view: RunView, look: Look, kept: Summaries, width: int, recipe: Recipe | None) -> None:
        super().__init__(view, look, kept, width)
        self.recipe = recipe

    def foot(self) -> Row:
        """Return the marks of the axis."""
        seen = self.window
        return R("quiet", " " * EDGE + foot(seen.low, seen.high, seen.width, self.look.across))

    def sparks(self) -> list[Row]:
        """Return what tells most of the stage, learning rate, gradient norm and speed."""
        curves, recipe, now = self.curves, self.recipe, self.now
        name = recipe.lr_scheduler_type if recipe is not None else ""
        clip = recipe.max_grad_norm if recipe is not None else 0
        logged = self.view.picture.logged
        use = f"MFU {logged.mfu * 100:.0f} %" if logged is not None and logged.mfu and now == self.last else ""
        grad, speed = curves.grad[now], curves.speed[now]
        rows = [self._own(each) for each in self._telling()]
        rows.append(self._spark("lr", "lr", scientific(curves.lr[now]), _SCHEDULES.get(name, name)))
        if not math.isnan(grad) or self._blocks("grad").stretch(0, len(curves)).finite:
            rows.append(self._spark("grad", "grad", fixed(grad, 2), f"clip {float(clip)}" if clip else ""))
        rows.append(self._spark("tok/s", "speed", f"{speed:,.0f}" if math.isfinite(speed) else "n/a", use))
        return rows

    def _telling(self) -> list[str]:
        """Return the figures that tell most, but for the one that the large curve shows."""
        stage, known = self.view.picture.stage, self.curves.metrics
        first = [figures.main(stage)] if figures.main(stage) in known else []
        names = [*first, *figures.telling(stage, known), *([figures.LOSS] if self.main != figures.LOSS else [])]
        return [name for name in dict.fromkeys(names) if name != self.main]

    def lesser(self, most: int) -> list[Row]:
        """Return up to `most` figures that tell less."""
        names = [name for name in figures.others(self.view.picture.stage, self.curves.metrics) if name != self.main]
        return [self._own(name) for name in names[: max(0, most)]]

    def _own(self, name: str) -> Row:
        """Return one of the stage's own figures, or the loss; with the last evaluation where it has that too."""
        known = [value for point in self.curves.evals if math.isfinite(value := point.of(name))]
        note = f"◆ {fixed(known[-1], 2)}" if known and self.now == self.last else ""
        return self._spark(
            cut(clean_line(figures.label(name)), EDGE - 1), name, _short(self.curves.column(name)[self.now]), note
        )

    def _spark(self, name: str, column: str, now: str, note: str) -> Row:
        means = self._means(column)
        known = [value for value in means if math.isfinite(value)]
        low = min(0.0, *known) if known else 0.0
        high = max(known, default=0.0)
        bars = spark(means, self.window.width, low, high + 0.1 * (high - low) or low + 1.0)
        role = "error b" if now in ("nan", "inf", "-inf") else "strong b"
        row = R("quiet", f"{name:>{EDGE - 1}} ", "spark", bars, role, f" {now:<6}")
        room = self.width - width_of(row) - 1
        return row + R("quiet", f" {cut(note, room)}") if note and self.side > NARROW_SIDE and room >= 4 else row

    def _means(self, column: str) -> list[float]:
        """Return the mean of each cell; where none was logged, the value before still holds."""
        bounds = self._bounds(self.window.width)
        bins = self._blocks(column).bins(bounds)
        values: list[float] = []
        for index, found in enumerate(bins):
            ended = bounds[index] >= len(self.curves)
            values.append(math.nan if ended or (found.gaps and not found.finite) else found.mean)
            if math.isnan(values[-1]) and not found.gaps and not ended:
                values[-1] = values[-2] if index else self._before(column, bounds[0])
        return values

    def _before(self, column: str, start: int) -> float:
        return self.curves.column(column)[max(0, start - 1)]

    def progress(self) -> Row:
        """Return how far the run is, and how long it takes or took."""
        view, side = self.view, self.side
        picture, wide = view.picture, self.window.width
        name = R("quiet", f"{'run':>{EDGE - 1}} ")
        ended = view.status in ("finished", "stopped", "failed", "crashed")
        last = lasting(picture.attempts.seconds) if view.status == "finished" else "" if ended else self._left()
        if not picture.total:
            return name + slim([], 1, wide) + R("strong b", f" {picture.step:,}", "quiet", " steps")
        share = min(1.0, picture.step / picture.total)
        role = {"paused": "warn", "stopping": "warn", "failed": "error", "crashed": "error"}.get(view.status, "accent")
        bar = slim([(share, role)], 1.0, wide)
        return [*name, *bar, *R("strong b", f" {int(share * 100)} % ", "ink", "  " * (side > NARROW_SIDE) + last)]

    def _left(self) -> str:
        eta = self.view.eta
        return lasting(eta) if eta is not None and eta >= 10 else f"{eta:.0f} s" if eta is not None else ""


def _short(value: float) -> str:
    """Return a value in at most six cells."""
    wanted = (1,) if abs(value) >= 100 else (3, 2, 1)
    return next((text for digits in wanted if len(text := fixed(value, digits)) <= 6), fixed(value, 1))
