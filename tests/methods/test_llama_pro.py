"""LLaMA Pro: inserted blocks change nothing, are the only ones that learn, and come back from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.engine.given import weights
from tests.methods.cycle import PROBE, learns_and_reloads, loaded_logits, resumes_exactly, train
from tests.recipe.asked import errors, recipe
from tests.tiny import tiny_model
from tuitune.chat.weights import of_model
from tuitune.errors import ModelError
from tuitune.methods.freeze import Freeze
from tuitune.methods.lora import Lora
from tuitune.models.blocks import FAMILIES, expand, new_blocks
from tuitune.models.shaping import Shaping

PRO: dict[str, Any] = {"use_llama_pro": True, "expand_blocks": 2}
CASES: dict[str, dict[str, Any]] = {
    "freeze": {**PRO, "finetuning_type": "freeze"},
    "lora": {**PRO, "lora_dropout": 0.2},
}
SMALL: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256, "pad_token_id": 0,
}  # fmt: skip


def made(family: str, **more: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SMALL, **more), dtype=torch.float32).eval()


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=torch.tensor(PROBE)).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", FAMILIES)
def test_inserted_blocks_change_no_bit_of_an_answer(family: str) -> None:
    model = made(family)
    before = logits(model)
    grown = expand(model, 2)
    assert torch.equal(logits(grown), before)
    assert grown.config.num_hidden_layers == len(grown.model.layers) == 6
    assert [layer.self_attn.layer_idx for layer in grown.model.layers] == list(range(6))


def test_with_a_key_value_cache_too() -> None:
    ids = torch.tensor(PROBE)
    told = [
        model.generate(ids, max_new_tokens=8, do_sample=False) for model in (made("llama"), expand(made("llama"), 4))
    ]
    assert torch.equal(*told)


def test_what_the_configuration_says_layer_by_layer_grows_too(tmp_path: Path) -> None:
    kinds = ["full_attention", "full_attention", "sliding_attention", "full_attention"]
    windows: dict[str, Any] = {"layer_types": kinds, "sliding_window": 8, "use_sliding_window": True}
    grown = expand(made("qwen2", **windows), 2)
    assert grown.config.layer_types == [*kinds[:2], kinds[1], *kinds[2:], kinds[3]]
    grown.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(again.eval()), logits(made("qwen2", **windows)))
    assert new_blocks(again, recipe("finetuning_type: freeze", "use_llama_pro: true")) == [2, 5]


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    run = learns_and_reloads(root, monkeypatch, **CASES[case])
    if case == "freeze":
        before, after = weights(root / "tiny"), weights(run.final)
        assert all(torch.equal(after[_grown(name)], before[name]) for name in before)
        assert float(after["model.layers.2.self_attn.o_proj.weight"].abs().max()) > 0
    else:
        assert {name.split(".layers.")[1][0] for name in weights(run.final)} == {"2", "5"}
        assert Shaping.beside(run.final).expand_blocks == 2
        alone = of_model(str(root / "tiny"), run.final)  # as somebody else would load it
        assert alone.shaping.expand_blocks == 2


def _grown(name: str) -> str:
    """Return the name that a tensor of the small model has in the expanded one."""
    head, _, rest = name.partition(".layers.")
    number, _, end = rest.partition(".")
    return f"{head}.layers.{int(number) + int(number) // 2}.{end}" if rest else name


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])


def test_a_result_is_trained_further_without_being_expanded_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = learns_and_reloads(root, monkeypatch, **CASES["freeze"])
    again = train(root, "again", finetuning_type="freeze", use_llama_pro=True, model_name_or_path=str(first.final))
    changed = {n for n, x in weights(again.final).items() if not torch.equal(x, weights(first.final)[n])}
    assert {name.split(".layers.")[1][0] for name in changed} == {"2", "5"}
    assert loaded_logits(again).isfinite().all()


def test_of_a_model_expanded_elsewhere_the_ends_of_the_groups_learn() -> None:
    lines = ("use_llama_pro: true", "freeze_trainable_layers: 2")
    model = made("llama")
    Freeze().prepare(model, recipe("finetuning_type: freeze", *lines))
    assert {name.split(".")[2] for name, p in model.named_parameters() if p.requires_grad} == {"1", "3"}
    adapted = Lora().prepare(made("llama"), recipe("lora_target: q_proj", *lines))
    trained = {name.split(".layers.")[1] for name, p in adapted.named_parameters() if p.requires_grad}
    assert {name.partition(".lora_")[0] for name in trained} == {"1.self_attn.q_proj", "3.self_attn.q_proj"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "does not say which of its blocks were inserted"),
        (("freeze_trainable_layers: 3",), "4 layers are not groups that each end with one of 3"),
    ],
)
def test_blocks_that_nobody_can_know_are_asked_for(lines: tuple[str, ...], words: str) -> None:
    for method, kind in ((Freeze(), "freeze"), (Lora(), "lora")):
        with pytest.raises(ModelError, match=words):
            method.prepare(made("llama"), recipe(f"finetuning_type: {kind}", "use_llama_pro: true", *lines))


def test_a_count_that_is_not_the_models_is_refused() -> None:
    asked = recipe("finetuning_type: freeze", "use_llama_pro: true", "freeze_trainable_layers: 3")
    with pytest.raises(ModelError, match="is 3, but the model has 2 inserted blocks"):
        new_blocks(expand(tiny_model(num_hidden_layers=4), 2), asked)


def test_what_cannot_be_expanded_says_why() -> None:
    with pytest.raises(ModelError, match="3 blocks cannot be spread evenly over 4 layers") as caught:
        expand(made("llama"), 3)
    assert "one of 1, 2, 4" in caught.value.hint
    with pytest.raises(ModelError, match="family gpt2") as caught:
        expand(AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", n_layer=2, n_embd=32, n_head=4)), 2)
    assert "llama" in caught.value.hint
    with pytest.raises(ModelError, match="has inserted blocks already"):
        expand(expand(made("llama"), 2), 2)


def test_quantised_blocks_cannot_be_zeroed() -> None:
    model = made("llama")
    model.model.layers[1].mlp.down_proj.weight = torch.nn.Parameter(
        torch.zeros(32, 64, dtype=torch.uint8), requires_grad=False
    )
    with pytest.raises(ModelError, match="cannot be set to zero") as caught:
        expand(model, 2)
    assert "before quantising" in caught.value.hint


@pytest.mark.parametrize("line", ["use_dora: true", "pissa_init: true"])
def test_starts_from_weights_that_are_zero_are_refused(line: str) -> None:
    assert "output weights of zero" in errors("use_llama_pro: true", "expand_blocks: 2", line)[0].reason


def test_counts_that_contradict_each_other_are_refused() -> None:
    found = errors("finetuning_type: freeze", "use_llama_pro: true", "expand_blocks: 2", "freeze_trainable_layers: 4")
    assert "trains all inserted blocks" in found[0].reason
