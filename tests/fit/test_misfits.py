"""What a recipe names and the model does not have is found in its config.json, before anything is loaded."""

from __future__ import annotations

import pytest

from tests.recipe.asked import recipe
from tuitune.fit.misfits import KEYS, misfits
from tuitune.fit.shapes import ModelShape
from tuitune.recipe import FIELDS

SHAPE = ModelShape.of(
    {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "tie_word_embeddings": True,
    }
)
FULL = "finetuning_type: full"


@pytest.mark.parametrize(
    ("lines", "key", "word"),
    [
        (["lora_target: q_projj"], "lora_target", "q_proj"),
        (["lora_target: .*layers\\.[5-9]\\..*_proj"], "lora_target", "down_proj"),
        (["finetuning_type: oft", "oft_target: attn"], "oft_target", "q_proj"),
        (["finetuning_type: freeze", "freeze_trainable_layers: -5"], "freeze_trainable_layers", "4"),
        (["finetuning_type: freeze", "freeze_trainable_modules: foo"], "freeze_trainable_modules", "self_attn"),
        ([FULL, "use_galore: true", "galore_target: foo"], "galore_target", "q_proj"),
        ([FULL, "use_apollo: true", "apollo_target: mlp,foo"], "apollo_target", "q_proj"),
        ([FULL, "use_badam: true", "badam_start_block: 4"], "badam_start_block", "0 to 3"),
        ([FULL, "use_lisa: true", "lisa_activated_layers: 5"], "lisa_activated_layers", "4"),
        (["finetuning_type: freeze", "use_llama_pro: true", "expand_blocks: 3"], "expand_blocks", "1, 2, 4"),
    ],
)
def test_what_the_model_lacks_is_an_error(lines: list[str], key: str, word: str) -> None:
    (problem,) = misfits(recipe(*lines), SHAPE)
    assert (problem.key, problem.level) == (key, "error")
    assert word in f"{problem.reason} {problem.hint}"


@pytest.mark.parametrize(
    ("lines", "key"),
    [(["lora_rank: 128"], "lora_rank"), (["finetuning_type: oft", "oft_block_size: 48"], "oft_block_size")],
)
def test_what_is_only_odd_is_a_warning(lines: list[str], key: str) -> None:
    (problem,) = misfits(recipe(*lines), SHAPE)
    assert (problem.key, problem.level) == (key, "warning")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["lora_target: q_proj,layers.3.mlp.up_proj"],
        ["lora_target: embed_tokens"],
        ["finetuning_type: freeze", "freeze_trainable_layers: 4", "freeze_trainable_modules: mlp,self_attn.v_proj"],
        [FULL, "use_galore: true", "galore_target: mlp,self_attn"],
        [FULL, "use_badam: true", "badam_mode: ratio", "pure_bf16: true"],
    ],
)
def test_what_is_there_is_no_problem(lines: list[str]) -> None:
    assert misfits(recipe(*lines), SHAPE) == []


def test_nothing_is_said_of_a_model_that_is_not_known() -> None:
    asked = recipe("lora_target: q_projj")
    assert misfits(asked, None) == []
    assert misfits(asked, ModelShape.of({"model_type": "strange"})) == []


def test_every_key_that_is_looked_at_is_watched() -> None:
    assert set(KEYS) <= set(FIELDS)
