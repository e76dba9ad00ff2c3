from __future__ import annotations

import pytest

from tuitune.chat.thinking import Splitter, split


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", ("", "plain")),
        ("  plain ", ("", "  plain ")),
        ("<think>\na\n\nb\n</think>\n\nc\n", ("a\n\nb", "c\n")),
        ("\n<think></think>c", ("", "c")),
        ("<think>\nnot yet", ("not yet", "")),
        ("◁think▷a◁/think▷b", ("a", "b")),
        ("opened by the prompt</think>b", ("opened by the prompt", "b")),
        ("what <think> means: <think>a</think>", ("", "what <think> means: <think>a</think>")),
        ("", ("", "")),
    ],
)
def test_thoughts_are_what_an_answer_begins_with(text: str, found: tuple[str, str]) -> None:
    assert split(text) == found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "text", ["<think>\na <b> c\n</think>\n\nsaid </think> more", "just <thinking", "  <thank you", "<think>lost"]
)
def test_in_pieces_it_is_the_same(text: str, size: int) -> None:
    splitter, said = Splitter(), ""
    for start in range(0, len(text), size):
        said += splitter.feed(text[start : start + size])
        assert splitter.thinking == (text.startswith("<think>") and start + size >= 7 and not said)
    said += splitter.flush()
    assert (splitter.thoughts, said) == split(text)
