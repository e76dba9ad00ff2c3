"""Other architectures: each takes the path that is right for it, and the loss is the textbook's on either."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.models.test_flat import gradient, padded_loss, rows_of
from tuitune.models import attention, paths

SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "pad_token_id": 0}
OFF = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
CASES: dict[str, tuple[dict[str, Any], str, bool]] = {
    # name: configuration, path, whether the head is one product
    "qwen2": (SMALL, "flat", True),
    "qwen3": (SMALL, "flat", True),
    "phi3": (SMALL, "flat", True),
    "olmo2": (SMALL, "flat", True),
    "gemma2": ({**SMALL, "sliding_window": 128}, "padded", False),  # soft-capped attention and logits
    "mistral": ({**SMALL, "sliding_window": 16}, "padded", True),
    "granite": ({**SMALL, "logits_scaling": 3.0}, "flat", False),
    "cohere": (SMALL, "flat", True),
    "gpt2": ({**GPT2, **OFF}, "flat", True),
    "gpt_oss": ({**SMALL, "num_local_experts": 2, "num_experts_per_tok": 1}, "padded", True),  # attention sinks
    "bloom": ({"vocab_size": 512, "hidden_size": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 0}, "padded", True),
    "mamba": (
        {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "pad_token_id": 0},
        "padded",
        True,
    ),
}


def made(name: str, config: dict[str, Any], implementation: str) -> Any:
    torch.manual_seed(0)
    settings = AutoConfig.for_model(name, **config)
    try:
        return AutoModelForCausalLM.from_config(
            settings, attn_implementation=implementation, dtype=torch.float32
        ).train()
    except ValueError:  # what the engine does too: the model's own attention
        return AutoModelForCausalLM.from_config(settings, dtype=torch.float32).train()


@pytest.mark.parametrize("name", CASES)
def test_the_right_path_and_the_right_loss(name: str) -> None:
    config, wanted, whole_head = CASES[name]
    attention.register()
    plain, mine = made(name, config, "eager"), made(name, config, "tuitune")
    mine.load_state_dict(plain.state_dict())
    rows = rows_of([30, 12, 21, 5])
    path, why = paths.choose(mine, longest=30, pad=0, dropout=False, autocast=None)
    assert path.name == wanted, why
    assert bool(why) is (wanted == "padded")
    assert path.head.sliced is whole_head
    truth = padded_loss(plain, rows)
    truth.backward()
    score = path.score(mine, [r for r, _ in rows], [m for _, m in rows])
    score.loss.backward()
    assert score.loss.item() == pytest.approx(truth.item(), rel=1e-5)
    a, b = gradient(mine), gradient(plain)
    assert ((a - b).norm() / b.norm()).item() < 1e-4


def test_beginnings_are_not_shared_where_the_model_drops_anything() -> None:
    attention.register()
    wet = {**GPT2, **OFF, "resid_pdrop": 0.1}
    rows = [[5, 6, 7, 8, 9, n] for n in range(10, 14)]
    sizes = []
    for config in (wet, {**GPT2, **OFF}):
        path, _ = paths.choose(made("gpt2", config, "tuitune"), longest=6, pad=0, dropout=False, autocast=None)
        sizes.append(path.size(rows, rows))
    assert sizes == [20, 5]
