"""Of every template and every form: what is trained is the assistant's words and end tokens, and nothing else.

The oracle knows nothing of pieces: it decodes ids, and counts the special ones. The texts of the conversations are
random and hold every script, templates' own marks, and characters of private use.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from tests.data.field_templates import DEEPSEEK_R1, MARKS, ORDINARY, SPLITTABLE, UNSPLITTABLE
from tests.data.speech import NAMED, answer, chosen, conversation, ids, knowing, marks_of, speaking, talk, user, words
from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import Template
from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot, Slots
from tuitune.data.templates.plain import marks_of as known_marks
from tuitune.data.templates.table import TEMPLATES
from tuitune.errors import DataError

ROUNDS = 6


def filled(slots: Slots, content: str, end: str) -> str:
    """Return what an answer's slots say of a content, as text."""
    return "".join(slot.replace(CONTENT, content, 1) if isinstance(slot, str) else end for slot in slots)


def special(tokenizer: Any, template: Template) -> set[int]:
    """Return the ids that no text of a user may become."""
    spelled = template.spelled if isinstance(template, NamedTemplate) else str(tokenizer.chat_template)
    return set(tokenizer.convert_tokens_to_ids(sorted(known_marks(tokenizer, spelled).every)))


def count(pieces: Iterable[Sequence[int]], marks: set[int]) -> list[list[int]]:
    """Return the special ids of each piece, in order."""
    return [[token for token in piece if token in marks] for piece in pieces]


def harmless(said: Conversation) -> Conversation:
    """Return a conversation of the same form whose texts are single letters."""
    letters = ["a" for _ in said.messages]
    return talk(*letters, system="a" if said.system else None)


@pytest.mark.parametrize("name", NAMED)
def test_named_templates(name: str) -> None:
    source = random.Random(name)
    tokenizer = speaking(name)
    template = chosen(name, tokenizer, mask_history=True)  # of thoughts only the last answer's, as in a chat
    marks = special(tokenizer, template)
    words_of_marks = sorted({*marks_of(TEMPLATES[name]), *map(str, tokenizer.all_special_tokens)})
    for _ in range(ROUNDS):
        said = conversation(source, words_of_marks)
        pieces = ids(template, said, tokenizer)
        assert count(pieces, marks) == count(ids(template, harmless(said), tokenizer), marks)
        for place, (message, piece) in enumerate(zip(said.messages, pieces, strict=True)):
            text = tokenizer.decode(piece)
            if place % 2:
                last = place == len(said.messages) - 1
                thought = TEMPLATES[name].thoughts
                begin = thought.empty if thought and last else ""
                end = tokenizer.decode([chosen_end(name, tokenizer)])
                assert text == begin + filled(TEMPLATES[name].assistant, message.content, end)
            else:
                assert message.content in text
        prompt = template.prompt_ids(spoken_by(said), tokenizer)
        assert prompt == [token for piece in pieces[:-1] for token in piece]


def chosen_end(name: str, tokenizer: Any) -> int:
    """Return the token that ends answers of this template."""
    return TEMPLATES[name].end(tokenizer) if Slot.EOS in TEMPLATES[name].assistant else 0


def spoken_by(said: Conversation) -> list[Any]:
    """Return the messages up to the last question, as a chat has them."""
    system = [Message("system", said.system)] if said.system else []
    return [*system, *said.messages[:-1]]


@pytest.mark.parametrize("name", SPLITTABLE)
def test_templates_of_tokenizers(name: str) -> None:
    source = random.Random(name)
    tokenizer = knowing(MARKS, SPLITTABLE[name], ORDINARY)
    template = chosen(None, tokenizer)
    marks = special(tokenizer, template)
    for _ in range(ROUNDS):
        said = conversation(source, (*MARKS, "<|im_end|>", "</think>", "<tool_response>"), system=name != "gemma_like")
        pieces = ids(template, said, tokenizer)
        # What an answer itself says of thoughts is no harm: its tokens are ordinary ones.
        hard = marks - set(tokenizer.convert_tokens_to_ids(list(ORDINARY)))
        assert count(pieces, hard) == count(ids(template, harmless(said), tokenizer), hard)
        for message, piece in zip(said.messages, pieces, strict=True):
            assert message.content.split("</think>")[-1].strip() in tokenizer.decode(piece)
        prompt = template.prompt_ids(spoken_by(said), tokenizer)
        assert prompt == [token for piece in pieces[:-1] for token in piece]


@pytest.mark.parametrize("name", SPLITTABLE)
def test_texts_without_marks_are_tokenised_as_ever(name: str) -> None:
    """What is rendered of the whole dialogue and tokenised at once decodes to the same text as the pieces."""
    source = random.Random(name)
    tokenizer = knowing(MARKS, SPLITTABLE[name], ORDINARY)
    template = chosen(None, tokenizer)
    for _ in range(ROUNDS):
        said = conversation(source, turns=1, system=name not in ("gemma_like", "mistral_like"))
        told = [{"role": m.role, "content": m.content} for m in said.messages]
        told = [{"role": "system", "content": said.system}, *told] if said.system else told
        prompt, final = ids(template, said, tokenizer)
        opened = tokenizer.apply_chat_template(
            told[:-1], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        assert prompt == tokenizer(opened, add_special_tokens=False)["input_ids"]
        if name != "deepseek_r1":
            whole = tokenizer.apply_chat_template(told, tokenize=False, enable_thinking=True)
            assert tokenizer.decode(prompt) + tokenizer.decode(final) == whole


@pytest.mark.parametrize("name", UNSPLITTABLE)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_what_cannot_be_split_is_never_guessed(name: str, turns: int) -> None:
    tokenizer = knowing(MARKS, UNSPLITTABLE[name])
    with pytest.raises(DataError, match="cannot be split"):
        chosen(None, tokenizer).pieces([talk(*["x y"] * 2 * turns)], tokenizer)


@pytest.mark.parametrize("name", [*NAMED, *SPLITTABLE])
def test_pairs_share_their_prompt(name: str) -> None:
    source = random.Random(name)
    tokenizer = knowing(MARKS, SPLITTABLE[name], ORDINARY) if name in SPLITTABLE else speaking(name)
    template = chosen(None if name in SPLITTABLE else name, tokenizer)
    for turns in (1, 2):
        said = talk(*(words(source) for _ in range(2 * turns)))
        worse = answer(words(source, ["<|im_end|>"]))
        pair = Conversation(said.messages, rejected=worse)
        pieces = ids(template, pair, tokenizer)
        assert len(pieces) == 2 * turns + 1
        alone = Conversation((*said.messages[:-1], worse), desirable=False)
        better = Conversation(said.messages, desirable=True)
        assert ids(template, better, tokenizer) == pieces[:-1]
        assert ids(template, alone, tokenizer) == [*pieces[:-2], pieces[-1]]
        asked = Conversation(said.messages[:-1])
        assert ids(template, asked, tokenizer) == pieces[:-2]
        assert worse.content in tokenizer.decode(pieces[-1])


def calling(source: random.Random, extra: Sequence[str], harmless: bool) -> Conversation:
    """Return a random dialogue with tools, or one of the same form in single letters."""

    def said() -> str:
        text = words(source, extra)
        return "a" if harmless else text

    tools = [{"name": "get", "description": said(), "parameters": {"properties": {"x": {"description": said()}}}}]
    messages: list[Message] = [user(said())]
    for _ in range(source.randint(1, 2)):
        messages.append(Message("function", json.dumps({"name": "get", "arguments": {"x": [said(), None], "y": 1}})))
        messages.append(Message("observation", said()))
    return Conversation((*messages, answer(said())), None, json.dumps(tools))


@pytest.mark.parametrize("name", [*NAMED, *SPLITTABLE])
def test_tools(name: str) -> None:
    tokenizer = knowing(MARKS, SPLITTABLE[name], ORDINARY) if name in SPLITTABLE else speaking(name)
    # Gemma's own has no place for a system text, and so none for tools.
    named = "gemma" if name == "gemma_like" else None if name in SPLITTABLE else name
    template, lonely = chosen(named, tokenizer), chosen(named, tokenizer, mask_history=True)
    marks = special(tokenizer, template) - set(tokenizer.convert_tokens_to_ids(list(ORDINARY)))
    extra = (*MARKS, *map(str, tokenizer.all_special_tokens))
    for seed in range(3):
        wild, tame = (calling(random.Random(f"{name}{seed}"), extra, harmless) for harmless in (False, True))
        pieces = ids(template, wild, tokenizer)
        assert count(pieces, marks) == count(ids(template, tame, tokenizer), marks)
        assert wild.messages[-1].content.strip() in tokenizer.decode(pieces[-1])
        for message, piece in zip(wild.messages[1:-1:2], pieces[1:-1:2], strict=True):
            said = json.loads(message.content)["arguments"]["x"]
            assert json.dumps(said, ensure_ascii=False) in tokenizer.decode(piece)
        prompt = template.prompt_ids(wild.messages[:-1], tokenizer, wild.tools)
        assert prompt == [token for piece in ids(lonely, wild, tokenizer)[:-1] for token in piece]


@pytest.mark.parametrize("name", [*NAMED, *SPLITTABLE])
def test_empty_texts_keep_their_place(name: str) -> None:
    tokenizer = knowing(MARKS, SPLITTABLE[name], ORDINARY) if name in SPLITTABLE else speaking(name)
    template = chosen(None if name in SPLITTABLE else name, tokenizer)
    pieces = ids(template, Conversation((user(""), answer(""), user("b"), answer(""))), tokenizer)
    assert len(pieces) == 4
    assert "b" in tokenizer.decode(pieces[2])


def test_a_prompt_that_opens_thoughts_is_answered_with_them() -> None:
    tokenizer = knowing(MARKS, DEEPSEEK_R1, ORDINARY)
    template = chosen(None, tokenizer)
    thinking = talk("a", "<think>\nhm\n</think>\n\nx", "b", "<think>\nwell\n</think>\n\ny")
    text = [tokenizer.decode(piece) for piece in ids(template, thinking, tokenizer)]
    assert text == [
        "<|endoftext|><|User|>a<|Assistant|>",
        "\n\nx<|im_end|>",
        "<|User|>b<|Assistant|><think>\n",
        "well\n</think>\n\ny<|im_end|>",
    ]
    plain = [tokenizer.decode(piece) for piece in ids(template, talk("a", "x"), tokenizer)]
    assert plain == ["<|endoftext|><|User|>a<|Assistant|><think>\n", "\n</think>\n\nx<|im_end|>"]
