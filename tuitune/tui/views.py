"""What the user does with the view, and what is offered at the start: themes, glyphs, screenshots, crashed runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import orjson
from textual.dom import DOMNode

from tuitune.errors import TuiTuneError
from tuitune.face import words
from tuitune.face.curve import ACROSS
from tuitune.face.find import is_live
from tuitune.run import RunDir, RunSummary, index, summary
from tuitune.run.files import write_atomic
from tuitune.run.places import home
from tuitune.run.shelf import LIVE
from tuitune.tui.asking import Ask, Choice
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.screens.table import WITH_KEYS
from tuitune.tui.theme import load_themes
from tuitune.tui.workbench import Workbench

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_LOOKED_AT = 20  # of the runs last active
_NOT_NOW: Choice[str] = Choice("esc", "Not now", "f4 finds it", None)
_LOOK_EVERY = 1.0  # seconds between two looks whether the run that is offered trains still
_OLD = 7 * 24 * 3600.0  # seconds after which a crash is no news


class ViewActions:
    """The actions on the view, and the offers; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def action_theme(self, name: str) -> None:
        """Change the colours, and keep that."""
        self._app.theme = name
        self._app.settings.theme = name
        self._app.settings.save_soon()

    def action_glyphs(self) -> None:
        """Change between drawing characters and ASCII, and keep that."""
        app = self._app
        app.ascii_glyphs = not app.ascii_glyphs
        app.settings.glyphs = "ascii" if app.ascii_glyphs else "unicode"
        app.settings.save_soon()
        app.screen.refresh(layout=True)
        for widget in app.screen.query("*"):
            widget.refresh()

    def action_shoot(self) -> None:
        """Save a picture of the screen."""
        from tuitune.tui.picture import keep, picture

        try:
            path = keep(picture(self._app))
        except (OSError, TuiTuneError) as error:
            self._app.say(f"the picture cannot be saved: {error}", "error")
        else:
            self._app.say(f"the picture is in {path}")

    def set_liked(self, loss: LossPane, chat: ChatPane) -> None:
        """Draw and ask as the user liked it last."""
        settings = self._app.settings
        loss.smoothing = settings.smoothing
        across = next((each for each in ACROSS if each == settings.chart_axis), ACROSS[0])
        loss.look = replace(loss.look, log=settings.chart_scale == "log", across=across)
        chat.overrides = dict(settings.sampling)
        if settings.system:
            chat.talk.instruct(settings.system)

    def keep_liked(self, loss: LossPane, chat: ChatPane) -> None:
        """Keep how the user has the curve drawn and answers made."""
        settings = self._app.settings
        before = settings.values()
        settings.smoothing, settings.chart_axis = loss.smoothing, loss.look.across
        settings.chart_scale = "log" if loss.look.log else "linear"
        settings.sampling = dict(chat.overrides)
        if settings.values() != before:
            settings.save_soon()

    def show_curve(self) -> None:
        """Bring the curve to the front where only one pane shows."""
        bench = self._app.screen_of(Workbench)
        if bench is not None and bench.narrow:
            bench.action_pane("loss")

    def why_not(self, action: str) -> str | None:
        """Say why an action cannot be done now; None when it can."""
        live = self._app.control.live
        if action in ("run.stop", "run.save", "run.rate", "run.detach") and not live:
            return "no run is training"
        return None

    def commands_of_views(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Name what has no key, for the palette."""
        for name in sorted(theme.name for theme in load_themes()[0]):
            yield f"theme: {name}", "colours of the app", lambda name=name: self.action_theme(name)  # type: ignore[misc]
        yield "view: ASCII or drawing characters", "for fonts without braille", self.action_glyphs
        yield "run: Save a checkpoint", "after this step", self._app.action_run_save
        yield "run: Learning rate", "another peak from here on", self._app.action_run_rate
        yield "run: Detach", "leave the terminal, the run goes on", self._app.action_run_detach
        yield "run: Look for crashed runs", "offer what can be resumed", lambda: self.offer(again=True)

    # -- at the start ------------------------------------------------------------------------------------------

    def offer(self, *, again: bool = False, aside: bool = False) -> None:
        """Offer to attach to a run that trains, or to resume one that crashed.

        aside: only say that there is one, as the user has come for something else.
        """

        def found(offers: list[RunSummary]) -> None:
            if offers and aside:
                self._app.say(_aside(offers[0]))
            elif offers:
                self._offer_one(offers[0])
            elif again:
                self._app.say("no run trains elsewhere, and none has crashed")

        self._app.in_thread("offer", lambda: _offers(set() if again else _declined()), found)

    def _offer_one(self, found: RunSummary) -> None:
        app = self._app
        run = index.find(str(found.path))

        def chosen(answer: str | None) -> None:
            if answer == "resume":
                app.open_run(run, lambda: app.resume(run))
            elif answer == "look":
                app.open_run(run)
            else:
                _decline(found)

        ask = Ask(*_question(found))
        app.push_screen(ask, chosen)
        if found.status in LIVE:
            self._while_live(ask, run)

    def _while_live(self, ask: Ask[str], run: RunDir) -> None:
        """Take the question back when its run has ended meanwhile: what it offers is not there any more."""

        def look() -> None:
            if not ask.is_attached:
                timer.stop()
            elif not is_live(run) and self._app.screen is ask:
                timer.stop()
                ask.answer(None)
                self._app.say(f"{run.name} has ended meanwhile: {summary(run).status}")

        timer = self._app.set_interval(_LOOK_EVERY, look)


def with_keys() -> list[type[DOMNode]]:
    """Return every kind of app, screen and widget of ours, for whoever looks for keys. Imports all that have some."""
    for module in WITH_KEYS:
        import_module(module)
    found: list[type[DOMNode]] = []
    waiting: list[type[DOMNode]] = [DOMNode]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("tuitune."):
            found.append(kind)
    return found


def _question(found: RunSummary) -> tuple[str, list[str], list[Choice[str]]]:
    ago = words.duration(max(0.0, time.time() - found.active))
    of = f" of {found.total_steps}" if found.total_steps else ""
    if found.status != "crashed":
        facts = [f"It is at step {found.step}{of}."]
        choices: list[Choice[str]] = [
            Choice("a", "Attach", "watch and steer it", "look"),
            Choice("esc", "Not now", "f4 finds it", None),
        ]
        return f"{found.name} trains on this machine. Attach to it?", facts, choices
    kept = found.checkpoint
    facts = [f"Its process ended without a word {ago} ago."]
    if kept is not None:
        again = found.step - int(kept.name.rpartition("-")[2])
        facts.append(f"{kept.name} is whole" + (f": {again} steps are done again." if again > 0 else "."))
    else:
        facts.append("It has no checkpoint: it would begin anew.")
    choices = [
        Choice("r", f"Resume from {kept.name}" if kept is not None else "Begin it again", "", "resume"),
        Choice("l", "Look first", "log, curve and recipe", "look"),
        _NOT_NOW,
    ]
    return f"{found.name} crashed at step {found.step}{of}. Resume?", facts, choices


def _aside(found: RunSummary) -> str:
    how = "trains on this machine" if found.status in LIVE else f"crashed at step {found.step:,}"
    return f"{found.name} {how}; f4 finds it"


def _offers(declined: set[str]) -> list[RunSummary]:
    found = []
    for run in index.all_runs()[:_LOOKED_AT]:
        try:
            each = summary(run)
        except (OSError, TuiTuneError):
            continue
        recent = time.time() - each.active < _OLD
        if each.status in LIVE or (each.status == "crashed" and recent and _mark(each) not in declined):
            found.append(each)
    return sorted(found, key=lambda each: each.status == "crashed")


def _mark(found: RunSummary) -> str:
    # The same run may crash again, further on: that is news.
    return f"{found.path}@{found.step}"


def _declined() -> set[str]:
    try:
        return set(orjson.loads((home() / "declined.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return set()


def _decline(found: RunSummary) -> None:
    if found.status == "crashed":
        kept = sorted(_declined() | {_mark(found)})[-200:]
        write_atomic(home() / "declined.json", orjson.dumps(kept))
