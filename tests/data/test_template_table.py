"""Named templates say what LLaMA-Factory says, token by token."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.data.speech import CALL, NAMED, TOOLS, answer, chosen, ids, marks_of, speaking, spoken, talk, user
from tests.data.template_facts import DIGESTS, LATE, PIECES
from tests.tiny import tiny_tokenizer
from tuitune.data.conversation import BETWEEN_REPLIES, Conversation, Message
from tuitune.data.templates import KNOWN_ELSEWHERE, NAMES
from tuitune.data.templates.table import TEMPLATES
from tuitune.errors import DataError

TALK = talk("One?", "1", "Two 🙂?", "zwei\n", system="Be brief.")
CALLING = Conversation((user("q"), Message("function", CALL), Message("observation", "res"), answer("done")))
# Here LLaMA-Factory writes calls that its own parser cannot read (no closing tag, a missing bracket), or none at all.
OTHER_CALLS = ("aeva", "glm4_5v", "glm4_7", "glm4_moe", "minimax2", "phi4_mini", "seed_oss")


def oracle(tokenizer: Any, elements: list[str | int]) -> list[int]:
    """Tokenise each element by itself."""
    found: list[int] = []
    for element in elements:
        found += [element] if isinstance(element, int) else tokenizer(element, add_special_tokens=False)["input_ids"]
    return found


@pytest.mark.parametrize("name", PIECES)
def test_each_element_is_tokenised_by_itself(name: str) -> None:
    tokenizer = speaking(name)
    # Without thoughts in the way: they have tests of their own.
    found = ids(chosen(name, tokenizer, enable_thinking=None), TALK, tokenizer)
    empty = TEMPLATES[name].thoughts.empty if TEMPLATES[name].thoughts else None
    expected = [list(elements) for elements in PIECES[name]]
    for prompt in expected[::2]:
        prompt += [] if empty is None else [empty]
    assert found == [oracle(tokenizer, elements) for elements in expected]


@pytest.mark.parametrize("name", DIGESTS)
def test_the_text_is_that_of_llamafactory(name: str) -> None:
    tokenizer = speaking(name)
    template = chosen(name, tokenizer)
    talks = [talk("One?", "1"), TALK, *([] if name in OTHER_CALLS else [CALLING])]
    texts = [spoken(template, each, tokenizer) for each in talks]
    assert hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12] == DIGESTS[name]


def test_every_name_is_compared() -> None:
    assert set(NAMED) == {*DIGESTS, "baichuan", "baichuan2", "phi3"}
    assert {"baichuan2", "phi3"} <= set(PIECES)
    assert not KNOWN_ELSEWHERE & set(NAMES)


@pytest.mark.parametrize("name", NAMED)
def test_late_ends(name: str) -> None:
    tokenizer = speaking(name)
    late = chosen(name, tokenizer).late_end(tokenizer)
    assert late == (tokenizer.eos_token_id if name in LATE else None)
    if late is not None and name not in ("gemma2", "dots_ocr", "fewshot", "falcon", "yi_vl", "bailing_v2"):
        # No special token ends the answer, so the next turn does.
        assert ids(chosen(name, tokenizer), TALK, tokenizer)[-1][-1] not in set(tokenizer.all_special_ids)


@pytest.mark.parametrize("name", NAMED)
def test_an_answer_ends_with_a_token_that_stops_it(name: str) -> None:
    tokenizer = speaking(name)
    template = chosen(name, tokenizer)
    last = ids(template, talk("One?", "1"), tokenizer)[-1]
    stops = set(template.stop_ids(tokenizer))
    late = template.late_end(tokenizer)
    # `empty` is for text that goes on; deepseekcoder's <|EOT|> is no stop word of LLaMA-Factory's either.
    if name not in ("empty", "deepseekcoder", "granite3"):
        assert stops & set(last) or late in stops


def test_the_end_token_is_the_templates_where_it_says_so() -> None:
    tokenizer = speaking("llama3")
    assert tokenizer.eos_token == "<|im_end|>"
    eot = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    call = Conversation((user("q"), Message("function", CALL)))
    assert ids(chosen("llama3", tokenizer, tool_format="qwen"), call, tokenizer)[-1][-1] == eot


def test_a_tokenizer_without_a_first_token_gets_none() -> None:
    tokenizer = speaking("llama3")
    tokenizer.bos_token = None
    assert spoken(chosen("llama3", tokenizer), talk("One?", "1"), tokenizer)[0].startswith("<|start_header_id|>user")


@pytest.mark.parametrize("name", ["chatglm3", "baichuan2", "yuan"])
def test_tokens_that_the_tokenizer_lacks_are_refused(name: str) -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(DataError, match="needs the token"):
        chosen(name, tokenizer).pieces([TALK], tokenizer)


@pytest.mark.parametrize("name", NAMED)
def test_system_texts(name: str) -> None:
    tokenizer = speaking(name)
    own = TEMPLATES[name].default_system
    first = [spoken(chosen(name, tokenizer, given), talk("One?", "1", system=row), tokenizer)[0] for given, row in
             ((None, None), ("Recipe.", None), ("Recipe.", "Row."), ("", None))]  # fmt: skip
    assert own in first[0]
    assert "Recipe." in first[1]
    assert "Row." in first[2]
    assert "Recipe." not in first[2]
    assert not own or own not in first[3]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("system", [None, 'Be "brief" {now} — 是.'])
def test_the_chat_template_that_is_saved_says_the_same(name: str, system: str | None) -> None:
    """Rendering `jinja()` of a finished dialogue and of one that waits equals our pieces."""
    tokenizer = speaking(name)
    template = chosen(name, tokenizer)
    tokenizer.chat_template = TEMPLATES[name].jinja()
    texts = ("O'Neil {{x}}?", '1 "a" \\n {% y %}', "Zwei 是 🙂?", "2")
    for count in (1, 2, 3, 4):
        told = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts[:count])]
        told = [{"role": "system", "content": system}, *told] if system else told
        rendered = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=count % 2 == 1)
        pieces = spoken(chosen(name, tokenizer, mask_history=True), talk(*texts[:count], system=system), tokenizer)
        assert rendered == "".join(pieces)
    assert template.name == name


@pytest.mark.parametrize("form", [None, "qwen", "default", "llama3"])
@pytest.mark.parametrize("name", NAMED)
def test_the_chat_template_that_is_saved_writes_tools_the_same(name: str, form: str | None) -> None:
    tokenizer = speaking(name)
    template = chosen(name, tokenizer, tool_format=form, mask_history=True)
    tokenizer.chat_template = template.jinja()  # type: ignore[attr-defined]
    several = (
        [] if "glm4" in (form or TEMPLATES[name].tool_form) else [{"name": "get", "arguments": {"x": "é", "z": {}}}]
    )
    calls = [*json.loads(f"[{CALL}]"), *several]
    replies = ["one", "two"][: len(calls)]
    said = Conversation(
        (user("q"), Message("function", json.dumps(calls)), Message("observation", BETWEEN_REPLIES.join(replies)),
         answer("It is."), user("And?"), Message("function", CALL)), "Be brief.", TOOLS,
    )  # fmt: skip
    told = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": call} for call in calls]},
        *({"role": "tool", "content": reply} for reply in replies),
        {"role": "assistant", "content": "It is."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": json.loads(CALL)}]},
    ]
    for count, messages in ((6, told), (3, told[: 3 + len(replies)])):
        shorter = Conversation(said.messages[:count], said.system, said.tools)
        rendered = tokenizer.apply_chat_template(messages, tools=json.loads(TOOLS), tokenize=False)
        assert rendered == "".join(spoken(template, shorter, tokenizer))


def test_marks_are_found_for_these_tests() -> None:
    assert {"<|eot_id|>", "<|start_header_id|>"} <= set(marks_of(TEMPLATES["llama3"]))
    assert {"[gMASK]", "<sop>", "<|user|>"} <= set(marks_of(TEMPLATES["glm4"]))
