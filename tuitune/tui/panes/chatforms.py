"""What the chat asks for: how answers are drawn, and the system message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tuitune.chat.base import Turn
from tuitune.errors import UsageError
from tuitune.recipe import FIELDS
from tuitune.run.inbox import OPTIONS, check_option
from tuitune.text import clean_line
from tuitune.tui.box import Boxed, Lines, Says
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.prompt import Prompt

Sampling = dict[str, float | int | bool]
NAMES = ("temperature", "top_p", "top_k", "max_new_tokens", "repetition_penalty", "seed")
_SEED = "The same number and question give the same answer; without one each answer differs."


def explained(name: str) -> str:
    """Return what a sampling option does, and what it may be."""
    words = _SEED if name == "seed" else FIELDS[name].help
    if name == "temperature":
        words += " 0 takes the likeliest token always."
    return f"{words} {OPTIONS[name][1].capitalize()}."


def parsed(name: str, text: str) -> float | int | bool:
    """Return the value of an option that was typed. Raises UsageError."""
    kind = OPTIONS[name][0]
    try:
        value: float | int | bool = kind(text)
    except ValueError:
        raise UsageError(f"{name} cannot be {text!r:.40}", f"it must be {OPTIONS[name][1]}") from None
    check_option(name, value)
    return value


def _shown(value: float | int | bool) -> str:
    """Return a value as it may be typed: a whole number with all its digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"


class Label(Drawn):
    """The name of an option."""

    DEFAULT_CSS = "Label { width: 22; height: 1; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the name; that of the field with the keys stands out."""
        chosen = (
            self.parent is not None
            and isinstance(self.screen.focused, Input)
            and self.screen.focused.parent is self.parent
        )
        return [R("accent", "▌ " if chosen else "  ", "strong b" if chosen else "quiet", self._text)]


class Explains(Lines):
    """What the field with the keys does, or what is wrong with it."""

    DEFAULT_CSS = "Explains { margin-top: 1; }"
    text, fault = "", ""

    def rows(self, width: int, height: int) -> list[Row]:
        """Return it in a fixed number of rows, so that nothing moves."""
        lines = [R("error", line) for line in wrapped(self.fault, width)] if self.fault else []
        lines = lines or [R("quiet", line) for line in wrapped(self.text, width)]
        lines = (lines + [[]] * 3)[:3]
        keys = R(
            "accent",
            "enter",
            "quiet",
            " take them   ",
            "accent",
            "tab",
            "quiet",
            " next   ",
            "accent",
            "esc",
            "quiet",
            " cancel",
        )
        return [*lines, [], keys]


class SamplingAsk(Boxed[Sampling]):
    """A form for how answers are drawn; an empty field stays as the recipe has it."""

    DEFAULT_CSS = """
    SamplingAsk Horizontal { height: 1; }
    SamplingAsk Input, SamplingAsk Input:focus {
        border: none; height: 1; padding: 0 1; background: $lift; color: $strong; width: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", show=False, id="sampling.down"),
        Binding("up", "app.focus_previous", "Previous field", show=False, id="sampling.up"),
    ]

    def __init__(self, chosen: Sampling, recipe: Mapping[str, float | int | bool]) -> None:
        super().__init__()
        self._chosen, self._recipe = chosen, recipe

    def content(self) -> Iterable[Widget]:
        """Yield a field for each option."""
        yield Says("How answers are drawn", ["Empty: as the recipe has it."])
        for name in NAMES:
            value = self._chosen.get(name)
            given = self._recipe.get(name)
            hint = "each answer another" if name == "seed" else "" if given is None else _shown(given)
            with Horizontal():
                yield Label(name)
                yield Input("" if value is None else _shown(value), placeholder=hint, id=name)
        yield Explains()

    @on(Input.Changed)
    def _mend(self, event: Input.Changed) -> None:
        event.stop()
        self._say("")

    def on_descendant_focus(self) -> None:
        """Explain the field that has the keys now."""
        self._say("")
        for label in self.query(Label):
            label.redraw()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        found: Sampling = {}
        for field in self.query(Input):
            text = clean_line(field.value)
            if not text:
                continue
            try:
                found[str(field.id)] = parsed(str(field.id), text)
            except UsageError as error:
                field.focus()
                self.call_after_refresh(self._say, f"{clean_line(error.message)}: {error.hint}")
                return
        self.dismiss(found)

    def _say(self, fault: str) -> None:
        below = self.query_one(Explains)
        focused = self.focused
        below.text = explained(str(focused.id)) if isinstance(focused, Input) else ""
        below.fault = fault
        below.redraw()


class LongAsk(Boxed[str]):
    """A question that is answered with a text of several lines."""

    DEFAULT_CSS = "LongAsk Prompt { max-height: 10; padding: 0 1; }"

    def __init__(self, question: str, fact: str, text: str, placeholder: str = "") -> None:
        super().__init__()
        self._question, self._fact, self._text, self._placeholder = question, fact, text, placeholder

    def content(self) -> Iterable[Widget]:
        """Yield question and field."""
        yield Says(self._question, [self._fact])
        yield Prompt(self._placeholder, most=10)
        yield SystemKeys()

    def on_mount(self) -> None:
        """Show the present text."""
        self.query_one(Prompt).fill(self._text)

    @on(Prompt.Sent)
    def _take(self, event: Prompt.Sent) -> None:
        event.stop()
        self.dismiss(event.text.strip())


class SystemAsk(LongAsk):
    """A text of several lines that tells the model how to behave; the answer is empty for the partner's own."""

    def __init__(self, text: str | None) -> None:
        super().__init__(
            "The system message", "It tells the model how to behave. Empty: the one it was trained with.", text or "",
            "such as: You are Zephyrine. Answer in one sentence.",
        )  # fmt: skip


class EditAsk(LongAsk):
    """The text of a turn, to be changed."""

    def __init__(self, turn: Turn) -> None:
        what = "An answer is changed where it stands; what follows stays."
        asked = "What follows it goes, and it is answered again. u brings that back."
        named = {"user": "question", "observation": "tools' answer"}.get(turn.role, "answer")
        super().__init__(f"Edit the {named}", what if turn.is_answer else asked, turn.content)


class SystemKeys(Lines):
    """The keys of the text."""

    DEFAULT_CSS = "SystemKeys { margin-top: 1; }"

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the keys."""
        return [
            R(
                "accent",
                "enter",
                "quiet",
                " take it   ",
                "accent",
                "\\ enter",
                "quiet",
                " new line   ",
                "accent",
                "esc",
                "quiet",
                " cancel",
            )
        ]
