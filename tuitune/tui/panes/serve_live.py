"""The Server and Use panes: what a running server is doing, and how it is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType

from tuitune.serve.live import Seen
from tuitune.text import clean_line
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cut, split
from tuitune.tui.kit.units import amount, lasting
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.panes.wrapping import wrapped
from tuitune.tui.serving import Snippet, snippets

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_HIDDEN = "•" * 12
_ROLES = {"waits": "quiet", "done": "ok", "left": "warn", "cut": "warn", "failed": "warn"}  # of states; at work: accent
_NOTHING = "no server runs: s starts one"


class ServerPane(DrawnPane):
    """A server: its address, its token, its requests."""

    label = "Server"
    digit = "3"
    HELP = """
# The server

Its address, what it serves and what it is doing: each request with its model, its client, what it has read and
written. The figures below count everything since the start.

- **t** shows the token, or hides it; **c** copies it
- **n** shows the next server, where several run
- **x** stops it: answers on their way are finished first

A client is called by the `user` that it names, else by its connection.
"""
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.server: Seen | None = None
        self.count, self.shown = 0, False

    def know(self, server: Seen | None, count: int) -> None:
        """Show a server, one of so many."""
        if (server.pid if server else None) != (self.server.pid if self.server else None):
            self.shown = False
        self.server, self.count = server, count
        self.redraw()

    @property
    def meta(self) -> Row:
        """How many servers there are."""
        return R("ink", f"{self.count} servers", "accent", "   n", "quiet", " next") if self.count > 1 else []

    def body(self, width: int, height: int) -> list[Row]:
        """Return address, models, requests and totals."""
        if self.server is None:
            return wrapped([(_NOTHING, "quiet")], width)
        head = list(self._head(self.server, width))
        foot = list(_totals(self.server.work, width))
        room = height - len(head) - len(foot) - 2
        return [*head, [], *self._requests(self.server.work, width, max(0, room)), [], *foot][:height]

    def _head(self, server: Seen, width: int) -> Iterator[Row]:
        up = lasting(max(0.0, time.time() - server.started))
        yield split(R("strong b", f"{clean_line(server.url)}/v1"), R("quiet", f" up {up}"), width, " ", "ink")
        if server.source:
            token = R("ink", f"the one in {clean_line(server.source)}")
        elif server.token is None:
            token = R("warn", "its file is gone")
        else:
            token = R("ink", server.token if self.shown else _HIDDEN)
        keys = R("accent", " t", "quiet", " hides" if self.shown else " shows", "accent", "  c", "quiet", " copies")
        yield split([*R("quiet", "token  "), *token], [] if server.source else keys, width, " ", "ink")
        names = ", ".join(clean_line(str(each.get("name"))) for each in server.models)
        yield R("quiet", "serves ", "ink", cut(names, max(4, width - 7)))

    def _requests(self, work: Mapping[str, Any], width: int, room: int) -> list[Row]:
        """Return the requests at work, then the last ones that ended."""
        found = [*_listed(work.get("requests")), *_listed(work.get("last"))]
        if not found:
            return [R("quiet", "nobody has asked anything yet")][:room]
        wide = width >= 70
        rows = [_header(wide, width), *(_request(each, wide, width) for each in found)]
        return rows[:room]


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _header(wide: bool, width: int) -> Row:
    more = f"{'client':<22}" if wide else ""
    return split(R("faint", f"{'':<8}{more}model"), R("faint", "tokens      time   tok/s"), width, " ", "ink")


def _request(told: Mapping[str, Any], wide: bool, width: int) -> Row:
    state = clean_line(str(told.get("state")))[:7]
    client = R("quiet", f"{cut(clean_line(str(told.get('client', ''))), 20):<22}") if wide else []
    prompt, tokens = _number(told, "prompt_tokens"), _number(told, "tokens")
    rate, seconds = _number(told, "tokens_per_second"), _number(told, "seconds")
    figures = f" {amount(prompt)}+{amount(tokens)} {lasting(seconds):>9} {f'{rate:.1f}' if rate else '':>7}"
    left = [*R(_ROLES.get(state, "accent"), f"{state:<8}"), *client, *R("ink", clean_line(str(told.get("model", ""))))]
    return split(left, R("ink", figures), width, " ", "ink")


def _totals(work: Mapping[str, Any], width: int) -> Iterator[Row]:
    totals = work.get("totals")
    told: Mapping[str, Any] = totals if isinstance(totals, dict) else {}
    now = f"{_number(work, 'answers'):.0f} written now, {_number(work, 'waiting'):.0f} wait"
    requests = _number(told, "requests")
    asked = R("strong b", amount(requests), "quiet", f" {'request' if requests == 1 else 'requests'}  ")
    for key in ("answered", "left", "failed", "refused"):
        count = _number(told, key)
        role = "warn" if count and key in ("failed", "refused") else "ink"
        asked += R(role, amount(count), "quiet", f" {key}  ")
    yield split(asked, R("quiet", now), width, " ", "ink") if width >= 76 else asked
    if width < 76:
        yield R("quiet", now)
    read, written = _number(told, "prompt_tokens"), _number(told, "tokens")
    yield R("strong b", amount(read), "quiet", " tokens read  ", "strong b", amount(written), "quiet", " written")


def _number(told: Mapping[str, Any], key: str) -> float:
    value = told.get(key)
    return float(value) if isinstance(value, int | float) and value == value else 0.0


class UsePane(ListPane[Snippet]):
    """Ready-made ways to ask the server."""

    label = "Use it"
    digit = "4"
    HELP = """
# Use it

Pieces to paste into a shell or a program. The token stands only in the first; the others take it from there, so that it
gets into no history and no file. It is shown where **t** shows it, and copied in any case.

- **y** or **enter** copies the piece under the cursor, whole and with the token
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *list_keys("using"),
        Binding("c", "screen.token", "Copy the token", show=False, id="using.token", tooltip="copy the token"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._server: Seen | None = None
        self._bare = False

    def know(self, server: Seen | None, *, shown: bool) -> None:
        """Show how a server is asked; shown: with its token."""
        before = (self._server.pid, self._server.token) if self._server else None
        self._bare = shown
        if before != ((server.pid, server.token) if server else None):
            self._server = server
            self.restart(snippets(server) if server is not None else [])
            self._choose(0)
        else:
            self.redraw()

    @property
    def meta(self) -> Row:
        """How a piece is copied."""
        return R("accent", "y", "quiet", " copies") if self._items and self.has_focus else []

    def nothing(self) -> str:
        """Return what is said where no server runs."""
        return _NOTHING

    def text_of(self, item: Snippet) -> str:
        """Return the piece, with the token."""
        return item.text

    def action_open(self) -> None:
        """Copy: every piece shows whole."""
        self.action_copy()

    def _choose(self, index: int) -> None:
        super()._choose(index)
        self._opened = self._chosen()  # so that one longer than the pane can be scrolled

    def lines_of(self, item: Snippet, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return title and text; what goes on in another row stands further right."""
        text = item.text
        if item.secret and not self._bare and self._server is not None and self._server.token:
            text = text.replace(self._server.token, _HIDDEN)
        head = R("accent" if chosen else "faint", "▌ " if chosen else "  ", "strong" if chosen else "quiet", item.title)
        body: list[Row] = []
        for line in text.splitlines():
            first, *more = wrapped([(line, "ink")], width - 4)
            body += [[("  ", "ink"), *first], *([("    ", "ink"), *row] for row in more)]
        return [head, *body, []]
