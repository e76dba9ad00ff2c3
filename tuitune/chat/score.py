"""A reward model in this process, asked about conversations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.chat.base import Turn
from tuitune.chat.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template
    from tuitune.stages.scorer import Scorer


class LocalJudge:
    """Scores conversations with a model that is in memory."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @property
    def scorer(self) -> Scorer:
        """What it scores with, for token ids and whole lists."""
        return self._scorer

    @classmethod
    def beside(
        cls, folder: Path, weights: Weights, model: Any, tokenizer: PreTrainedTokenizerBase, template: Template
    ) -> LocalJudge | None:
        """Return the judge that a loaded model is, None where no value head lies beside its weights.

        folder: of the model below the adapters. Raises ModelError for a damaged head.
        """
        from tuitune.models import valued
        from tuitune.stages.scorer import Scorer, head_folder, path_of

        place = head_folder(folder, weights.adapters)
        if not (place / valued.FILE).is_file():
            return None
        head = valued.read_head(place).to(next(model.parameters()).device)
        path = path_of(model, tokenizer.pad_token_id or 0)
        return cls(Scorer(model, head, path, tokenizer, template))

    def score(self, turns: Sequence[Turn], *, system: str | None = None) -> float:
        """Return what a conversation is worth. Raises DataError where the template cannot show it."""
        from tuitune.data import Message

        told = [Message("system", system)] if system else []
        return self._scorer.score([*told, *(Message(turn.role, turn.content) for turn in turns)])

    def score_ids(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        """Return what each sequence of tokens, prompt and answer, is worth."""
        return self._scorer.score_ids(sequences)
