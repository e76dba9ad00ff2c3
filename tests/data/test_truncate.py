"""The cut to cutoff_len against the rule spelled out, and the masks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitune.data.truncate import Masking, Turn, cut, shares

Lengths = list[tuple[int, int]]


def turns_of(lengths: Lengths) -> list[Turn]:
    """Turn k has source ids 1000k, 1000k+1, ... and target ids 1000k+500, ..."""
    return [
        (list(range(1000 * k, 1000 * k + source)), list(range(1000 * k + 500, 1000 * k + 500 + target)))
        for k, (source, target) in enumerate(lengths)
    ]


def spelled_out(turns: list[Turn], masking: Masking) -> tuple[list[int], list[int]]:
    """The rule as the reference states it, one step after the other."""
    ids: list[int] = []
    labels: list[int] = []
    order = list(range(len(turns)))
    if masking.mask_history:
        order.reverse()
    for visited, k in enumerate(order):
        room = masking.cutoff_len - len(ids)
        if room <= 0:
            break
        source, target = turns[k]
        s, t = len(source), len(target)
        if t * 2 < room:
            t_max = room
        elif s * 2 < room:
            t_max = room - s
        else:
            t_max = int(room * (t / (s + t)))
        t_new = min(t_max, t)
        s_new = min(max(room - t_new, 0), s)
        source, target = source[:s_new], target[:t_new]
        source_labels = source if masking.train_on_prompt else [-100] * len(source)
        target_labels = [-100] * len(target) if masking.mask_history and visited else target
        if masking.mask_history:
            ids = source + target + ids
            labels = source_labels + target_labels + labels
        else:
            ids = ids + source + target
            labels = labels + source_labels + target_labels
    return ids, labels


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=5),
    st.integers(1, 160),
    st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_cut_follows_the_rule(lengths: Lengths, cutoff: int, flags: tuple[bool, bool]) -> None:
    masking = Masking(cutoff, *flags)
    turns = turns_of(lengths)
    row = cut(turns, masking)
    ids, labels = spelled_out(turns, masking)
    assert row.ids == ids
    assert [i if on else -100 for i, on in zip(row.ids, row.labelled, strict=True)] == labels
    assert len(row.ids) <= cutoff
    assert row.truncated == (len(ids) < sum(map(sum, lengths)))


@pytest.mark.parametrize(
    ("source", "target", "room", "expected"),
    [
        (10, 10, 100, (10, 10)),
        (100, 10, 50, (40, 10)),  # a short answer stays whole, the prompt gives way
        (10, 100, 50, (10, 40)),  # a short prompt stays whole
        (100, 100, 50, (25, 25)),  # both are long: in proportion
        (300, 100, 100, (75, 25)),
        (7, 5, 7, (5, 2)),
        (1000, 1, 1, (1, 0)),
    ],
)
def test_shares(source: int, target: int, room: int, expected: tuple[int, int]) -> None:
    assert shares(source, target, room) == expected


def test_answers_alone_are_trained() -> None:
    row = cut(turns_of([(2, 3), (1, 2)]), Masking(100))
    assert row.labelled == [0, 0, 1, 1, 1, 0, 1, 1]
    assert not row.truncated


def test_train_on_prompt_trains_everything() -> None:
    assert cut(turns_of([(2, 3), (1, 2)]), Masking(100, train_on_prompt=True)).labelled == [1] * 8


def test_mask_history_trains_the_last_answer_and_keeps_it_longest() -> None:
    turns = turns_of([(4, 4), (2, 3)])
    assert cut(turns, Masking(100, mask_history=True)).labelled == [0] * 10 + [1] * 3
    short = cut(turns, Masking(7, mask_history=True))
    assert short.ids[-5:] == turns[1][0] + turns[1][1]
    assert short.labelled == [0, 0, 0, 0, 1, 1, 1]


def test_turns_beyond_the_cut_are_counted() -> None:
    row = cut(turns_of([(5, 5), (5, 5), (5, 5)]), Masking(10))
    assert (row.dropped_turns, row.truncated, len(row.ids)) == (2, True, 10)
