"""A turn of a conversation as rows: its name in the margin, text in one straight edge, a bar beside answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tuitune.chat.base import Turn
from tuitune.chat.thinking import split
from tuitune.text import clean
from tuitune.tui.kit.rows import R, Row, cells, cut, fit, grounded
from tuitune.tui.panes.markdown import Growing, rows_of
from tuitune.tui.panes.wrapping import wrapped

MARGIN = 11
_MEASURE = 76  # cells of a line that can be read
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
        rows += wrapped(R("quiet", f"({block.remark})"), measure - 3)
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
