from __future__ import annotations

import pytest
from rich.cells import cell_len

from tuitune.face import figures
from tuitune.recipe.fields.figures import FIGURES


@pytest.mark.parametrize("stage", FIGURES)
def test_what_tells_most_is_what_the_stage_reports(stage: str) -> None:
    known = FIGURES[stage]
    assert set(figures.telling(stage, known)) <= set(known)
    assert bool(figures.telling(stage, known)) == bool(known)
    assert sorted([*figures.telling(stage, known), *figures.others(stage, known)]) == sorted(known)


def test_every_label_fits_beside_a_sparkline_and_is_its_own_within_a_stage() -> None:
    for stage, known in FIGURES.items():
        labels = [figures.label(name) for name in known]
        assert all(0 < cell_len(label) <= 5 for label in labels), stage
        assert len(set(labels)) == len(labels), stage


def test_foreign_rewards_are_named_by_their_functions() -> None:
    assert figures.label("rewards/reward_shortness/mean") == "short"
    assert figures.word("rewards/reward_shortness/mean") == "shortness"
    assert figures.word("rewards/exact/mean") == "exact"


def test_the_large_curve_shows_the_reward_where_the_loss_says_little() -> None:
    assert {stage for stage in FIGURES if figures.main(stage) == "reward"} == {"ppo", "grpo", "rloo"}
    assert figures.main("dpo") == figures.main("") == "loss"
