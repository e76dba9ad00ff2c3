"""Mixture-of-Depths: routed as the paper says, in every arrangement of rows; saved so that nobody misreads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.engine.given import losses, weights
from tests.methods.cycle import Ended, learns_and_reloads, loaded_logits, resumes_exactly, train
from tests.models.test_flat import gradient, rows_of
from tests.tiny import tiny_model
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import of_model, of_run
from tuitune.errors import ModelError
from tuitune.models import attention, depths, paths, taught
from tuitune.models.load import load_model
from tuitune.models.shaping import Shaping, load_shaped
from tuitune.recipe import load

MOD: dict[str, Any] = {"finetuning_type": "full", "mixture_of_depths": "convert", "mod_capacity": 0.25}
SMALL: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256, "pad_token_id": 0,
    "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
IDS = torch.tensor([[3, 17, 41, 5, 99, 260, 12, 8, 301, 77, 23, 64, 128, 9]])


def made(family: str = "llama", implementation: str = "sdpa", **more: Any) -> Any:
    attention.register()
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**SMALL, **more})
    return AutoModelForCausalLM.from_config(config, attn_implementation=implementation, dtype=torch.float32).eval()


def converted(capacity: float = 0.25, family: str = "llama", **more: Any) -> Any:
    """Return a converted model whose routers are far from each other's ties."""
    torch.manual_seed(1)
    model = depths.convert(made(family, **more), capacity)
    for layer in depths.routed_layers(model):
        torch.nn.init.normal_(layer.router.weight, std=0.3)
    return model.eval()


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor = IDS, **more: Any) -> torch.Tensor:
    return model(input_ids=ids, **{"use_cache": False, **more}).logits  # type: ignore[no-any-return]


# What is computed


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma", "phi3", "granite", "olmo2"])
def test_with_every_token_picked_and_routers_of_zero_nothing_changes(family: str) -> None:
    model = depths.convert(made(family), 1.0)
    for layer in depths.routed_layers(model):
        torch.nn.init.zeros_(layer.router.weight)
    assert len(depths.routed_layers(model)) == 2
    torch.testing.assert_close(logits(model), logits(made(family)), rtol=0, atol=1e-6)


def test_a_layer_computes_the_top_share_and_scales_what_it_adds() -> None:
    model = converted(0.3).train()
    layer: Any = depths.routed_layers(model)[0]
    torch.manual_seed(2)
    hidden, positions = torch.randn(1, 14, 32), torch.arange(14)[None]
    tables = model.model.rotary_emb(hidden, positions)
    out = layer(hidden, attention_mask=None, position_embeddings=tables)
    # The paper's equation 1, written down again: 4 of 14 tokens, in their order, at their positions.
    normed = hidden[0] / hidden[0].pow(2).mean(-1, keepdim=True).sqrt()
    routed = normed @ layer.router.weight[0]
    top = sorted(routed.argsort(descending=True)[:4].tolist())
    plain = made().model.layers[1]
    mask = torch.full((1, 1, 4, 4), float("-inf")).triu(1)
    alone = plain(hidden[:, top], attention_mask=mask, position_embeddings=tuple(t[:, top] for t in tables))
    wanted = hidden.clone()
    wanted[:, top] += 2 * torch.sigmoid(routed[top])[None, :, None] * (alone - hidden[:, top])
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", ["tuitune", "sdpa", "eager"])
@pytest.mark.parametrize("training", [True, False])
def test_sequences_do_not_compete(implementation: str, training: bool) -> None:
    rows = rows_of([30, 12, 21, 5])
    ids, labels = [r for r, _ in rows], [m for _, m in rows]
    model = converted(implementation="tuitune")
    path, _ = paths.choose(model, longest=30, pad=0, dropout=False, autocast=None)
    if implementation != "tuitune":  # padded rows instead of one flat row
        model.set_attn_implementation(implementation)
        path = taught.TaughtPath(paths.PaddedPath(paths.Head(None, None), torch.device("cpu"), 0))
    model.train(training)
    together = path.score(model, ids, labels)
    together.loss.backward()
    mine = gradient(model)
    model.zero_grad()
    alone = [path.score(model, [row], [mask]) for row, mask in rows]
    sum(score.loss for score in alone).backward()
    assert together.loss.item() == pytest.approx(sum(score.loss.item() for score in alone), rel=1e-5)
    assert ((mine - gradient(model)).norm() / mine.norm()).item() < 1e-4


def test_flat_and_padded_rows_give_the_same() -> None:
    rows = rows_of([30, 12, 21, 5])
    ids, labels = [r for r, _ in rows], [m for _, m in rows]
    model = converted(implementation="tuitune")
    flat, _ = paths.choose(model, longest=30, pad=0, dropout=False, autocast=None)
    padded = taught.TaughtPath(paths.PaddedPath(paths.Head(None, None), torch.device("cpu"), 0))
    model.train()
    found = []
    for path in (flat, padded):
        model.zero_grad()
        score = path.score(model, ids, labels)
        score.loss.backward()
        found.append((score.loss.item(), gradient(model)))
    assert flat.name == "flat"
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert ((found[0][1] - found[1][1]).norm() / found[0][1].norm()).item() < 1e-4


def test_beginnings_are_not_shared() -> None:
    path, _ = paths.choose(converted(implementation="tuitune"), longest=6, pad=0, dropout=False, autocast=None)
    rows = [[5, 6, 7, 8, 9, n] for n in range(10, 14)]
    assert path.shared(rows, rows) == 0


def test_recomputation_changes_no_gradient() -> None:
    found = []
    for recompute in (False, True):
        model = converted().train()
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        found.append(gradient(model))
    assert torch.equal(*found)


def test_the_routers_own_loss_moves_routers_only_and_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of([30, 12])
    found = []
    for weight in (0.0, 1.0):
        monkeypatch.setattr(taught, "_AUXILIARY", weight)
        model = converted(implementation="tuitune")
        path, _ = paths.choose(model, longest=30, pad=0, dropout=False, autocast=None)
        score = path.score(model.train(), [r for r, _ in rows], [m for _, m in rows])
        score.loss.backward()
        found.append((score.loss.item(), {name: p.grad for name, p in model.named_parameters()}))
    assert found[0][0] == found[1][0]
    different = {name for name, grad in found[0][1].items() if not torch.equal(grad, found[1][1][name])}
    assert different == {"model.layers.1.router.weight", "model.layers.3.router.weight"}


def test_thresholds_move_with_whole_steps_only() -> None:
    # A stop in the middle of a step saves what was there at its beginning.
    model = converted().train()
    gate = depths.routed_layers(model)[0].router
    for _ in range(2):
        model(input_ids=IDS, use_cache=False)
        assert gate.threshold.item() == 0.0
    weights_of_tokens = gate(model.model.layers[0](
        model.model.embed_tokens(IDS), position_embeddings=model.model.rotary_emb(IDS.float(), torch.arange(14)[None])
    ))[0].sort(descending=True).values  # fmt: skip
    depths.learn_thresholds(model)
    assert gate.threshold.item() == pytest.approx(float(weights_of_tokens[3:5].mean()), abs=1e-4)
    assert gate.sequences.item() == 2


# Evaluation and chat


@pytest.mark.parametrize("implementation", ["tuitune", "sdpa", "eager"])
def test_no_token_sees_later_ones(implementation: str) -> None:
    model = converted(implementation=implementation)
    torch.testing.assert_close(logits(model)[:, :6], logits(model, IDS[:, :6]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("implementation", ["tuitune", "sdpa", "eager"])
def test_generation_with_a_cache_is_that_without(implementation: str) -> None:
    model = converted(implementation=implementation)
    seen = model(input_ids=IDS[:, :5], use_cache=True)
    some = model(input_ids=IDS[:, 5:9], past_key_values=seen.past_key_values, use_cache=True)
    steps = [seen.logits, some.logits]
    for i in range(9, IDS.shape[1]):
        steps.append(model(input_ids=IDS[:, i : i + 1], past_key_values=seen.past_key_values, use_cache=True).logits)
    torch.testing.assert_close(torch.cat(steps, 1), logits(model), rtol=0, atol=1e-5)
    held = [layer.get_seq_length() for layer in seen.past_key_values.layers]
    assert held[0] == held[2] == IDS.shape[1]
    assert 0 < held[1] < IDS.shape[1]


def test_a_cache_for_several_texts_is_refused() -> None:
    with pytest.raises(ModelError, match="one text at a time"):
        converted().generate(IDS.expand(2, -1), max_new_tokens=2)


def test_about_the_trained_share_is_picked_afterwards(root: Path) -> None:
    run = train(root, "run", **MOD, learning_rate=1e-4, max_steps=20)
    model = load_model(run.final, dtype=torch.float32, device="cpu").eval()
    shares: list[float] = []
    for layer in depths.routed_layers(model):
        gate = layer.router
        gate.register_forward_hook(lambda g, _, out: shares.append(float((out > g.threshold).float().mean())))
    rows = json.loads((root / "data" / "rows.json").read_text())
    chat = LocalChat.load(of_run(run, load(run.recipe)))
    for row in rows[:10]:
        logits(model, torch.tensor([chat.tokenizer(row["instruction"] + row["output"]).input_ids]))
    assert 0.1 < sum(shares) / len(shares) < 0.5


# The cycle, and what lies on disk


def test_learns_and_reloads_and_answers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = learns_and_reloads(root, monkeypatch, **MOD)
    chat = LocalChat.load(of_run(run, load(run.recipe)))
    answer = chat.reply([Turn("user", "name fruits")], sampling={"max_new_tokens": 12, "temperature": 0.0})
    assert answer.tokens > 0
    alone = LocalChat.load(of_model(str(run.final)))  # named as any model
    with alone.using() as one, chat.using() as other:
        assert torch.equal(logits(one), logits(other))


def test_resumes_exactly(root: Path) -> None:
    resumes_exactly(root, **MOD)


def test_a_result_is_trained_further(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(root, "first", **MOD)
    more = {"model_name_or_path": str(first.final), "learning_rate": 1e-3}
    again = learns_and_reloads(root, monkeypatch, **{**MOD, "mixture_of_depths": "load"}, **more)
    silent = train(root, "silent", finetuning_type="full", **more)  # named with neither word
    assert losses(silent) == losses(again)
    ended = Ended(monkeypatch)
    lora = train(root, "lora", **more)
    torch.testing.assert_close(loaded_logits(lora), ended.logits, rtol=0, atol=1e-5)


def test_thresholds_are_learnt_with_the_routers_and_stay_with_frozen_ones(root: Path) -> None:
    trained = weights(train(root, "first", **MOD, max_steps=2).final)
    assert all(int(seen) > 0 for name, seen in trained.items() if name.endswith("router.sequences"))
    model = converted()
    model.requires_grad_(False)
    model.get_input_embeddings().weight.requires_grad_(True)  # so that something learns, as beside an adapter
    before = [layer.router.threshold.clone() for layer in depths.routed_layers(model)]
    model.train()(input_ids=IDS).logits.sum().backward()
    assert not any(layer.router.seen for layer in depths.routed_layers(model))
    depths.learn_thresholds(model)
    assert [layer.router.threshold for layer in depths.routed_layers(model)] == before


def test_resumes_exactly_when_loaded(root: Path) -> None:
    first = train(root, "first", **MOD, max_steps=2)
    keys = {"finetuning_type": "full", "mixture_of_depths": "load", "model_name_or_path": str(first.final)}
    resumes_exactly(root, stops=(5,), **keys)


def test_others_refuse_what_lies_on_disk(tmp_path: Path) -> None:
    model = converted()
    model.save_pretrained(tmp_path)
    assert "model.layers.1.router.weight" in weights(tmp_path)
    with pytest.raises(ValueError, match="tuitune_mixture_of_depths"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(load_model(tmp_path, dtype=torch.float32, device="cpu", attention="sdpa")), logits(model))


def test_a_threshold_keeps_its_precision_in_a_half_precision_model(tmp_path: Path) -> None:
    model = converted().to(torch.bfloat16)
    depths.routed_layers(model)[0].router.threshold = torch.tensor(0.1234567)
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path, dtype=torch.bfloat16, device="cpu")
    assert depths.routed_layers(again)[0].router.threshold.item() == pytest.approx(0.1234567, abs=1e-7)


def test_routers_that_are_missing_are_refused(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text()) | {"model_type": depths.MODEL_TYPE, "base_model_type": "llama"}
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="does not say how tokens are routed"):
        load_model(tmp_path, dtype=torch.float32, device="cpu")
    file.write_text(json.dumps(config | {"mixture_of_depths": {"capacity": 0.5, "layers": [1]}}))
    with pytest.raises(ModelError, match="tensors are missing"):
        load_model(tmp_path, dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(("given", "how", "words"), [
    ("plain", "load", "is for a model that has routers"),
    ("routed", "convert", "has routers already"),
])  # fmt: skip
def test_the_recipe_must_fit_the_model(tmp_path: Path, given: str, how: str, words: str) -> None:
    (converted() if given == "routed" else made()).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=words):
        load_shaped(tmp_path, Shaping(mixture_of_depths=how), dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(("family", "more", "words"), [
    ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4}, "more than hidden states and positions"),
    ("mistral", {"sliding_window": 16}, "a window of 16 tokens"),
    ("llama", {"num_hidden_layers": 1}, "it has one layer"),
])  # fmt: skip
def test_what_cannot_be_converted_says_why(family: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        depths.convert(made(family, **more), 0.5)
