"""The GPU pane: each card's memory, work, heat and clocks; the host where there is none."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Blur, Click

from tuitune.monitor import DeviceSample, Sample
from tuitune.text import clean_line
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, fit, grounded
from tuitune.tui.kit.units import whole_seconds
from tuitune.tui.messages import AskDevice
from tuitune.tui.panes import card_rows
from tuitune.tui.panes.gpu_plan import BRIEF, FULL, LINE, Plan, plan
from tuitune.tui.panes.host_rows import host_lines, host_rows

_DRAW = {FULL: card_rows.full, BRIEF: card_rows.brief, LINE: card_rows.line}
_WIDEST = 96
_SILENT_AFTER = 10.0


class GpuPane(DrawnPane):
    """Shows the last look at the machine; lets the user choose the card to train on."""

    label, digit = "GPU", "5"
    HELP = """\
# GPU

Each NVIDIA card: memory in use, by this run and by others; how much of the time it computes; power, temperature
and clock. A word in the warning colour before the clock says what holds it down, for example *power cap*.
`n/a` stands for what the driver refuses to tell. On a machine without such a card the pane shows the processor,
the memory and this run's process.

The card marked ● is the one that this recipe is trained on. Numbers count as in `nvidia-smi`; in a container the
driver may not tell which memory is this run's. Where there is room the open card also shows its power limit, its
highest clock, memory errors since the driver was loaded (`ecc`: corrected / not), MIG slices and processes.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "card above", show=False, id="gpu.up", tooltip="Open the card above"),
        Binding("down,j", "cursor(1)", "card below", show=False, id="gpu.down", tooltip="Open the card below"),
        Binding("enter", "use", "train on it", show=False, id="gpu.use", tooltip="sets `device` in the recipe"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._sample = Sample()
        self._device = "auto"
        self._silent = 0.0
        self._cursor: tuple[str | None, int] | None = None
        self._places: list[tuple[int, int, int]] = []  # first row, last row and number of each card that shows

    def show(self, sample: Sample, *, device: str, now: float | None = None) -> None:
        """Take in the last look and the recipe's `device`; `now` is on the clock of `sample.t`."""
        self._sample, self._device = sample, device
        self._silent = (time.monotonic() if now is None else now) - sample.t if sample.t else 0.0
        if self.is_mounted:
            self.redraw()

    @property
    def meta(self) -> Row:
        """The driver; before that what is wrong, or how many cards have no room."""
        if self._silent > _SILENT_AFTER:
            return R("warn", f"no answer for {whole_seconds(self._silent)}")
        if not self._sample.devices:
            return R("quiet", "cpu") if self._sample.t else []
        width, height = self.content_size
        now = self._plan(height - 1)
        below = len(self._sample.devices) - now.first - len(now.sizes)
        if below > 0 and not self._host_only(height - 1):
            return R("quiet", f"{below} more ↓")
        if now.first and not self._host_only(height - 1):
            return R("quiet", f"{now.first} more ↑")
        driver = ".".join((self._sample.driver or "").split(".")[:2])
        return R("quiet", f"driver {driver}"[: max(0, width - 8)]) if driver else []

    def body(self, width: int, height: int) -> list[Row]:
        """Return the cards, or the host."""
        width, self._places = min(width, _WIDEST), []
        sample = self._sample
        if not sample.t:
            return [R("quiet", "looking at this machine …")]
        if self._host_only(height):
            words = sample.problem or "no NVIDIA GPU: training runs on the CPU"
            words = "device: cpu, this recipe leaves the GPUs alone" if sample.devices else words
            return host_rows(sample.host, clean_line(words), "warn" if sample.problem else "quiet", width)
        return self._cards(width, height)

    def _host_only(self, height: int) -> bool:
        """Whether the host takes the whole pane; in few rows also for a recipe that trains on it."""
        small = height < FULL + 3 and self._device == "cpu" and not self.has_focus
        return not self._sample.devices or small

    def _cards(self, width: int, height: int) -> list[Row]:
        cards, at, now = self._sample.devices, self._at(), self._plan(height)
        chosen = self._sample.card(self._device)
        rows: list[Row] = []
        for place, size in enumerate(now.sizes):
            card = cards[now.first + place]
            rows += [[]] if now.gap_before(place) else []
            drawn = _DRAW[size](card, width, mark="" if len(cards) == 1 else " ●" if card is chosen else "  ")
            if now.first + place == at:
                drawn = self._open(card, drawn, width, now)
            self._places.append((len(rows), len(rows) + len(drawn) - 1, now.first + place))
            rows += drawn
        return rows + ([[], *host_lines(self._sample.host, width)] if now.host else [])

    def _open(self, card: DeviceSample, drawn: list[Row], width: int, now: Plan) -> list[Row]:
        """Return the rows of the card at the cursor, with what more there is to say."""
        if self.has_focus and len(self._sample.devices) > 1:
            drawn = [grounded(fit(drawn[0], width), "sel"), *drawn[1:]]
        more = card_rows.details(card, width, now.details)
        return [*drawn, [], *more] if more else drawn

    def _plan(self, height: int) -> Plan:
        return plan(len(self._sample.devices), self._at(), height)

    def _at(self) -> int:
        """Return the place of the card at the cursor; until the user moves it, of the one that the recipe means."""
        cards = self._sample.devices
        wanted = self._cursor or _key(self._sample.card(self._device))
        return next((place for place, card in enumerate(cards) if _key(card) == wanted), 0)

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        """Open the next card in a direction."""
        self._go(self._at() + by)

    def action_use(self) -> None:
        """Ask to train on the card at the cursor."""
        cards = self._sample.devices
        card = cards[self._at()] if cards else None
        if card is None:
            self._say("There is no NVIDIA GPU here; training runs on the CPU.")
        elif card.gone:
            self._say(f"GPU {card.index} is gone; choose another one.")
        elif card.device is None:
            self._say(f"GPU {card.index} is not among those that CUDA_VISIBLE_DEVICES gives to this program.")
        else:
            self.post_message(AskDevice(card.device))

    def on_click(self, event: Click) -> None:
        """Open the card under the pointer; a double click asks to train on it."""
        row = event.y - self.gutter.top - 1
        for first, last, place in self._places:
            if first <= row <= last:
                self._go(place)
                if event.chain == 2:
                    self.action_use()
                return

    def on_blur(self, event: Blur) -> None:
        """Go back to the card that the recipe means: without the keys there is no cursor."""
        self._cursor = None
        self.redraw()

    def _go(self, place: int) -> None:
        cards = self._sample.devices
        if cards:
            self._cursor = _key(cards[max(0, min(len(cards) - 1, place))])
            self.redraw()

    def _say(self, words: str) -> None:
        self.notify(words, severity="warning", markup=False)


def _key(card: DeviceSample | None) -> tuple[str | None, int] | None:
    # The number alone may pass to another card when the driver starts anew.
    return None if card is None else (card.uuid or card.bus, -1 if card.uuid or card.bus else card.index)
