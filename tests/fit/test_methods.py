"""What the estimate counts for each method is what that method's own preparation makes of a model."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.estimate import estimate
from tuitune.fit.layers import Block
from tuitune.fit.methods import NotKnown, trained
from tuitune.fit.shaped import shaped

_LORA: list[dict[str, Any]] = [
    {},
    {"lora_rank": 3, "use_dora": True},
    {"lora_target": "q_proj,v_proj"},
    {"lora_target": "model.layers.1.mlp.up_proj"},
    {"lora_target": r".*layers\.[0-1]\.self_attn\.[qk]_proj"},
    {"lora_target": "embed_tokens,q_proj", "use_dora": True},
    {"lora_target": "lm_head,o_proj"},
    {"additional_target": "embed_tokens,lm_head"},
    {"additional_target": "norm"},
    {"additional_target": "mlp"},
    {"lora_target": "q_proj,o_proj", "additional_target": "q_proj"},
    {"use_llama_pro": True, "expand_blocks": 2},
]
_KIN: list[dict[str, Any]] = [
    {"finetuning_type": "adalora"},
    {"finetuning_type": "adalora", "adalora_init_rank": 9, "lora_target": "q_proj,down_proj"},
    {"finetuning_type": "vera", "lora_rank": 16},
    {"finetuning_type": "vera", "lora_target": "up_proj,k_proj"},
    {"finetuning_type": "ia3"},
    {"finetuning_type": "ia3", "lora_target": "k_proj,v_proj,down_proj"},
    {"finetuning_type": "ia3", "lora_target": "q_proj", "additional_target": "norm"},
    {"finetuning_type": "loha", "lora_rank": 5},
    {"finetuning_type": "lokr"},
    {"finetuning_type": "lokr", "lora_rank": 2, "lokr_factor": 4},
    {"finetuning_type": "lokr", "lora_rank": 3, "lokr_factor": 5},
    {"finetuning_type": "oft"},
    {"finetuning_type": "oft", "oft_block_size": 24},
    {"finetuning_type": "oft", "oft_block_size": 0, "oft_rank": 8, "oft_target": "q_proj"},
    {"finetuning_type": "prompt_tuning"},
    {"finetuning_type": "p_tuning"},
    {"finetuning_type": "p_tuning", "encoder_hidden_size": 24, "num_virtual_tokens": 7},
    {"finetuning_type": "prefix_tuning"},
    {"finetuning_type": "prefix_tuning", "prefix_projection": True},
    {"finetuning_type": "prefix_tuning", "prefix_projection": True, "encoder_hidden_size": 24},
    {"finetuning_type": "bottleneck"},
    {"finetuning_type": "bottleneck", "bottleneck_size": 5, "bottleneck_where": "mlp"},
]
_WHOLE: list[dict[str, Any]] = [
    {"finetuning_type": "full"},
    {"finetuning_type": "full", "use_badam": True},
    {"finetuning_type": "full", "use_badam": True, "badam_mode": "ratio"},
    {"finetuning_type": "full", "use_lisa": True, "lisa_activated_layers": 1},
    {"finetuning_type": "full", "mixture_of_depths": "convert"},
    {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
    {"finetuning_type": "freeze", "freeze_trainable_layers": -1, "freeze_trainable_modules": "self_attn"},
    {"finetuning_type": "freeze", "freeze_trainable_modules": "q_proj,input_layernorm"},
    {"finetuning_type": "freeze", "freeze_extra_modules": "lm_head,norm"},
    {"finetuning_type": "freeze", "freeze_extra_modules": "embed_tokens"},
    {"finetuning_type": "freeze", "use_llama_pro": True, "expand_blocks": 1},
]
ASKED = [*_LORA, *_KIN, *_WHOLE]


def named(asked: dict[str, Any]) -> str:
    """Return a test's name."""
    return "-".join(f"{key}={value}" for key, value in asked.items()) or "lora"


def prepared(model: Any, wanted: Any) -> Any:
    """Return the model as the engine prepares it: shaped, then by its method."""
    from tuitune.methods import method

    if wanted.expand_blocks:
        from tuitune.models.blocks import expand

        model = expand(model, wanted.expand_blocks)
    if wanted.mixture_of_depths == "convert":
        from tuitune.models.depths import convert

        model = convert(model, wanted.mod_capacity)
    return method(wanted.finetuning_type).prepare(model, wanted)


def counted(blocks: tuple[Block, ...]) -> Counter[tuple[int, ...]]:
    """Return how many tensors there are of each shape."""
    counts: Counter[tuple[int, ...]] = Counter()
    for block in blocks:
        counts[block.shape] += block.count
    return counts


def test_every_method_is_here() -> None:
    from tuitune.recipe import FIELDS

    assert {asked.get("finetuning_type", "lora") for asked in ASKED} == set(FIELDS["finetuning_type"].choices)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("asked", ASKED, ids=named)
def test_what_learns_is_what_the_method_makes_learn(asked: dict[str, Any], tied: bool) -> None:
    model: Any = tiny_model(tie_word_embeddings=tied)
    shape, wanted = shape_of_model(model), recipe(**asked)
    made = prepared(model, wanted)
    learning = trained(wanted, shaped(wanted, shape))
    assert counted(learning.blocks) == Counter(tuple(p.shape) for p in made.parameters() if p.requires_grad)
    count = estimate(wanted, shape).count
    assert count is not None
    assert count.trained == sum(p.numel() for p in made.parameters() if p.requires_grad)
    assert count.total == sum(p.numel() for p in made.parameters())


@pytest.mark.parametrize("format", ["float32", "bfloat16", "pure"])
@pytest.mark.parametrize("asked", [each for each in ASKED if "lora_target" not in each], ids=named)
def test_what_is_held_is_what_the_prepared_model_holds(asked: dict[str, Any], format: str) -> None:  # noqa: A002
    import torch

    from tuitune.fit.precision import precision

    wanted = recipe(**asked, **{"float32": {}, "bfloat16": {"bf16": True}, "pure": {"pure_bf16": True}}[format])
    model: Any = tiny_model().to(getattr(torch, precision(wanted, "cpu").weights))
    shape = shape_of_model(model)
    made = prepared(model, wanted)
    parts = estimate(wanted, shape).parts
    assert parts is not None
    buffers = [b for name, b in made.named_buffers() if "vera" in name]
    tensors = {t.untyped_storage().data_ptr(): t for t in (*made.parameters(), *buffers)}
    assert parts["weights"] + parts["adapters"] == sum(t.numel() * t.element_size() for t in tensors.values())
    assert (parts["adapters"] == 0) == wanted.whole


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lora_target": "query_key_value"}, "query_key_value"),
        ({"finetuning_type": "oft", "oft_target": "nothing"}, "nothing"),
        ({"finetuning_type": "vera", "lora_target": "embed_tokens"}, "embed_tokens"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 3}, "2 layers"),
        ({"finetuning_type": "freeze", "freeze_trainable_modules": "attn"}, "attn"),
        ({"use_llama_pro": True, "expand_blocks": 3}, "evenly"),
        ({"use_llama_pro": True}, "inserted"),
        ({"finetuning_type": "full", "mixture_of_depths": "load"}, "Mixture-of-Depths"),
    ],
)
def test_what_cannot_be_told_is_said_in_words(asked: dict[str, Any], words: str) -> None:
    shape = shape_of_model(tiny_model())
    with pytest.raises(NotKnown, match=words):
        trained(recipe(**asked), shaped(recipe(**asked), shape))
    found = estimate(recipe(**asked), shape)
    assert found.parts is None
    assert words in found.notes[0]


@pytest.mark.parametrize("format", ["float32", "pure"])
@pytest.mark.parametrize("asked", [
    {"use_dora": True}, {"finetuning_type": "adalora"}, {"finetuning_type": "vera", "lora_rank": 16},
    {"finetuning_type": "ia3"}, {"finetuning_type": "loha"}, {"finetuning_type": "lokr"}, {"finetuning_type": "oft"},
    {"finetuning_type": "bottleneck"}, {"finetuning_type": "full", "use_badam": True},
    {"finetuning_type": "full", "mixture_of_depths": "convert"},
    {"finetuning_type": "freeze", "freeze_trainable_layers": 1}, {"use_llama_pro": True, "expand_blocks": 2},
], ids=named)  # fmt: skip
def test_activations_against_what_autograd_keeps(asked: dict[str, Any], format: str) -> None:  # noqa: A002
    import torch

    from tests.fit.test_shapes import kept_bytes
    from tuitune.fit.cut import activations
    from tuitune.fit.load import load_of

    wanted = recipe(**asked, pure_bf16=format == "pure")
    base = tiny_model(hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=3,
                      num_key_value_heads=1).to(torch.bfloat16 if wanted.pure_bf16 else torch.float32)  # fmt: skip
    load = load_of(wanted, shape_of_model(base), kind="cpu", bf16_units=False, adapter=None)
    told = activations(load.model.shape, load.formats, load.trained, 256, recompute=False)
    assert told == pytest.approx(kept_bytes(prepared(base, wanted).train(), 256), rel=0.3)
