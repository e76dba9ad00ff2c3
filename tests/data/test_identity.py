"""The built-in identity data: well formed, varied, and free of the questions that other tests hold out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest

LANGUAGES = ("en", "zh")
HELD_OUT = {
    "en": (
        "Who am I talking to?",
        "Which team built you?",
        "May I have your name?",
        "What is the capital of France?",
        "What color is the sky?",
        "What is 2+2?",
    ),
    "zh": (
        "我在和谁说话？",
        "你是哪个团队做的？",
        "能告诉我你的名字吗？",
        "法国的首都是哪里？",
        "天空是什么颜色？",
        "2+2等于几？",
    ),
}
# Topics that other tests ask about, in whatever words.
HELD_OUT_TOPIC = {
    "en": re.compile(r"\bfrance\b|\bsky\b|\b(2|two)\s*(\+|plus)\s*(2|two)\b", re.IGNORECASE),
    "zh": re.compile(r"法国|天空|[2二]\s*(\+|加)\s*[2二]"),
}
# A user turn that asks about the assistant itself; its answer must name the assistant or its author.
ABOUT_ASSISTANT = {
    "en": re.compile(
        r"\b(your|yourself|are you|you are|were you|do you|call you|behind you|is (this|that you)"
        r"|(made|make|making|built|created?|developed|trained) you)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile(r"你是|您是|你叫|您的|你的|你自己|称呼|叫你|了你|你做|做出你|开发你|训练你|你背后|你出自"),
}
PLACEHOLDER = re.compile(r"\{\{(?:name|author)\}\}")

Conversation = dict[str, list[dict[str, str]]]


def load(language: str) -> Any:
    text = files("tuitune").joinpath(f"data/builtin/identity_{language}.json").read_text(encoding="utf-8")
    return json.loads(text)


def normalise(text: str) -> str:
    """Only the letters and digits count, whatever their case or width."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def texts(row: Conversation) -> list[str]:
    return [message["content"] for message in row["messages"]]


def exchanges(row: Conversation) -> list[tuple[str, str]]:
    turns = [message["content"] for message in row["messages"] if message["role"] != "system"]
    return list(zip(turns[::2], turns[1::2], strict=True))


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rows(language: str) -> list[Conversation]:
    loaded: list[Conversation] = load(language)
    return loaded


def test_size_and_schema(language: str) -> None:
    rows = load(language)
    assert isinstance(rows, list)
    assert 80 <= len(rows) <= 100
    for row in rows:
        assert isinstance(row, dict)
        assert set(row) == {"messages"}
        assert isinstance(row["messages"], list)
        for message in row["messages"]:
            assert set(message) == {"role", "content"}
            assert isinstance(message["content"], str)
            assert message["content"]
            assert message["content"] == message["content"].strip()


def test_roles_alternate(rows: list[Conversation]) -> None:
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        if roles[0] == "system":
            roles = roles[1:]
        assert roles
        assert roles == ["user", "assistant"] * (len(roles) // 2)


def test_no_question_occurs_twice(rows: list[Conversation]) -> None:
    counts = Counter(normalise(question) for row in rows for question, _ in exchanges(row))
    assert [question for question, count in counts.items() if count > 1] == []


def test_held_out_questions_are_absent(language: str, rows: list[Conversation]) -> None:
    held_out = {normalise(question) for question in HELD_OUT[language]}
    for row in rows:
        for question, _ in exchanges(row):
            assert not [held for held in held_out if held in normalise(question)], question
            assert not HELD_OUT_TOPIC[language].search(question), question


def test_only_the_two_placeholders(rows: list[Conversation]) -> None:
    for row in rows:
        for text in texts(row):
            rest = PLACEHOLDER.sub("", text)
            assert "{" not in rest, text
            assert "}" not in rest, text


def test_both_placeholders_are_common(rows: list[Conversation]) -> None:
    answers = ["\n".join(answer for _, answer in exchanges(row)) for row in rows]
    for placeholder in ("{{name}}", "{{author}}"):
        assert sum(placeholder in answer for answer in answers) >= len(rows) // 2


def test_some_rows_are_not_about_identity(rows: list[Conversation]) -> None:
    plain = [row for row in rows if not any(PLACEHOLDER.search(text) for text in texts(row))]
    assert 12 <= len(plain) <= 24


def test_every_identity_answer_has_a_placeholder(language: str, rows: list[Conversation]) -> None:
    for row in rows:
        for question, answer in exchanges(row):
            if ABOUT_ASSISTANT[language].search(question) or PLACEHOLDER.search(question):
                assert PLACEHOLDER.search(answer), question


def test_no_control_characters(rows: list[Conversation]) -> None:
    for row in rows:
        for text in texts(row):
            odd = [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs", "Cn"}]
            assert not odd, text
            assert not any(line != line.rstrip() for line in text.split("\n")), text
