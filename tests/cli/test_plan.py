from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Call
from tests.cli.given import EVIL
from tests.fit.test_methods import ASKED, named, prepared
from tests.tiny import tiny_model
from tuitune.recipe import load


@pytest.fixture
def recipe(root: Path) -> str:
    return str(root / "recipe.yaml")


def _settings(asked: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value) if isinstance(value, bool) else value}" for key, value in asked.items()]


def _learns(model: Any) -> list[tuple[str, list[int], str]]:
    return [
        (name, list(p.shape), str(p.dtype).removeprefix("torch.")) for name, p in model.named_parameters()
        if p.requires_grad
    ]  # fmt: skip


def _listed(out: str) -> tuple[list[tuple[str, list[int], str]], dict[str, Any]]:
    *tensors, plan = [json.loads(line) for line in out.splitlines()]
    assert {one["kind"] for one in tensors} == {"tensor"}
    assert plan["kind"] == "plan"
    return [(one["name"], one["shape"], one["dtype"]) for one in tensors], plan


@pytest.mark.parametrize("asked", ASKED, ids=named)
def test_the_list_is_that_of_the_prepared_model(call: Call, recipe: str, asked: dict[str, Any]) -> None:
    settings = _settings(asked)
    code, out, err = call("plan", recipe, *settings, "--json")
    assert (code, err) == (0, "")
    tensors, plan = _listed(out)
    made = prepared(tiny_model(), load(recipe, settings))
    assert tensors == _learns(made)
    assert plan["trained"] == sum(p.numel() for p in made.parameters() if p.requires_grad)
    assert plan["total"] == sum(p.numel() for p in made.parameters())
    assert plan["memory"]["grads"] > 0
    assert plan["peak"] == sum(plan["memory"].values())


@pytest.mark.parametrize(
    "asked", [{"pissa_init": True}, {"quantization_bit": 4}, {"quantization_bit": 4, "loftq_init": True}], ids=named
)
def test_what_needs_the_weights_changes_no_shape(call: Call, recipe: str, asked: dict[str, Any]) -> None:
    plain, _ = _listed(call("plan", recipe, "--json")[1])
    tensors, plan = _listed(call("plan", recipe, *_settings(asked), "--json")[1])
    assert tensors == plain
    assert (plan["total"], plan["trained"]) == (123_200, 16_384)


def test_precision_shows_in_the_list(call: Call, recipe: str) -> None:
    pure, _ = _listed(call("plan", recipe, "pure_bf16=true", "finetuning_type=full", "--json")[1])
    assert {dtype for _, _, dtype in pure} == {"bfloat16"}


def test_an_adapter_that_is_trained_further_is_listed_as_it_is(call: Call, recipe: str, root: Path) -> None:
    from tuitune.methods import method

    made: Any = method("lora").prepare(tiny_model(), load(recipe, ["lora_rank=3", "lora_target=q_proj,up_proj"]))
    made.save_pretrained(root / "old")
    tensors, _ = _listed(call("plan", recipe, "adapter_name_or_path=old", "--json")[1])
    assert tensors == _learns(made)
    anew, _ = _listed(call("plan", recipe, "adapter_name_or_path=old", "create_new_adapter=true", "--json")[1])
    assert anew == _listed(call("plan", recipe, "--json")[1])[0]


def test_layers_stand_together_unless_all_are_asked_for(call: Call, recipe: str) -> None:
    code, out, _ = call("plan", recipe)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "lora trains 16,384 of 123,200 parameters (13.3 %)"
    row = next(line for line in lines if "q_proj.lora_A" in line)
    assert row.split() == ["model.layers.*.self_attn.q_proj.lora_A.weight", "8", "x", "64", "float32", "0-1", "1,024"]
    assert sum("proj" in line for line in lines) == 14
    assert any(line.startswith("memory: about ") and "it fits" in line for line in lines)
    assert any(line.startswith("optimizer: adamw_torch_fused") for line in lines)
    assert any(line.startswith("rows: without padding") for line in lines)
    every = call("plan", recipe, "--all")[1]
    assert "base_model.model.model.layers.1.self_attn.q_proj.lora_A.default.weight" in every
    assert sum("proj" in line for line in every.splitlines()) == 28


def test_the_own_optimizer_and_the_path_are_told(call: Call, recipe: str) -> None:
    out = call("plan", recipe, "finetuning_type=full", "use_galore=true")[1]
    assert "optimizer: galore\n" in out
    assert "(100 %)" in out
    assert "rows: padded: learnt vectors" in call("plan", recipe, "finetuning_type=prompt_tuning")[1]
    assert "16 times" in call("plan", recipe, "loraplus_lr_ratio=16")[1]


def test_a_model_whose_memory_cannot_be_told_still_has_its_tensors_told(call: Call, recipe: str, root: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=3, n_head=2, vocab_size=512)).save_pretrained(root / "tiny")
    code, out, err = call("plan", recipe, "lora_rank=2")
    assert (code, err) == (0, "")
    assert "transformer.h.*.attn.c_attn.lora_A.weight" in out
    assert "0-2" in out
    assert "memory: the architecture gpt2 is not one whose memory can be told in advance" in out
    _, plan = _listed(call("plan", recipe, "--json")[1])
    assert (plan["memory"], plan["peak"], plan["fits"]) == (None, None, "unknown")


def test_no_weight_is_read(call: Call, recipe: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", refuse)
    before = torch.get_rng_state()
    assert call("plan", recipe)[0] == 0
    assert torch.equal(torch.get_rng_state(), before)


def test_mistakes_are_those_of_the_training(call: Call, recipe: str) -> None:
    assert call("plan", recipe, "lora_rnk=8")[0] == 2
    code, out, err = call("plan", recipe, "lora_target=nothing")
    assert (code, out) == (2, "")
    assert "nothing" in err
    code, out, err = call("plan", recipe, "model_name_or_path=some/model")
    assert (code, out) == (1, "")
    assert "tuitune models get some/model" in err


def test_a_model_cannot_write_to_the_terminal(call: Call, recipe: str, root: Path) -> None:
    config = json.loads((root / "tiny" / "config.json").read_text())
    (root / "tiny" / "config.json").write_text(json.dumps(config | {"model_type": EVIL}))
    code, out, err = call("plan", recipe)
    assert code == 1
    assert not set(out + err) & {"\x1b", "\x07", "\x08", "\x9b"}
