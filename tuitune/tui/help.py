"""Help for where the keys are: what the pane is, its keys, then the keys that hold everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Markdown

from tuitune.text import clean, clean_line
from tuitune.tui.actions import Action, actions_of, gather
from tuitune.tui.box import Boxed, Lines, Says, room
from tuitune.tui.kit.rows import R, Row, cells
from tuitune.tui.kit.wrapping import wrapped


class KeyTable(Lines):
    """Keys and what they do, in groups."""

    DEFAULT_CSS = "KeyTable { margin-top: 1; }"

    def __init__(self, groups: Sequence[tuple[str, Sequence[Action]]]) -> None:
        super().__init__()
        self._groups = [(title, actions) for title, actions in groups if actions]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return all the rows: what holds them scrolls."""
        return len(self.rows(width, 0))

    def rows(self, width: int, height: int) -> list[Row]:
        """Return one line for each key, longer ones broken."""
        keys = {action.id: "  ".join(action.keys) for _, actions in self._groups for action in actions}
        margin = min(20, max((cells(text) for text in keys.values()), default=0)) + 2
        out: list[Row] = []
        for title, actions in self._groups:
            out += [*([[]] if out else []), R("quiet b", title)]
            for action in actions:
                out += _key_rows(keys[action.id], action, margin, width)
        return out


def _key_rows(keys: str, action: Action, margin: int, width: int) -> list[Row]:
    note = f"not now: {action.reason}" if action.reason else action.note
    said = clean_line(action.title) + (f": {clean_line(note)}" if note else "")
    lines = wrapped(said, width - margin)
    first = R("accent", f"{keys:<{margin}}" if cells(keys) < margin else keys + "  ", "ink", lines[0])
    return [first, *(R("ink", " " * margin + line) for line in lines[1:])]


class HelpScreen(Boxed[None]):
    """The help for one place."""

    DEFAULT_CSS = """
    HelpScreen VerticalScroll { height: auto; background: $surface; scrollbar-size-vertical: 1; }
    HelpScreen Markdown { margin: 0; padding: 0; background: $surface; height: auto; }
    HelpScreen MarkdownBlock:dark, HelpScreen MarkdownBlock { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,f1,question_mark", "cancel", "Close the help", id="help.close"),
    ]

    def __init__(self, title: str, text: str, groups: Sequence[tuple[str, Sequence[Action]]]) -> None:
        super().__init__()
        self._title, self._text, self._groups = title, text, groups

    @classmethod
    def for_focus(cls, app: App[Any]) -> HelpScreen:
        """Return the help for the pane that has the keys, or for the screen where none has."""
        screen = app.screen
        chain = screen.focused.ancestors_with_self if screen.focused is not None else [screen, app]
        place = next((node for node in chain if getattr(node, "HELP", None)), None)
        title = str(getattr(place, "label", "") or app.title or "Keys")
        here = [action for node in chain if node not in (screen, app) for action in actions_of(node)]
        everywhere = [action for action in gather(screen) if action.node in (screen, app)]
        groups = [(f"Keys in {title}", _once(here)), ("Keys everywhere", _once(everywhere))]
        # The title stands above already.
        text = re.sub(r"^\s*# .*\n", "", str(getattr(place, "HELP", None) or ""))
        return cls(title, text, groups)

    def content(self) -> Iterable[Widget]:
        """Yield title, text and keys."""
        yield Says(self._title)
        with VerticalScroll():
            if self._text:
                yield Markdown(clean(self._text), open_links=False)
            yield KeyTable(self._groups)

    def on_mount(self) -> None:
        """Give the keys to what scrolls."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """Leave room for the title; only what stands below it scrolls."""
        self.query_one(VerticalScroll).styles.max_height = max(1, room(self.size) - 2)


def _once(actions: Sequence[Action]) -> list[Action]:
    return list({action.id: action for action in reversed(actions)}.values())[::-1]
