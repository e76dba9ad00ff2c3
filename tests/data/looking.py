"""Examples made by hand, for whatever shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.tiny import tiny_tokenizer
from tuitune.data import DataReport, Examples, Origins, Prepared
from tuitune.data.look import Look, Pieces, Setting
from tuitune.data.options import Kind
from tuitune.data.rows import RowsBuilder
from tuitune.data.templates import choose

TOKENIZER = tiny_tokenizer()
END = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
Part = tuple[str, bool]  # a text, and whether it is trained


def encoded(parts: Sequence[Part]) -> tuple[list[int], list[int]]:
    """Return ids and labels (0 or 1) of a sequence."""
    ids: list[int] = []
    labelled: list[int] = []
    for text, trained in parts:
        some = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        ids += some
        labelled += [int(trained)] * len(some)
    return ids, labelled


def turn(role: str, text: str, trained: bool = False, *, end: bool | None = None) -> list[Part]:
    """Return a turn of chatml; `end`: whether its end token is trained, as the text unless given."""
    close = trained if end is None else end
    return [(f"<|im_start|>{role}\n", False), (text, trained), ("<|im_end|>", close), ("\n", False)]


def asked(question: str, answer: str, **more: Any) -> list[Part]:
    """Return a question and its answer."""
    return [*turn("user", question), *turn("assistant", answer, True, **more)]


def examples(
    sequences: Sequence[Sequence[Part]],
    per: int | Sequence[int] = 1,
    *,
    desirable: Sequence[bool] | None = None,
    columns: Sequence[dict[str, Any]] | None = None,
    lost: Sequence[int] | None = None,
) -> Examples:
    """Return examples of `per` sequences each; `lost` gives them origins in rows.json."""
    builder = RowsBuilder()
    for parts in sequences:
        builder.add(*encoded(parts))
    counts = [per] * (len(sequences) // per) if isinstance(per, int) else list(per)
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    count = len(counts)
    origins = None
    if lost is not None:
        numbers = np.arange(1, count + 1, dtype=np.int64)
        origins = Origins(("data/rows.json",), np.zeros(count, np.int32), numbers, np.asarray(lost, np.int64))
    labels = None if desirable is None else np.asarray(desirable, dtype=np.bool_)
    return Examples(builder.done(), starts, np.arange(count), labels, columns, origins)


def look(train: Examples, evaluation: Examples | None = None, report: DataReport | None = None, **setting: Any) -> Look:
    """Return what is seen of examples that are in order otherwise."""
    kind: Kind = setting.pop("kind", "answer")
    given = Setting(kind, **({"cutoff_len": 64, "stop": (END,)} | setting))
    return Look(
        Prepared(train, evaluation, report or DataReport(), choose("chatml", TOKENIZER)), Pieces(TOKENIZER), given
    )
