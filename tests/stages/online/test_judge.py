"""The reward model: an adapter beside the one that learns, a whole model with its own words, and a server."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests.stages.online.around import around, prompts
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.errors import ModelError
from tuitune.models import valued
from tuitune.models.generate import Sampling
from tuitune.stages.base import Surroundings
from tuitune.stages.online import judge, rollout
from tuitune.stages.online.answer import Answer

TARGETS = ["q_proj", "v_proj"]


def lora(seed: int, targets: list[str], rank: int = 4) -> Any:
    """Return the tiny model with an adapter of random numbers."""
    model = get_peft_model(tiny_model(), LoraConfig(r=rank, target_modules=targets, lora_dropout=0.0))
    torch.manual_seed(seed)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data.normal_(std=0.2)
    return model


def reward_adapter(folder: Path, **changes: Any) -> Path:
    """Save a reward model as an adapter with its head; it changes other layers than the policy's."""
    model = valued.attach(lora(11, ["v_proj", "down_proj"], rank=8))
    with valued.apart(model):
        model.save_pretrained(folder)
    valued.save(model, folder)
    config = json.loads((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_text(json.dumps(config | changes))
    return folder


def whole_reward_model(folder: Path) -> Path:
    """Save a reward model of its own, with its head and a tokenizer."""
    model = valued.attach(tiny_model(seed=4))
    with valued.apart(model):
        model.save_pretrained(folder)
    valued.save(model, folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def scores_alone(model: Any, folder: Path, answers: list[Answer]) -> list[float]:
    """Return the head's number at the last token of each answer as the reward model was trained on, one by one."""
    head = valued.read_head(folder)
    found = []
    for answer in answers:
        ids = [*answer.prompt_ids, *answer.ids, *(tiny_tokenizer().encode("\n") if answer.ended else [])]
        with torch.no_grad():
            hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
        found.append(float(hidden @ head.summary.weight[0] + head.summary.bias))
    return found


def answered(made: Surroundings) -> list[Answer]:
    """Return answers of which some ended by themselves."""
    found = rollout.answers(made, prompts(made), 3, 1)
    ended = [
        rollout.answer_of(made, answer.prompt_ids, [*answer.ids[:3], 2], answer.columns) for answer in found[::2]
    ]  # fmt: skip
    return [*found, *ended]


def beside(folder: Path, **more: Any) -> tuple[Surroundings, Any]:
    """Return surroundings of a policy with an adapter, whose reward model lies in `folder`."""
    model = lora(1, TARGETS).train()
    return around(model, reward_model=str(folder), **more)


def test_an_adapter_judges_as_it_does_alone(tmp_path: Path) -> None:
    folder = reward_adapter(tmp_path / "rm")
    made, _ = beside(folder)
    answers = answered(made)
    reward = judge.reward_model(made)
    expected = scores_alone(PeftModel.from_pretrained(tiny_model(), folder).eval(), folder, answers)
    assert list(reward(answers)) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.01


def test_the_policy_does_not_notice_the_adapter_beside_its_own(tmp_path: Path) -> None:
    folder = reward_adapter(tmp_path / "rm")
    made, _ = beside(folder)
    model, answers = made.model, answered(made)
    ids = torch.arange(3, 40)[None]

    def state() -> tuple[Any, ...]:
        model.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        learning = {name: (p.grad.clone(), id(p)) for name, p in model.named_parameters() if p.requires_grad}
        return float(loss.detach()), learning

    loss, learning = state()
    reward = judge.reward_model(made)
    for _ in range(2):
        reward(answers)
        with model.disable_adapter():
            model(ids)
        found, now = state()
        assert found == loss
        assert now.keys() == learning.keys()
        assert all(torch.equal(now[n][0], learning[n][0]) and now[n][1] == learning[n][1] for n in now)
    model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / judge.NAME).exists()
    plain = lora(1, TARGETS)
    plain.save_pretrained(tmp_path / "plain")
    names = "adapter_model.safetensors"
    assert (tmp_path / "saved" / names).read_bytes() == (tmp_path / "plain" / names).read_bytes()
    assert model.training


def test_a_module_that_the_policy_trains_whole_is_not_the_reward_models(tmp_path: Path) -> None:
    folder = reward_adapter(tmp_path / "rm")
    model = get_peft_model(
        tiny_model(tie_word_embeddings=False), LoraConfig(r=4, target_modules=TARGETS, modules_to_save=["embed_tokens"])
    )
    made, _ = around(model.train(), reward_model=str(folder))
    answers = answered(made)
    reward = judge.reward_model(made)
    before = list(reward(answers))
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1.0)
    assert list(reward(answers)) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "modules that were trained whole"),
        ({"init_lora_weights": "pissa"}, "began with a part of the weights"),
        ({"peft_type": "IA3"}, "of the kind IA3"),
        ({"r": 3}, "cannot be put on this model"),
    ],
)
def test_adapters_that_cannot_stand_beside_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    made, _ = beside(reward_adapter(tmp_path / "rm", **changes))
    with pytest.raises(ModelError, match=words) as caught:
        judge.reward_model(made)
    assert "reward_model_type: full" in str(caught.value.hint)


def test_a_folder_without_a_head_or_without_an_adapter_is_refused(tmp_path: Path) -> None:
    folder = reward_adapter(tmp_path / "rm")
    (folder / valued.FILE).unlink()
    with pytest.raises(ModelError, match="no reward model"):
        judge.reward_model(beside(folder)[0])
    whole = whole_reward_model(tmp_path / "whole")
    with pytest.raises(ModelError, match="no adapter") as caught:
        judge.reward_model(beside(whole)[0])
    assert "reward_model_type: full" in str(caught.value.hint)


def test_other_bits_are_said(tmp_path: Path) -> None:
    folder = reward_adapter(tmp_path / "rm")
    (folder / "tuitune_base.json").write_text('{"quantization_bit": 4}')
    made, said = beside(folder)
    judge.reward_model(made)
    assert "weights of 4 bits" in said.warned[-1]


def test_a_whole_model_judges_as_it_does_alone(tmp_path: Path) -> None:
    folder = whole_reward_model(tmp_path / "rm")
    made, said = around(reward_model=str(folder), reward_model_type="full")
    answers = answered(made)
    expected = scores_alone(tiny_model(seed=4), folder, answers)
    assert list(judge.reward_model(made)(answers)) == pytest.approx(expected, abs=1e-4)
    assert not any("tokenised anew" in note for note in said.noted)


def test_a_model_with_other_words_reads_the_text(tmp_path: Path) -> None:
    folder = whole_reward_model(tmp_path / "rm")
    words = copy.deepcopy(tiny_tokenizer())
    words.add_tokens(["river", "three"])
    words.save_pretrained(folder)
    made, said = around(reward_model=str(folder), reward_model_type="full", sampling=Sampling(max_new_tokens=4))
    found = rollout.answers(made, prompts(made), 1, 1)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a river"}]
    answer = rollout.answer_of(made, found[0].prompt_ids, found[0].ids, {"prompt_messages": messages})
    score = judge.reward_model(made)([answer])[0]
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na river<|im_end|>\n<|im_start|>assistant\n"
    ids = words(f"{text}{answer.text}<|im_end|>\n", add_special_tokens=False)["input_ids"]
    as_ids = Answer(ids, [], "", "", False)
    assert score == pytest.approx(scores_alone(tiny_model(seed=4), folder, [as_ids])[0], abs=1e-4)
    assert any("tokenised anew" in note for note in said.noted)


def test_a_server_gets_prompt_and_answer_with_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def scores(self: object, texts: list[str]) -> list[float]:
        seen.extend(texts)
        return [0.5] * len(texts)

    monkeypatch.setattr("tuitune.stages.online.server.Server.scores", scores)
    made, _ = around(reward_model="http://judge.example/", reward_model_type="api")
    answers = rollout.answers(made, prompts(made), 1, 1)
    assert list(judge.reward_model(made)(answers)) == [0.5] * 3
    assert seen[0].startswith("<|im_start|>user\nName three fruits<|im_end|>\n<|im_start|>assistant\n")
    assert seen[0].endswith(answers[0].text) or answers[0].ended
