"""The first line, what runs; and the tabs of a narrow screen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.events import Click
from textual.message import Message

from tuitune.face import figures, words
from tuitune.monitor import DeviceSample
from tuitune.recipe import Recipe
from tuitune.text import clean_line
from tuitune.tui.draft import Draft
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, split, width_of
from tuitune.tui.runview import RunView

_COLOURS = {"crashed": "error", "failed": "error", "paused": "warn", "stopping": "warn"}
_STILL = ("created", "finished", "stopped", "crashed", "failed")


class Status(Drawn):
    """What is trained, how far it is, how long it takes, how busy the device is."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(id="status")
        self._draft = draft
        self._view: RunView | None = None
        self._device: DeviceSample | None = None
        self._cpu: float | None = None
        self._work: Sequence[str] = ()

    def show_work(self, work: Sequence[str]) -> None:
        """Take in which commands are at work beside the run, in a word or two each."""
        if list(work) != list(self._work):
            self._work = work
            self.redraw()

    def show(self, view: RunView | None, device: DeviceSample | None, cpu: float | None) -> None:
        """Take in what is new."""
        self._view, self._device, self._cpu = view, device, cpu
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line."""
        if width < 100:
            return [self._narrow(width)]
        state = [*self._beside(), *self._state(short=False), *self._machine(short=False)]
        return [split(self._title(width), [*R("ink", "  "), *state], width)]

    def _narrow(self, width: int) -> Row:
        """Return the line of a narrow screen; where it is full, memory goes first: a pane of its own has it."""
        state, told = self._state(short=True), [*self._beside(), *self._loss()]
        right = [*told, *self._machine(short=True)]
        if width_of(state) + width_of(right) >= width:
            right = [*told, *self._machine(short=True, memory=False)]
        return split(state, right, width)

    def _title(self, width: int) -> Row:
        left = R("accent b", "TuiTune", "strong", f"   {clean_line(self._draft.title)}")
        left += R("accent", " •") if self._draft.dirty else []
        recipe = self._draft.recipe()
        return left + R("quiet", f"   {_what(recipe, width)}") if recipe is not None else left

    def _state(self, *, short: bool) -> Row:
        view = self._view
        if view is None:
            return (
                R("quiet", "○ ", "ink", "ready", "quiet", "  ^r starts") if short else R("quiet", "○ ", "ink", "ready")
            )
        picture, status = view.picture, view.status
        mark = _COLOURS.get(status, "quiet" if status in _STILL else "accent")
        total = f"{picture.total:,}" if picture.total else "?"
        if status == "preparing":
            return R(mark, "● ", "ink", clean_line(picture.phase or "starting"))
        left = picture.left() if status in ("training", "paused") else None
        if short:
            row = R(
                mark, "● ", "ink", "" if status == "training" else f"{status} ", "strong b", f"{picture.step:,}/{total}"
            )
            row += R("ink", f"  {picture.step * 100 // picture.total} %") if picture.total else []
            return row + (R("ink", f"  {words.duration(left)} left") if left is not None else [])
        row = R(mark, "● ", "ink", f"{status} ", "strong b", f"{picture.step:,}", "quiet", f" of {total}")
        return row + (R("ink", f"   {words.duration(left)} left") if left is not None else [])

    def _beside(self) -> Row:
        if not self._work:
            return []
        said = self._work[0] if len(self._work) == 1 else f"{len(self._work)} at work"
        return R("accent", "◆ ", "ink", f"{said}   ")

    def _loss(self) -> Row:
        if self._view is None or not (smooth := self._view.curves.smooth):
            return []
        value = f"{smooth[-1]:.3f}" if math.isfinite(smooth[-1]) else str(smooth[-1])
        name = figures.word(self._view.curves.shown)
        return R("quiet", f"smooth {name} " if self._view.curves.smoothing else f"{name} ", "smooth b", value)

    def _machine(self, *, short: bool, memory: bool = True) -> Row:
        device = self._device
        if device is None:
            return R("quiet", "   cpu ", "ink", f"{self._cpu:.0f} %") if self._cpu is not None else []
        util = "n/a" if device.utilisation is None else f"{device.utilisation:.0f} %"
        if short:
            return R("quiet", f"   gpu {util}{_memory(device) if memory else ''}")
        return R("quiet", f"   gpu {device.index} ", "ink", util)


def _memory(device: DeviceSample) -> str:
    if not device.used or not device.total:
        return ""
    return f"  {device.used / 2**30:.0f}/{device.total / 2**30:.0f} GiB"


def _what(recipe: Recipe, width: int) -> str:
    method = f"{recipe.method_name} · {recipe.stage}"
    return f"{clean_line(recipe.model_name_or_path).rsplit('/', 1)[-1]} · {method}" if width >= 130 else method


class Tabs(Drawn):
    """The panes of a narrow screen, one of them chosen."""

    class Chosen(Message):
        """The user clicked on a tab."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, tabs: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(id="tabs")
        self._tabs = tabs  # name, digit, label
        self._chosen = ""

    def show(self, chosen: str) -> None:
        """Mark a tab."""
        self._chosen = chosen
        self.redraw()

    def offer(self, tabs: Sequence[tuple[str, str, str]]) -> None:
        """Show other tabs."""
        if tabs != self._tabs:
            self._tabs = tabs
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line."""
        row: Row = []
        for name, digit, label in self._tabs:
            row += self._tab(name, digit, label)
        return [row]

    def _tab(self, name: str, digit: str, label: str) -> Row:
        if name == self._chosen:
            return R("accent b on sel", f" {digit} ", "strong b on sel", f"{label} ", "ink", " ")
        return R("faint", f" {digit} ", "quiet", f"{label} ", "ink", " ")

    def on_click(self, event: Click) -> None:
        """Choose the tab under the pointer."""
        at = event.x - self.gutter.left
        for name, digit, label in self._tabs:
            at -= width_of(self._tab(name, digit, label))
            if at < 0:
                self.post_message(self.Chosen(name))
                return
