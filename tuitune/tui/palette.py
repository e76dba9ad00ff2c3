"""The command palette: everything the app can do, by name. Names are plain text, so nothing in them can act."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import Matcher

from tuitune.text import clean_line
from tuitune.tui.actions import gather, perform

Do = Callable[[], Awaitable[None] | None]


_FIRST = ("run", "recipe", "screen", "app", "pane")  # what one looks for most


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the palette."""

    name: str
    note: str
    do: Do


class Actions(Provider):
    """Every action of the screen below, and what the app adds in `extra_commands`."""

    async def startup(self) -> None:
        """Look once: while the palette is open, nothing below it changes hands."""
        self._entries = sorted(self._found(), key=_place)

    def _found(self) -> Iterator[Entry]:
        for action in gather(self.screen):
            keys = " ".join(action.keys)
            about = f"not now: {action.reason}" if action.reason else action.note
            yield Entry(clean_line(action.name), _joined(keys, about), partial(perform, action))
        extra = getattr(self.app, "extra_commands", None)
        for name, note, do, *_ in extra() if callable(extra) else ():
            yield Entry(clean_line(name), clean_line(note), do)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """Yield what fits what is typed."""
        matcher = self.matcher(query)
        for entry in self._entries:
            score = max(matcher.match(entry.name), 0.5 * matcher.match(entry.note))
            if score > 0:
                yield Hit(score, _marked(matcher, entry.name), entry.do, entry.name, _help(entry))

    async def discover(self) -> Hits:
        """Yield everything, in the order of the names."""
        for entry in self._entries:
            yield DiscoveryHit(Content(entry.name), entry.do, entry.name, _help(entry))


def _place(entry: Entry) -> tuple[int, str]:
    group = entry.name.partition(":")[0]
    return _FIRST.index(group) if group in _FIRST else len(_FIRST), entry.name.lower()


def _marked(matcher: Matcher, name: str) -> Content:
    # Not `matcher.highlight`, which reads the name as markup.
    content = Content(name)
    _score, offsets = matcher.fuzzy_search.match(matcher.query, name)
    for offset in offsets:
        if not name[offset].isspace():
            content = content.stylize(matcher.match_style, offset, offset + 1)
    return content


def _help(entry: Entry) -> str | None:
    # Said to be a text, but a text would be read as markup; Content is taken as it is.
    return Content(entry.note) if entry.note else None  # type: ignore[return-value]


def _joined(*parts: str) -> str:
    return "  ".join(clean_line(part) for part in parts if part)
