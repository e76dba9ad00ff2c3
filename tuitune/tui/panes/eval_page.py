"""One row with what every model made of it, laid out in lines: prompt, reference, answers, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from tuitune.run.evaluation import DATA, Item, Model, Reply, title_of
from tuitune.run.evaluations import scores_of
from tuitune.text import clean, clean_line
from tuitune.tui.kit.rows import R, Row, cells, fit
from tuitune.tui.panes.eval_list import score_words
from tuitune.tui.panes.word_diff import Part, alike, differences
from tuitune.tui.panes.wrapping import wrapped

Against = Literal["reference", "base", "nothing"]
AGAINST: tuple[Against, ...] = ("reference", "base", "nothing")
UNASKED = "no answer was asked for"
_LONG = 60_000  # characters of one text that are shown; all of it can be copied
_BESIDE = 100  # cells from which on two answers stand next to each other
_GAP = 3
_SCORE = 6  # cells
_ALIKE = 0.2  # texts that share less are not marked: there would be nothing but marks


def page(item: Item, models: Sequence[Model], width: int, against: Against, *, missing: str = UNASKED) -> list[Row]:
    """Return the lines of a row of an evaluation in so many cells; missing: what is said where there is no answer."""
    rows = [*_about(item, models, width), []]
    if item.prompt:
        rows += [*_titled("Prompt", [], _plain(item.prompt), width), []]
    if item.reference:
        rows += [*_titled("Reference", [], _plain(item.reference, "strong"), width), []]
    blocks = [(model, reply) for model in models if (reply := item.answers.get(model.key)) is not None]
    if len(blocks) == 2 and width >= _BESIDE:
        half = (width - _GAP) // 2
        left, right = (_answer(item, each, blocks, half, against, missing) for each in blocks)
        return [*rows, *_beside(left, right, half)]
    for each in blocks:
        rows += [*_answer(item, each, blocks, width, against, missing), []]
    return rows


def _about(item: Item, models: Sequence[Model], width: int) -> Iterator[Row]:
    """Yield what the row is, and a table of its scores: a line a model, a column a score."""
    where = clean_line(item.id) + (f"  {clean_line(item.task)}" if item.task != DATA else "")
    yield R("strong b", where, "quiet", f"  {clean_line(item.group)}" if item.group else "")
    names = scores_of([item])
    shown = [model for model in models if model.key in item.answers]
    margin = max((cells(clean_line(model.key)) for model in shown), default=0) + 1
    titles = [clean_line(title_of(name)) for name in names]
    sizes = [max(_SCORE, cells(title)) + 2 for title in titles]
    while names and shown:
        count = max(1, sum(1 for n in range(len(sizes)) if margin + sum(sizes[: n + 1]) <= width))
        yield [(" " * margin, "ink"), *_right(titles[:count], sizes, "quiet")]
        for model in shown:
            role = "accent" if model.role == "tuned" else "ink"
            values = (item.answers[model.key].scores.get(name) for name in names[:count])
            told = (
                "-" if value is None else score_words(name, value) for name, value in zip(names, values, strict=False)
            )
            yield [*R(role, f"{clean_line(model.key):<{margin}}"), *_right(told, sizes, role)]
        names, titles, sizes = names[count:], titles[count:], sizes[count:]


def _right(texts: Iterable[str], sizes: Sequence[int], role: str) -> Row:
    return [(" " * (size - cells(text)) + text, role) for text, size in zip(texts, sizes, strict=False)]


def _titled(title: str, meta: Row, text: Row, width: int) -> list[Row]:
    return [[*R("quiet b", title), *meta], *wrapped(text, width)]


def _plain(text: str, role: str = "ink") -> Row:
    return R(role, _shown(text))


def _shown(text: str) -> str:
    cleaned = clean(text[:_LONG]).expandtabs(4)
    return cleaned if len(text) <= _LONG else f"{cleaned}\n… {len(text) - _LONG:,} more characters; y copies all"


def _answer(
    item: Item,
    own: tuple[Model, Reply],
    blocks: Sequence[tuple[Model, Reply]],
    width: int,
    against: Against,
    missing: str,
) -> list[Row]:
    model, reply = own
    role = "accent b" if model.role == "tuned" else "strong b"
    meta = R("ink", "  ", "quiet", f"{reply.tokens:,} tokens" if reply.tokens is not None else "")
    meta += R("warn", "  was cut: it did not end") if reply.ended is False else []
    text, said = _compared(item, own, blocks, against) if reply.text is not None else (R("faint", missing), "")
    return [[*R(role, clean_line(model.key)), *meta, *R("faint", f"  {said}" if said else "")], *wrapped(text, width)]


def _compared(
    item: Item, own: tuple[Model, Reply], blocks: Sequence[tuple[Model, Reply]], against: Against
) -> tuple[Row, str]:
    """Return an answer with what differs from the reference, or from the base's answer, and a word on that."""
    model, reply = own
    assert reply.text is not None
    if not reply.text.strip():
        return R("faint", "an empty answer"), ""
    first: str | None = item.reference if against == "reference" else None
    if against == "base" and model.role != "base":
        first = next((each.text for other, each in blocks if other.role == "base"), None)
    if not first:
        return _plain(reply.text), ""
    if item.task != DATA:  # a letter of a choice, or a number: right or wrong
        same = reply.text.strip() == first.strip()
        return _plain(reply.text), f"✓ as the {against}" if same else f"not as the {against}"
    parts = differences(_shown(first), _shown(reply.text))
    if parts is None:
        return _plain(reply.text), "too long to compare word by word"
    if all(part.kind == "same" for part in parts):
        return _plain(reply.text), f"✓ as the {against}"
    if alike(parts) < _ALIKE:
        return _plain(reply.text), "next to nothing in common"
    return list(_marked(parts)), f"against the {against}"


def _marked(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """Yield the text with what is gone and what is new in brackets, which say it without colours too."""
    for part in parts:
        if part.kind == "same":
            yield part.text, "ink"
        elif part.kind == "gone":
            yield f"[−{part.text}]", "error"
        else:
            yield f"[+{part.text}]", "ok u"


def _beside(left: Sequence[Row], right: Sequence[Row], half: int) -> list[Row]:
    height = max(len(left), len(right))
    sides = [(left[n] if n < len(left) else [], right[n] if n < len(right) else []) for n in range(height)]
    return [[*fit(a, half), (" " * _GAP, "ink"), *b] for a, b in sides]


def texts_of(item: Item, models: Sequence[Model]) -> str:
    """Return all of a row as text, for the clipboard."""
    parts = [("Prompt", item.prompt), ("Reference", item.reference)]
    parts += [(model.key, item.answers[model.key].text or "") for model in models if model.key in item.answers]
    return "\n\n".join(f"{clean_line(title)}:\n{clean(text)}" for title, text in parts if text)
