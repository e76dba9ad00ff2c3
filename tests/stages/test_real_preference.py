"""SmolLM2-135M on dpo_en_demo: five steps of dpo, orpo and simpo. Skipped where the data does not lie there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import journal
from tests.stages.test_real_judged import pytestmark as pytestmark
from tests.stages.test_real_judged import trained
from tuitune.run import events

STAGES: dict[str, dict[str, Any]] = {
    "dpo": {},
    "dpo, asked beforehand": {"precompute_ref_log_probs": True},
    "orpo": {},
    "simpo": {"pref_beta": 2.0},
}


@pytest.mark.parametrize("name", STAGES)
def test_a_small_model_learns_what_is_preferred(name: str, tmp_path: Path) -> None:
    stage = name.partition(",")[0]
    made = trained(tmp_path, stage, "dpo_en_demo", learning_rate=2e-4, **STAGES[name])
    steps = journal(made, events.StepLogged)
    if stage == "dpo":
        assert steps[0].loss == pytest.approx(math.log(2), abs=1e-5)
        assert steps[0].metrics["rewards/margins"] == pytest.approx(0, abs=1e-3)
    assert steps[0].parts >= 1
    [held_out] = journal(made, events.EvalLogged)
    assert {"eval_rewards/accuracies", "eval_rewards/margins", "eval_logps/chosen"} <= held_out.metrics.keys()
    moved = [abs(step.metrics["rewards/chosen"]) for step in steps[1:]]
    assert all(math.isfinite(reward) and reward > 0 for reward in moved)
