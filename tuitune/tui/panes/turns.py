"""The turns of a conversation on the screen: names in the margin, text in one straight edge, a bar beside answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from tuitune.chat.base import Turn
from tuitune.chat.thinking import split
from tuitune.text import clean
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cells, cut, fit, grounded
from tuitune.tui.panes.markdown import Growing, rows_of
from tuitune.tui.panes.wrapping import wrapped

MARGIN = 11
_MEASURE = 76  # cells of a line that can be read
_AIRY = 16  # rows from which turns stay apart even where not all of them fit
MARK = "◆"
_ENDED = {"length": "cut off at max_new_tokens", "stopped": "stopped", "lost": "cut off", "edited": "edited"}
_BARS = {"you": "quiet", "base": "quiet", "live": "raw", "tuned": "eval"}


@dataclass(frozen=True, slots=True)
class Block:
    """Something said: by `who`, as cleaned text; `remark` says how an answer ended, `kind` what it is.

    thoughts: cleaned; shown when `opened`. calls: of tools. chosen: the turn that keys act on. beside: another
    answer to the same; a mark stands where the two begin to differ.
    """

    who: str
    text: str
    kind: str = "answer"
    remark: str = ""
    thoughts: str = ""
    opened: bool = False
    calls: tuple[str, ...] = ()
    chosen: bool = False
    beside: str | None = None


def bar_of(who: str) -> str:
    """Return the colour of the bar beside what somebody answers."""
    return _BARS.get(who.partition(" ")[0], "weights")


@lru_cache(maxsize=256)
def drawn(block: Block, width: int, edge: int = MARGIN) -> tuple[Row, ...]:
    """Return a block as rows of at most `width` cells, the names in `edge` of them; kept: turns do not change."""
    measure = _measure(width, edge)
    if block.kind in ("note", "error"):
        role = "error" if block.kind == "error" else "quiet"
        rows = [row for line in block.text.split("\n") for row in wrapped([(line, role)], measure - 3)]
        return tuple(_said(edge, "", row, " ", role, measure, lead="▲ " if block.kind == "error" and i == 0 else "  ")
                     for i, row in enumerate(rows))  # fmt: skip
    if block.kind in ("you", "tool"):
        rows = wrapped([(block.text.expandtabs(4), "ink")], measure - 3)
        bar = "▌" if block.chosen else " "
        return tuple(_said(edge, block.who if i == 0 else "", row, bar, "accent" if block.chosen else "quiet", measure,
                           chosen=block.chosen) for i, row in enumerate(rows))  # fmt: skip
    rows = [*thought_rows(block.thoughts, measure - 3, opened=block.opened), *_answer_rows(block, measure - 3)] or [[]]
    if block.remark:
        rows.append(R("quiet", f"({block.remark})"))
    bar = "accent" if block.chosen else bar_of(block.who)
    return tuple(_said(edge, block.who if i == 0 else "", row, "▌", bar, measure, chosen=block.chosen)
                 for i, row in enumerate(rows))  # fmt: skip


def _answer_rows(block: Block, width: int) -> list[Row]:
    rows = rows_of(block.text, width - (block.beside is not None)) if block.text else []
    if block.beside is not None:
        rows = marked(rows, common_letters(rows, rows_of(block.beside, width - 1)))
    return rows + [row for call in block.calls for row in wrapped(R("accent", "→ ", "ink", call), width)]


def thought_rows(thoughts: str, width: int, *, opened: bool, thinking: bool = False) -> list[Row]:
    """Return thoughts, or one row in their place."""
    if not thoughts and not thinking:
        return []
    count = len(thoughts.split())
    words = f"{'thinking' if thinking else 'thought'}, {count:,} {'word' if count == 1 else 'words'}"
    head = R("accent", "▾ " if opened else "▸ ", "quiet", words)
    if not opened or not thoughts:
        return [head]
    return [head, *(row for line in thoughts.split("\n") for row in wrapped([(line, "quiet")], width) or [[]]), []]


def common_letters(rows: list[Row], others: list[Row]) -> int:
    """Return how many letters the words have with which both begin; what is no blank is a letter."""
    mine, theirs = (" ".join("".join(text for text, _ in row) for row in each).split() for each in (rows, others))
    return sum(len(one) for one in mine[: _common(mine, theirs)])


def _common(mine: list[str], theirs: list[str]) -> int:
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(mine), len(theirs)))


def marked(rows: list[Row], after: int) -> list[Row]:
    """Return rows with a mark behind the first `after` characters that are no blanks, before the next of them."""
    left, done = after, False
    found: list[Row] = []
    for row in rows:
        new: Row = []
        for text, role in row:
            place = 0 if done else _behind(text, left)
            if done or place is None:
                left -= 0 if done else sum(not letter.isspace() for letter in text)
                new.append((text, role))
                continue
            done = True
            new += [(text[:place], role), (MARK, "accent b"), (text[place:], role)]
        found.append(new)
    return found


def _behind(text: str, count: int) -> int | None:
    """Return where the letter behind `count` letters stands, None where there are not so many."""
    for place, letter in enumerate(text):
        if letter.isspace():
            continue
        if count == 0:
            return place
        count -= 1
    return None


def growing(
    who: str, text: Growing, width: int, thoughts: str = "", *, opened: bool = False, edge: int = MARGIN
) -> list[Row]:
    """Return the answer that is being written."""
    measure = _measure(width, edge)
    before = thought_rows(thoughts, measure - 3, opened=opened, thinking=not text.text)
    rows = [*(before if thoughts else []), *text.rows(measure - 3)] or [[]]
    out: list[Row] = []
    for i, row in enumerate(rows):
        cursor = R("accent", "▍") if i == len(rows) - 1 else []
        said = fit([*R("strong", " "), *row, *cursor], measure, "ink on lift")
        name = cut(who, edge - 1) if i == 0 else ""
        margin = name + " " * (edge - cells(name))
        out.append([(margin, "accent b"), ("▌", "accent on lift"), *grounded(said, "lift")])
    return out


def _measure(width: int, edge: int) -> int:
    return max(12, min(width - edge - 1, _MEASURE))


def _said(
    edge: int, who: str, row: Row, bar: str, role: str, measure: int, lead: str = " ", *, chosen: bool = False
) -> Row:
    name = cut(who, edge - 1)
    margin = name + " " * (edge - cells(name))
    return [(margin, "accent b" if chosen else "quiet"), (bar, role), *fit([(lead, role), *row], measure)]


class Transcript(Drawn, can_focus=True):
    """The turns, the newest at the foot; scrolled by rows, and it follows what is written unless it was scrolled up."""

    DEFAULT_CSS = "Transcript { height: 1fr; }"
    BINDINGS = [  # noqa: RUF012
        Binding("up,k", "scroll(1)", "Earlier", show=False, id="chat.up", tooltip="one row up"),
        Binding("down,j", "scroll(-1)", "Later", show=False, id="chat.down", tooltip="one row down"),
        Binding("pageup", "scroll(10)", "Far earlier", show=False, id="chat.page_up", tooltip="ten rows up"),
        Binding("pagedown", "scroll(-10)", "Far later", show=False, id="chat.page_down", tooltip="ten rows down"),
        Binding("home", "scroll(1000000)", "First", show=False, id="chat.first", tooltip="to the beginning"),
        Binding("end,G", "scroll(-1000000)", "Last", show=False, id="chat.last", tooltip="to the end, and follow it"),
    ]

    class Typed(Message):
        """Something was pasted here: it belongs into the prompt."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, edge: int = MARGIN) -> None:
        super().__init__()
        self._edge = edge
        self.blocks: list[Block] = []
        self.writing: tuple[str, Growing] | None = None
        self.thoughts, self.opened = "", False  # of the answer that is being written
        self.status: Row = []
        self.empty: list[Row] = []
        self._up = 0
        self._count = 0
        self._wanted = False
        self._chosen_rows = (0, 0)

    @property
    def following(self) -> bool:
        """Whether the newest row is shown."""
        return self._up == 0

    def follow(self) -> None:
        """Go to the newest row and stay there."""
        self._up = 0
        self.redraw()

    def action_scroll(self, rows: int) -> None:
        """Move by so many rows, up when positive."""
        self._up = max(0, min(self._up + rows, self._count - self.content_size.height))
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll(3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll(-3)

    def on_paste(self, event: events.Paste) -> None:
        """Pass on what was pasted."""
        event.stop()
        self.post_message(self.Typed(event.text))

    def reveal(self) -> None:
        """Scroll so that the chosen block shows, when there is one."""
        self._wanted = True
        self.redraw()

    def _look_for_chosen(self, total: int, height: int) -> None:
        first, last = self._chosen_rows
        top = total - self._up - height
        if first < top:
            self._up = total - height - first
        elif last > top + height:
            self._up = total - min(last, first + height)
        self._up = max(0, min(self._up, total - height))

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the part that is shown."""
        rows = self._all(width, height)
        if self._wanted and len(rows) > height:
            self._look_for_chosen(len(rows), height)
            self._count = len(rows)
        self._wanted = False
        if self._up:
            # What is read stays where it is while more comes below.
            self._up = max(0, min(self._up + len(rows) - self._count, len(rows) - height))
        self._count = len(rows)
        if len(rows) <= height:
            self._up = 0
            return rows
        shown = rows[len(rows) - self._up - height : len(rows) - self._up]
        if self._up:
            shown[-1] = R(
                "quiet",
                " " * (self._edge + 2),
                "quiet",
                f"{self._up + 1} more ↓  ",
                "accent",
                "end",
                "quiet",
                " follows",
            )
        return shown

    def _all(self, width: int, height: int) -> list[Row]:
        groups = [list(drawn(block, width, self._edge)) for block in self.blocks]
        if self.writing is not None:
            groups.append(growing(*self.writing, width, self.thoughts, opened=self.opened, edge=self._edge))
        if self.status:
            groups.append([[(" " * (self._edge + 2), "quiet"), *self.status]])
        if not groups:
            return self.empty
        total = sum(map(len, groups)) + len(groups) - 1
        airy = total <= height or height >= _AIRY
        rows: list[Row] = []
        for place, group in enumerate(groups):
            rows += [[]] if rows and airy else []
            if place < len(self.blocks) and self.blocks[place].chosen:
                self._chosen_rows = (len(rows), len(rows) + len(group))
            rows += group
        return rows

    # -- selecting with the mouse ---------------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text."""
        text = "\n".join("".join(part for part, _ in row).rstrip() for row in self._shown)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is selected."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a row, with what is selected of it."""
        strip = super().render_line(y)
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is not None:
            start, end = span
            start = min(cell_len(strip.text[:start]), strip.cell_length)
            end = strip.cell_length if end == -1 else cell_len(strip.text[:end])
            chosen = strip.crop(start, end).apply_style(self.screen.get_component_rich_style("screen--selection"))
            strip = Strip.join([strip.crop(0, start), chosen, strip.crop(end)])
        return strip.apply_offsets(0, y)


def block_of(turn: Turn, *, opened: bool = False, chosen: bool = False, counts: bool = False) -> Block:
    """Return a turn as a block; counts: with its tokens and their speed."""
    if turn.role == "user":
        return Block("you", clean(turn.content), "you", chosen=chosen)
    if turn.role == "observation":
        from tuitune.chat.tools import result_texts

        return Block("tool", clean("\n".join(result_texts(turn.content))), "tool", chosen=chosen)
    thoughts, said = split(turn.content)
    calls: tuple[str, ...] = ()
    if turn.role == "function":
        from tuitune.chat.tools import parts, shown

        said, found = parts(said)
        calls = tuple(map(shown, found))
    return Block(
        clean(turn.by).strip() or "answer", clean(said), "answer", remark_of(turn, counts=counts), clean(thoughts),
        opened, calls, chosen
    )  # fmt: skip


def remark_of(turn: Turn, *, counts: bool) -> str:
    """Return how an answer ended, what it is worth, and with `counts` how many tokens it took."""
    words = [_ENDED.get(turn.reason, "")]
    if counts and turn.tokens:
        words.append((f"{turn.prompt_tokens:,} → " if turn.prompt_tokens else "") + counted(turn.tokens, "tokens"))
        words.append(f"{turn.tokens / turn.seconds:.0f}/s" if turn.seconds > 0 else "")
    if turn.score is not None:
        words.append(f"score {turn.score:.4g}")
    return ", ".join(word for word in words if word)


def counted(count: int, unit: str) -> str:
    """Return "12 tokens", or "1 token"."""
    return f"{count:,} {unit if count != 1 else unit.removesuffix('s')}"
