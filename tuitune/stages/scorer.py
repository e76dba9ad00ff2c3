"""A reward model at work: what conversations are worth, read where stage rm read them while it learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import choose
from tuitune.data.templates.base import encode_pieces
from tuitune.errors import DataError, ModelError
from tuitune.fit.files import read_object
from tuitune.fit.models import resolve
from tuitune.methods.adapters import CONFIG, load_adapter, merge
from tuitune.methods.prompt_path import padded
from tuitune.methods.prompts import lays_before
from tuitune.models import paths, valued
from tuitune.models.attention import register
from tuitune.models.generate import in_evaluation
from tuitune.models.load import load_tokenizer
from tuitune.models.prepare import prepare
from tuitune.models.shaping import Shaping, load_any_attention
from tuitune.run.index import place_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.rows import Row
    from tuitune.data.templates import Template
    from tuitune.models.paths import Path as ModelPath
    from tuitune.models.valued import ValueHead

Precision = Callable[[], AbstractContextManager[object]]
_ANY_LENGTH = 1 << 30  # tokens: nobody knows what will be scored


class Scorer:
    """Scores whole conversations or token ids; in evaluation mode, without gradients, in batches.

    system: of conversations that bring none. tokens_per_batch: most tokens at once. precision: is open while the model
    runs; it may also switch adapters.
    """

    def __init__(
        self,
        model: Any,
        head: ValueHead,
        path: ModelPath,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        system: str | None = None,
        tokens_per_batch: int = 2048,
        precision: Precision = nullcontext,
    ) -> None:
        self.model, self.tokenizer, self.template = model, tokenizer, template
        self._head, self._path, self._system = head, path, system
        self._most, self._precision = tokens_per_batch, precision
        self._behind: list[int] | None = None

    @classmethod
    def load(
        cls,
        model: str,
        adapters: Sequence[Path] = (),
        *,
        device: str,
        dtype: torch.dtype,
        template: str | None,
        system: str | None = None,
        shaping: Shaping | None = None,
        revision: str | None = None,
        cache_dir: str | None = None,
        trust_remote_code: bool = False,
        tokens_per_batch: int = 2048,
        progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
        note: Callable[[str], None] = lambda text: None,
    ) -> Scorer:
        """Fetch and load a reward model; all adapters but the last are merged into it. Raises ModelError."""
        source = resolve(model, revision=revision, cache_dir=cache_dir)
        folder = prepare(source, progress=progress, trust_remote_code=trust_remote_code, cache_dir=cache_dir)
        head = valued.read_head(head_folder(folder, adapters)).to(device)
        own = [path for path in adapters[-1:] if (path / "tokenizer_config.json").is_file()]
        tokenizer = load_tokenizer((own or [folder])[0], trust_remote_code=trust_remote_code, note=note)
        made: Any = load_any_attention(
            folder, shaping or Shaping(), dtype=dtype, device=device, trust_remote_code=trust_remote_code, note=note
        )
        for adapter in adapters[:-1]:
            made = merge(made, adapter)
        for adapter in adapters[-1:]:
            made = load_adapter(made, adapter)
        made.requires_grad_(False).eval()
        form = choose(template, tokenizer, system)
        path = path_of(made, tokenizer.pad_token_id or 0)
        return cls(made, head, path, tokenizer, form, system=system, tokens_per_batch=tokens_per_batch)

    def score(self, messages: Sequence[Message]) -> float:
        """Return what the conversation is worth; it may begin with a system message and ends with an answer.

        Raises DataError where the template cannot show it.
        """
        return self.scores([messages])[0]

    def scores(self, dialogues: Sequence[Sequence[Message]]) -> list[float]:
        """Return what each conversation is worth."""
        return self.score_ids(self.ids(dialogues))

    def ids(self, dialogues: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Return the tokens of each conversation. Raises DataError where the template cannot show one."""
        talks = [self._conversation(messages) for messages in dialogues]
        encoded = encode_pieces(self.template.pieces(talks, self.tokenizer), self.tokenizer)
        return [self._ids(number, ids) for number, ids in enumerate(encoded, 1)]

    @torch.no_grad()
    def score_ids(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        """Return what each sequence of tokens, prompt and answer, is worth."""
        found: dict[int, float] = {}
        rows: list[Row] = [{"input_ids": [*ids], "labels": []} for ids in sequences]  # `valued.last` closes them
        order = sorted(range(len(rows)), key=lambda place: -len(sequences[place]))
        while order:
            part = order[: self._fitting([len(sequences[place]) for place in order])]
            order = order[len(part) :]
            with self._precision(), in_evaluation(self.model):
                scores, _ = valued.last(self.model, self._path, [[rows[place]] for place in part], self._head)
            found |= zip(part, scores.tolist(), strict=True)
        return [found[place] for place in range(len(rows))]

    def closed(self, ids: Sequence[int], ended: bool) -> list[int]:
        """Return an answer's tokens as the reward model saw answers: with what the template writes after the end."""
        if self._behind is None:
            self._behind = _behind_the_end(self.template, self.tokenizer)
        return [*ids, *self._behind] if ended else list(ids)

    def _fitting(self, lengths: Sequence[int]) -> int:
        """Return how many of the sequences, longest first, fit into one forward: at least one."""
        count = 1
        while count < len(lengths) and self._path.combined(lengths[: count + 1], 0) <= self._most:
            count += 1
        return count

    def _conversation(self, messages: Sequence[Message]) -> Conversation:
        turns = list(messages)
        system = turns.pop(0).content if turns and turns[0].role == "system" else self._system
        roles = [("user", "observation"), ("assistant", "function")]
        if not turns or len(turns) % 2 or any(m.role not in roles[i % 2] for i, m in enumerate(turns)):
            raise DataError(
                "a conversation that is scored has the user's messages and answers in turn, and ends with an answer",
                f"this one has {', '.join(message.role for message in messages) or 'nothing'}",
            )
        return Conversation(tuple(turns), system)

    def _ids(self, number: int, pieces: list[list[int]] | str) -> list[int]:
        if isinstance(pieces, str):
            raise DataError(f"conversation {number} cannot be shown to the model: {pieces}")
        end = self.template.late_end(self.tokenizer)
        return [token for piece in pieces for token in piece] + ([] if end is None else [end])


def path_of(model: Any, pad: int) -> ModelPath:
    """Return the way through a model that was loaded to be asked, with or without an adapter."""
    if lays_before(model):
        return padded(model, pad)
    register()  # it may have been loaded with another attention
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    path, _ = paths.choose(base, longest=_ANY_LENGTH, pad=pad, dropout=False, autocast=None)
    return path


def _behind_the_end(template: Template, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that stand after an answer's end token where a template has shown a whole conversation."""
    talk = Conversation((Message("user", "?"), Message("assistant", "yes")))
    [pieces] = encode_pieces(template.pieces([talk], tokenizer), tokenizer)
    stop = set(template.stop_ids(tokenizer))
    if isinstance(pieces, str) or template.late_end(tokenizer) is not None:
        return []
    answer = pieces[-1]
    ends = [place for place, token in enumerate(answer) if token in stop]
    return answer[ends[0] + 1 :] if ends else []


# Where a reward model is


def head_folder(folder: Path, adapters: Sequence[Path]) -> Path:
    """Return where the value head lies: beside the last adapter that has one, else beside the model in `folder`."""
    return next((path for path in reversed(adapters) if (path / valued.FILE).is_file()), folder)


def parts_of(name: str, locate: Callable[[str], Path]) -> tuple[str, tuple[Path, ...], Shaping]:
    """Return model, adapters and shaping of the reward model that a recipe names: a run, or a folder of its result.

    Raises ModelError where an adapter does not say what it belongs to.
    """
    place = place_of(name, locate(name))
    folder = next((path for path in (place / "final", place) if path.is_dir()), None)
    if folder is None:
        return name, (), Shaping()
    if not (folder / CONFIG).is_file():
        return str(folder), (), Shaping()
    base = read_object(folder / CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(f"{folder} does not say which model it belongs to", "train the reward model again")
    return base, (folder,), Shaping.beside(folder)
