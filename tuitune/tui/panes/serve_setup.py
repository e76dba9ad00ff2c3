"""The Serve pane: which models under which names, where it listens, what it allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tuitune.serve.guarding import is_loopback
from tuitune.text import clean_line
from tuitune.tui.asking import TextAsk
from tuitune.tui.kit.rows import R, Row, cells, cut, split
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.panes.serve_lines import Line, lines_of
from tuitune.tui.serving import USUAL, Asked, Named, keep, kept
from tuitune.tui.subjects import ask_subject, named

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_NAMES = 11  # cells
_MOST_PORT = 65535


class ServeSetup(ListPane[Line]):
    """What is asked for, line by line."""

    label = "Serve"
    digit = "1"
    HELP = """
# Serve

Models behind an OpenAI-style interface, for programs on this machine: runs, adapters and models, several at once; those
of one base share its weights. Every request needs the token that is made at the start.

- **s** starts; the server goes on when you leave the screen, the app or the terminal
- **w** chooses the first model, **a** adds another
- **enter** changes a line: for a model, what clients call it
- **delete** takes a model out, or puts a line back to its default
- **y** copies the command that does the same

What you chose is kept for the next time. To reach it from another machine, `ssh -L 8000:127.0.0.1:8000` is safer than
another address: nothing is encrypted here.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(each for each in list_keys("serving") if isinstance(each, Binding) and each.id != "serving.copy"),
        Binding("delete,backspace", "remove", "Take out", show=False, id="serving.remove",
                tooltip="take the model out, or put the line back"),
        Binding("y", "copy", "Copy", show=False, id="serving.copy", tooltip="copy the command that does the same"),
    ]  # fmt: skip
    if TYPE_CHECKING:
        app: TuiTune

    class Changed(Message):
        """Something else is asked for."""

    def __init__(
        self,
        settings: Callable[[], list[str]],
        wanted: str | None = None,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.asked = kept(wanted)
        self._settings = settings
        self._chosen_here = bool(self.asked.models)  # models are kept that the user chose, not those proposed

    def on_mount(self) -> None:
        """Show the lines."""
        self.take(self.lines())

    def ask(self, asked: Asked) -> None:
        """Ask for something else, and keep it for the next time."""
        self._chosen_here = self._chosen_here or asked.models != self.asked.models
        self.asked = asked
        self._keep()
        at = self._at
        self.take(self.lines())
        self._at = min(at, len(self._items) - 1)
        self.redraw()
        self.call_later(self.post_message, self.Changed())

    def propose(self, models: tuple[Named, ...]) -> None:
        """Show other models, which the user has not chosen."""
        self._chosen_here = False
        self.asked = replace(self.asked, models=models)
        self.take(self.lines())

    def begun(self) -> None:
        """Take note that what is asked for was started: then it is the user's choice."""
        self._chosen_here = True
        self._keep()

    def _keep(self) -> None:
        keep(self.asked if self._chosen_here else replace(self.asked, models=()))

    # -- what there is -----------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """Return the lines there are now."""
        return lines_of(self.asked)

    def nothing(self) -> str:
        """Return what is said while there is nothing."""
        return "looking"

    def text_of(self, item: Line) -> str:
        """Return the command: a line alone does nothing."""
        return self.asked.command(self._settings())

    def lines_of(self, item: Line, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return the row of a line."""
        role = "strong b" if chosen else "quiet" if item.kind == "add" else "ink"
        left = R("accent", "▌ " if chosen else "  ", "quiet", f"{item.name:<{_NAMES}}")
        room = width - 2 - _NAMES - 1
        note = item.note if cells(item.words) + cells(item.note) + 2 <= room or item.kind == "model" else ""
        tone = "warn" if item.kind == "host" and not is_loopback(self.asked.host or USUAL.host) else role
        said = cut(clean_line(item.words), max(4, room - cells(note) - 1))
        return [split([*left, *R(tone, said)], R("quiet", f" {note} " if note else ""), width, " ", "ink")]

    def go_to(self, kind: str) -> None:
        """Put the cursor on the first line of a kind."""
        self._choose(next(place for place, line in enumerate(self.lines()) if line.kind == kind))

    # -- what keys do ------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Change the line under the cursor."""
        line = self._chosen()
        match line.kind if line is not None else "":
            case "model":
                assert line is not None
                self._ask_name(line.place)
            case "add":
                self.choose_more()
            case "host":
                self._ask_host()
            case "":
                return
            case kind:
                self._ask_number(kind)

    def choose_first(self) -> None:
        """Let the user choose the first model."""
        now = self.asked.models[0].word if self.asked.models else None
        ask_subject(self.app, self.set_subject, title="Serve what?", chosen=now)

    def set_subject(self, subject: str | None) -> None:
        """Serve another first model."""
        if subject is not None:
            self.ask(replace(self.asked, models=(Named(subject), *self.asked.models[1:])))

    def choose_more(self) -> None:
        """Let the user choose one more model."""
        ask_subject(self.app, self._add, title="Serve what too?" if self.asked.models else "Serve what?")

    def _add(self, word: str) -> None:
        if any(each.word == word for each in self.asked.models):
            self.app.say(f"{named(word)} is served already")
            return
        self.ask(replace(self.asked, models=(*self.asked.models, Named(word))))

    def _ask_name(self, place: int) -> None:
        from tuitune.face.serving import is_name

        model = self.asked.models[place]
        facts = [f"{named(model.word)}", "Nothing: its own name."]
        ask = TextAsk("What do clients call it?", model.name, "such as assistant", facts=facts,
                      validate=lambda text: None if not text.strip() or is_name(text.strip()) else
                      "letters, digits and . _ - / : @ +")  # fmt: skip

        def answered(text: str | None) -> None:
            if text is not None:
                models = list(self.asked.models)
                models[place] = Named(model.word, text.strip())
                self.ask(replace(self.asked, models=tuple(models)))

        self.app.push_screen(ask, answered)

    def _ask_host(self) -> None:
        facts = ["127.0.0.1 is this machine alone. Others, such as 0.0.0.0, let the network in:",
                 "the token is still needed, but nothing is encrypted."]  # fmt: skip
        ask = TextAsk("Listen on which address?", self.asked.host, USUAL.host, facts=facts)
        self.app.push_screen(
            ask, lambda text: None if text is None else self.ask(replace(self.asked, host=text.strip()))
        )

    def _ask_number(self, kind: str) -> None:
        now = getattr(self.asked, kind)
        line = next(each for each in self.lines() if each.kind == kind)
        least, most = (0, _MOST_PORT) if kind == "port" else (1, 10**9)

        def wrong(text: str) -> str | None:
            text = text.strip()
            inside = text.isdigit() and least <= int(text) <= most
            return None if not text or inside else f"a whole number from {least} to {most:,}"

        def answered(text: str | None) -> None:
            if text is not None:
                changes: dict[str, Any] = {kind: int(text) if text.strip() else None}
                self.ask(replace(self.asked, **changes))

        facts = ["0 takes one that is free."] if kind == "port" else ["Nothing: the default."]
        ask = TextAsk(f"{line.name}?", "" if now is None else f"{now:g}", "the default", validate=wrong, facts=facts)
        self.app.push_screen(ask, answered)

    def action_remove(self) -> None:
        """Take a model out, or put the line back to its default."""
        line = self._chosen()
        if line is None or line.kind == "add":
            return
        if line.kind == "model":
            models = tuple(each for place, each in enumerate(self.asked.models) if place != line.place)
            self.ask(replace(self.asked, models=models))
        else:
            changes: dict[str, Any] = {line.kind: "" if line.kind == "host" else None}
            self.ask(replace(self.asked, **changes))

    def action_copy(self) -> None:
        """Copy the command."""
        self.app.in_thread("serve-command", lambda: self.asked.command(self._settings()), self.app.copy)
