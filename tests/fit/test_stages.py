"""What stages add to the memory of a run: a reference, a value head, pairs and answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fit.asked import QWEN_7B, recipe
from tuitune.fit.estimate import Estimate, estimate
from tuitune.recipe.fields.preference import needs_reference


def found(**asked: Any) -> Estimate:
    return estimate(recipe(**asked), QWEN_7B, kind="cuda")


def part(name: Any, **asked: Any) -> int:
    parts = found(**asked).parts
    assert parts is not None
    return parts[name]


FULL: dict[str, Any] = {"finetuning_type": "full", "pure_bf16": True}
MODEL = part("weights", **FULL)


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        ({"stage": "dpo"}, 2),
        ({"stage": "dpo", "precompute_ref_log_probs": True}, 1),
        ({"stage": "dpo", "pref_loss": "simpo"}, 1),
        ({"stage": "orpo"}, 1),
        ({"stage": "kto"}, 2),
        ({"stage": "ppo", "reward_functions": "length"}, 2),
        ({"stage": "grpo", "reward_functions": "length"}, 1),
        ({"stage": "grpo", "reward_functions": "length", "grpo_beta": 0.1}, 2),
        ({"use_asft_loss": True}, 2),
    ],
)
def test_a_copy_stays_in_memory_where_the_whole_model_learns(asked: dict[str, Any], models: int) -> None:
    assert part("weights", **FULL, **asked) == pytest.approx(models * MODEL, rel=1e-5)
    assert needs_reference(recipe(**asked)) == (models == 2 or "precompute_ref_log_probs" in asked)


def test_an_adapter_can_be_switched_off_and_needs_no_copy() -> None:
    base = part("weights")
    assert part("weights", stage="dpo") == base
    assert part("weights", stage="dpo", ref_model="other") == 2 * base
    quantised = part("weights", stage="dpo", ref_model="other", ref_model_quantization_bit=4)
    assert base < quantised < 1.5 * base
    assert any("same size" in note for note in found(stage="dpo", ref_model="other").notes)


@pytest.mark.parametrize("stage", ["rm", "ppo"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_value_head_is_counted(stage: str, method: str) -> None:
    more = {"reward_functions": "length"} if stage == "ppo" else {}
    with_head = found(stage=stage, finetuning_type=method, **more).count
    without = found(finetuning_type=method).count
    assert with_head is not None
    assert without is not None
    assert with_head.trained - without.trained == (QWEN_7B.hidden_size or 0) + 1


def test_pairs_and_answers_make_longer_rows() -> None:
    plain = found(cutoff_len=4096, per_device_train_batch_size=1).tokens
    assert found(cutoff_len=4096, per_device_train_batch_size=1, stage="dpo").tokens == 2 * plain
    online = found(cutoff_len=4096, per_device_train_batch_size=1, stage="grpo", reward_functions="length")
    assert online.tokens >= plain + 1024
    assert "max_new_tokens" in online.notes[0]
