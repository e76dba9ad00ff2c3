"""Adapters on the flat path and vectors on the padded one: the loss and the gradient are those of rows alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tiny import tiny_model
from tuitune.engine.forward import turn_on_recomputation
from tuitune.errors import ModelError
from tuitune.methods import method
from tuitune.models import paths
from tuitune.models.attention import register
from tuitune.models.flat import IGNORED
from tuitune.recipe import Recipe

KINDS: dict[str, dict[str, Any]] = {
    "oft": {"oft_block_size": 16},
    "vera": {"lora_rank": 32},
    "ia3": {},
    "loha": {},
    "lokr": {"lokr_factor": 8},
    "adalora": {},
}
PROMPTS: dict[str, dict[str, Any]] = {
    "prompt_tuning": {},
    "p_tuning": {"encoder_hidden_size": 32},
    "prefix_tuning": {},
    "projection": {"finetuning_type": "prefix_tuning", "prefix_projection": True},
}


def prepared(kind: str, more: dict[str, Any], model: Any = None) -> tuple[Any, Recipe, Any]:
    """Return a model with an adapter that does something, the recipe, and its method."""
    register()
    torch.manual_seed(0)
    model = model or tiny_model()
    if model.config.model_type == "llama":
        model.set_attn_implementation("tuitune")
    values = {"model_name_or_path": "x", "dataset": ("a",), "finetuning_type": kind, "num_virtual_tokens": 5} | more
    recipe = Recipe(**values)
    way = method(recipe.finetuning_type)
    made: Any = way.prepare(model, recipe)
    with torch.no_grad():
        for p in made.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    return made.eval(), recipe, way


def rows() -> tuple[list[list[int]], list[list[int]]]:
    """Return rows with a common beginning and without, and their labels, some of them in the middle."""
    torch.manual_seed(1)
    ids = [torch.randint(3, 500, (n,)).tolist() for n in (9, 23, 14)]
    ids.append(ids[1][:12] + ids[0])
    labels = [[IGNORED] * 4 + row[4:] for row in ids]
    labels[2][8] = IGNORED
    return ids, labels


def alone(model: Any) -> torch.Tensor:
    """Return the summed loss, every row computed by itself through peft's forward."""
    total = torch.zeros(())
    for ids, labels in zip(*rows(), strict=True):
        logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), use_cache=False).logits
        text = logits[0, -len(ids) :]
        total = total + F.cross_entropy(text[:-1], torch.tensor(labels[1:]), ignore_index=IGNORED, reduction="sum")
    return total


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradients of what learns."""
    model.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    assert len(found) == sum(p.requires_grad for p in model.parameters())
    return found


def agree(model: Any, path: Any) -> None:
    """Check the path against rows alone."""
    truth = alone(model)
    wanted = gradients(model, truth)
    scored = path.score(model, *rows())
    assert scored.labelled == sum(sum(x != IGNORED for x in each[1:]) for each in rows()[1])
    assert abs(float(scored.loss.detach() - truth.detach())) <= 1e-5 * float(truth.detach())
    mine = gradients(model, scored.loss)
    largest = max(float(each.abs().max()) for each in wanted.values())
    assert largest > 0
    assert max(float((mine[name] - wanted[name]).abs().max()) for name in wanted) <= 2e-5 * largest


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_on_the_flat_path(kind: str) -> None:
    model, _, _ = prepared(kind, KINDS[kind])
    path, why = paths.choose(model.get_base_model(), longest=30, pad=0, dropout=False, autocast=None)
    assert path.name == "flat", why
    agree(model, path)


@pytest.mark.parametrize("kind", PROMPTS)
def test_vectors_on_the_padded_path(kind: str) -> None:
    model, recipe, way = prepared(kind, PROMPTS[kind])
    path, why = way.path(model, recipe, 0)
    assert path.name == "padded"
    assert "before every row" in why
    agree(model, path)
    ids, labels = rows()
    alone_size = path.size(ids[:1], labels[:1])
    assert alone_size == 8 + (0 if recipe.finetuning_type == "prefix_tuning" else 5)
    assert path.size(ids, labels) == path.combined([path.size([i], [k]) for i, k in zip(ids, labels, strict=True)], 0)


@pytest.mark.parametrize("kind", ["prompt_tuning", "p_tuning"])
def test_vectors_with_recomputation(kind: str) -> None:
    model, recipe, way = prepared(kind, PROMPTS[kind])
    path, _ = way.path(model, recipe, 0)
    wanted = gradients(model, alone(model))
    turn_on_recomputation(model)
    mine = gradients(model.train(), path.score(model, *rows()).loss)
    assert all(torch.allclose(mine[name], wanted[name], rtol=1e-4, atol=1e-4) for name in wanted)


def test_the_vectors_are_really_before_the_text() -> None:
    """peft's forward, from which the others are told, against the base model given the vectors by hand."""
    model, _, _ = prepared("prompt_tuning", {})
    base, ids = model.get_base_model(), torch.tensor([[3, 17, 41, 5, 99]])
    vectors = model.prompt_encoder["default"].embedding.weight[None]
    by_hand = base(inputs_embeds=torch.cat([vectors, base.get_input_embeddings()(ids)], 1), use_cache=False).logits
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    assert torch.allclose(logits, by_hand, atol=1e-5)


FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 8, "num_key_value_heads": 2},  # heads narrower than the model divided by their number
    "gemma3_text": {"head_dim": 8, "num_key_value_heads": 1, "query_pre_attn_scalar": 8, "sliding_window": 64},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4},
    "falcon": {"multi_query": True, "alibi": False},  # one head of keys, which its configuration does not number
}


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_and_values_fit_every_family(family: str) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    own = {} if family == "gpt2" else sizes
    config = AutoConfig.for_model(family, vocab_size=512, pad_token_id=0, **own, **FAMILIES[family])
    model, recipe, way = prepared("prefix_tuning", {}, AutoModelForCausalLM.from_config(config).eval())
    path, _ = way.path(model, recipe, 0)
    agree(model.eval(), path)


def test_a_configuration_that_speaks_of_other_heads_is_refused() -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=512, n_embd=64, n_layer=2, n_head=4, num_key_value_heads=2)
    with pytest.raises(ModelError, match="4 heads of 16, and its configuration speaks of 2"):
        prepared("prefix_tuning", {}, AutoModelForCausalLM.from_config(config).eval())
