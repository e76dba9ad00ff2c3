"""The reward model: a whole model of its own, an adapter on the model in training, or a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch

from tuitune.data import Message
from tuitune.data.kinds import MESSAGES
from tuitune.errors import ModelError
from tuitune.methods import startpoint
from tuitune.methods.adapters import CONFIG, adapter_folder, kind_of, needs_weights
from tuitune.models.generate import in_evaluation
from tuitune.models.shaping import Shaping
from tuitune.models.valued import read_head
from tuitune.stages.online.server import Server
from tuitune.stages.scorer import Scorer, parts_of
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.stages.base import Surroundings
    from tuitune.stages.online.answer import Answer, Reward

_HARMLESS = ("gaussian", "eva", "orthogonal")  # ways to begin that leave the base as it is
_HOLDERS = (torch.nn.ModuleDict, torch.nn.ParameterDict)
NAME = "reward"  # of the adapter beside the one that learns


def reward_model(around: Surroundings) -> Reward:
    """Return what the recipe's `reward_model` says of answers: one finite number each. Raises ModelError."""
    kind = around.recipe.reward_model_type
    if kind == "api":
        return _by_server(around)
    return _by_adapter(around) if kind == "lora" else _by_model(around)


def _by_server(around: Surroundings) -> Reward:
    server = Server.of(around)

    def judge(answers: Sequence[Answer]) -> list[float]:
        ids = [[*answer.prompt_ids, *answer.ids] for answer in answers]
        texts = [around.tokenizer.decode(row, clean_up_tokenization_spaces=False) for row in ids]
        return server.scores([str(text) for text in texts])

    return judge


# A whole model


def _by_model(around: Surroundings) -> Reward:
    recipe = around.recipe
    model, adapters, shaping = parts_of(str(recipe.reward_model), recipe.locate)
    adapters = (*adapters, *(adapter_folder(recipe, name) for name in recipe.reward_model_adapters))
    if recipe.reward_model_quantization_bit:
        shaping = replace(shaping, quantization_bit=recipe.reward_model_quantization_bit)
    first = next(around.model.parameters())
    scorer = Scorer.load(
        model, adapters, device=str(first.device), dtype=_dtype(around), template=recipe.template,
        system=recipe.default_system, shaping=shaping, trust_remote_code=recipe.trust_remote_code,
        tokens_per_batch=around.tokens_per_batch(), note=around.note,
    )  # fmt: skip
    size = sum(p.numel() * p.element_size() for p in scorer.model.parameters())
    around.note(f"the reward model is in memory beside the trained one: {size / 2**30:.2f} GiB")
    if _same_words(scorer.tokenizer, around.tokenizer):
        return _by_ids(scorer)
    around.note("the reward model has another tokenizer: prompts and answers are tokenised anew for it")
    return lambda answers: scorer.scores([_dialogue(answer) for answer in answers])


def _dtype(around: Surroundings) -> torch.dtype:
    """Return the precision of training's forward."""
    first = next(p for p in around.model.parameters() if p.is_floating_point())
    with around.precision():
        kind = first.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else first.dtype


def _same_words(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    return bool(one.get_vocab() == other.get_vocab())


def _dialogue(answer: Answer) -> list[Message]:
    """Return prompt and answer as messages."""
    said = answer.columns.get(MESSAGES) or [{"role": "user", "content": answer.prompt}]
    return [*(Message(one["role"], one["content"]) for one in said), Message("assistant", answer.text)]


def _by_ids(scorer: Scorer) -> Reward:
    def judge(answers: Sequence[Answer]) -> list[float]:
        rows = [[*answer.prompt_ids, *scorer.closed(answer.ids, answer.ended)] for answer in answers]
        scores: list[float] = scorer.score_ids(rows)
        return scores

    return judge


# An adapter on the model in training


def _by_adapter(around: Surroundings) -> Reward:
    """Put the adapter of a reward model beside the one that learns; one set of base weights serves both."""
    recipe, model = around.recipe, around.model
    try:
        folder = adapter_folder(recipe, str(recipe.reward_model))
    except ModelError as error:
        raise ModelError(
            str(error), "lora takes the run or folder of an adapter; set reward_model_type: full for a whole model"
        ) from None
    _refuse(around, folder)
    head = read_head(folder).to(next(model.parameters()).device)
    aside = _put_beside(model, folder)

    @contextmanager
    def speaking() -> Iterator[None]:
        with around.precision(), aside.speaking():
            yield

    scorer = Scorer(
        model, head, around.path, around.tokenizer, around.template, system=recipe.default_system,
        tokens_per_batch=around.tokens_per_batch(), precision=speaking,
    )  # fmt: skip
    return _by_ids(scorer)


def _refuse(around: Surroundings, folder: Path) -> None:
    if kind_of(folder) != "LORA":
        raise ModelError(
            f"the reward model in {folder} is an adapter of the kind {kind_of(folder)}, not LORA",
            "use it with reward_model_type: full",
        )
    needs_weights(folder)
    _refuse_more_than_layers(folder)
    own, other = Shaping.of(around.recipe), Shaping.beside(folder)
    if (own.expand_blocks, own.mixture_of_depths) != (other.expand_blocks, other.mixture_of_depths):
        raise ModelError(
            f"the reward model in {folder} was trained on a model with other layers than this one",
            "use it with reward_model_type: full",
        )
    if own.quantization_bit != other.quantization_bit:
        around.warn(
            f"the reward model was trained on weights of {_bits(other)}, it judges on weights of {_bits(own)}",
            "its scores differ a little from its own; reward_model_type: full keeps them",
        )


def _refuse_more_than_layers(folder: Path) -> None:
    """Raise ModelError for an adapter that brings whole modules, or took a part of the weights into itself."""
    config = orjson.loads((folder / CONFIG).read_bytes())
    begun = config.get("init_lora_weights", True)
    reason = ""
    if config.get("modules_to_save") or config.get("trainable_token_indices"):
        reason = "holds modules that were trained whole"
    elif (folder / startpoint.FILE).is_file() or (isinstance(begun, str) and begun not in _HARMLESS):
        reason = "began with a part of the weights"
    if reason:
        raise ModelError(
            f"the reward model in {folder} {reason}: it cannot share the weights of the model in training",
            "use it with reward_model_type: full",
        )


def _bits(shaping: Shaping) -> str:
    return f"{shaping.quantization_bit} bits" if shaping.quantization_bit else "full precision"


def _put_beside(model: Any, folder: Path) -> Aside:
    """Load the adapter of `folder` onto the model and take it off again, so that it is nothing to peft."""
    learning = {name: p.requires_grad for name, p in model.named_parameters()}
    output, device = model.get_base_model().get_output_embeddings(), next(model.parameters()).device
    try:
        with in_evaluation(model):  # peft leaves the model in evaluation mode
            model.load_adapter(str(folder), NAME, is_trainable=False, torch_device=str(device))
    except Exception as error:  # peft, safetensors and torch each raise their own; every one becomes words
        raise ModelError(
            f"the reward model in {folder} cannot be put on this model: {clean_line(str(error))[:300]}",
            "is it an adapter of this very model? reward_model_type: full loads a model of its own",
        ) from error
    model.peft_config.pop(NAME)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learning.get(name, False))
    if model.get_base_model().get_output_embeddings() is not output:
        raise ModelError(
            f"the reward model in {folder} changes the output layer, which its score does not go through",
            "use it with reward_model_type: full",
        )
    return Aside(model)


class Aside:
    """The adapter of a reward model, which is on the model only while `speaking` is open.

    Not through peft's `set_adapter`, which says anew what learns; and peft would save it with the policy's own.
    """

    def __init__(self, model: Any) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        self._layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
        self._whole = [m for m in model.modules() if isinstance(m, AuxiliaryTrainingWrapper)]
        holders = [child for layer in self._layers for child in layer.children() if isinstance(child, _HOLDERS)]
        self._own = [(holder, holder.pop(NAME)) for holder in holders if NAME in holder]

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let it be the adapter of the model, while open."""
        before = [(module, module._active_adapter) for module in (*self._layers, *self._whole)]
        for holder, module in self._own:
            holder[NAME] = module
        try:
            for module, _ in before:
                # A module that the policy trains whole is the base's own one for the reward model.
                module._active_adapter = [] if module in self._whole else [NAME]
            yield
        finally:
            for module, active in before:
                module._active_adapter = active
            for holder, _ in self._own:
                holder.pop(NAME)
