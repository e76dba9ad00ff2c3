"""KTO: loss, gradient and figures against the definition in float64 and against trl, whatever the cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.stages.judged import examples_of, gradients, on_path, recipe, votes
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data import Example, Row
from tuitune.data.templates import choose
from tuitune.models import paths
from tuitune.models.generate import Sampling
from tuitune.models.head import HeadTap
from tuitune.models.reference import FrozenCopy
from tuitune.stages.base import Part, Surroundings
from tuitune.stages.kto import Kto

SEED = 5
WEIGHTS = {"pref_beta": 0.3, "kto_chosen_weight": 1.5, "kto_rejected_weight": 0.7}


class Bench:
    """The stage on a model that has moved away from its reference."""

    def __init__(
        self, root: Path, model: Any, kind: str = "flat", *, tokens: int = 10**6, train: Any = None, **more: Any
    ) -> None:
        self.model, self.before = model, original(model.dtype)
        self.stage = Kto(recipe(root, "kto", **WEIGHTS | more))
        self.path = on_path(model, kind)
        on_path(self.before, kind)
        head = paths.Head(None if kind == "own" else HeadTap.on(self.before), None)
        self.stage.reference = FrozenCopy(self.before, head, torch.no_grad)
        tokenizer = tiny_tokenizer()
        self.attended = 0
        self.stage.begin(
            Surroundings(
                model, self.path, tokenizer, choose(None, tokenizer), self.stage.recipe, Sampling(), root,
                tokens_per_batch=lambda: tokens, attend=self._attend,
            ),
            train, None,
        )  # fmt: skip

    def _attend(self) -> None:
        self.attended += 1

    def step(self, parts: Sequence[Sequence[Example]]) -> tuple[torch.Tensor, list[Part]]:
        """Return the mean loss over the parts of a step, and the parts."""
        every = [example for part in parts for example in part]
        self.stage.before_step(every, 1)
        done = [self.stage.part_loss(self.model, part, self.path) for part in parts]
        return torch.stack([each.loss for each in done]).sum() / self.stage.items(every), done


def logp(model: Any, row: Row) -> torch.Tensor:
    """The definition: summed log probability of the labelled tokens, of the sequence alone."""
    ids = torch.tensor([row["input_ids"]])
    scores = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
    return sum(scores[t - 1, label] for t, label in enumerate(row["labels"]) if label != -100)  # type: ignore[return-value]


def definition(model: Any, before: Any, examples: list[Example], ftx: float = 0.0) -> tuple[torch.Tensor, float]:
    """Return the mean loss (equation 8 of the paper) and the baseline."""
    with torch.no_grad():
        kl = torch.stack([logp(model, e.sequences[1]) - logp(before, e.sequences[1]) for e in examples]).mean()
        kl = kl.clamp(min=0)
    losses = []
    for example in examples:
        own = logp(model, example.sequences[0])
        ratio = own - logp(before, example.sequences[0]).detach()
        if example.desirable:
            count = sum(label != -100 for label in example.sequences[0]["labels"])
            losses.append(1.5 * (1 - torch.sigmoid(0.3 * (ratio - kl))) - ftx * own / count)
        else:
            losses.append(0.7 * (1 - torch.sigmoid(0.3 * (kl - ratio))))
    return torch.stack(losses).mean(), float(kl)


def original(dtype: torch.dtype = torch.float64) -> Any:
    """Return the reference: a model that is far from saying all tokens alike."""
    return tiny_model(seed=1, initializer_range=0.15).to(dtype)


def moved(dtype: torch.dtype = torch.float64, by: float = 0.1) -> Any:
    """Return a model near the reference, so that the sigmoids are not flat, with a baseline of the sign of `by`."""
    model, other = original(dtype), tiny_model(seed=SEED, initializer_range=0.15)
    with torch.no_grad():
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.add_(by * (q.to(dtype) - p))
    return model.train()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("ftx", [0.0, 0.4])
@pytest.mark.parametrize("cuts", [(0, 7), (0, 1, 4, 7)], ids=["one part", "three parts"])
@pytest.mark.parametrize("kind", ["flat", "padded", "own"])
def test_loss_and_gradient_are_those_of_the_definition(
    tmp_path: Path, kind: str, cuts: tuple[int, ...], ftx: float
) -> None:
    model, examples = moved(), votes(7)
    bench = Bench(tmp_path, model, kind, tokens=90 if len(cuts) > 2 else 10**6, pref_ftx=ftx)
    plain, before = moved(), original()
    wanted, kl = definition(plain, before, examples, ftx)
    assert kl > 0.005
    wanted.backward()
    loss, done = bench.step([examples[a:b] for a, b in itertools.pairwise(cuts)])
    loss.backward()
    assert abs(float((loss / wanted).detach()) - 1) < 1e-11
    assert (gradients(model) - gradients(plain)).norm() / gradients(plain).norm() < 1e-10
    assert float(done[0].figures["kl"][0]) / done[0].figures["kl"][1] == pytest.approx(kl, rel=1e-9)
    assert bench.attended > (1 if len(cuts) > 2 else 0)


def test_figures_are_means_of_their_kind_whatever_the_cut(tmp_path: Path) -> None:
    model, examples = moved(), votes(7)
    with torch.no_grad():
        before = original()
        own = [(bool(e.desirable), float(logp(model, e.sequences[0])), float(logp(before, e.sequences[0])))
               for e in examples]  # fmt: skip
    good, bad = ([0.3 * (a - b) for kind, a, b in own if kind is wanted] for wanted in (True, False))
    means = {
        "rewards/chosen": sum(good) / len(good),
        "rewards/rejected": sum(bad) / len(bad),
        "rewards/margins": sum(good) / len(good) - sum(bad) / len(bad),
        "logps/chosen": sum(a for kind, a, _ in own if kind) / len(good),
    }
    for parts in ([examples], [examples[:1], examples[1:2], examples[2:]]):
        _, done = Bench(tmp_path, model).step(parts)
        for name, mean in means.items():
            found = [each.figures[name] for each in done if name in each.figures]
            mine = sum(float(value) for value, _ in found) / sum(count for _, count in found)
            assert mine == pytest.approx(mean, rel=1e-4, abs=1e-6), name


def test_a_step_of_one_kind_only_has_a_loss_and_no_margin(tmp_path: Path) -> None:
    bench = Bench(tmp_path, moved())
    loss, (done,) = bench.step([votes(3, good=[True] * 3)])
    assert torch.isfinite(loss)
    assert "rewards/margins" not in done.figures
    assert "rewards/rejected" not in done.figures


def test_a_baseline_below_nought_is_nought(tmp_path: Path) -> None:
    examples, model = votes(7), moved(by=-0.02)
    wanted, kl = definition(model, original(), examples)
    assert kl == 0
    loss, (done,) = Bench(tmp_path, model).step([examples])
    assert done.figures["kl"][0] == 0
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)


def test_an_evaluation_has_one_baseline_whatever_its_batches(tmp_path: Path) -> None:
    model, examples = moved(), votes(7)
    wanted, kl = definition(model, original(), examples, 0.4)
    for size in (2, 7):
        bench = Bench(tmp_path, model, pref_ftx=0.4)
        model.eval()
        with torch.no_grad():
            for start in range(0, 7, size):
                some = bench.stage.evaluation_examples(examples[start : start + size])
                bench.stage.part_loss(model, some, bench.path)
                bench.stage.part_loss(model, some, bench.path)  # done again, as after a lack of memory
        found = bench.stage.end_of_evaluation()
        assert found["loss"] == pytest.approx(float(wanted.detach()), rel=1e-5)
        assert found["kl"] == pytest.approx(kl, rel=1e-5)
        assert {"rewards/margins"} < found.keys()


def test_what_the_reference_says_can_be_asked_before_and_the_reference_let_go(tmp_path: Path) -> None:
    examples = votes(7)
    wanted, _ = Bench(tmp_path, moved()).step([examples[:3], examples[3:]])
    ready = Bench(tmp_path, moved(), train=examples_of(examples), precompute_ref_log_probs=True)
    assert ready.stage.reference is None
    with torch.no_grad():
        for p in ready.before.parameters():
            p.zero_()
    loss, _ = ready.step([examples[:3], examples[3:]])
    assert loss.detach() == wanted.detach()


def test_one_step_of_trl_s_trainer_has_the_same_loss_and_gradient(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    class Ready(KTOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **more: Any) -> Any:
            return dataset

    model, examples = moved(torch.float32), votes(6)
    bench = Bench(tmp_path, model)
    loss, done = bench.step([examples[:2], examples[2:]])
    loss.backward()
    rows = Dataset.from_list([_as_trl_has_it(example) for example in examples])
    args = KTOConfig(
        output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, report_to=[], per_device_train_batch_size=6,
        gradient_checkpointing=False, max_length=None, disable_dropout=False, beta=0.3, desirable_weight=1.5,
        undesirable_weight=0.7,
    )  # fmt: skip
    theirs, before = moved(torch.float32), original(torch.float32)
    trainer = Ready(theirs, before, args=args, train_dataset=rows, processing_class=tiny_tokenizer())
    wanted = trainer.compute_loss(theirs, trainer.data_collator([dict(row) for row in rows]))
    wanted.backward()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert (gradients(model) - gradients(theirs)).norm() / gradients(theirs).norm() < 1e-4
    said = trainer._metrics["train"]
    for name in ("kl", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected"):
        found = [each.figures[name] for each in done if name in each.figures]
        mine = sum(float(value) for value, _ in found) / sum(count for _, count in found)
        assert mine == pytest.approx(said[name][0], rel=1e-3, abs=1e-5), name


def _as_trl_has_it(example: Example) -> dict[str, Any]:
    own, other = example.sequences
    cut = own["labels"].count(-100)
    return {
        "prompt_ids": own["input_ids"][:cut],
        "completion_ids": own["input_ids"][cut:],
        "KL_completion_ids": other["input_ids"][cut:],
        "label": example.desirable,
    }
