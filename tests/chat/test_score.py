"""A reward model in a conversation: its base writes, it scores; one that was trained whole only scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.engine.given import model_folder
from tests.tiny import tiny_model
from tuitune.chat.base import NotWriting, Turn, judge_of, judged, typed
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import Weights
from tuitune.data import Message
from tuitune.errors import UsageError
from tuitune.models import valued
from tuitune.stages.scorer import Scorer

ASKED = [Turn("user", "Name three fruits.")]
TALK = [*ASKED, Turn("assistant", "an apple")]
GREEDY = {"temperature": 0, "max_new_tokens": 8}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


@pytest.fixture
def adapter(tmp_path: Path, plain: Path) -> Path:
    """Return an adapter with a value head."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model, folder = valued.attach(get_peft_model(tiny_model(), config)), tmp_path / "adapter"
    with valued.apart(model):
        model.save_pretrained(folder)
    valued.save(model, folder)
    return folder


def test_the_base_writes_and_the_adapter_scores(plain: Path, adapter: Path) -> None:
    notes: list[str] = []
    chat = LocalChat.load(Weights(str(plain), (adapter,), device="cpu"), note=notes.append)
    assert any("reward model" in note for note in notes)
    base = LocalChat.load(Weights(str(plain), device="cpu"))
    assert judge_of(base) is None
    assert chat.reply(ASKED, sampling=GREEDY).text == base.reply(ASKED, sampling=GREEDY).text
    scorer = Scorer.load(str(plain), (adapter,), device="cpu", dtype=torch.float32, template=None)
    wanted = scorer.score([Message(turn.role, turn.content) for turn in TALK])
    assert judged(chat, ASKED, "an apple") == pytest.approx(wanted, abs=1e-5)
    assert judged(chat, ASKED, "an apple", system="Be kind.") != pytest.approx(wanted, abs=1e-4)
    chat.reply(ASKED, sampling=GREEDY)
    assert typed(chat, ASKED, "an apple").score == pytest.approx(wanted, abs=1e-5)


def test_a_model_trained_whole_scores_and_writes_nothing(plain: Path) -> None:
    torch.manual_seed(1)
    valued.save(valued.attach(tiny_model()), plain)
    chat = LocalChat.load(Weights(str(plain), device="cpu"))
    with pytest.raises(NotWriting, match="writes none"):
        chat.reply(ASKED, sampling=GREEDY)
    assert isinstance(typed(chat, ASKED, "an apple").score, float)


def test_who_is_no_reward_model_gives_no_score(plain: Path) -> None:
    chat = LocalChat.load(Weights(str(plain), device="cpu"))
    assert judged(chat, ASKED, "an apple") is None
    with pytest.raises(UsageError, match="no reward model"):
        typed(chat, ASKED, "an apple")
