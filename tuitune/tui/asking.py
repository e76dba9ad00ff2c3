"""Questions: a choice, and one line of text. The safe choice stands first, and every choice says what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.events import Click, Key
from textual.widget import Widget
from textual.widgets import Input

from tuitune.text import clean, clean_line
from tuitune.tui.box import Boxed, Lines, Says, asked, choice_row
from tuitune.tui.found import PickItem
from tuitune.tui.kit.rows import R, Row, cells
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.notice import Notice
from tuitune.tui.picker import Picker

__all__ = ["Ask", "Choice", "Notice", "PickItem", "Picker", "TextAsk"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One answer: its key, its words, what follows from it, its value; with a reason it cannot be chosen."""

    key: str
    text: str
    note: str
    value: T | None
    disabled_reason: str = ""


class Choices(Lines, can_focus=True):
    """The question with its answers, one a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,shift+tab", "move(-1)", "Previous answer", id="dialog.up"),
        Binding("down,tab", "move(1)", "Next answer", id="dialog.down"),
        Binding("enter,space", "choose", "Answer", id="dialog.choose"),
    ]

    def __init__(self, question: str, facts: Sequence[str], choices: Sequence[Choice[T]]) -> None:
        super().__init__()
        self._question, self._facts, self._choices = question, facts, choices
        self.at = next((n for n, choice in enumerate(choices) if not choice.disabled_reason), 0)

    def rows(self, width: int, height: int) -> list[Row]:
        """Return question, facts and choices; when there is too little room, the facts give way."""
        margin = max(3, *(cells(choice.key) for choice in self._choices))
        answers = [self._answer(n, width, margin) for n in range(len(self._choices))]
        told = asked(self._question, self._facts, width)
        room = max(1, height - len(answers))
        if len(told) > room:
            told = [*told[: room - 1], R("quiet", "…")]
        return [*told, *answers]

    def _answer(self, n: int, width: int, margin: int) -> Row:
        choice, chosen = self._choices[n], n == self.at
        ground, off = " on sel" if chosen else "", bool(choice.disabled_reason)
        ink = "faint" if off else "strong b" if chosen else "ink"
        key = choice.key + " " * (margin - cells(choice.key) + 1)
        left = R(f"accent{ground}", "▌" if chosen else " ", f"{'faint' if off else 'accent b'}{ground}", f" {key}")
        left += R(f"{ink}{ground}", clean_line(choice.text))
        return choice_row(left, clean_line(choice.disabled_reason or choice.note), width, chosen)

    def action_move(self, by: int) -> None:
        """Go to the next or previous answer."""
        self.at = (self.at + by) % len(self._choices)
        self.redraw()

    def action_choose(self) -> None:
        """Give the answer under the cursor."""
        self._give(self.at)

    def on_key(self, event: Key) -> None:
        """Give the answer whose key it is."""
        name = {"escape": "esc"}.get(event.key, event.character or event.key)
        for n, choice in enumerate(self._choices):
            if name in (choice.key, choice.key.lower()):
                event.stop()
                event.prevent_default()
                self._give(n)
                return

    def on_click(self, event: Click) -> None:
        """Give the answer under the mouse."""
        n = event.y - (len(self._shown) - len(self._choices))
        if 0 <= n < len(self._choices):
            self._give(n)

    def _give(self, n: int) -> None:
        choice = self._choices[n]
        self.at = n
        self.redraw()
        if choice.disabled_reason:
            self.notify(clean(choice.disabled_reason), severity="warning", markup=False)
        elif isinstance(self.screen, Ask):
            self.screen.answer(choice.value)


class Ask(Boxed[T]):
    """A question with facts and choices; the answer is the value of the choice, None after escape."""

    def __init__(self, question: str, facts: Sequence[str], choices: Sequence[Choice[T]]) -> None:
        super().__init__()
        self._question, self._facts, self._choices = question, facts, choices

    def content(self) -> Iterable[Widget]:
        """Yield question and choices."""
        yield Choices(self._question, self._facts, self._choices)


class Fault(Lines):
    """What is wrong with what was typed, or which keys there are."""

    fault = ""

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the fault, or the keys."""
        if self.fault:
            return [R("error", line) for line in wrapped(clean(self.fault), width)]
        return [R("accent", "enter", "quiet", " take it   ", "accent", "esc", "quiet", " cancel")]


class TextAsk(Boxed[str]):
    """A question that is answered with one line of text; None after escape."""

    DEFAULT_CSS = """
    TextAsk Input, TextAsk Input:focus {
        border: none; height: 1; padding: 0 1; background: $lift; color: $strong; margin-bottom: 1;
    }
    TextAsk Input > .input--selection { text-style: reverse; }
    """

    def __init__(
        self,
        question: str,
        value: str = "",
        placeholder: str = "",
        validate: Callable[[str], str | None] = lambda text: None,
        password: bool = False,
        facts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._question, self._facts, self._value = question, facts, _one_line(value)
        self._placeholder, self._problem, self._password = placeholder, validate, password

    def content(self) -> Iterable[Widget]:
        """Yield question, input and fault."""
        yield Says(self._question, self._facts)
        yield Input(self._value, placeholder=clean_line(self._placeholder), password=self._password)
        yield Fault()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Take the fault away while it is being mended; a pasted text is cleaned."""
        event.stop()
        if event.value != (plain := _one_line(event.value)):
            event.input.value = plain
        self._say("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer, unless something is wrong."""
        event.stop()
        problem = self._problem(event.value)
        if problem:
            self._say(problem)
        else:
            self.answer(event.value)

    def _say(self, fault: str) -> None:
        line = self.query_one(Fault)
        if line.fault != fault:
            line.fault = fault
            line.redraw()
            line.refresh(layout=True)


def _one_line(text: str) -> str:
    # Blanks stay as they are: a name may hold two in a row.
    return clean(text).replace("\n", " ").replace("\t", " ")
