"""Two answers of one prompt: side by side, behind one another, or with the prompt computed once, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.stages.conftest import one_thread  # noqa: F401  # a fixture
from tests.stages.judged import CPU, row
from tests.stages.pairs import CASES, LONG, far, learnt, pair, pairs, preference, way
from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.models import attention, paths
from tuitune.models.flat import needed
from tuitune.models.head import Head, HeadTap
from tuitune.stages.cut import cut

KINDS = ("padded", "flat", "shared")


def tiny(dtype: torch.dtype, **config: Any) -> Any:
    attention.register()
    return tiny_model(attn_implementation="tuitune", **config).to(dtype).train()


def textbook(model: Any, example: Example) -> torch.Tensor:
    """The log probability of each answer, one row at a time, from full logits."""
    found = []
    for one in example.sequences:
        ids = torch.tensor([one["input_ids"]])
        logp = model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
        wanted = torch.tensor(one["labels"][1:])
        kept = wanted != -100
        found.append(logp[kept, wanted[kept]].sum())
    return torch.stack(found)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("tied", [True, False], ids=["tied head", "own head"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_way_gives_the_textbook_s_sums_and_all_gradients_in_float64(case: list[Example], tied: bool) -> None:
    plain = tiny(torch.float64, tie_word_embeddings=tied)
    plain.set_attn_implementation("sdpa")
    weights = torch.linspace(-1, 1, 2 * len(case), dtype=torch.float64)
    wanted = torch.cat([textbook(plain, example) for example in case])
    gradients = torch.autograd.grad((wanted * weights).sum(), list(plain.parameters()), allow_unused=True)
    for kind in KINDS:
        for tap in (True, False):
            model = tiny(torch.float64, tie_word_embeddings=tied)
            reading = way(model, kind, tap=tap).read(model, [example.sequences for example in case])
            sums = reading.sums(reading.scores().values)
            assert (sums - wanted).abs().max() < 1e-10
            mine = torch.autograd.grad((sums * weights).sum(), list(model.parameters()), allow_unused=True)
            for a, b in zip(mine, gradients, strict=True):
                assert a is not None
                assert b is not None
                assert far(a, b) < 1e-10


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_way_gives_the_same_in_fp32(case: list[Example], tmp_path: Path) -> None:
    found = [
        learnt(preference(tmp_path, torch.float32), model := tiny(torch.float32), way(model, kind), [case])
        for kind in KINDS
    ]
    for loss, gradient in found[1:]:
        assert abs(loss / found[0][0] - 1) < 1e-5
        # Of identical answers nothing is learnt but rounding.
        assert far(gradient, found[0][1]) < 1e-5


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_get_the_same_gradient_however_the_step_is_cut(kind: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    case = pairs(7)
    found = []
    for parts in ([case], [case[:1], case[1:4], case[4:]], [[each] for each in reversed(case)]):
        base = tiny(torch.float64)
        path = way(base, kind)
        torch.manual_seed(0)
        model: Any = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        found.append(learnt(preference(tmp_path), model.double().train(), path, parts))
    for loss, gradient in found[1:]:
        assert abs(loss / found[0][0] - 1) < 1e-12
        assert far(gradient, found[0][1]) < 1e-10


def test_a_prompt_is_computed_once_where_that_is_worth_it_and_nothing_is_dropped() -> None:
    model = tiny(torch.float32)
    worth, not_worth = pair(LONG[:30], LONG[30:50], LONG[50:80]), CASES["little in common"][0]
    empty = CASES["an answer was cut off entirely"][0]

    def tokens(kind: str, example: Example) -> tuple[int, int]:
        path = way(model, kind)
        return path.read(model, [example.sequences]).tokens, sum(path.sizes(example.sequences))

    assert tokens("flat", worth) == (49 + 59, 49 + 59)
    assert tokens("shared", worth) == (49 + 59 - 30, 49 + 59 - 30)
    assert tokens("shared", not_worth) == tokens("flat", not_worth)
    assert tokens("shared", empty) == (29, 29)
    # Nothing is shared once something is dropped: two answers would get the same noise.
    for dropping in ({"dropout": True}, {"dropout": False, "neftune": 5.0}):
        path, _ = paths.choose(model, longest=90, pad=0, autocast=None, **dropping)  # type: ignore[arg-type]
        assert path.read(model, [worth.sequences]).tokens == 49 + 59


def test_a_group_goes_on_sharing_when_one_of_its_sequences_has_nothing_to_read() -> None:
    model = tiny(torch.float32)
    group = [row(LONG[:30], LONG[30:50]), row(LONG[:30], []), row(LONG[:30], LONG[60:80])]
    path = way(model, "shared")
    reading = path.read(model, [group])
    assert reading.tokens == 2 * 49 - 30 == sum(path.sizes(group))
    assert reading.lengths.tolist() == [20, 0, 20]
    alone = way(model, "flat").read(model, [group])
    mine, plain = reading.sums(reading.scores().values), alone.sums(alone.scores().values)
    assert torch.allclose(mine, plain, atol=1e-4)
    assert mine[1] == 0


def test_the_cut_keeps_pairs_whole_and_within_its_size(tmp_path: Path) -> None:
    stage, model = preference(tmp_path), tiny(torch.float32)
    for kind in KINDS:
        path = way(model, kind)
        case = [*pairs(12), CASES["an answer was cut off entirely"][0]]
        parts = cut(case, stage, path, 120)
        assert sorted(e.index for part in parts for e in part) == list(range(12))
        assert stage.items(case) == 12
        assert len(parts) > 1
        for part in parts:
            tokens = path.read(model, [example.sequences for example in part]).tokens
            assert tokens <= 120 or len(part) == 1


def test_the_hidden_states_of_a_reading_are_those_before_the_head() -> None:
    case = pairs(3)
    for kind in KINDS:
        found = []
        for tap in (True, False):
            model = tiny(torch.float32)
            reading = way(model, kind, tap=tap).read(model, [example.sequences for example in case])
            found.append(reading)
        tapped, own = found
        assert torch.allclose(tapped.hidden, own.hidden, atol=1e-5)
        assert own.rows.shape[-1] == 512
        counts = [needed(one["labels"]) and sum(n != -100 for n in one["labels"]) for e in case for one in e.sequences]
        assert tapped.lengths.tolist() == own.lengths.tolist() == counts


def test_a_copy_is_read_on_the_same_kind_of_way() -> None:
    model, copy = tiny(torch.float32), tiny(torch.float32)
    group = pairs(1)[0].sequences
    for kind in KINDS:
        path = way(model, kind)
        way(copy, kind)
        other = path.on(Head(HeadTap.on(copy), None))
        assert other.name == path.name
        assert torch.equal(other.read(copy, [group]).scores().values, path.read(model, [group]).scores().values)
    assert path.read(model, [group]).rows.device == CPU
