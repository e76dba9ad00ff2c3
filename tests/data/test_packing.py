"""Packs of whole rows: nothing lost, nothing too long, as tight as best-fit is, and the same loss."""

from __future__ import annotations

import bisect
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.given import Given, alpaca, folder
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data import Examples, build
from tuitune.data.packing import best_fit


def knapsacks(lengths: list[int], capacity: int) -> list[list[int]]:
    """The rule spelled out on a sorted list: again and again the longest that still fits."""
    left, packs = sorted(lengths), []
    while left:
        pack: list[int] = []
        room = capacity
        while (place := bisect.bisect(left, room) - 1) >= 0:
            pack.append(left.pop(place))
            room -= pack[-1]
        packs.append(pack)
    return packs


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(50, 120))
def test_packs_are_those_of_the_rule(lengths: list[int], capacity: int) -> None:
    order, starts = best_fit(np.array(lengths, np.int64), capacity, lambda: None)
    packs = [[lengths[place] for place in order[a:b]] for a, b in pairwise(starts)]
    assert packs == knapsacks(lengths, capacity)
    assert sorted(order.tolist()) == list(range(len(lengths)))


def test_rows_of_one_length_keep_their_order() -> None:
    order, starts = best_fit(np.array([5, 5, 5, 5], np.int64), 10, lambda: None)
    assert (order.tolist(), starts.tolist()) == ([0, 1, 2, 3], [0, 2, 4])


def test_packing_can_be_cancelled() -> None:
    class Cancelled(Exception):
        pass

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        best_fit(np.full(100_000, 3, np.int64), 10, check)


def built(root: Path, **changes: Any) -> Examples:
    train = build(Given(root=root, **changes), tiny_tokenizer()).train
    assert isinstance(train, Examples)
    return train


@pytest.mark.parametrize("asked", [{"packing": True}, {"neat_packing": True}, {"neat_packing": True, "packing": True}])
def test_every_row_is_in_a_pack_once(asked: dict[str, bool], tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {'it ' * (n % 7)}{n}.", "output": f"{n} " * (n % 5 + 1)} for n in range(40)]
    rows.append({"instruction": "long words " * 100, "output": "many more " * 100})
    folder(tmp_path, {"rows.json": rows}, {"rows": {"file_name": "rows.json"}})
    plain, packs = built(tmp_path, cutoff_len=120), built(tmp_path, cutoff_len=120, **asked)
    assert len(packs) < len(plain) / 3
    key = [str(row) for row in plain.rows]
    assert sorted(str(row) for example in packs for row in example.sequences) == sorted(key)
    assert max(sum(len(row["input_ids"]) for row in example.sequences) for example in packs) <= 120
    assert packs.origins is not None
    assert plain.origins is not None
    for place, example in enumerate(packs):
        assert packs.origins.number[place] == key.index(str(example.sequences[0])) + 1
    assert packs.origins.lost.sum() == plain.origins.lost.sum() > 0


def test_rows_of_the_evaluation_are_not_packed(tmp_path: Path) -> None:
    folder(tmp_path, {"rows.json": alpaca(40)}, {"rows": {"file_name": "rows.json"}})
    prepared = build(Given(root=tmp_path, packing=True, val_size=10), tiny_tokenizer())
    assert prepared.evaluation is not None
    assert [len(example.sequences) for example in prepared.evaluation] == [1] * 10
    report = prepared.report
    assert (report.rows, report.evaluation_rows, report.evaluation_examples) == (30, 10, 10)
    assert report.examples == len(prepared.train) < 30  # type: ignore[arg-type]


def test_a_pack_has_the_loss_and_the_gradient_of_its_rows(tmp_path: Path) -> None:
    """Against transformers' own loss of every row alone, in float64: rows of a pack do not see each other."""
    import torch

    from tuitune.models import attention, paths
    from tuitune.stages.sft import Sft

    folder(tmp_path, {"rows.json": alpaca(12)}, {"rows": {"file_name": "rows.json"}})
    plain, packs = built(tmp_path), built(tmp_path, packing=True)
    assert len(packs) < 5
    attention.register()
    model = tiny_model(attn_implementation="tuitune").double()
    path, why = paths.choose(model, longest=256, pad=0, dropout=False, autocast=None, kernel=True)
    assert not why
    part = Sft().part_loss(model, list(packs), path)
    part.loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for row in plain.rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        total = total + model(input_ids=ids, labels=labels).loss * (labels[:, 1:] != -100).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(part.loss.double(), total, rtol=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert (ours[name] - parameter.grad).abs().max() < 1e-6 * parameter.grad.abs().max(), name
