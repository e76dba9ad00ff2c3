"""OFT, VeRA, IA3, LoHa and LoKr through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.engine.given import journal, start
from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.methods.test_adapter_paths import prepared
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns
from tests.tiny import tiny_model
from tuitune.engine.run import run
from tuitune.errors import ModelError
from tuitune.methods.kin import mlp_ends
from tuitune.recipe import Recipe
from tuitune.run import events

CASES: dict[str, dict[str, Any]] = {
    "oft": {"finetuning_type": "oft", "oft_block_size": 16, "module_dropout": 0.2},
    "vera": {"finetuning_type": "vera", "lora_rank": 64, "lora_dropout": 0.2, "learning_rate": 5e-2},
    "ia3": {"finetuning_type": "ia3", "learning_rate": 5e-2},
    "loha": {"finetuning_type": "loha", "learning_rate": 1e-2},
    "lokr": {"finetuning_type": "lokr", "lokr_factor": 8, "learning_rate": 1e-2},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, stops=(5,), **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_used_elsewhere_trained_on_and_merged(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=True, max_steps=4, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_talked_to_while_it_learns(root: Path, case: str) -> None:
    talks_while_it_learns(root, **CASES[case])


# What each method is: its change of a weight by its paper's formula, in float64, from its own tensors.


def oft(w: torch.Tensor, t: dict[str, torch.Tensor]) -> torch.Tensor:
    """Every block of inputs is rotated by Cayley's transform of a skew-symmetric matrix."""
    skew = torch.zeros(len(t["oft_R"]), 16, 16, dtype=w.dtype)
    upper = torch.triu_indices(16, 16, 1)
    skew[:, upper[0], upper[1]] = t["oft_R"]
    skew = skew - skew.mT
    eye = torch.eye(16, dtype=w.dtype)
    return w @ torch.block_diag(*((eye + skew) @ torch.linalg.inv(eye - skew))).T


def vera(w: torch.Tensor, t: dict[str, torch.Tensor]) -> torch.Tensor:
    """Random B and A, cut to the layer, between two vectors."""
    a, b = t["vera_A"][:, : w.shape[1]], t["vera_B"][: w.shape[0]]
    return w + t["vera_lambda_b"][:, None] * b @ (t["vera_lambda_d"][:, None] * a)


def ia3(w: torch.Tensor, t: dict[str, torch.Tensor]) -> torch.Tensor:
    """Outputs are scaled, in the last layer of an MLP the inputs."""
    return w * t["ia3_l"]


def loha(w: torch.Tensor, t: dict[str, torch.Tensor]) -> torch.Tensor:
    """The elementwise product of two products, scaled by alpha / rank = 2."""
    return w + 2 * (t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])


def lokr(w: torch.Tensor, t: dict[str, torch.Tensor]) -> torch.Tensor:
    """A Kronecker product, scaled by alpha / rank = 2."""
    assert t["lokr_w1"].shape == (8, 8)
    second = t["lokr_w2"] if "lokr_w2" in t else t["lokr_w2_a"] @ t["lokr_w2_b"]
    return w + 2 * torch.kron(t["lokr_w1"], second)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layer", ["self_attn.k_proj", "mlp.down_proj"])
def test_the_change_is_that_of_the_paper(case: str, layer: str) -> None:
    made, _, _ = prepared(case, CASES[case])
    if case == "oft":  # peft's series for the inverse ends at the fourth power
        with torch.no_grad():
            for name, p in made.named_parameters():
                p.mul_(0.05 if "oft_R" in name else 1)
    name = f"model.layers.1.{layer}"
    before = tiny_model().get_submodule(name).weight.double()
    module = made.base_model.model.get_submodule(name)
    own = {n.split(".")[0]: p.double() for n, p in module.named_parameters() if "base_layer" not in n}
    own |= {n: getattr(made.base_model, n)["default"].double() for n in ("vera_A", "vera_B") if case == "vera"}
    wanted = globals()[case](before, own)
    merged = made.merge_and_unload().get_submodule(name).weight.double()
    assert float((merged - before).abs().max()) > 1e-3
    assert torch.allclose(merged, wanted, rtol=0, atol=1e-5)


def test_a_rotation_changes_no_length() -> None:
    made, _, _ = prepared("oft", {"oft_rank": 4, "oft_block_size": 0})
    rotation = made.base_model.model.model.layers[0].self_attn.q_proj.oft_R["default"]
    assert (rotation.r, rotation.block_size) == (4, 16)
    with torch.no_grad():
        rotation.weight.mul_(0.2)
    x = torch.randn(3, 64)
    assert torch.allclose(rotation(x).norm(dim=1), x.norm(dim=1), rtol=1e-3)


def test_dropped_blocks_do_not_rotate() -> None:
    made, _, _ = prepared("oft", {"oft_block_size": 2, "module_dropout": 0.25})
    rotation = made.base_model.model.model.layers[0].mlp.down_proj.oft_R["default"]
    x = torch.randn(1, 128)
    turned = rotation.eval()(x).view(64, 2)
    assert bool((turned != x.view(64, 2)).any(1).all())
    rotation.train()
    still = torch.stack([(rotation(x).view(64, 2) == x.view(64, 2)).all(1) for _ in range(50)])
    assert 0.2 < float(still.float().mean()) < 0.3
    assert not torch.equal(still[0], still[1])


def test_blocks_that_divide_no_layer_are_told(root: Path) -> None:
    it = start(root, finetuning_type="oft", oft_block_size=48, max_steps=1, warmup_steps=0)
    assert run(it).status == "finished"
    said = [event.text for event in journal(it, events.Noted)]
    names = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"
    assert f"oft_block_size 48 does not divide the width of {names}: 32 is taken there" in said


def test_other_seeds_have_other_random_matrices() -> None:
    one, two, again = (prepared("vera", {"seed": seed})[0].base_model.vera_A["default"] for seed in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


ENDS = {
    "llama": ({}, "mlp.down_proj"),
    "gpt2": ({"n_embd": 64, "n_layer": 2, "n_head": 4}, "mlp.c_proj"),
    "opt": ({"ffn_dim": 64, "word_embed_proj_dim": 64, "max_position_embeddings": 64}, "fc2"),
    "phi": ({"intermediate_size": 64}, "mlp.fc2"),  # as wide as the model: only the place tells
    "gpt_neox": ({"intermediate_size": 96}, "mlp.dense_4h_to_h"),
}


@pytest.mark.parametrize("family", ENDS)
def test_ends_of_mlps_are_found_in_every_family(family: str) -> None:
    own, end = ENDS[family]
    sizes = {} if family == "gpt2" else {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(family, vocab_size=64, **sizes, **own)
    model = AutoModelForCausalLM.from_config(config)
    found = mlp_ends(model)
    assert [name.endswith(f".{end}") for name in found] == [True, True], found


def test_wrong_names_list_the_right_ones() -> None:
    with pytest.raises(ModelError, match="query") as caught:
        prepared("ia3", {"lora_target": ("q_proj", "query")})
    assert "down_proj" in caught.value.hint
    with pytest.raises(ModelError, match=r"oft_target.*query") as caught:
        prepared("oft", {"oft_target": ("query",)})
    assert "down_proj" in caught.value.hint


def test_a_layer_that_a_method_cannot_adapt_is_refused_in_words() -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=64, n_embd=64, n_layer=1, n_head=4)
    with pytest.raises(ModelError, match=r"loha does not fit this model.*Conv1D") as caught:
        prepared("loha", {}, AutoModelForCausalLM.from_config(config))
    assert "lora" in caught.value.hint


def test_an_adapter_of_another_kind_is_refused(tmp_path: Path) -> None:
    made, _, way = prepared("ia3", {})
    way.save(made, str(tmp_path))
    with pytest.raises(ModelError, match="of the kind IA3, the recipe says finetuning_type: vera"):
        prepared("vera", {"adapter_name_or_path": (str(tmp_path),)})
    # What is merged may be of any kind.
    merged, _, _ = prepared("loha", {"adapter_name_or_path": (str(tmp_path),), "create_new_adapter": True})
    before = made.merge_and_unload().get_submodule("model.layers.0.mlp.up_proj").weight
    after = merged.base_model.model.get_submodule("model.layers.0.mlp.up_proj.base_layer").weight
    assert torch.allclose(before, after)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_products_do_not_go_with_quantised_weights(kind: str) -> None:
    from tuitune.errors import RecipeError

    with pytest.raises(RecipeError) as caught:
        Recipe.of({"model_name_or_path": "x", "dataset": "a", "finetuning_type": kind, "quantization_bit": 4})
    assert any("as large as the weights" in problem.reason for problem in caught.value.problems)
