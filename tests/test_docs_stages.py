"""docs/stages.md is true: every stage, loss, reward and key of them is in it, and every stage has a preset."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuitune.recipe import FIELDS, load
from tuitune.recipe.fields.figures import FIGURES
from tuitune.recipe.rewards import REWARDS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "stages.md").read_text(encoding="utf-8")
TICKED = re.findall(r"`([^`\n]+)`", TEXT)
PRESETS = [load(path) for path in (ROOT / "presets").glob("*.yaml")]
STAGES = FIELDS["stage"].choices


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_in_the_docs_and_has_a_preset(stage: str) -> None:
    assert re.search(rf"^\| `{stage}` \|", TEXT, re.MULTILINE)
    assert any(recipe.stage == stage for recipe in PRESETS)


@pytest.mark.parametrize("loss", FIELDS["pref_loss"].choices)
def test_every_loss_of_preferences_is_in_the_docs(loss: str) -> None:
    assert re.search(rf"\b{loss}\b", TEXT)


@pytest.mark.parametrize("reward", REWARDS)
def test_every_reward_is_in_the_docs(reward: str) -> None:
    assert f"`reward_functions: {reward}`" in TEXT


def test_keys_that_the_docs_name_exist() -> None:
    keys = {word.partition(":")[0] for word in TICKED if re.fullmatch(r"[a-z]+_[a-z_]+(: .*)?", word)}
    assert len(keys) > 15
    assert keys - set(FIELDS) - {"kto_pair", "reward_std"} == set()


def test_figures_that_the_docs_name_exist() -> None:
    known = {name for names in FIGURES.values() for name in names} | {"reward_std"}
    named = {word for word in TICKED if word in known or re.fullmatch(r"(rewards|logps)/[a-z]+", word)}
    assert named <= known
    assert {"rewards/accuracies", "rewards/margins", "reward", "kl", "entropy"} <= named
