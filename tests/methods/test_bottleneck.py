"""Bottleneck adapters through the whole cycle, on many families, and in a form that nobody misreads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM

from tests.engine.given import journal, losses, weights
from tests.methods.cycle import Ended, learns_and_reloads, loaded_logits, logits, resumes_exactly, train
from tests.methods.uses import base_model, far, talks_while_it_learns
from tests.models.test_flat import gradient, rows_of
from tests.recipe.asked import recipe, warnings
from tests.tiny import tiny_model
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import of_model, of_run
from tuitune.errors import ModelError
from tuitune.fit.adapters import scan_adapters
from tuitune.methods.adapters import load_adapter
from tuitune.methods.bottleneck import Bottleneck, Narrow, Shape, adapters_of, attach
from tuitune.models import attention, paths
from tuitune.recipe import load
from tuitune.run import events

NARROW: dict[str, Any] = {"finetuning_type": "bottleneck", "bottleneck_size": 8}
CASES: dict[str, dict[str, Any]] = {
    "houlsby": {**NARROW, "bottleneck_dropout": 0.2},
    "mlp": {**NARROW, "bottleneck_where": "mlp", "bottleneck_activation": "relu"},
    "attention": {**NARROW, "bottleneck_where": "attention", "bottleneck_activation": "silu"},
}
SMALL: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256, "pad_token_id": 0,
}  # fmt: skip
GPT2 = {"vocab_size": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
FAMILIES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "phi", "olmo2", "glm4"), SMALL),
    "mixtral": {**SMALL, "num_local_experts": 2, "num_experts_per_tok": 1},
    "falcon": {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "gpt2": GPT2,
    "opt": {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "gpt_neox": SMALL,
}


def made(family: str, implementation: str | None = None) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **FAMILIES[family])
    more = {"attn_implementation": implementation} if implementation else {}
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32, **more).eval()


def moved(model: Any) -> Any:
    """Let the adapters do something, as after training."""
    torch.manual_seed(1)
    for adapter in adapters_of(model):
        torch.nn.init.normal_(adapter.up.weight, std=0.2)
    return model


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    run = learns_and_reloads(root, monkeypatch, **CASES[case])
    assert len(weights(run.final)) == 4 * 4 * (2 if case == "houlsby" else 1)
    assert sorted(file.name for file in run.final.glob("*.safetensors")) == ["adapter_model.safetensors"]


@pytest.mark.parametrize("case", ["houlsby", "mlp"])
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])


def test_on_a_quantised_base(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(root, monkeypatch, **NARROW, quantization_bit=4)
    resumes_exactly(root, **NARROW, quantization_bit=4)


def test_it_can_be_talked_to_while_it_learns(root: Path) -> None:
    talks_while_it_learns(root, **NARROW)


def test_what_an_adapter_computes() -> None:
    adapter = Narrow(6, Shape(3, "relu", "mlp", 0.0), torch.device("cpu"))
    x = torch.randn(2, 5, 6)
    assert torch.equal(adapter(x), x)
    torch.nn.init.normal_(adapter.up.weight)
    torch.nn.init.normal_(adapter.up.bias)
    down, up = adapter.down, adapter.up
    wanted = x + (x @ down.weight.T + down.bias).clamp(min=0) @ up.weight.T + up.bias
    torch.testing.assert_close(adapter(x), wanted)
    assert adapter(x.to(torch.bfloat16)).dtype is torch.bfloat16


def test_adapters_stand_before_the_residual_is_added() -> None:
    model = moved(attach(tiny_model(num_hidden_layers=1), Shape(8, "gelu", "both", 0.0), trainable=True))
    layer: Any = model.model.layers[0]
    adapters: dict[str, Any] = {"attention": layer.self_attn.bottleneck, "mlp": layer.mlp.bottleneck}
    x = torch.randn(1, 5, 64)
    tables = model.model.rotary_emb(x, torch.arange(5)[None])
    out = layer(x, position_embeddings=tables)
    with model.disable_adapter():
        attended, _ = layer.self_attn(layer.input_layernorm(x), position_embeddings=tables, attention_mask=None)
        middle = x + adapters["attention"].up(adapters["attention"].activation(adapters["attention"].down(attended)))
        middle = middle + attended
        last = layer.mlp(layer.post_attention_layernorm(middle))
        wanted = middle + last + adapters["mlp"].up(adapters["mlp"].activation(adapters["mlp"].down(last)))
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_halves_of_every_layer_are_found(family: str, tmp_path: Path) -> None:
    model = made(family)
    before = logits(model)
    attach(model, Shape(8, "gelu", "both", 0.0), trainable=True)
    assert len(adapters_of(model)) == 4
    assert torch.equal(logits(model), before)
    after = logits(moved(model))
    assert far(after, before) > 1e-4
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 16
    model.train()(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    model.save_pretrained(tmp_path)
    again = load_adapter(made(family), tmp_path)
    assert torch.equal(logits(again), after)
    with again.disable_adapter():
        assert torch.equal(logits(again), before)
    assert not any(p.requires_grad for p in again.parameters())


def test_flat_rows_with_recomputation_give_the_gradient_of_rows_alone() -> None:
    attention.register()
    rows = rows_of([30, 12, 21, 5])
    ids, labels = [r for r, _ in rows], [m for _, m in rows]
    model = moved(attach(made("llama", "tuitune"), Shape(8, "gelu", "both", 0.0), trainable=True))
    path, _ = paths.choose(model, longest=30, pad=0, dropout=False, autocast=None)
    assert path.name == "flat"
    model.train()
    for row, mask in rows:
        path.score(model, [row], [mask]).loss.backward()
    alone = gradient(model)
    model.zero_grad()
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    path.score(model, ids, labels).loss.backward()
    assert ((gradient(model) - alone).norm() / alone.norm()).item() < 1e-4


def test_others_refuse_what_lies_on_disk(root: Path) -> None:
    run = train(root, "run", **NARROW, max_steps=1)
    with pytest.raises(Exception, match="TUITUNE_BOTTLENECK"):
        PeftModel.from_pretrained(base_model(root), str(run.final))


def test_an_adapter_is_trained_further_and_talked_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended(monkeypatch)
    first = train(root, "first", **NARROW)
    result = ended.logits
    further = train(root, "further", **{**NARROW, "bottleneck_dropout": 0.1}, adapter_name_or_path=str(first.path))
    begun = Bottleneck().prepare(base_model(root), load(further.recipe))
    assert torch.equal(logits(begun), result)
    assert {adapter.dropout.p for adapter in adapters_of(begun)} == {0.1}
    assert far(loaded_logits(further), ended.logits) <= 1e-5
    chat = LocalChat.load(of_model(str(root / "tiny"), first.final))
    asked = {"sampling": {"max_new_tokens": 8, "temperature": 0.0}}
    told = chat.reply([Turn("user", "name fruits")], base=True, **asked)
    plain = LocalChat.load(of_model(str(root / "tiny"))).reply([Turn("user", "name fruits")], **asked)
    assert told.text == plain.text
    assert far(logits(chat._model), result) <= 1e-5


def test_on_a_merged_lora(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lora = train(root, "lora", max_steps=2)
    keys = {**NARROW, "adapter_name_or_path": str(lora.path), "create_new_adapter": True}
    learns_and_reloads(root, monkeypatch, **keys)


def test_it_is_listed_with_its_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(root, "run", **NARROW, max_steps=1)
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    run.final.rename(elsewhere / "mine")
    (found,) = [info for info in scan_adapters(elsewhere) if info.kind == "folder"]
    assert found.name == "mine"
    assert found.base == str(root / "tiny")


def test_what_does_not_fit_says_why(root: Path, tmp_path: Path) -> None:
    attach(tiny_model(), Shape(8, "gelu", "both", 0.0), trainable=True).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot be put on this model"):
        load_adapter(tiny_model(num_hidden_layers=4), tmp_path)
    with pytest.raises(ModelError, match="add the residual before"):
        attach(
            AutoModelForCausalLM.from_config(AutoConfig.for_model("bloom", hidden_size=32, n_layer=2, n_head=4)),
            Shape(8, "gelu", "both", 0.0), trainable=True,
        )  # fmt: skip
    with pytest.raises(ModelError, match="no attention"):
        attach(
            AutoModelForCausalLM.from_config(
                AutoConfig.for_model("mamba", vocab_size=64, hidden_size=32, num_hidden_layers=2)
            ),
            Shape(8, "gelu", "both", 0.0), trainable=True,
        )  # fmt: skip
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "TUITUNE_BOTTLENECK", "size": 0}')
    with pytest.raises(ModelError, match="cannot be read"):
        load_adapter(tiny_model(), tmp_path)
    lora = train(root, "lora", max_steps=1)
    other = train_fails(root, adapter_name_or_path=str(lora.path), **NARROW)
    assert "is of the kind LORA" in other


def train_fails(root: Path, **keys: Any) -> str:
    from tests.engine.given import start
    from tuitune.engine.run import run

    made_run = start(root, "fails", **keys)
    run(made_run)
    (failed,) = journal(made_run, events.RunFailed)
    return str(failed.message)


def test_earlier_sizes_stay_and_this_is_said() -> None:
    found = warnings("finetuning_type: bottleneck", "adapter_name_or_path: x", "bottleneck_size: 8")
    assert "keep the size" in found[0].reason


def test_pure_bf16_trains_in_bf16() -> None:
    model = tiny_model().to(torch.bfloat16)
    asked = recipe("finetuning_type: bottleneck", "pure_bf16: true")
    assert {p.dtype for p in Bottleneck().prepare(model, asked).parameters()} == {torch.bfloat16}
    plain = Bottleneck().prepare(tiny_model().to(torch.bfloat16), recipe("finetuning_type: bottleneck"))
    assert {p.dtype for p in plain.parameters() if p.requires_grad} == {torch.float32}


def test_dropout_is_drawn_while_training_only(root: Path) -> None:
    wet, dry = (train(root, name, **NARROW, bottleneck_dropout=share) for name, share in (("wet", 0.3), ("dry", 0.0)))
    assert losses(wet)[1][0] == losses(dry)[1][0]  # the adapters begin with nothing to add
    assert losses(wet)[5][0] != losses(dry)[5][0]
    assert of_run(wet, load(wet.recipe)).adapters == (wet.final,)
