"""Stream a reply from a model: token by token, stoppable between tokens, without touching its training state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import GenerationConfig, StoppingCriteria

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

_RECENT = 12  # tokens: no character is split over more


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens; the defaults are LLaMA-Factory's, `temperature: 0` means the likeliest token always."""

    max_new_tokens: int = 1024
    temperature: float = 0.95
    top_p: float = 0.7
    top_k: int = 50
    do_sample: bool = True
    repetition_penalty: float = 1.0
    seed: int | None = None
    skip_special_tokens: bool = True

    def updated(self, options: Mapping[str, Any]) -> Sampling:
        """Return a copy with the known ones of `options`."""
        known = {f.name for f in fields(self)}
        return replace(self, **{k: v for k, v in options.items() if k in known and v is not None})

    def config(self, pad: int | None, stop_ids: Sequence[int]) -> GenerationConfig:
        """Return it in transformers' form."""
        sample = self.do_sample and self.temperature > 0
        chosen: dict[str, Any] = (
            {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k} if sample else {}
        )
        made: Any = GenerationConfig
        config: GenerationConfig = made(
            max_new_tokens=self.max_new_tokens, do_sample=sample, repetition_penalty=self.repetition_penalty,
            use_cache=True, eos_token_id=list(stop_ids), pad_token_id=pad if pad is not None else stop_ids[0], **chosen,
        )  # fmt: skip
        return config


@dataclass(frozen=True)
class Reply:
    """A finished reply; `seconds` from the call to the last token."""

    text: str
    tokens: int
    prompt_tokens: int
    seconds: float
    reason: Literal["end", "length", "stopped"]


@contextlib.contextmanager
def borrowed(model: nn.Module, device: torch.device, seed: int | None) -> Iterator[None]:
    """Lend the model for generation: afterwards no bit of its training state, nor of any generator, is different.

    `no_grad` and not `inference_mode`: tensors cached in there could not take part in a later backward.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        else:
            torch.seed()
        # Dropout and recomputation off: in train mode checkpointing drops the key-value cache and the reply is wrong.
        with in_evaluation(model):
            yield


@contextlib.contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode inside, and every module back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        # Module by module: `model.train()` would wake what was meant to stay in eval mode.
        for module, mode in modes:
            module.training = mode


class _Streamer:
    """Turns tokens into text as they come; a character that is not complete yet waits."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        on_text: Callable[[str], None],
        stop_ids: Sequence[int],
        *,
        marks: bool,
    ) -> None:
        # With `marks` the end mark itself is part of the text, as LLaMA-Factory's skip_special_tokens: false shows it.
        self._tokenizer, self._on_text, self._marks = tokenizer, on_text, marks
        self._stop = set() if marks else set(stop_ids)
        self._prompt = True
        self.ids: list[int] = []
        self.text = ""
        self._from = 0
        self._shown = ""

    def put(self, value: Tensor) -> None:
        if self._prompt:  # generate's first call carries the prompt
            self._prompt = False
            return
        token = int(value.flatten()[0])
        self.ids.append(token)
        if token not in self._stop:
            self._show(final=False)

    def end(self) -> None:
        self._show(final=True)

    def _show(self, *, final: bool) -> None:
        # Decoded from a few tokens back: a tokenizer may join spaces and bytes across tokens, but not over many.
        text = self._decode(self._from)
        if not final and text.endswith("\ufffd"):
            return
        if text.startswith(self._shown):
            new = text[len(self._shown) :]
        else:  # the window cut something that belongs together: take it from the whole
            whole = self._decode(0)
            new = whole[len(self.text) :] if whole.startswith(self.text) else ""
        if new:
            self.text += new
            self._on_text(new)
        self._shown = text
        if len(self.ids) - self._from > 2 * _RECENT:
            self._from = len(self.ids) - _RECENT
            self._shown = self._decode(self._from)

    def _decode(self, start: int) -> str:
        ids = [token for token in self.ids[start:] if token not in self._stop]
        text = self._tokenizer.decode(ids, skip_special_tokens=not self._marks, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text


class _Wish(StoppingCriteria):
    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self.stopped = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        self.stopped = self.stopped or self._wanted()
        return torch.full((input_ids.shape[0],), self.stopped, dtype=torch.bool, device=input_ids.device)


def reply(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    *,
    stop_ids: Sequence[int],
    on_text: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Reply:
    """Generate one reply; `on_text` gets each new piece, `stop` is asked after every token."""
    device = next(model.parameters()).device
    ids = torch.tensor([list(prompt_ids)], device=device)
    streamer = _Streamer(tokenizer, on_text, stop_ids, marks=not sampling.skip_special_tokens)
    wish = _Wish(stop)
    begun = time.monotonic()
    with borrowed(model, device, sampling.seed):
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), streamer=streamer, stopping_criteria=[wish],
            generation_config=sampling.config(tokenizer.pad_token_id, stop_ids),
        )  # fmt: skip
    ended = bool(streamer.ids) and streamer.ids[-1] in set(stop_ids)
    reason: Literal["end", "length", "stopped"] = "end" if ended else "stopped" if wish.stopped else "length"
    return Reply(streamer.text, len(streamer.ids), len(prompt_ids), time.monotonic() - begun, reason)
