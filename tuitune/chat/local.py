"""A model in this process: loaded once, asked many times."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from tuitune.chat.base import Answer, Asking, NotWriting, Options, Question, Turn, told_apart
from tuitune.chat.loading import Base, Note, Progress, dressed, in_turn, load_base, silent, tokenizer_of, unsaid
from tuitune.chat.score import LocalJudge
from tuitune.chat.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template
    from tuitune.models.generate import Piece, Reply, Sampling

__all__ = ["LocalChat", "Note", "Progress"]


class LocalChat:
    """A conversation partner whose weights are in memory.

    turn: held while it computes; those who share weights share it.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        title: str = "",
        options: Options,
        judge: LocalJudge | None = None,
        weights: Weights | None = None,
        turn: threading.RLock | None = None,
    ) -> None:
        self._model, self.tokenizer, self.template = model, tokenizer, template
        self._title, self.options = title, options
        self.judge = judge
        self.weights = weights or Weights("", title=title)
        self.turn = turn or threading.RLock()

    @classmethod
    def load(cls, weights: Weights, *, progress: Progress = silent, note: Note = unsaid) -> LocalChat:
        """Fetch what is missing and load it; raises ModelError or DataError.

        Call `tuitune.engine.setup.prepare_process` before, since torch is imported here.
        """
        return cls.on(load_base(weights, progress=progress, note=note), weights, alone=True, note=note)

    @classmethod
    def on(cls, base: Base, weights: Weights, *, alone: bool, note: Note = unsaid) -> LocalChat:
        """Return who speaks with these weights on a base in memory; alone: nobody else ever needs the base."""
        from tuitune.data.templates import choose

        tokenizer = tokenizer_of(base, weights, note)
        template = choose(weights.template, tokenizer, weights.system, weights.style)
        if template.warning:
            note(template.warning)
        model = dressed(base, weights, alone=alone, note=note)
        judge = LocalJudge.beside(base.folder, weights, model, tokenizer, template)
        if judge is not None:
            note(
                "this is a reward model: it scores answers"
                + (", and its base model writes them" if hasattr(model, "disable_adapter") else "")
            )
        return cls(
            model, tokenizer, template, title=weights.title, options=weights.options, judge=judge, weights=weights,
            turn=base.turn,
        )  # fmt: skip

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What was loaded."""
        return self._title

    @property
    def model_id(self) -> str:
        """The name or folder of the model below the adapters."""
        return self.weights.model

    @property
    def context(self) -> int | None:
        """The most tokens of prompt and answer together that the model was made for, None where it does not say."""
        config = self._model.config
        found = getattr(config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    @contextlib.contextmanager
    def using(self, *, base: bool = False) -> Iterator[Any]:
        """Wait for the turn and lend the model in evaluation mode, without gradients; base: its adapter is off.

        Raises ModelError where it has none.
        """
        with in_turn(self.turn), self._as_base() if base else contextlib.nullcontext():
            yield self._model

    def _as_base(self) -> contextlib.AbstractContextManager[None]:
        from tuitune.methods.original import original

        return original(self._model)

    # -- answering ---------------------------------------------------------------------------------------------------

    def prompt_ids(self, turns: Sequence[Turn], *, system: str | None = None, tools: str = "") -> list[int]:
        """Return the tokens that the model answers to. Raises DataError where the template cannot show the turns."""
        from tuitune.data.templates import Message

        messages = [Message("system", system)] if system else []
        messages += [Message(turn.role, turn.content) for turn in turns]
        return self.template.prompt_ids(messages, self.tokenizer, tools)

    def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        *,
        on_text: Callable[[str], None] = lambda text: None,
        on_piece: Callable[[Piece], None] = lambda piece: None,
        stop: Callable[[], bool] = lambda: False,
        base: bool = False,
        tools: bool = False,
    ) -> Reply:
        """Write on from these tokens when it is its turn; tools: keep special tokens that stand around calls."""
        from tuitune.models.generate import reply

        with self.using(base=base) as model:
            return reply(
                model, self.tokenizer, prompt_ids, sampling, stop_ids=self.template.stop_ids(self.tokenizer),
                on_text=on_text, on_piece=on_piece, stop=stop, keep_ids=self._kept(tools=tools),
            )  # fmt: skip

    def _kept(self, *, tools: bool) -> Collection[int]:
        from tuitune.data.templates.reading import form_of, kept_ids

        return kept_ids(form_of(self.template, self.tokenizer) if tools else None, self.tokenizer)

    def sampling(self, options: Mapping[str, Any]) -> Sampling:
        """Return how an answer is drawn: as the weights were trained to be asked, with other options."""
        from tuitune.models.generate import Sampling

        return Sampling().updated({**self.options, **options})

    def reply(self, turns: Sequence[Turn], *, base: bool = False, **asked: Unpack[Asking]) -> Answer:
        """Answer the last turn; with the adapter switched off when `base` is true.

        For a reward model the model below its adapter answers. Raises NotWriting where there is none.
        """
        question, below = Question(turns, **asked), base or self._writes_below()
        prompt = self.prompt_ids(turns, system=question.system, tools=question.tools)
        opening = self.opening(prompt)
        if opening:
            question.on_text(opening)
        done = self.generate(
            prompt, self.sampling(question.sampling), on_text=question.on_text, stop=question.stop, base=below,
            tools=bool(question.tools),
        )  # fmt: skip
        return self.answer(opening + done.text, done, tools=question.tools)

    def opening(self, prompt_ids: Sequence[int]) -> str:
        """Return the words with which a prompt has opened the answer's thoughts already; they belong to the answer."""
        from tuitune.data.templates.reading import opened

        return opened(prompt_ids, self.tokenizer)

    def answer(self, text: str, done: Reply, *, tools: str = "") -> Answer:
        """Return a reply as an answer: thoughts apart, and calls where tools were offered."""
        from tuitune.data.templates.reading import form_of

        form = form_of(self.template, self.tokenizer) if tools else None
        made = Answer(text, done.tokens, done.seconds, done.reason, prompt_tokens=done.prompt_tokens)
        return told_apart(made, form)

    def _writes_below(self) -> bool:
        if self.judge is not None and not hasattr(self._model, "disable_adapter"):
            raise NotWriting(
                "this reward model was trained as a whole: it scores answers and writes none",
                "write one yourself: /answer TEXT",
            )
        return self.judge is not None
