"""The order of prompts where several optimizer steps are made of one batch."""

from __future__ import annotations

from itertools import islice

import pytest

from tuitune.engine.order import Repeated


def batches(sampler: Repeated, size: int) -> list[tuple[int, ...]]:
    order = iter(sampler)
    return list(iter(lambda: tuple(islice(order, size)), ()))


@pytest.mark.parametrize(("count", "size", "times"), [(12, 4, 3), (10, 4, 2), (3, 8, 2), (7, 7, 1)])
def test_every_batch_comes_several_times_and_no_prompt_is_left_out(count: int, size: int, times: int) -> None:
    sampler = Repeated(count, size, times, seed=1)
    seen = batches(sampler, size)
    assert len(sampler) == sum(map(len, seen))
    assert all(len(batch) == size for batch in seen)
    groups = [seen[i : i + times] for i in range(0, len(seen), times)]
    assert all(len(set(group)) == 1 for group in groups)
    assert {place for batch in seen for place in batch} == set(range(count))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, again, other = (Repeated(20, 5, 2, seed=seed) for seed in (3, 3, 4))
    assert list(first) == list(again) == list(first)
    assert list(first) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)
    assert sorted(set(again)) == list(range(20))


def test_without_shuffling_it_is_that_of_the_data() -> None:
    assert batches(Repeated(4, 2, 2, seed=1, shuffle=False), 2) == [(0, 1), (0, 1), (2, 3), (2, 3)]
