"""Models in memory for a conversation on the screen: bringing them there, asking them, and giving the room back."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Protocol, Unpack

from tuitune.chat.base import Answer, Asking, Judge, Turn
from tuitune.chat.local import LocalChat, Note, Progress
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, Stopped, TuiTuneError
from tuitune.face.host import prepare_for
from tuitune.text import clean_line


class Loads(Protocol):
    """What brings weights into memory, such as `LocalChat.load`."""

    def __call__(self, weights: Weights, /, *, progress: Progress, note: Note) -> LocalChat:
        """Load them; raises ModelError or DataError."""
        ...


class Bringing:
    """Brings models into memory, unless their memory is needed meanwhile."""

    def __init__(self) -> None:
        self._round = 0

    def give_up(self) -> None:
        """Let those who load now end with Stopped."""
        self._round += 1

    def bring(
        self, wanted: Weights, load: Loads, *, progress: Progress, note: Note, training: bool = False
    ) -> LocalChat:
        """Return the weights loaded; raises TuiTuneError in plain words. training: a run needs memory, too."""
        mine = self._round

        def watched(stage: str, done: int, total: int | None) -> None:
            if self._round != mine:
                raise Stopped("loading was given up: its memory is needed", "ask again later")
            progress(stage, done, total)

        prepare_for(wanted.device, wanted.threads)
        try:
            found = load(wanted, progress=watched, note=note)
        except (MemoryError, RuntimeError) as error:
            raise worded(error, training=training) from error
        watched("load", 1, 1)
        return found


class Asked:
    """A loaded model, with its adapter or without."""

    def __init__(self, chat: LocalChat, title: str, *, base: bool) -> None:
        self._chat, self._title, self._base = chat, title, base

    @property
    def title(self) -> str:
        return self._title

    @property
    def judge(self) -> Judge | None:
        """Who scores the answers, where the model is a reward model and not switched back to what it was."""
        return None if self._base else self._chat.judge

    def reply(self, turns: Sequence[Turn], **asked: Unpack[Asking]) -> Answer:
        try:
            return self._chat.reply(turns, base=self._base, **asked)
        except (MemoryError, RuntimeError) as error:
            raise worded(error, training=False) from error


def worded(error: Exception, *, training: bool) -> TuiTuneError:
    """Return an error of torch while a model is loaded or asked, in words."""
    text = clean_line(str(error)) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        hint = "ask live, or wait until the training has ended" if training else "choose a smaller model"
        return ModelError("there is not enough memory for this model", hint)
    return ModelError(f"the model cannot be used: {text[:300]}", "the log says more")


def free() -> None:
    """Give memory back to the machine that nobody holds any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
