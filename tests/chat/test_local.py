from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError

ASKED = [Turn("user", "Name three fruits.")]
GREEDY = {"temperature": 0, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapter")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(tiny_model(), config).save_pretrained(path)
    return path


def by_hand(model: torch.nn.Module, system: str | None = None) -> str:
    tokenizer = tiny_tokenizer()
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": ASKED[0].content})
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    made = model.generate(input_ids=ids, max_new_tokens=12, do_sample=False)  # type: ignore[operator]
    return str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))


def test_greedy_replies_are_those_of_generate(folder: Path) -> None:
    chat = LocalChat.load(Weights(str(folder), device="cpu", title="tiny"))
    got: list[str] = []
    done = chat.reply(ASKED, sampling=GREEDY, on_text=got.append)
    assert done.text == "".join(got) == by_hand(tiny_model())
    assert done.tokens > 3
    assert chat.title == "tiny"
    assert chat.reply(ASKED, system="Be kind.", sampling=GREEDY).text == by_hand(tiny_model(), "Be kind.")


def test_the_adapter_is_used_and_can_be_switched_off(folder: Path, adapter: Path) -> None:
    from peft import PeftModel

    chat = LocalChat.load(Weights(str(folder), (adapter,), device="cpu"))
    tuned = by_hand(PeftModel.from_pretrained(tiny_model(), str(adapter)))
    plain = by_hand(tiny_model())
    assert tuned != plain
    assert chat.reply(ASKED, sampling=GREEDY).text == tuned
    assert chat.reply(ASKED, sampling=GREEDY, base=True).text == plain
    assert chat.reply(ASKED, sampling=GREEDY).text == tuned


def test_without_an_adapter_nothing_can_be_switched_off(folder: Path) -> None:
    with pytest.raises(ModelError, match="no adapter"):
        LocalChat.load(Weights(str(folder), device="cpu")).reply(ASKED, sampling=GREEDY, base=True)


def test_a_reply_stops_when_it_is_told_to(folder: Path) -> None:
    chat = LocalChat.load(Weights(str(folder), device="cpu"))
    got: list[str] = []
    done = chat.reply(ASKED, sampling={**GREEDY, "max_new_tokens": 200}, on_text=got.append, stop=lambda: len(got) >= 3)
    assert done.reason == "stopped"
    assert done.tokens < 10


def test_the_recipes_settings_stand_until_others_are_asked_for(folder: Path) -> None:
    chat = LocalChat.load(Weights(str(folder), device="cpu", options={"max_new_tokens": 2, "do_sample": False}))
    assert chat.reply(ASKED, sampling={}).tokens == 2
    assert chat.reply(ASKED, sampling={"max_new_tokens": 5}).tokens == 5


def test_the_system_message_of_the_training_is_the_default(folder: Path) -> None:
    chat = LocalChat.load(Weights(str(folder), device="cpu", system="Be kind."))
    assert chat.reply(ASKED, sampling=GREEDY).text == by_hand(tiny_model(), "Be kind.")
