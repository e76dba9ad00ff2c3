"""Thoughts: learnt, left out, or empty, for templates with a name and for the tokenizer's own."""

from __future__ import annotations

import pytest

from tests.data.field_templates import MARKS, ORDINARY, QWEN3
from tests.data.speech import answer, chosen, knowing, speaking, spoken, talk
from tests.tiny import CHAT_TEMPLATE, tiny_tokenizer
from tuitune.data.conversation import Conversation
from tuitune.data.templates.table import TEMPLATES

EMPTY = "<think>\n\n</think>\n\n"
THOUGHT = "<think>\nhm\n</think>\n\n"
IM = "<|im_end|>\n"
ASK = f"<|im_start|>user\nq{IM}<|im_start|>assistant\n"
PLAIN, THINKING = talk("q", "a"), talk("q", f"{THOUGHT}a")


def qwen3(kind: str, **style: object) -> object:
    """Return Qwen3's template, by name or as a tokenizer's own, and a tokenizer for it."""
    tokenizer = speaking("qwen3") if kind == "named" else knowing(MARKS, QWEN3, ORDINARY)
    return chosen("qwen3" if kind == "named" else None, tokenizer, **style), tokenizer


@pytest.mark.parametrize("kind", ["named", "own"])
@pytest.mark.parametrize(
    ("enabled", "plain", "thinking"),
    [
        (True, [ASK, f"{EMPTY}a{IM}"], [ASK, f"{THOUGHT}a{IM}"]),
        (False, [f"{ASK}{EMPTY}", f"a{IM}"], [f"{ASK}{EMPTY}", f"a{IM}"]),
        (None, [f"{ASK}{EMPTY}", f"a{IM}"], [ASK, f"{THOUGHT}a{IM}"]),
    ],
)
def test_one_answer(kind: str, enabled: bool | None, plain: list[str], thinking: list[str]) -> None:
    """True: empty thoughts are learnt. False: they belong to the prompt, real ones go. None: as the row has it."""
    template, tokenizer = qwen3(kind, enable_thinking=enabled)
    assert spoken(template, PLAIN, tokenizer) == plain
    assert spoken(template, THINKING, tokenizer) == thinking
    waiting = Conversation(PLAIN.messages[:1])
    assert spoken(template, waiting, tokenizer) == plain[:1]


TWICE = talk("q", f"{THOUGHT}a", "q", f"{THOUGHT}b")


@pytest.mark.parametrize("kind", ["named", "own"])
def test_earlier_answers_lose_their_thoughts_where_only_the_last_is_learnt(kind: str) -> None:
    template, tokenizer = qwen3(kind, mask_history=True)
    assert spoken(template, TWICE, tokenizer) == [ASK, f"a{IM}", ASK, f"{THOUGHT}b{IM}"]
    assert spoken(template, talk("q", "a", "q", "b"), tokenizer) == [ASK, f"a{IM}", ASK, f"{EMPTY}b{IM}"]
    template, tokenizer = qwen3(kind)
    pair = Conversation(TWICE.messages, rejected=answer("worse"))
    assert spoken(template, pair, tokenizer) == [ASK, f"a{IM}", ASK, f"{THOUGHT}b{IM}", f"{EMPTY}worse{IM}"]
    assert spoken(template, Conversation(TWICE.messages[:3]), tokenizer) == [ASK, f"a{IM}", ASK]


def test_a_named_template_learns_every_thought_of_a_dialogue() -> None:
    """As LLaMA-Factory: all answers are learnt, so all have their thoughts or empty ones."""
    template, tokenizer = qwen3("named")
    assert spoken(template, TWICE, tokenizer) == [ASK, f"{THOUGHT}a{IM}", ASK, f"{THOUGHT}b{IM}"]
    assert spoken(template, talk("q", "a", "q", "b"), tokenizer) == [ASK, f"{EMPTY}a{IM}", ASK, f"{EMPTY}b{IM}"]


def test_thoughts_are_preserved_where_asked() -> None:
    template, tokenizer = qwen3("named", preserve_thinking=True)
    assert spoken(template, Conversation(TWICE.messages[:3]), tokenizer) == [ASK, f"{THOUGHT}a{IM}", ASK]
    own, tokenizer = qwen3("own", preserve_thinking=True)
    assert "leaves out earlier thoughts" in own.warning
    keeping = QWEN3.replace("and loop.last", "and (loop.last or preserve_thinking)")
    tokenizer = knowing(MARKS, keeping, ORDINARY)
    own = chosen(None, tokenizer, preserve_thinking=True)
    assert own.warning == ""
    assert spoken(own, Conversation(TWICE.messages[:3]), tokenizer) == [ASK, f"{THOUGHT}a{IM}", ASK]


@pytest.mark.parametrize("enabled", [True, False, None])
def test_the_prompt_of_a_pair_is_one(enabled: bool | None) -> None:
    """An empty thought stands in the prompt only if neither answer thinks."""
    for kind in ("named", "own"):
        template, tokenizer = qwen3(kind, enable_thinking=enabled)
        mixed = Conversation(THINKING.messages, rejected=answer("worse"))
        texts = spoken(template, mixed, tokenizer)
        if enabled is False:
            assert texts == [f"{ASK}{EMPTY}", f"a{IM}", f"worse{IM}"]
        else:
            assert texts == [ASK, f"{THOUGHT}a{IM}", f"{EMPTY}worse{IM}"]
        neither = Conversation(PLAIN.messages, rejected=answer("worse"))
        empty = EMPTY if enabled else ""
        assert spoken(template, neither, tokenizer)[1:] == [f"{empty}a{IM}", f"{empty}worse{IM}"]


@pytest.mark.parametrize(
    ("name", "empty"),
    [("deepseekr1", EMPTY), ("glm4_moe", EMPTY), ("glm4_7", "</think>"), ("mimo_v2", "<think></think>"),
     ("kimi_vl", "◁think▷◁/think▷"), ("seed_oss", "<seed:think></seed:think>")],
)  # fmt: skip
def test_words_of_thoughts(name: str, empty: str) -> None:
    tokenizer = speaking(name)
    assert spoken(chosen(name, tokenizer), PLAIN, tokenizer)[1].startswith(empty)
    assert spoken(chosen(name, tokenizer, enable_thinking=False), PLAIN, tokenizer)[0].endswith(empty)


def test_thoughts_in_other_line_breaks_are_thoughts() -> None:
    tokenizer = speaking("qwen3")
    said = talk("q", "<think>hm</think>a")
    assert spoken(chosen("qwen3", tokenizer, enable_thinking=False), said, tokenizer)[1] == f"a{IM}"
    assert spoken(chosen("qwen3", tokenizer), said, tokenizer)[1] == f"<think>hm</think>a{IM}"


@pytest.mark.parametrize("enabled", [True, False, None])
@pytest.mark.parametrize("name", ["qwen3_nothink", "chatml", "llama3", None])
def test_templates_without_thoughts_change_nothing(name: str | None, enabled: bool | None) -> None:
    tokenizer = tiny_tokenizer(CHAT_TEMPLATE) if name is None else speaking(name)
    texts = spoken(chosen(name, tokenizer, enable_thinking=enabled), THINKING, tokenizer)
    assert texts[1].startswith(f"{THOUGHT}a")
    assert spoken(chosen(name, tokenizer, enable_thinking=enabled), PLAIN, tokenizer)[1].startswith("a")


@pytest.mark.parametrize("enabled", [True, False, None])
@pytest.mark.parametrize("name", [name for name, template in TEMPLATES.items() if template.thoughts])
def test_the_saved_chat_template_thinks_the_same(name: str, enabled: bool | None) -> None:
    tokenizer = speaking(name)
    thoughts = TEMPLATES[name].thoughts
    assert thoughts is not None
    said = f"{thoughts.opening}hm{thoughts.closing}a"
    template = chosen(name, tokenizer, enable_thinking=enabled, mask_history=True)
    tokenizer.chat_template = template.jinja()  # type: ignore[attr-defined]
    for texts in (["q", said, "q", said], ["q", said, "q"], ["q", "a", "q", "a"], ["q", said, "q", "a"], ["q"]):
        told = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]
        rendered = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        assert rendered == "".join(spoken(template, talk(*texts), tokenizer))
