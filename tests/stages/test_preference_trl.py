"""Our losses against trl's own trainers on the same tokens: three steps, each loss and each LoRA gradient."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.stages.pairs import far, gradient, learnt, pairs, recipe, way
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data import Example
from tuitune.methods.original import original
from tuitune.models.reference import Itself
from tuitune.stages.preference import Preference

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
STEPS, RATE = 3, 0.05


def lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")


def dpo_rows(examples: list[Example]) -> list[dict[str, Any]]:
    found = []
    for example in examples:
        chosen, rejected = example.sequences
        start = sum(label == -100 for label in chosen["labels"])
        ids = chosen["input_ids"]
        answers = {"chosen_ids": ids[start:], "rejected_ids": rejected["input_ids"][start:]}
        found.append({"prompt_ids": ids[:start], **answers})
    return found


def old_rows(examples: list[Example]) -> list[dict[str, Any]]:
    """As trl's older trainers want them."""
    found = []
    for example in examples:
        made: dict[str, Any] = {"prompt": "", "chosen": "", "rejected": ""}
        for name, one in zip(("chosen", "rejected"), example.sequences, strict=True):
            made |= {f"{name}_input_ids": one["input_ids"], f"{name}_labels": one["labels"]}
            made[f"{name}_attention_mask"] = [1] * len(one["input_ids"])
        found.append(made | {"prompt_input_ids": [5], "prompt_attention_mask": [1]})
    return found


def trainer(kind: str, scratch: Path, examples: list[Example], **settings: Any) -> Any:
    """Return trl's trainer over a tiny model with a LoRA of its own making."""
    import trl
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    from trl.experimental.utils import DPODataCollatorWithPadding
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    class Dpo(trl.DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset

    class Orpo(ORPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: Any, model: Any = None) -> Any:
            return feature

    class Cpo(CPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: Any, model: Any = None) -> Any:
            return feature

    cls, config = {"dpo": (Dpo, trl.DPOConfig), "orpo": (Orpo, ORPOConfig), "cpo": (Cpo, CPOConfig)}[kind]
    rows = dpo_rows(examples) if kind == "dpo" else old_rows(examples)
    collator = DataCollatorForPreference(0) if kind == "dpo" else DPODataCollatorWithPadding(pad_token_id=0)
    more = {"max_length": None} if kind == "dpo" else {"remove_unused_columns": False, "max_length": 4096}
    args = config(
        output_dir=str(scratch), bf16=False, gradient_checkpointing=False, use_cpu=True, report_to=[],
        disable_tqdm=True, per_device_train_batch_size=len(examples), **more, **settings,
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):
        return cls(
            model=tiny_model(), args=args, train_dataset=Dataset.from_list(rows), data_collator=collator,
            processing_class=tiny_tokenizer(), peft_config=lora(),
        )  # fmt: skip


def agree(theirs: Any, rows: list[Any], stage: Preference, examples: list[Example]) -> None:
    """Make some plain gradient steps on both sides; every loss and gradient must be the same."""
    from peft import get_peft_model

    base = tiny_model()
    path = way(base, "shared")
    torch.manual_seed(3)
    mine: Any = get_peft_model(base, lora()).train()
    with torch.no_grad():  # away from zero, so that all gradients are alive and the model is not its reference
        for parameter in mine.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    theirs.model.load_state_dict(mine.state_dict())
    if stage.needs_reference:
        stage.reference = Itself(original, torch.no_grad)
    for _ in range(STEPS):
        loss, grad = learnt(stage, mine, path, [examples[:2], examples[2:]])
        theirs.model.train()
        batch = theirs.data_collator(rows)
        wanted = theirs.compute_loss(theirs.model, dict(batch))
        wanted.backward()
        grads = gradient(theirs.model)
        assert loss == pytest.approx(float(wanted.detach()), rel=1e-5)
        assert far(grad, grads) < 1e-4
        for model, step in ((mine, grad), (theirs.model, grads)):
            descend(model, step)


def descend(model: Any, step: torch.Tensor) -> None:
    learning = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter, part in zip(learning, step.split([p.numel() for p in learning]), strict=True):
            parameter -= RATE * part.view_as(parameter).to(parameter.dtype)


CASES = {
    "sigmoid": ({}, {}),
    "hinge": ({"pref_loss": "hinge"}, {"loss_type": ["hinge"]}),
    "ipo": ({"pref_loss": "ipo", "pref_beta": 0.5}, {"loss_type": ["ipo"], "beta": 0.5}),
    "robust": (
        {"pref_loss": "robust", "dpo_label_smoothing": 0.2},
        {"loss_type": ["robust"], "label_smoothing": 0.2},
    ),
    "length desensitised": ({"ld_alpha": 0.3}, {"ld_alpha": 0.3}),
    "length desensitised ipo": ({"ld_alpha": 0.3, "pref_loss": "ipo"}, {"ld_alpha": 0.3, "loss_type": ["ipo"]}),
}


@pytest.mark.parametrize(("ours", "theirs"), CASES.values(), ids=CASES.keys())
def test_dpo(ours: dict[str, Any], theirs: dict[str, Any], tmp_path: Path) -> None:
    examples = pairs(6, seed=11)
    oracle = trainer("dpo", tmp_path / "out", examples, **theirs)
    agree(oracle, dpo_rows(examples), Preference(recipe(tmp_path, **ours)), examples)


def test_simpo_is_cpo_s_without_its_likelihood(tmp_path: Path) -> None:
    examples = pairs(6, seed=12)
    settings = {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 0.9}
    stage = Preference(recipe(tmp_path, stage="simpo", pref_beta=2.0, simpo_gamma=0.9))
    agree(trainer("cpo", tmp_path / "out", examples, **settings), old_rows(examples), stage, examples)


def test_orpo(tmp_path: Path) -> None:
    """trl's plain loss is over prompt and answer and a mean over tokens: the same for one pair after one token."""
    for example in pairs(40, seed=13):
        if example.sequences[0]["labels"][1] != -100 and len(example.sequences[0]["labels"]) > 5:
            oracle = trainer("orpo", tmp_path / "out", [example], beta=0.3)
            stage = Preference(recipe(tmp_path, stage="orpo", pref_beta=0.3))
            agree(oracle, old_rows([example]), stage, [example])
            return
    raise AssertionError
