"""Tokens as `logprobs` shows them: text, and the bytes behind it, which need not be a whole character."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tuitune.models.streamed import Place, Streamer
from tuitune.serve.order import Token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
Likely = tuple[tuple[int, float], ...]


@functools.cache
def _byte_of() -> dict[str, int]:
    """Return the byte behind each character of a byte-level vocabulary (GPT-2's table, Radford et al. 2019)."""
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + number): byte for number, byte in enumerate(others)}


class Spelling:
    """What the tokens of a tokenizer are called: by the text that they are inside a text, which keeps their blanks."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
        self._skip = len(self._decoded(self._before))

    def text(self, token: int) -> str:
        """Return a token as text; what is no whole character shows as a replacement character."""
        return self._decoded([*self._before, token])[self._skip :]

    def _decoded(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    def data(self, token: int, text: str) -> bytes:
        """Return the bytes of a token; `text` is what it shows as."""
        if "\ufffd" not in text:
            return text.encode("utf-8", "replace")
        name = self._tokenizer.convert_ids_to_tokens(token)
        if isinstance(name, str) and (found := _BYTE.fullmatch(name)):
            return bytes([int(found[1], 16)])
        table = _byte_of()
        if isinstance(name, str) and all(each in table for each in name):
            return bytes(table[each] for each in name)
        return text.encode("utf-8", "replace")

    def token(self, token: int, logprob: float | None, top: Likely, *, start: int) -> Token:
        """Return a token whose text begins at `start`."""
        text = self.text(token)
        likely = tuple((word := self.text(each), self.data(each, word), value) for each, value in top)
        return Token(text, self.data(token, text), logprob, likely, start)

    def prompt(self, ids: Sequence[int], told: Sequence[tuple[float | None, Likely]]) -> tuple[str, tuple[Token, ...]]:
        """Return the text of a prompt, and its tokens as far as they are told of."""
        places: list[Place] = []
        streamer = Streamer(self._tokenizer, lambda new, found: places.extend(found), ends=(), marks=True)
        for number in (-1, *ids):  # the first call carries what comes before
            streamer.put(torch.tensor([number]))
        streamer.end()
        text = streamer.text
        tokens = [
            self.token(place.id, logprob, top, start=place.start)
            for place, (logprob, top) in zip(places, told, strict=False)
        ]
        return text, tuple(tokens)
