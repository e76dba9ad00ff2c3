"""What the key for the largest batch sets, and what it says."""

from __future__ import annotations

from typing import Any

from tests.fit.asked import GIB, QWEN_7B, recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.estimate import estimate, largest_batch
from tuitune.fit.fill import Filled, filled

KEY = "per_device_train_batch_size"


def _on_a_processor(**values: Any) -> Filled:
    shape = shape_of_model(tiny_model())
    return filled(recipe(**values), shape, free=18 * GIB, total=32 * GIB, kind="cpu")


def test_a_smaller_batch_is_raised_and_the_limit_is_told() -> None:
    found = _on_a_processor(cutoff_len=512, **{KEY: 2}, gradient_accumulation_steps=8)
    assert found.size == 3
    assert "24 rows a step" in found.words
    assert "more than 1,536 tokens at once are no faster on a processor" in found.words


def test_a_larger_batch_that_is_cut_without_harm_is_left_and_it_says_why() -> None:
    found = _on_a_processor(cutoff_len=512, **{KEY: 16})
    assert found.size is None
    assert found.helps
    assert found.words.startswith("16 stays: the step is cut to 3 at once, with the same gradient")


def test_at_the_limit_nothing_changes() -> None:
    assert _on_a_processor(cutoff_len=512, **{KEY: 3}).words.startswith("3 rows are already the most at once")
    assert _on_a_processor(cutoff_len=1024, **{KEY: 1}).words.startswith("1 row is already the most at once")


def test_what_the_recipe_says_of_tokens_is_the_limit() -> None:
    found = _on_a_processor(cutoff_len=512, tokens_per_batch=4096, **{KEY: 2})
    assert found.size == 8
    assert "tokens_per_batch lets 4,096 tokens through" in found.words


def test_where_memory_is_the_limit_a_batch_that_gets_tight_is_lowered() -> None:
    asked = {"cutoff_len": 512, "tokens_per_batch": 65536, "gradient_accumulation_steps": 1}
    best = largest_batch(recipe(**asked), QWEN_7B, free=40 * GIB, kind="cuda")
    assert best is not None
    assert best * 512 < 65536
    wanted = recipe(**asked, **{KEY: 100})
    assert estimate(wanted, QWEN_7B, free=40 * GIB, kind="cuda").fits == "no"
    found = filled(wanted, QWEN_7B, free=40 * GIB, total=80 * GIB, kind="cuda")
    assert found.size == best
    assert "100 rows at once do not fit; one row more would get tight" in found.words


def test_where_not_even_one_row_fits_it_says_what_would_help() -> None:
    found = filled(recipe(), QWEN_7B, free=2 * GIB, total=4 * GIB, kind="cuda")
    assert (found.size, found.helps) == (None, False)
    assert "choose a smaller model" in found.words
