"""The few lines beside a saved adapter that say what it is, in place of peft's unfilled card.

`tuitune export` writes a whole card; this one travels with checkpoints and results, so no path of this machine stands
in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

_NAME = "README.md"
_TEXT = """---
library_name: peft
tags: [tuitune, {stage}, {method}]
---

# Adapter for {base}

Trained by TuiTune: stage {stage}, method {method}. It holds what was learnt, not the model below it.

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("the base"), "this folder")

`tuitune export` merges it into a model of its own, with a card that tells of the training and the evaluation.
"""


def replace_template(folder: Path, recipe: Recipe) -> None:
    """Write what the adapter in `folder` is over the card that peft left there; without one nothing is written."""
    card = folder / _NAME
    if card.is_file():
        base = clean_line(Path(recipe.model_name_or_path).name if _is_place(recipe) else recipe.model_name_or_path)
        card.write_text(_TEXT.format(stage=recipe.stage, method=recipe.finetuning_type, base=base), "utf-8")


def _is_place(recipe: Recipe) -> bool:
    return recipe.model_name_or_path.startswith(("/", ".", "~")) or Path(recipe.model_name_or_path).exists()
