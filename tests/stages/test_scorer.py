"""A reward model at work: its scores are those of stage rm, however they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import model_folder
from tests.tiny import tiny_tokenizer
from tuitune.data import Message
from tuitune.data.templates import choose
from tuitune.errors import DataError, ModelError
from tuitune.models import valued
from tuitune.models.load import load_model
from tuitune.stages.scorer import Scorer, parts_of

TALK = [Message("user", "name three fruits"), Message("assistant", "an apple, a pear and a plum")]
LONGER = [*TALK, Message("user", "which is the sweetest?"), Message("assistant", "the pear")]
SETTINGS: dict[str, Any] = {"device": "cpu", "dtype": torch.float32, "template": "chatml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a whole reward model."""
    made = model_folder(tmp_path)
    torch.manual_seed(0)
    valued.save(valued.attach(load_model(made, dtype=torch.float32, device="cpu", attention="sdpa")), made)
    return made


@torch.no_grad()
def truth(folder: Path, text: str) -> float:
    """Return the head's number at the last token of a text."""
    model: Any = load_model(folder, dtype=torch.float32, device="cpu", attention="eager")
    ids = torch.tensor([tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
    return float(valued.read_head(folder)(hidden))


def test_a_conversation_is_scored_at_its_last_token_as_the_template_shows_it(folder: Path) -> None:
    scorer = Scorer.load(str(folder), **SETTINGS | {"template": None})
    text = (
        "<|im_start|>user\nname three fruits<|im_end|>\n<|im_start|>assistant\nan apple, a pear and a plum<|im_end|>\n"
    )
    assert scorer.score(TALK) == pytest.approx(truth(folder, text), abs=1e-5)
    whole = f"<|im_start|>system\nbe brief<|im_end|>\n{text}"
    assert scorer.score([Message("system", "be brief"), *TALK]) == pytest.approx(truth(folder, whole), abs=1e-5)
    assert abs(truth(folder, whole) - truth(folder, text)) > 1e-4


def test_scores_do_not_depend_on_the_batch_and_leave_the_random_state_alone(folder: Path) -> None:
    alone = Scorer.load(str(folder), tokens_per_batch=1, **SETTINGS)
    together = Scorer.load(str(folder), tokens_per_batch=10**6, **SETTINGS)
    state = torch.get_rng_state()
    wanted = [alone.score(talk) for talk in (TALK, LONGER, TALK)]
    assert together.scores([TALK, LONGER, TALK]) == pytest.approx(wanted, abs=1e-5)
    assert wanted[0] == wanted[2] != pytest.approx(wanted[1], abs=1e-4)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_answer_by_its_tokens_is_closed_as_the_template_closes_it(folder: Path) -> None:
    scorer, tokenizer = Scorer.load(str(folder), **SETTINGS), tiny_tokenizer()
    prompt = choose("chatml", tokenizer).prompt_ids(TALK[:1], tokenizer)
    answer = tokenizer("an apple, a pear and a plum<|im_end|>", add_special_tokens=False)["input_ids"]
    assert scorer.score_ids([[*prompt, *scorer.closed(answer, True)]]) == pytest.approx([scorer.score(TALK)], abs=1e-5)
    assert scorer.closed(answer[:-1], False) == answer[:-1]


def test_what_is_no_finished_conversation_is_refused(folder: Path) -> None:
    scorer = Scorer.load(str(folder), **SETTINGS)
    for talk in ([], TALK[:1], [TALK[1], TALK[0]], [*TALK, TALK[1]]):
        with pytest.raises(DataError, match="ends with an answer"):
            scorer.score(talk)


def test_a_model_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no reward model"):
        Scorer.load(str(model_folder(tmp_path)), **SETTINGS)


def test_what_a_name_means(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    adapter = tmp_path / "run" / "final"
    base = load_model(folder, dtype=torch.float32, device="cpu", attention="sdpa")
    torch.manual_seed(3)
    model = valued.attach(get_peft_model(base, LoraConfig(r=2, init_lora_weights=False, target_modules="all-linear")))
    with valued.apart(model):
        model.save_pretrained(adapter)
    valued.save(model, adapter)
    assert parts_of(str(tmp_path / "run"), Path)[:2] == (str(folder), (adapter,))
    assert parts_of(str(folder), Path)[:2] == (str(folder), ())
    assert parts_of("some/model", Path)[:2] == ("some/model", ())
    plain, adapted = (Scorer.load(*parts_of(str(name), Path)[:2], **SETTINGS).score(TALK) for name in (folder, adapter))
    assert abs(plain - adapted) > 0.01
