"""Stream a reply from a model: token by token, stoppable between tokens, without touching its training state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import GenerationConfig, StoppingCriteria

from tuitune.models.drawing import Drawing
from tuitune.models.streamed import Place, Streamer

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens; the defaults are LLaMA-Factory's, `temperature: 0` means the likeliest token always.

    stop: the text ends before the first of these. logprobs: keep what the model itself, before temperature and the
    like, gives to each token and to so many of the likeliest; None for no such thing.
    """

    max_new_tokens: int = 1024
    temperature: float = 0.95
    top_p: float = 0.7
    top_k: int = 50
    do_sample: bool = True
    repetition_penalty: float = 1.0
    seed: int | None = None
    skip_special_tokens: bool = True
    stop: tuple[str, ...] = ()
    logprobs: int | None = None

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


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token of a reply with its text; the texts of all tokens are the text of the reply.

    logprob: natural logarithm of the probability that the model gave it. top: the likeliest tokens there with theirs.
    """

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What has been added to a reply; `drawn`: the tokens whose text it ends, where Sampling.logprobs asks for them."""

    text: str
    drawn: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A finished reply; `seconds` from the call to the last token; stopped_by: the stop string that ended it."""

    text: str
    tokens: int
    prompt_tokens: int
    seconds: float
    reason: Literal["end", "length", "stopped"]
    drawn: tuple[Drawn, ...] = ()
    stopped_by: str | None = None


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


class _Wish(StoppingCriteria):
    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self.stopped = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        self.stopped = self.stopped or self._wanted()
        return torch.full((input_ids.shape[0],), self.stopped, dtype=torch.bool, device=input_ids.device)


class _Pieces:
    """Passes on what a streamer shows, with what the drawing knows of its tokens."""

    def __init__(self, drawing: Drawing, on_text: Callable[[str], None], on_piece: Callable[[Piece], None]) -> None:
        self._drawing, self._on_text, self._on_piece = drawing, on_text, on_piece
        self._text = ""
        self.drawn: list[Drawn] = []

    def __call__(self, new: str, places: Sequence[Place]) -> None:
        self._text += new
        drawn = [self._drawn(place) for place in places] if self._drawing.likely else []
        self.drawn += drawn
        if new:
            self._on_text(new)
        if new or drawn:
            self._on_piece(Piece(new, tuple(drawn)))

    def _drawn(self, place: Place) -> Drawn:
        return Drawn(place.id, self._text[place.start : place.end], *self._drawing.likely[place.index])


def reply(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    *,
    stop_ids: Sequence[int],
    on_text: Callable[[str], None] = lambda text: None,
    on_piece: Callable[[Piece], None] = lambda piece: None,
    stop: Callable[[], bool] = lambda: False,
    keep_ids: Collection[int] = (),
) -> Reply:
    """Generate one reply; `on_text` gets each new piece of text, `stop` is asked after every token.

    on_piece: gets each piece with its tokens. keep_ids: special tokens that are part of the text in any case.
    """
    device = next(model.parameters()).device
    ids = torch.tensor([list(prompt_ids)], device=device)
    drawing = Drawing(sampling, device)
    pieces = _Pieces(drawing, on_text, on_piece)
    streamer = Streamer(
        tokenizer, pieces, ends=stop_ids, stop=sampling.stop, marks=not sampling.skip_special_tokens, keep=keep_ids
    )  # fmt: skip
    wish = _Wish(lambda: stop() or streamer.stopped_by is not None)
    begun = time.monotonic()
    with torch.no_grad(), in_evaluation(model):
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), streamer=streamer, stopping_criteria=[wish],
            logits_processor=[drawing], generation_config=_one_of_each(sampling, tokenizer.pad_token_id, stop_ids),
        )  # fmt: skip
    ended = streamer.stopped_by is not None or (bool(streamer.ids) and streamer.ids[-1] in set(stop_ids))
    reason: Literal["end", "length", "stopped"] = "end" if ended else "stopped" if wish.stopped else "length"
    return Reply(
        streamer.text, len(streamer.ids), len(prompt_ids), time.monotonic() - begun, reason, tuple(pieces.drawn),
        streamer.stopped_by,
    )  # fmt: skip


def _one_of_each(sampling: Sampling, pad: int | None, stop_ids: Sequence[int]) -> GenerationConfig:
    """Return a configuration that takes the token which `Drawing` has left; nothing is drawn from global numbers."""
    greedy = replace(sampling, do_sample=False, repetition_penalty=1.0)
    config = greedy.config(pad, stop_ids)
    config.temperature, config.top_p, config.top_k = 1.0, 1.0, 50  # a model's own would be warned of
    return config
