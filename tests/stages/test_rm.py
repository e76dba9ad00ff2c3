"""Reward models: the score is read at the last token, whatever it is; the loss is that of the definition and trl's."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.stages.judged import double, gradients, on_path, pairs, recipe
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data import Example
from tuitune.errors import ModelError
from tuitune.models import valued
from tuitune.stages.rm import RewardModel


def judge(tmp_path: Path, model: Any) -> RewardModel:
    """Return the stage; the model gets a head whose scores are far apart."""
    made = RewardModel(recipe(tmp_path, "rm"))
    made.prepare(model)
    torch.manual_seed(1)
    with torch.no_grad():
        model.v_head.summary.weight.normal_()
        model.v_head.summary.bias.fill_(0.7)
    return made


def score(model: Any, ids: list[int]) -> torch.Tensor:
    """The definition: the head on the last hidden state, of the sequence alone."""
    hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]
    return F.linear(hidden, model.v_head.summary.weight, model.v_head.summary.bias)[0]


def definition(model: Any, examples: list[Example]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the mean loss, and the scores of each pair."""
    scores = [torch.stack([score(model, row["input_ids"]) for row in example.sequences]) for example in examples]
    return torch.stack([-torch.log(torch.sigmoid(s[0] - s[1])) for s in scores]).mean(), scores


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("parts", [(0, 6), (0, 1, 4, 6)], ids=["one part", "three parts"])
@pytest.mark.parametrize("kind", ["flat", "padded", "own"])
def test_loss_gradient_and_figures_are_those_of_the_definition(
    tmp_path: Path, kind: str, parts: tuple[int, ...]
) -> None:
    model, examples = double(), pairs(6)
    stage = judge(tmp_path, model)
    wanted, scores = definition(model, examples)
    wanted.backward()
    truth = gradients(model)
    model.zero_grad()
    path = on_path(model, kind)
    done = [stage.part_loss(model, examples[a:b], path) for a, b in itertools.pairwise(parts)]
    loss = torch.stack([each.loss for each in done]).sum() / stage.items(examples)
    loss.backward()
    assert abs(float((loss / wanted).detach()) - 1) < 1e-12
    assert (gradients(model) - truth).norm() / truth.norm() < 1e-11
    table = torch.stack(scores).detach()
    margins = table[:, 0] - table[:, 1]
    means = {
        "rewards/chosen": table[:, 0].mean(),
        "rewards/rejected": table[:, 1].mean(),
        "rewards/accuracies": (margins > 0).double().mean(),
        "rewards/margins": margins.mean(),
    }
    for name, mean in means.items():
        mine = sum(each.figures[name][0] for each in done) / sum(each.figures[name][1] for each in done)
        assert float(mine) == pytest.approx(float(mean), rel=1e-10), name
    assert sum(int(each.correct) for each in done) / sum(each.labelled for each in done) == means["rewards/accuracies"]


def test_the_prompt_of_a_pair_goes_through_the_model_once(tmp_path: Path) -> None:
    model, examples = double(), pairs(3)
    stage = judge(tmp_path, model)
    done = stage.part_loss(model, examples, on_path(model, "flat"))
    lengths = [(len(a["input_ids"]), len(b["input_ids"]), a["labels"].count(-100)) for a, b in
               (example.sequences for example in examples)]  # fmt: skip
    assert done.tokens == sum(a + b - prompt for a, b, prompt in lengths)


def test_an_end_token_that_is_the_padding_too_is_read(tmp_path: Path) -> None:
    """trl would read before it; here the score is that of the end token itself."""
    model = double()
    stage = judge(tmp_path, model)
    with_end, without = [3, 4, 5, 0], [3, 4, 5]
    both = Example(tuple({"input_ids": ids, "labels": ids} for ids in (with_end, without)))
    with torch.no_grad():
        wanted = {"chosen": float(score(model, with_end)), "rejected": float(score(model, without))}
    for kind in ("flat", "padded"):
        done = stage.part_loss(model, [both], on_path(model, kind))
        for name, value in wanted.items():
            assert float(done.figures[f"rewards/{name}"][0]) == pytest.approx(value, rel=1e-5)
    assert abs(wanted["chosen"] - wanted["rejected"]) > 0.1


def test_one_step_of_trl_s_trainer_has_the_same_loss_and_gradient(tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    model, examples = tiny_model().train(), pairs(4)
    stage = judge(tmp_path, model)
    with torch.no_grad():
        model.v_head.summary.bias.zero_()  # trl's head has none
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    theirs: Any = LlamaForSequenceClassification(config).train()
    theirs.model.load_state_dict(model.model.state_dict())
    theirs.score.weight.data.copy_(model.v_head.summary.weight)
    args = RewardConfig(
        output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, report_to=[], per_device_train_batch_size=4,
        gradient_checkpointing=False, max_length=None, disable_dropout=False,
    )  # fmt: skip
    rows = Dataset.from_list([
        {"chosen_ids": a["input_ids"], "rejected_ids": b["input_ids"]} for a, b in (e.sequences for e in examples)
    ])  # fmt: skip
    trainer = RewardTrainer(theirs, args, train_dataset=rows, processing_class=tiny_tokenizer())
    batch = trainer.data_collator([dict(row) for row in rows])
    wanted = trainer.compute_loss(theirs, batch)
    wanted.backward()
    mine = stage.part_loss(model, examples, on_path(model, "flat")).loss / stage.items(examples)
    mine.backward()
    assert float(mine.detach()) == pytest.approx(float(wanted.detach()), rel=2e-6)
    for ours, other in (
        (model.v_head.summary.weight, theirs.score.weight),
        (model.model.layers[0].self_attn.q_proj.weight, theirs.model.layers[0].self_attn.q_proj.weight),
        (model.model.embed_tokens.weight, theirs.model.embed_tokens.weight),
    ):
        assert (ours.grad - other.grad).norm() / other.grad.norm() < 2e-5


def test_a_head_of_another_width_a_broken_one_and_none_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no reward model"):
        valued.load(valued.attach(tiny_model()), tmp_path)
    valued.save(valued.attach(tiny_model(hidden_size=32)), tmp_path)
    with pytest.raises(ModelError, match="width 32, this model's have 64"):
        valued.load(valued.attach(tiny_model()), tmp_path)
    (tmp_path / valued.FILE).write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be read as a value head"):
        valued.read_head(tmp_path)


def test_a_model_is_saved_as_if_it_had_no_head(tmp_path: Path) -> None:
    model = valued.attach(tiny_model())
    names = [name for name, _ in model.named_parameters()]
    with valued.apart(model):
        assert set(model.state_dict()) == set(tiny_model().state_dict())
    assert [name for name, _ in model.named_parameters()] == names
