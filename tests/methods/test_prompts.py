"""Prompt tuning, p-tuning and prefix tuning through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, start, weights
from tests.methods.cycle import learns_and_reloads, resumes_exactly, train
from tests.methods.test_adapter_paths import prepared
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.engine.run import run
from tuitune.errors import ModelError, RecipeError
from tuitune.methods.prompts import STATE
from tuitune.recipe import Recipe
from tuitune.run import events

CASES: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"finetuning_type": "prompt_tuning", "learning_rate": 3e-2},
    "words": {"finetuning_type": "prompt_tuning", "prompt_tuning_init_text": "the river runs", "learning_rate": 3e-2},
    "p_tuning": {"finetuning_type": "p_tuning", "learning_rate": 1e-3},
    "prefix_tuning": {"finetuning_type": "prefix_tuning", "learning_rate": 3e-2},
    "projection": {"finetuning_type": "prefix_tuning", "prefix_projection": True, "learning_rate": 1e-2},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, stops=(5,), num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_used_elsewhere_and_trained_on(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=False, max_steps=4, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_talked_to_while_it_learns(root: Path, case: str) -> None:
    talks_while_it_learns(root, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", ["prompt_tuning", "p_tuning", "prefix_tuning", "projection"])
def test_generation_step_by_step_is_the_forward_of_the_whole(case: str) -> None:
    more = {key: value for key, value in CASES[case].items() if key != "learning_rate"}
    model, _, _ = prepared(case, more, tiny_model(initializer_range=0.2))
    ids = torch.tensor([[3, 17, 41, 5, 99]])

    def grown(count: int) -> list[int]:
        whole = ids
        for _ in range(count):
            logits = model(input_ids=whole, attention_mask=torch.ones_like(whole), use_cache=False).logits
            whole = torch.cat([whole, logits[:, -1:].argmax(-1)], 1)
        return whole[0].tolist()

    def written() -> list[int]:
        made = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False, use_cache=True,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return made[0].tolist()

    with torch.no_grad():
        told = written()
        assert told == grown(10)
        with model.disable_adapter():
            base = written()
            assert base == grown(10)
        assert told != base
        assert told == written()


def test_words_of_the_recipe_are_the_first_vectors(root: Path) -> None:
    text = "the river runs through a small town"
    it = start(root, finetuning_type="prompt_tuning", prompt_tuning_init_text=text, num_virtual_tokens=3, max_steps=1,
               learning_rate=1e-9, warmup_steps=0)  # fmt: skip
    assert run(it).status == "finished"
    ids = tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]
    table = tiny_model(num_hidden_layers=4).get_input_embeddings().weight
    assert torch.allclose(weights(it.final)["prompt_embeddings"], table[torch.tensor(ids[:3])], atol=1e-6)
    said = [event.text for event in journal(it, events.Noted)]
    assert any(f"has {len(ids)} tokens, the first 3 are used" in each for each in said), said
    longer = start(root, "longer", finetuning_type="prompt_tuning", prompt_tuning_init_text="the river",
                   num_virtual_tokens=40, max_steps=1, learning_rate=1e-9, warmup_steps=0)  # fmt: skip
    assert run(longer).status == "finished"
    few = tiny_tokenizer()("the river", add_special_tokens=False)["input_ids"]
    repeated = table[torch.tensor((few * 40)[:40])]
    assert torch.allclose(weights(longer.final)["prompt_embeddings"], repeated, atol=1e-6)


def test_without_words_the_vectors_begin_as_words_of_the_vocabulary() -> None:
    from tuitune.methods.prompts import PromptTuning

    model = tiny_model()
    table = model.get_input_embeddings().weight.detach().clone()
    recipe = Recipe(model_name_or_path="x", dataset=("a",), finetuning_type="prompt_tuning")
    made: Any = PromptTuning().prepare(model, recipe)
    vectors = made.prompt_encoder["default"].embedding.weight
    assert all(bool((table == vector).all(1).any()) for vector in vectors)


def test_the_path_is_told(root: Path) -> None:
    made = train(root, "run", finetuning_type="prefix_tuning", num_virtual_tokens=4, max_steps=2, warmup_steps=0)
    said = [event.message for event in journal(made, events.Warned)]
    assert any("rows are padded" in each and "learnt keys and values before every row" in each for each in said), said
    noted = [event.text for event in journal(made, events.Noted)]
    assert any("cannot compute them again" in each for each in noted)


def test_prefix_tuning_never_computes_activations_again() -> None:
    given = {"model_name_or_path": "x", "dataset": "a", "finetuning_type": "prefix_tuning"}
    assert Recipe.of(given).recompute is False
    assert Recipe.of(given | {"finetuning_type": "p_tuning"}).recompute is None
    with pytest.raises(RecipeError) as caught:
        Recipe.of(given | {"gradient_checkpointing": True})
    assert any("forget the keys and values" in problem.reason for problem in caught.value.problems)


@pytest.mark.parametrize("case", ["p_tuning", "projection"])
def test_vectors_without_their_network_cannot_be_trained_on(root: Path, case: str) -> None:
    made = train(root, "first", num_virtual_tokens=4, **{**CASES[case], "max_steps": 2, "warmup_steps": 0})
    (made.final / STATE).unlink()
    again = start(root, "again", num_virtual_tokens=4, adapter_name_or_path=str(made.path), **CASES[case])
    assert run(again).status == "failed"
    assert "saved without the network" in journal(again, events.RunFailed)[0].message


def test_vectors_cannot_be_merged(root: Path) -> None:
    made = train(root, "first", finetuning_type="prompt_tuning", num_virtual_tokens=4, max_steps=2, warmup_steps=0)
    again = start(root, "again", adapter_name_or_path=str(made.path), create_new_adapter=True)
    assert run(again).status == "failed"
    assert "stands before the text" in journal(again, events.RunFailed)[0].message
    with pytest.raises(ModelError, match="of the kind PROMPT_TUNING, the recipe says finetuning_type: p_tuning"):
        prepared("p_tuning", {"adapter_name_or_path": (str(made.final),)})
