"""Texts to calibrate a quantisation on: a data set's rows in the model's template, joined and cut to one length."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tuitune.data import Examples, build
from tuitune.errors import DataError
from tuitune.export.order import Order, Quantised
from tuitune.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]
# Rows of answers, or plain text.
_STAGES = ("sft", "pt")


def check(order: Order) -> None:
    """Raise DataError where the texts are not there, before anything long begins."""
    from tuitune.data.sources import must_exist

    if (asked := _calibrated(order)) is not None:
        _either(lambda stage: must_exist(_texts(asked), _recipe(order, asked, stage)))


def samples(
    order: Order,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    *,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> list[list[int]]:
    """Return token ids, at most as many samples as asked, each of the asked length exactly.

    Rows are drawn in a fixed random order and joined, so that short ones count too. Raises DataError where all of them
    together are shorter than one sample.
    """
    asked = _calibrated(order)
    assert asked is not None

    def rows(stage: str) -> list[list[int]]:
        recipe = _recipe(order, asked, stage)
        made = build(recipe, tokenizer, template=template, progress=progress)
        assert isinstance(made.train, Examples)  # a stream has no rows yet, and streaming is off
        found = made.train.rows
        return [found.ids_at(index) for index in range(len(found))]

    return cut(_either(rows), asked, note)


def cut(rows: list[list[int]], asked: Quantised, note: Note = lambda text: None) -> list[list[int]]:
    """Join rows in a fixed random order and cut them to samples of one length; see `samples`."""
    total = sum(map(len, rows))
    if total < asked.length:
        raise DataError(
            f"{_texts(asked)} has {total:,} tokens in all, fewer than the {asked.length:,} of one calibration sample",
            f"set export_quantization_maxlen to at most {total}, or name a larger data set",
        )
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    ids = [token for place in order for token in rows[place]]
    count = min(asked.samples, total // asked.length)
    if count < asked.samples:
        note(
            f"{_texts(asked)} gives {count} calibration samples of {asked.length} tokens, not {asked.samples}: the "
            "quantised model may be worse than it could be"
        )
    return [ids[place * asked.length : (place + 1) * asked.length] for place in range(count)]


def _calibrated(order: Order) -> Quantised | None:
    asked = order.quantised
    return asked if asked is not None and asked.library != "bnb" else None


def _texts(asked: Quantised) -> str:
    assert asked.texts is not None  # a rule of the recipe
    return asked.texts


def _recipe(order: Order, asked: Quantised, stage: str) -> Recipe:
    given = order.recipe or Recipe.of({"model_name_or_path": order.weights.model, "dataset": _texts(asked)})
    return given.model_copy(
        update={
            "stage": stage, "dataset": (_texts(asked),), "eval_dataset": (), "val_size": 0.0, "streaming": False,
            "packing": False, "neat_packing": False, "cutoff_len": asked.length, "tokenized_path": None,
            "max_samples": None, "mask_history": False,
        }
    )  # fmt: skip


def _either(work: Callable[[str], T]) -> T:
    """Return what the first stage makes of the texts that can read them."""
    first: DataError | None = None
    for stage in _STAGES:
        try:
            return work(stage)
        except DataError as error:
            first = first or error
    assert first is not None
    raise first
