"""The exact text and ids of every template, the tokenizer's own among them, and the words for what cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.speech import speaking
from tests.tiny import tiny_tokenizer
from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import KNOWN_ELSEWHERE, NAMES, Template, choose
from tuitune.errors import DataError

TWO_TURNS = Conversation(
    (Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?"), Message("assistant", "2"))
)
ONE_TURN = Conversation(TWO_TURNS.messages[:2])


def spoken(template: Template, talk: Conversation, tokenizer: Any) -> list[str]:
    """Return the text of each message's piece, ids spelled as their tokens."""
    pieces = template.pieces([talk], tokenizer)[0]
    assert not isinstance(pieces, str), pieces
    return [
        "".join(tokenizer.convert_ids_to_tokens(e) if isinstance(e, int) else str(e) for e in piece) for piece in pieces
    ]


IM = "<|im_end|>\n"
EXPECTED = {
    "smollm2": [
        f"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face.{IM}"
        f"<|im_start|>user\nOne?{IM}<|im_start|>assistant\n",
        f"1{IM}",
        f"<|im_start|>user\nTwo?{IM}<|im_start|>assistant\n",
        f"2{IM}",
    ],
    "chatml": [
        f"<|im_start|>user\nOne?{IM}<|im_start|>assistant\n",
        f"1{IM}",
        f"<|im_start|>user\nTwo?{IM}<|im_start|>assistant\n",
        f"2{IM}",
    ],
    "default": ["Human: One?<|im_end|>\nAssistant:", f"1{IM}", "Human: Two?<|im_end|>\nAssistant:", f"2{IM}"],
    "alpaca": [
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nOne?\n\n### Response:\n",
        f"1{IM}\n",
        "### Instruction:\nTwo?\n\n### Response:\n",
        f"2{IM}\n",
    ],
    "tokenizer": [
        f"<|im_start|>user\nOne?{IM}<|im_start|>assistant\n",
        f"1{IM}",
        f"<|im_start|>user\nTwo?{IM}<|im_start|>assistant\n",
        f"2{IM}",
    ],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_text_of_each_message(name: str) -> None:
    tokenizer = tiny_tokenizer()
    assert spoken(choose(name, tokenizer), TWO_TURNS, tokenizer) == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("smollm2", f"<|im_start|>system\nBe brief.{IM}<|im_start|>user"),
        ("chatml", f"<|im_start|>system\nBe brief.{IM}<|im_start|>user"),
        ("default", "System: Be brief.<|im_end|>\nHuman"),
        ("alpaca", "Be brief.### Instruction"),
        ("tokenizer", f"<|im_start|>system\nBe brief.{IM}<|im_start|>user"),
    ],
)
@pytest.mark.parametrize("place", ["row", "recipe"])
def test_system_text_of_row_and_recipe(name: str, first: str, place: str) -> None:
    tokenizer = tiny_tokenizer()
    talk = Conversation(ONE_TURN.messages, "Be brief." if place == "row" else None)
    template = choose(name, tokenizer, "Be brief." if place == "recipe" else None)
    assert spoken(template, talk, tokenizer)[0].startswith(first)


def test_the_row_goes_before_the_recipe() -> None:
    talk = Conversation(ONE_TURN.messages, "Row.")
    for name in NAMES:
        tokenizer = speaking(name)
        assert "Row." in (text := spoken(choose(name, tokenizer, "Recipe."), talk, tokenizer)[0])
        assert "Recipe." not in text


def test_an_empty_default_system_takes_the_templates_away() -> None:
    tokenizer = tiny_tokenizer()
    assert spoken(choose("smollm2", tokenizer, ""), ONE_TURN, tokenizer)[0].startswith("<|im_start|>user")


def test_content_is_never_read_as_a_template() -> None:
    talk = Conversation((Message("user", "{content} {{content}} {% if %}"), Message("assistant", "{content}")))
    for name in NAMES:
        tokenizer = speaking(name)
        texts = spoken(choose(name, tokenizer), talk, tokenizer)
        assert "{content} {{content}} {% if %}" in texts[0]
        assert "{content}" in texts[1]


def test_prompt_ids_take_a_system_message() -> None:
    messages = [Message("system", "Be brief."), Message("user", "One?")]
    for name in NAMES:
        tokenizer = speaking(name)
        assert "Be brief." in tokenizer.decode(choose(name, tokenizer).prompt_ids(messages, tokenizer))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("messages", [[], TWO_TURNS.messages, TWO_TURNS.messages[1:3], TWO_TURNS.messages[:1] * 3])
def test_prompt_ids_refuse_what_is_out_of_turn(name: str, messages: list[Message]) -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(DataError, match="dialogue"):
        choose(name, tokenizer).prompt_ids(messages, tokenizer)


def test_stop_ids_are_the_end_of_an_answer() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    end, eos = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert choose("smollm2", tokenizer).stop_ids(tokenizer) == [end, eos]
    assert choose("glm4", knowing := speaking("glm4")).stop_ids(knowing) == [
        *knowing.convert_tokens_to_ids(["<|user|>", "<|observation|>"]), end
    ]  # fmt: skip
    assert choose(None, tokenizer).stop_ids(tokenizer) == [end, eos]
    assert choose("default", tokenizer).stop_ids(tokenizer) == [eos]


def test_own_template_is_the_first_choice() -> None:
    assert choose(None, tiny_tokenizer()).name == "tokenizer"


def test_without_any_template_default_is_used_and_said() -> None:
    template = choose(None, tiny_tokenizer(chat_template=None))
    assert template.name == "default"
    assert "no chat template" in template.warning


def test_asking_for_an_own_template_that_is_not_there() -> None:
    with pytest.raises(DataError, match="has none"):
        choose("tokenizer", tiny_tokenizer(chat_template=None))


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(DataError, match="smolm2") as error:
        choose("smolm2", tiny_tokenizer())
    assert "'smollm2'" in error.value.hint


@pytest.mark.parametrize("name", ["gemma4", "moss_vl", "phi_small"])
def test_names_known_elsewhere_get_advice(name: str) -> None:
    assert name in KNOWN_ELSEWHERE
    with pytest.raises(DataError, match="LLaMA-Factory") as error:
        choose(name, tiny_tokenizer())
    assert "Leave `template` out" in error.value.hint
    with pytest.raises(DataError) as error:
        choose(name, tiny_tokenizer(chat_template=None))
    assert "Leave" not in error.value.hint


def test_marks_that_the_tokenizer_lacks_are_said() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), eos_token="</s>")
    assert "<|im_end|>" in choose("chatml", bare).warning
    assert choose("chatml", bare).stop_ids(bare) == [bare.eos_token_id]


def test_a_template_that_needs_an_end_token_says_so() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="end token"):
        choose("default", tokenizer).pieces([ONE_TURN], tokenizer)


def test_own_template_brings_its_first_token_once() -> None:
    tokenizer = tiny_tokenizer("{{ bos_token }}" + str(tiny_tokenizer().chat_template))
    ids = choose(None, tokenizer).prompt_ids([Message("user", "One?")], tokenizer)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


# The last message is said first: no beginning of a dialogue is the beginning of the whole.
BACKWARDS = "{% for m in messages | reverse %}{{ m['role'] + m['content'] }}{% endfor %}"
# A number of messages in front does the same in a way that one turn already shows.
COUNTING = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.mark.parametrize("text", [BACKWARDS, COUNTING])
def test_a_template_that_cannot_be_split_is_refused(text: str) -> None:
    tokenizer = tiny_tokenizer(text)
    with pytest.raises(DataError, match="cannot be split") as error:
        choose(None, tokenizer).pieces([TWO_TURNS], tokenizer)
    assert "template: chatml" in error.value.hint


# The way of reasoning models: the last answer opens with an empty thought that earlier answers do not have.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_a_template_that_rewrites_history_is_cut_as_a_whole() -> None:
    tokenizer = tiny_tokenizer(THINKING)
    assert spoken(choose(None, tokenizer), TWO_TURNS, tokenizer) == [
        f"<|im_start|>user\nOne?{IM}<|im_start|>assistant\n",
        f"1{IM}",
        f"<|im_start|>user\nTwo?{IM}<|im_start|>assistant\n",
        f"<think>\n\n</think>\n\n2{IM}",
    ]


def test_rows_that_the_template_refuses_are_told_apart_from_good_ones() -> None:
    tokenizer = tiny_tokenizer(
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
        + str(tiny_tokenizer().chat_template)
    )
    refused = Conversation(ONE_TURN.messages, "Be brief.")
    found = choose(None, tokenizer).pieces([ONE_TURN, refused, ONE_TURN], tokenizer)
    assert isinstance(found[1], str)
    assert "no system here" in found[1]
    assert found[0] == found[2] != found[1]
