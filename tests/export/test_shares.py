"""Adapters merged by shares, against sums in float64 of what each adapter changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tests.export.conftest import write
from tests.methods.cycle import train
from tests.tiny import tiny_model
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.export.order import Order

SHARES = (0.7, -0.4)


def adapter(root: Path, name: str, seed: int, **config: Any) -> Path:
    """Save an adapter with random factors."""
    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False}
    model = get_peft_model(tiny_model(num_hidden_layers=4), LoraConfig(**(settings | config), task_type="CAUSAL_LM"))
    if config.get("use_dora"):
        for key, value in model.named_parameters():
            if "magnitude" in key:
                value.data.mul_(1 + 0.1 * torch.rand_like(value))
    if "modules_to_save" in config:
        for key, value in model.named_parameters():
            if "modules_to_save" in key:
                value.data.add_(0.1 * torch.randn_like(value))
    model.save_pretrained(root / name, save_embedding_layers=False)
    return root / name


def base(root: Path) -> dict[str, Tensor]:
    return {k: v.double() for k, v in LlamaForCausalLM.from_pretrained(root / "tiny").state_dict().items()}


def changes(folder: Path, scale: float) -> dict[str, Tensor]:
    """Return s B A of every layer of a plain LoRA, in float64, by the file's own numbers."""
    tensors = {key: value.double() for key, value in load_file(folder / "adapter_model.safetensors").items()}
    found = {}
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight") + ".weight"
            found[name] = scale * tensors[key.replace("lora_A", "lora_B")] @ a
    return found


def of(root: Path, *adapters: Path) -> Weights:
    return Weights(str(root / "tiny"), adapters, title="several")


@pytest.mark.parametrize(("config", "scale"), [({}, 2.0), ({"use_rslora": True}, 4.0)])
def test_lora_is_the_sum_of_its_products(root: Path, config: dict[str, Any], scale: float) -> None:
    one, two = adapter(root, "one", 1, **config), adapter(root, "two", 2, **config)
    write(of(root, one, two), root / "out", dtype="float32", shares=SHARES)
    truth = base(root)
    for folder, share in zip((one, two), SHARES, strict=True):
        for name, change in changes(folder, scale).items():
            truth[name] = truth[name] + share * change
    found = load_file(root / "out" / "model.safetensors")
    assert len(changes(one, scale)) == 8
    for name, tensor in found.items():
        assert torch.equal(tensor.double(), truth[name]) or (tensor.double() - truth[name]).abs().max() < 2e-7, name
        if name not in changes(one, scale):
            assert torch.equal(tensor.double(), truth[name]), name


def test_dora_and_whole_layers_are_shares_of_what_they_change_alone(root: Path) -> None:
    one = adapter(root, "one", 1, use_dora=True)
    two = adapter(root, "two", 2, modules_to_save=["lm_head"])
    write(of(root, one, two), root / "out", dtype="float32", shares=SHARES)
    start, truth = base(root), base(root)
    for folder, share in zip((one, two), SHARES, strict=True):
        plain = LlamaForCausalLM.from_pretrained(root / "tiny", tie_word_embeddings=folder is one)
        if folder is two:
            plain.lm_head.weight = torch.nn.Parameter(plain.model.embed_tokens.weight.detach().clone())
        alone = PeftModel.from_pretrained(plain, str(folder)).merge_and_unload().state_dict()
        for name, tensor in alone.items():
            truth[name] = truth[name] + share * (tensor.double() - start[name])
    found = LlamaForCausalLM.from_pretrained(root / "out").state_dict()
    assert (truth["lm_head.weight"] - start["lm_head.weight"]).abs().max() > 1e-2
    for name, tensor in found.items():
        assert (tensor.double() - truth[name]).abs().max() < 1e-6, name


def test_all_of_each_is_merging_one_after_the_other(root: Path) -> None:
    one, two = adapter(root, "one", 1), adapter(root, "two", 2)
    write(of(root, one, two), root / "shares", dtype="float32", shares=(1.0, 1.0 + 1e-9))
    write(of(root, one, two), root / "chain", dtype="float32")
    a, b = (load_file(root / name / "model.safetensors") for name in ("shares", "chain"))
    assert all((a[key] - b[key]).abs().max() < 1e-6 for key in b)


def test_shares_that_mean_nothing_are_refused(root: Path) -> None:
    rotated = train(root, "rotated", max_steps=2, finetuning_type="oft", oft_block_size=16).final
    with pytest.raises(ModelError, match="of a rotation is no rotation"):
        write(of(root, rotated), root / "out", shares=(0.5,))
    one, dora = adapter(root, "one", 1), adapter(root, "dora", 2, use_dora=True)
    with pytest.raises(ModelError, match="trained on top of the ones before it"):
        write(of(root, one, dora), root / "out", shares=SHARES, chained=True)
    with pytest.raises(UsageError, match="has 1 numbers, and several has 2 adapters"):
        Order(of(root, one, dora), root / "out", shares=(0.5,))
    assert not (root / "out").exists()


def test_every_adapter_is_checked_by_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = adapter(root, "one", 1), adapter(root, "two", 2)
    from tuitune.export import merge

    plain, seen = merge.into_weights, list[int]()

    def second_is_wrong(loaded: Any) -> Any:
        seen.append(1)
        return plain(loaded) if len(seen) == 1 else loaded.unload()

    monkeypatch.setattr(merge, "into_weights", second_is_wrong)
    with pytest.raises(ModelError, match="the merged model does not answer"):
        write(of(root, one, two), root / "out", shares=SHARES)
