"""A model in this process: loaded once, asked many times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.chat.base import Answer, NotWriting, Options, Turn
from tuitune.chat.score import LocalJudge
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError
from tuitune.fit.models import resolve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]


class LocalChat:
    """A conversation partner whose weights are in memory."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        title: str = "",
        options: Options,
        judge: LocalJudge | None = None,
    ) -> None:
        self._model, self._tokenizer, self._template = model, tokenizer, template
        self._title, self._options = title, options
        self.judge = judge

    @classmethod
    def load(
        cls,
        weights: Weights,
        *,
        progress: Progress = lambda stage, done, total: None,
        note: Note = lambda text: None,
    ) -> LocalChat:
        """Fetch what is missing and load it; raises ModelError or DataError.

        Call `tuitune.engine.setup.prepare_process` before, since torch is imported here.
        """
        from tuitune.data.templates import choose
        from tuitune.models.load import load_tokenizer
        from tuitune.models.prepare import prepare

        source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
        folder = prepare(
            source, progress=progress, trust_remote_code=weights.trust_remote_code, cache_dir=weights.cache_dir
        )
        progress("load", 0, None)
        # An adapter brings the tokenizer that it was trained with.
        own = [path for path in weights.adapters[-1:] if (path / "tokenizer_config.json").is_file()]
        tokenizer = load_tokenizer(
            (own or [folder])[0], trust_remote_code=weights.trust_remote_code,
            split_special_tokens=weights.split_special_tokens, note=note,
        )  # fmt: skip
        template = choose(weights.template, tokenizer, weights.system, weights.style)
        if template.warning:
            note(template.warning)
        model = _load(folder, weights, note)
        judge = LocalJudge.beside(folder, weights, model, tokenizer, template)
        if judge is not None:
            note(
                "this is a reward model: it scores answers"
                + (", and its base model writes them" if hasattr(model, "disable_adapter") else "")
            )
        return cls(model, tokenizer, template, title=weights.title, options=weights.options, judge=judge)

    @property
    def title(self) -> str:
        """What was loaded."""
        return self._title

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        sampling: Options,
        on_text: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
        base: bool = False,
    ) -> Answer:
        """Answer the last turn; with the adapter switched off when `base` is true.

        For a reward model the model below its adapter answers. Raises NotWriting where there is none.
        """
        from tuitune.data.templates import Message
        from tuitune.models.generate import Sampling, reply

        messages = [Message("system", system)] if system else []
        messages += [Message(turn.role, turn.content) for turn in turns]
        with self._weights(base or self._writes_below()):
            done = reply(
                self._model, self._tokenizer, self._template.prompt_ids(messages, self._tokenizer),
                Sampling().updated({**self._options, **sampling}),
                stop_ids=self._template.stop_ids(self._tokenizer), on_text=on_text, stop=stop,
            )  # fmt: skip
        return Answer(done.text, done.tokens, done.seconds, done.reason)

    def _writes_below(self) -> bool:
        if self.judge is not None and not hasattr(self._model, "disable_adapter"):
            raise NotWriting(
                "this reward model was trained as a whole: it scores answers and writes none",
                "write one yourself: /answer TEXT",
            )
        return self.judge is not None

    @contextlib.contextmanager
    def _weights(self, base: bool) -> Iterator[None]:
        if not base:
            yield
            return
        from tuitune.methods.original import original

        with original(self._model):
            yield


def _load(folder: Path, weights: Weights, note: Note) -> Any:
    import torch

    from tuitune.fit.machine import usable_cores
    from tuitune.methods.adapters import load_adapter, merge

    device = "cpu" if weights.device == "cpu" or not torch.cuda.is_available() else "cuda:0"
    if device == "cpu":
        torch.set_num_threads(weights.threads or usable_cores())
    model = _any_attention(folder, device, weights, note)
    for adapter in weights.adapters[:-1]:
        model = merge(model, adapter)
    for adapter in weights.adapters[-1:]:
        model = load_adapter(model, adapter)
    return model.eval()


def _any_attention(folder: Path, device: str, weights: Weights, note: Note) -> Any:
    from tuitune.models.load import refuses_attention
    from tuitune.models.shaping import load_shaped

    shaping = weights.shaping
    settings: dict[str, Any] = {
        "dtype": _dtype(device), "device": device, "trust_remote_code": weights.trust_remote_code, "note": note,
    }  # fmt: skip
    try:
        return load_shaped(folder, shaping, attention="sdpa", **settings)
    except ModelError as error:
        # Some architectures have no attention but their own.
        if not refuses_attention(error):
            raise
    return load_shaped(folder, shaping, attention="eager", **settings)


def _dtype(device: str) -> torch.dtype:
    import torch

    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
