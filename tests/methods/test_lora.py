"""LoRA's layers and adapters: what `lora_target` means, tied embeddings, experts, and several adapters at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.engine.given import start
from tests.methods.cycle import learns_and_reloads, loaded_logits, logits, resumes_exactly, train
from tests.tiny import tiny_model
from tuitune.errors import ModelError
from tuitune.methods import method
from tuitune.methods.adapters import load_adapter, merge
from tuitune.methods.targets import find
from tuitune.recipe import Recipe, load
from tuitune.run.directory import RunDir

TINY: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
EXPERTS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**MOE, "num_experts": 4, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {**MOE, "num_experts": 4, "mlp_only_layers": [0]},
    "qwen3_next": {
        **MOE,
        "num_experts": 4,
        "shared_expert_intermediate_size": 24,
        "layer_types": ["linear_attention", "full_attention"],
    },
}


def random_model(kind: str, **config: Any) -> Any:
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**TINY, **config}), dtype=torch.float32)


def recipe(**more: Any) -> Recipe:
    return Recipe.of({"model_name_or_path": "m", "dataset": "d", "lora_rank": 4, **more})


def adapted(model: Any) -> set[str]:
    """Return the names of the weights that got an adapter, without the layer's number."""
    names = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_" in name:
            names.add(name.removeprefix("base_model.model.").partition(".lora_")[0].replace(".base_layer", ""))
    return names


def shake(model: Any) -> Any:
    """Give every trained parameter random values, so that an adapter does something."""
    torch.manual_seed(2)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.05)
    return model


# What lora_target means


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("q_proj, v_proj", {f"model.layers.{n}.self_attn.{p}_proj" for n in (0, 1) for p in "qv"}),
        ("layers.1.mlp.up_proj", {"model.layers.1.mlp.up_proj"}),
        ("0.self_attn.q_proj,down_proj", {"model.layers.0.self_attn.q_proj"} | {
            f"model.layers.{n}.mlp.down_proj" for n in (0, 1)
        }),
        (r".*layers\.1\..*(q|up)_proj", {"model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj"}),
        ([r"model\.layers\.\d{1,2}\.mlp\.gate_proj"], {f"model.layers.{n}.mlp.gate_proj" for n in (0, 1)}),
        ("all", {
            f"model.layers.{n}.{p}" for n in (0, 1) for p in (
                *(f"self_attn.{x}_proj" for x in "qkvo"), *(f"mlp.{x}_proj" for x in ("gate", "up", "down"))
            )
        }),
        ("embed_tokens", {"model.embed_tokens"}),
        ("lm_head,k_proj", {"lm_head", "model.layers.0.self_attn.k_proj", "model.layers.1.self_attn.k_proj"}),
    ],
)  # fmt: skip
def test_targets(targets: Any, expected: set[str]) -> None:
    made = method("lora").prepare(tiny_model(tie_word_embeddings=False), recipe(lora_target=targets))
    assert adapted(made) == expected


@pytest.mark.parametrize(
    ("targets", "reason", "hint"),
    [
        ("q_porj", "no layer of this model is called q_porj", "q_proj, up_proj, v_proj"),
        ("q_proj,w1", "called w1", "gate_proj"),
        ("mlp", "called mlp", "down_proj"),
        ("(q|v)_proj", "fits no layer", "whole name, such as model.layers.0.mlp.down_proj"),
    ],
)
def test_targets_that_fit_nothing_are_refused_with_what_there_is(targets: str, reason: str, hint: str) -> None:
    with pytest.raises(ModelError, match="lora_target") as caught:
        method("lora").prepare(tiny_model(), recipe(lora_target=targets))
    assert reason in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_additional_target_is_refused() -> None:
    with pytest.raises(ModelError, match="additional_target") as caught:
        method("lora").prepare(tiny_model(), recipe(additional_target="embed_tokns"))
    assert "embed_tokens" in caught.value.hint


@pytest.mark.parametrize("kind", ["oft", "vera", "adalora", "loha"])
def test_others_than_lora_refuse_to_train_a_tied_embedding(kind: str) -> None:
    asked = {"finetuning_type": kind, "additional_target": "lm_head", "oft_block_size": 16}
    with pytest.raises(ModelError, match="the head of this model is its embedding"):
        method(kind).prepare(tiny_model(), recipe(**asked))
    assert method(kind).prepare(tiny_model(tie_word_embeddings=False), recipe(**asked))


def test_additional_targets_are_whole_names() -> None:
    made = method("lora").prepare(tiny_model(), recipe(additional_target="norm"))
    whole = {name for name, p in made.named_parameters() if p.requires_grad and "lora_" not in name}
    assert whole == {"base_model.model.model.norm.modules_to_save.default.weight"}


def test_alpha_is_twice_the_rank_unless_given() -> None:
    scales = []
    for more in ({}, {"lora_alpha": 3}, {"use_rslora": True}):
        made: Any = method("lora").prepare(tiny_model(), recipe(**more))
        scales.append(made.base_model.model.model.layers[0].self_attn.q_proj.scaling["default"])
    assert scales == [2.0, 0.75, 4.0]


# Layers of other kinds


class Mixing(LlamaForCausalLM):
    """A llama whose embeddings pass through a two- and a one-dimensional convolution."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.plane = nn.Conv2d(1, 1, 3, padding=1)
        self.line = nn.Conv1d(config.hidden_size, config.hidden_size, 3, padding=1)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, **more: Any) -> Any:
        mixed = self.plane(self.model.embed_tokens(input_ids)[:, None])[:, 0]
        more["inputs_embeds"] = self.line(mixed.transpose(1, 2)).transpose(1, 2)
        return super().forward(**more)


def _mixing() -> Mixing:
    torch.manual_seed(3)
    return Mixing(LlamaConfig(**TINY, tie_word_embeddings=False)).eval()


@pytest.mark.parametrize("targets", ["plane,line", "embed_tokens,lm_head", "all"])
def test_convolutions_and_embeddings_are_saved_loaded_and_merged(tmp_path: Path, targets: str) -> None:
    lora = method("lora")
    made = shake(lora.prepare(_mixing(), recipe(lora_target=targets)))
    assert len(adapted(made)) == {"plane,line": 2, "embed_tokens,lm_head": 2, "all": 14}[targets]
    truth = logits(made)
    assert (truth - logits(_mixing())).abs().max() > 1e-3
    lora.save(made, str(tmp_path))
    assert all("lora_" in name for name in load_file(tmp_path / "adapter_model.safetensors"))
    assert (logits(load_adapter(_mixing(), tmp_path)) - truth).abs().max() < 1e-6
    assert (logits(merge(_mixing(), tmp_path)) - truth).abs().max() < 1e-5


# Embeddings that are the head too

TIED: dict[str, dict[str, Any]] = {
    "embedding whole": {"additional_target": "embed_tokens"},
    "head whole": {"additional_target": "lm_head"},
    "both whole": {"additional_target": "embed_tokens,lm_head"},
    "adapter on the embedding": {"lora_target": "q_proj,embed_tokens", "lora_dropout": 0.1},
    "adapter on the head": {"lora_target": "q_proj,lm_head"},
}


@pytest.mark.parametrize("case", TIED)
def test_tied_weights_stay_tied(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    made = learns_and_reloads(root, monkeypatch, **TIED[case])
    base = LlamaForCausalLM.from_pretrained(root / "tiny")
    merged = merge(base, made.final)
    assert torch.equal(merged.get_input_embeddings().weight, merged.get_output_embeddings().weight)
    assert (logits(merged) - loaded_logits(made)).abs().max() < 1e-5
    merged.save_pretrained(root / "merged")
    again = LlamaForCausalLM.from_pretrained(root / "merged")
    assert (logits(again) - loaded_logits(made)).abs().max() < 1e-5


def test_a_tied_adapter_is_learnt_once_with_the_whole_gradient() -> None:
    model = tiny_model(num_hidden_layers=1).double()
    made: Any = method("lora").prepare(model, recipe(lora_target="embed_tokens,q_proj"))
    made.double()
    learning = {name: p for name, p in made.named_parameters() if p.requires_grad}
    assert not [name for name in learning if "lm_head" in name]
    assert len({p.data_ptr() for p in learning.values()}) == len(learning)
    ids = torch.tensor([[3, 9, 27, 81, 243, 5]])

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(made(input_ids=ids).logits[0, :-1], ids[0, 1:])

    for which in ("lora_embedding_A", "lora_embedding_B"):
        matrix = next(p for name, p in learning.items() if which in name)
        with torch.no_grad():
            matrix.copy_(torch.randn(matrix.shape, generator=torch.Generator().manual_seed(1), dtype=matrix.dtype) / 50)
    for which in ("lora_embedding_A", "lora_embedding_B"):
        matrix = next(p for name, p in learning.items() if which in name)
        made.zero_grad()
        loss().backward()
        step = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(2), dtype=matrix.dtype)
        far = []
        with torch.no_grad():
            for sign in (1, -1):
                matrix.add_(step, alpha=sign * 1e-3)
                far.append(float(loss()))
                matrix.add_(step, alpha=-sign * 1e-3)
        assert matrix.grad is not None
        assert float((matrix.grad * step).sum()) == pytest.approx((far[0] - far[1]) / 2e-3, rel=1e-3)


@pytest.mark.parametrize("case", ["embedding whole", "adapter on the embedding"])
def test_tied_weights_resume(root: Path, case: str) -> None:
    resumes_exactly(root, stops=(4,), **TIED[case])


# Experts


def test_all_on_mixtral_includes_the_experts_and_the_router() -> None:
    made = method("lora").prepare(random_model("mixtral", **EXPERTS["mixtral"]), recipe())
    assert adapted(made) == {
        f"model.layers.{n}.{part}"
        for n in (0, 1)
        for part in (*(f"self_attn.{x}_proj" for x in "qkvo"), "mlp.gate", "mlp.experts")
    }
    shapes = {
        name.partition("layers.1.mlp.experts.")[2]: tuple(p.shape)
        for name, p in made.named_parameters()
        if "layers.1.mlp.experts" in name and p.requires_grad
    }
    # Four experts of rank 4 each, beside (4, 96, 32) gate and up, and (4, 32, 48) down.
    assert shapes == {
        "base_layer.lora_A.default.weight": (16, 32),
        "base_layer.lora_B.default.weight": (96, 16),
        "lora_A.default.weight": (16, 48),
        "lora_B.default.weight": (32, 16),
    }


@pytest.mark.parametrize("kind", EXPERTS)
def test_experts_are_saved_loaded_and_merged(tmp_path: Path, kind: str) -> None:
    lora = method("lora")
    made = shake(lora.prepare(random_model(kind, **EXPERTS[kind]), recipe()))
    truth = logits(made)
    lora.save(made, str(tmp_path))
    loaded = load_adapter(random_model(kind, **EXPERTS[kind]), tmp_path)
    assert (logits(loaded) - truth).abs().max() < 1e-6
    again = load_adapter(random_model(kind, **EXPERTS[kind]), tmp_path, trainable=True)
    names = [{n for n, p in model.named_parameters() if p.requires_grad} for model in (made, again)]
    assert names[0] == names[1]
    assert (logits(merge(random_model(kind, **EXPERTS[kind]), tmp_path)) - truth).abs().max() < 1e-5


def test_every_matrix_of_an_expert_model_is_reached() -> None:
    model = random_model("qwen3_next", **EXPERTS["qwen3_next"])
    made = method("lora").prepare(model, recipe())
    assert {name.partition("layers.1.")[2] for name in adapted(made) if "layers.1." in name} == {
        *(f"self_attn.{x}_proj" for x in "qkvo"),
        *(f"mlp.shared_expert.{x}_proj" for x in ("gate", "up", "down")),
        "mlp.shared_expert_gate",
        "mlp.gate",
        "mlp.experts",
    }


@pytest.mark.parametrize(
    ("targets", "modules", "parameters"),
    [
        ("q_proj,gate_up_proj", ("q_proj",), ("experts.gate_up_proj",)),
        ("experts", (), ("experts.down_proj", "experts.gate_up_proj")),
        ("gate", (), ("gate.weight",)),
        (r".*1\.mlp\.experts\.down_proj", (), ("1.mlp.experts.down_proj",)),
    ],
)
def test_experts_by_name(targets: str, modules: tuple[str, ...], parameters: tuple[str, ...]) -> None:
    found = find(random_model("mixtral", **EXPERTS["mixtral"]), (*targets.split(","),))
    assert (found.modules, found.parameters) == (modules, parameters)


@pytest.mark.parametrize("wish", [{"lora_dropout": 0.1}, {"use_dora": True}, {"pissa_init": True}])
def test_what_experts_cannot_have_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="bare tensors") as caught:
        method("lora").prepare(random_model("mixtral", **EXPERTS["mixtral"]), recipe(**wish))
    assert caught.value.message.startswith(next(iter(wish)))
    assert "lora_target" in caught.value.hint
    method("lora").prepare(random_model("mixtral", **EXPERTS["mixtral"]), recipe(**wish, lora_target="q_proj,k_proj"))


def test_all_leaves_what_sees_alone() -> None:
    config = {
        "text_config": TINY,
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gemma3", **config))
    assert any("vision" in name for name, _ in model.named_modules())
    names = adapted(method("lora").prepare(model, recipe()))
    assert len(names) == 14
    assert not any("vision" in name for name in names)


# Several adapters


def _delta(folder: Path, scale: float) -> dict[str, torch.Tensor]:
    """Return what a LoRA adapter adds to each weight, in float64: scale * B @ A."""
    found = load_file(folder / "adapter_model.safetensors")
    return {
        name.removeprefix("base_model.model.").replace(".lora_A", ""): scale
        * (found[name.replace("lora_A", "lora_B")].double() @ found[name].double())
        for name in found
        if ".lora_A." in name
    }


@pytest.fixture
def two(root: Path) -> tuple[RunDir, RunDir]:
    """Two adapters, of other ranks and layers, each trained on the untouched model."""
    return train(root, "a", lora_rank=8), train(root, "b", lora_rank=2, lora_target="v_proj,up_proj", seed=7)


@torch.no_grad()
def _with(root: Path, *deltas: dict[str, torch.Tensor]) -> torch.Tensor:
    model = LlamaForCausalLM.from_pretrained(root / "tiny")
    weights = dict(model.named_parameters())
    for delta in deltas:
        for name, change in delta.items():
            weights[name] += change.float()
    return logits(model)


def test_earlier_adapters_are_merged_in_order_and_the_last_is_trained_on(
    root: Path, two: tuple[RunDir, RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    asked = {"adapter_name_or_path": f"{a.path},{b.path}", "lora_rank": 2}
    recipe = load(start(root, "begin", **asked).recipe)
    begun = method("lora").prepare(LlamaForCausalLM.from_pretrained(root / "tiny"), recipe)
    expected = _with(root, _delta(a.final, 2.0), _delta(b.final, 2.0))
    assert (logits(begun) - expected).abs().max() < 1e-5
    trained = {name.rpartition("layers.0.")[2] for name, p in begun.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith("self_attn")} == {
        "self_attn.v_proj.lora_A.default.weight",
        "self_attn.v_proj.lora_B.default.weight",
    }
    made = learns_and_reloads(root, monkeypatch, **asked)
    assert (
        load_file(made.final / "adapter_model.safetensors").keys()
        == load_file(b.final / "adapter_model.safetensors").keys()
    )
    assert (loaded_logits(made) - _with(root, _delta(a.final, 2.0), _delta(made.final, 2.0))).abs().max() < 1e-5


def test_a_new_adapter_stands_on_all_earlier_ones(
    root: Path, two: tuple[RunDir, RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    asked = {"adapter_name_or_path": f"{a.path},{b.path}", "create_new_adapter": True, "lora_rank": 3}
    made = learns_and_reloads(root, monkeypatch, **asked)
    sums = [_delta(a.final, 2.0), _delta(b.final, 2.0), _delta(made.final, 2.0)]
    assert next(iter(load_file(made.final / "adapter_model.safetensors").values())).shape[0] in (3, 64, 128)
    assert (loaded_logits(made) - _with(root, *sums)).abs().max() < 1e-5
    resumes_exactly(root, stops=(6,), **asked)


def test_merging_into_bf16_rounds_once(root: Path, two: tuple[RunDir, RunDir]) -> None:
    a, _ = two
    base = LlamaForCausalLM.from_pretrained(root / "tiny", dtype=torch.bfloat16)
    before = {name: p.detach().double() for name, p in base.named_parameters()}
    merged = dict(merge(base, a.final).named_parameters())
    for name, change in _delta(a.final, 2.0).items():
        exact = before[name] + change
        spacing = torch.finfo(torch.bfloat16).eps * exact.abs().clamp(min=1e-6)
        assert ((merged[name].double() - exact).abs() <= 0.51 * spacing).all()


def test_an_adapter_of_another_model_is_refused_in_words(root: Path, two: tuple[RunDir, RunDir]) -> None:
    other = tiny_model(hidden_size=32)
    with pytest.raises(ModelError, match="cannot be put on this model"):
        load_adapter(other, two[0].final)
