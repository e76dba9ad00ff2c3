"""The stages dpo, orpo and simpo: their losses through a model, their figures, and what they are measured from."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.models.test_shared_prompt import textbook
from tests.stages.pairs import CASES, far, learnt, pairs, preference, recipe, way
from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.models import attention
from tuitune.models.generate import in_evaluation
from tuitune.stages import stage as named
from tuitune.stages.preference import Preference

LOSSES: dict[str, dict[str, Any]] = {
    "sigmoid": {},
    "conservative": {"dpo_label_smoothing": 0.1},
    "hinge": {"pref_loss": "hinge"},
    "ipo": {"pref_loss": "ipo"},
    "robust": {"pref_loss": "robust", "dpo_label_smoothing": 0.2},
    "kto_pair": {"pref_loss": "kto_pair", "kto_chosen_weight": 1.3, "kto_rejected_weight": 0.8},
    "orpo": {"stage": "orpo"},
    "simpo": {"stage": "simpo", "pref_beta": 2.0},
    "with the plain loss": {"pref_ftx": 0.5},
    "with bco": {"pref_bco_weight": 0.4},
    "length desensitised": {"ld_alpha": 0.4},
}


def tiny(dtype: torch.dtype = torch.float64) -> Any:
    attention.register()
    return tiny_model(attn_implementation="tuitune").to(dtype).train()


def with_surroundings(stage: Preference, model: Any, path: Any) -> Preference:
    """Give the stage what it needs for a whole step."""
    stage._around = SimpleNamespace(  # type: ignore[assignment]
        model=model, path=path, recipe=stage.recipe, tokens_per_batch=lambda: 100, attend=lambda: None,
        precision=torch.no_grad,
    )  # fmt: skip
    return stage


def sg(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


def truth(name: str, examples: list[Example], model: Any, reference: Any) -> torch.Tensor:
    """The mean loss of the pairs from log probabilities of a row at a time, formula by formula."""
    examples = [e for e in examples if all(any(n != -100 for n in one["labels"][1:]) for one in e.sequences)]
    b, total = 0.1, torch.zeros((), dtype=torch.float64)
    counts = [[sum(n != -100 for n in one["labels"][1:]) for one in e.sequences] for e in examples]
    now = [textbook(model, e) for e in examples]
    before = [textbook(reference, e).detach() for e in examples]
    kl = [max(0.0, sum((n[k] - p[k]).item() for n, p in zip(now, before, strict=True)) / len(now)) for k in (0, 1)]
    for (c, r), (rc, rr), (lc, lr) in zip(now, before, counts, strict=True):
        h = (c - rc) - (r - rr)
        match name:
            case "conservative":
                total = total - 0.9 * sg(b * h).log() - 0.1 * sg(-b * h).log()
            case "hinge":
                total = total + torch.clamp(1 - b * h, min=0)
            case "ipo":
                total = total + ((c - rc) / lc - (r - rr) / lr - 1 / (2 * b)) ** 2
            case "robust":
                total = total + (-0.8 * sg(b * h).log() + 0.2 * sg(-b * h).log()) / 0.6
            case "kto_pair":
                good, bad = 1 - sg(b * (c - rc - kl[1])), 1 - sg(b * (kl[0] - (r - rr)))
                total = total + (1.3 * good + 0.8 * bad) / 2
            case "orpo":
                p, q = (c / lc).exp(), (r / lr).exp()
                total = total - c / lc - b * sg((p / (1 - p)).log() - (q / (1 - q)).log()).log()
            case "simpo":
                total = total - sg(2.0 * (c / lc - r / lr) - 0.5).log()
            case "with the plain loss":
                total = total - sg(b * h).log() - 0.5 * c / lc
            case "with bco":  # at the first step the shift is 0
                bco = -sg(b * (c - rc)).log() - sg(-b * (r - rr)).log()
                total = total + (-sg(b * h).log() + 0.4 * bco) / 1.4
            case "length desensitised":
                continue
            case _:
                total = total - sg(b * h).log()
    return total / len(examples)


def desensitised(examples: list[Example], model: Any, reference: Any) -> torch.Tensor:
    """The same for LD-DPO: the tokens of an answer beyond the other one's length count 0.4."""
    total = torch.zeros((), dtype=torch.float64)
    for example in examples:
        shorter = min(sum(n != -100 for n in one["labels"]) for one in example.sequences)
        sums = []
        for one in example.sequences:
            start = sum(n == -100 for n in one["labels"])
            for k, (teacher, sign) in enumerate(((model, 1), (reference, -1))):
                logp = teacher(input_ids=torch.tensor([one["input_ids"]]), use_cache=False).logits[0].log_softmax(-1)
                logp = logp if k == 0 else logp.detach()
                picked = [logp[t - 1, one["input_ids"][t]] for t in range(start, len(one["input_ids"]))]
                sums.append(sign * sum(x if i < shorter else 0.4 * x for i, x in enumerate(picked)))
        total = total - sg(0.1 * (sums[0] + sums[1] - sums[2] - sums[3])).log()
    return total / len(examples)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_the_paper_on_every_path_and_cut(name: str, tmp_path: Path) -> None:
    examples = pairs(6, seed=5)
    plain, reference = tiny_model().double().train(), tiny_model(seed=1).double()
    wanted = (desensitised if name == "length desensitised" else truth)(
        *((examples, plain, reference) if name == "length desensitised" else (name, examples, plain, reference))
    )
    grads = torch.cat([g.flatten() for g in torch.autograd.grad(wanted, list(plain.parameters()))])
    for kind, parts in (
        ("shared", [examples]), ("shared", [examples[:1], examples[1:]]), ("flat", [[e] for e in examples]),
        ("padded", [examples[3:], examples[:3]]),
    ):  # fmt: skip
        model = tiny()
        path = way(model, kind)
        stage = with_surroundings(preference(tmp_path, **LOSSES[name]), model, path)
        if kind == "padded" and stage.reference is not None:
            stage.reference._model.set_attn_implementation("sdpa")  # type: ignore[attr-defined]
        loss, gradient = learnt(stage, model, path, parts)
        assert loss == pytest.approx(float(wanted.detach()), rel=1e-10)
        assert far(gradient, grads) < 1e-9


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["orpo", "simpo"])
def test_the_stage_and_the_loss_of_that_name_are_the_same(name: str, tmp_path: Path) -> None:
    found = []
    for more in ({"stage": name}, {"pref_loss": name}):
        model = tiny()
        stage = preference(tmp_path, **more)
        assert not stage.needs_reference
        found.append(learnt(stage, model, way(model, "shared"), [pairs(4)]))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert named(recipe(tmp_path, stage=name)).name == name


@pytest.mark.usefixtures("exact")
def test_a_pair_of_which_an_answer_was_cut_off_counts_for_nothing(tmp_path: Path) -> None:
    broken, *whole = CASES["an answer was cut off entirely"]
    stage, model = preference(tmp_path), tiny()
    assert stage.groups(broken) == []
    assert stage.items([broken, *whole]) == len(whole)
    path = way(model, "shared")
    with_it, without = learnt(stage, model, path, [[broken, *whole]]), learnt(stage, model, path, [whole])
    assert with_it[0] == without[0]
    assert torch.equal(with_it[1], without[1])


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["sigmoid", "ipo", "orpo"])
def test_figures_have_trl_s_names_and_meanings(name: str, tmp_path: Path) -> None:
    examples, model, reference = pairs(5, seed=2), tiny(), tiny_model(seed=1).double()
    done = preference(tmp_path, **LOSSES[name]).part_loss(model, examples, way(model, "shared"))
    figures = {key: float(value) / count for key, (value, count) in done.figures.items()}
    assert all(count == 5 and not value.requires_grad for value, count in done.figures.values())
    now = torch.stack([textbook(model, e) for e in examples]).detach()
    lengths = torch.tensor([[sum(n != -100 for n in one["labels"]) for one in e.sequences] for e in examples])
    before = torch.stack([textbook(reference, e) for e in examples]).detach()
    if name != "sigmoid":
        now, before = now / lengths, before / lengths
    rewards = 0.1 * (now if name == "orpo" else now - before)
    wanted = {
        "rewards/chosen": rewards[:, 0].mean(),
        "rewards/rejected": rewards[:, 1].mean(),
        "rewards/margins": (rewards[:, 0] - rewards[:, 1]).mean(),
        "rewards/accuracies": (rewards[:, 0] > rewards[:, 1]).double().mean(),
        "logps/chosen": now[:, 0].mean(),
        "logps/rejected": now[:, 1].mean(),
    }
    if name == "orpo":
        wanted["sft_loss"] = -now[:, 0].mean()
        wanted["odds_ratio_loss"] = (done.loss.detach() / 5 + now[:, 0].mean()) / 0.1
    assert figures == pytest.approx({key: float(value) for key, value in wanted.items()}, rel=1e-9)
    assert done.labelled == int(lengths.sum())


@pytest.mark.usefixtures("exact")
def test_the_shift_of_bco_is_the_mean_reward_of_the_steps_before_and_goes_into_checkpoints(tmp_path: Path) -> None:
    model, stage = tiny(), preference(tmp_path, pref_bco_weight=0.4)
    path = way(model, "shared")
    means = []
    for step in (1, 2, 3):
        examples = pairs(4, seed=step)
        stage.before_step(examples, step)
        stage.part_loss(model, examples, path)  # an attempt for which memory ran out
        for part in (examples[:1], examples[1:]):
            figures = stage.part_loss(model, part, path).figures
        with torch.no_grad(), in_evaluation(model):
            stage.part_loss(model, pairs(2, seed=9), path)  # an evaluation in between changes nothing
            figures = stage.part_loss(model, examples, path).figures
        assert stage._shift.mean == pytest.approx(sum(means) / max(1, len(means)), rel=1e-12)
        stage.after_step(step)
        means.append(float(figures["rewards/chosen"][0] + figures["rewards/rejected"][0]) / 8)
    stage.save(model, tmp_path, exact=True)
    resumed = preference(tmp_path, pref_bco_weight=0.4)
    resumed.load(model, tmp_path)
    assert (resumed._shift.mean, resumed._shift.count) == (stage._shift.mean, 3)
    examples = pairs(4, seed=8)
    a, b = (learnt(each, model, path, [examples]) for each in (stage, resumed))
    assert a[0] == b[0] != learnt(preference(tmp_path, pref_bco_weight=0.4), model, path, [examples])[0]


@pytest.mark.usefixtures("exact")
def test_an_evaluation_of_kto_pair_has_the_baselines_of_all_its_pairs(tmp_path: Path) -> None:
    examples, model = pairs(6, seed=5), tiny().eval()
    stage = preference(tmp_path, **LOSSES["kto_pair"])
    path = way(model, "shared")
    for part in (examples[:2], examples[2:]):
        stage.part_loss(model, list(stage.evaluation_examples(part)), path)
    wanted = truth("kto_pair", examples, model, tiny_model(seed=1).double())
    assert stage.end_of_evaluation()["loss"] == pytest.approx(float(wanted.detach()), rel=1e-10)
    assert stage.end_of_evaluation() == {}


def test_a_model_that_has_not_moved_has_the_loss_of_a_coin(tmp_path: Path) -> None:
    for more in ({}, {"dpo_label_smoothing": 0.1}, {"ld_alpha": 0.2}, {"pref_loss": "kto_pair"}):
        stage, model = Preference(recipe(tmp_path, **more)), tiny(torch.float32)
        path = way(model, "shared")
        stage.reference = preference(tmp_path, torch.float32).reference
        stage.reference._model.load_state_dict(model.state_dict())  # type: ignore[union-attr]
        loss, _ = learnt(with_surroundings(stage, model, path), model, path, [pairs(5)])
        assert loss == pytest.approx(0.5 if more.get("pref_loss") else math.log(2), abs=1e-6)
