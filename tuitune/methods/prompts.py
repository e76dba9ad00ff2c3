"""Methods that learn what stands before every text: prompt tuning, p-tuning, prefix tuning, through peft.

The result is the vectors themselves, which plain peft loads. The network that makes them in p-tuning and in prefix
tuning with a projection is kept beside them: peft drops it, and without it no training could go on (0.21).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from peft import (
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptLearningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from safetensors.torch import load_file, save_file

from tuitune.errors import ModelError
from tuitune.methods.adapters import WEIGHTS, Adapter, needs_weights
from tuitune.methods.prompt_path import padded
from tuitune.methods.state import load_trained, trained
from tuitune.models.generate import in_evaluation
from tuitune.text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedModel

    from tuitune.models.paths import Path as ModelPath
    from tuitune.recipe import Recipe

STATE = "tuitune_prompt.safetensors"


class Prompted(Adapter):
    """Learnt vectors before the text; subclasses say of what kind."""

    embedded: ClassVar[bool] = True  # whether they go through the layers as tokens do

    def further(self, model: Any, folder: Path, recipe: Recipe) -> nn.Module:
        """Return the model with the vectors of `folder` and, where there is one, the network that makes them."""
        needs_weights(folder)
        try:
            config: Any = PeftConfig.from_pretrained(str(folder))
            config.inference_mode = False
            if isinstance(config, PromptTuningConfig):
                config.prompt_tuning_init = "RANDOM"  # not with words of a tokenizer that may not be there
            made: Any = get_peft_model(model, config)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{folder} cannot be put on this model: {clean_line(str(error))[:300]}") from error
        encoder = made.prompt_encoder[made.active_adapter]
        if (folder / STATE).is_file():
            load_trained(encoder, load_file(str(folder / STATE)))
        elif has_network(encoder):
            raise ModelError(
                f"the adapter in {folder} was saved without the network that makes its vectors",
                "it can be talked to, but not trained on; begin a new one",
            )
        else:
            load_trained(encoder, {"embedding.weight": load_file(str(folder / WEIGHTS))["prompt_embeddings"]})
        return made  # type: ignore[no-any-return]

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the vectors, and the network that makes them; exact: all that learns, bit by bit."""
        model.save_pretrained(folder, save_embedding_layers=False)
        encoder = model.prompt_encoder[model.active_adapter]
        if exact or has_network(encoder):
            save_file(trained(encoder), str(Path(folder) / STATE))

    def restore(self, model: Any, folder: Path) -> bool:
        """Load the vectors of a checkpoint, or the network that makes them."""
        load_trained(model.prompt_encoder[model.active_adapter], load_file(str(folder / STATE)))
        return True

    def path(self, model: Any, recipe: Recipe, pad: int) -> tuple[ModelPath, str]:
        """Return padded rows through peft's own forward, which lays the vectors before each of them."""
        what = "vectors" if self.embedded else "keys and values"
        path = padded(model, pad, recipe.neftune_noise_alpha or 0.0)
        return path, f"{recipe.finetuning_type} lays learnt {what} before every row"


class PromptTuning(Prompted):
    """Learnt input vectors (Lester et al., arXiv 2104.08691)."""

    name = "prompt_tuning"
    kind = "PROMPT_TUNING"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return vectors that begin as random words (the paper's section 3.2), until `fresh` gives them others."""
        return PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=recipe.num_virtual_tokens,
            prompt_tuning_init="RANDOM" if recipe.prompt_tuning_init_text else "SAMPLE_VOCAB",
        )

    def fresh(self, model: Any, recipe: Recipe) -> nn.Module:
        """Return the model with new vectors: those of the recipe's words, repeated or cut to their number."""
        made: Any = super().fresh(model, recipe)
        if recipe.prompt_tuning_init_text:
            words = _ids(model, recipe, recipe.prompt_tuning_init_text)
            count = recipe.num_virtual_tokens
            if len(words) > count:
                self.attempt.say(f"prompt_tuning_init_text has {len(words)} tokens, the first {count} are used")
            ids = torch.tensor((words * count)[:count] if len(words) < count else words[:count])
            table = model.get_input_embeddings()
            with torch.no_grad():
                vectors = table(ids.to(table.weight.device)).float()
                made.prompt_encoder[made.active_adapter].embedding.weight.copy_(vectors)
        return made  # type: ignore[no-any-return]


class PTuning(Prompted):
    """Learnt input vectors made by a small network (Liu et al., arXiv 2103.10385)."""

    name = "p_tuning"
    kind = "P_TUNING"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return vectors made by a network of three layers."""
        return PromptEncoderConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=recipe.num_virtual_tokens,
            encoder_hidden_size=recipe.encoder_hidden_size or _hidden(model),
        )


class PrefixTuning(Prompted):
    """Learnt keys and values in every layer (Li and Liang, arXiv 2101.00190)."""

    name = "prefix_tuning"
    kind = "PREFIX_TUNING"
    embedded = False

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the keys and values, learnt directly or made by a network of two layers."""
        sizes = (
            {} if (seen := _cached(model)) is None else {"num_attention_heads": seen[0], "token_dim": math.prod(seen)}
        )
        return PrefixTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=recipe.num_virtual_tokens,
            prefix_projection=recipe.prefix_projection,
            encoder_hidden_size=recipe.encoder_hidden_size or _hidden(model),
            **sizes,
        )

    def fresh(self, model: Any, recipe: Recipe) -> nn.Module:
        """Return the model with new keys and values. Raises ModelError where they are not those of its attention."""
        made: Any = super().fresh(model, recipe)
        config, seen = made.active_peft_config, _cached(model)
        mine = (config.num_attention_heads, config.token_dim // config.num_attention_heads)
        if seen is not None and mine != seen:
            raise ModelError(
                f"prefix_tuning does not fit this model: its layers keep {seen[0]} heads of {seen[1]}, and its "
                f"configuration speaks of {mine[0]} heads of {mine[1]}",
                "use prompt_tuning or p_tuning",
            )
        return made  # type: ignore[no-any-return]

    def begin(self, model: Any, recipe: Recipe, steps: int, say: Callable[[str], None]) -> None:
        """Say what is not done to save memory."""
        if recipe.gradient_checkpointing is None and not recipe.disable_gradient_checkpointing:
            say("activations are kept whatever the memory: prefix tuning cannot compute them again")


def lays_before(model: Any) -> bool:
    """Whether the model has an adapter that stands before every text."""
    return isinstance(getattr(model, "active_peft_config", None), PromptLearningConfig)


def has_network(encoder: nn.Module) -> bool:
    """Whether the vectors are made by a network, rather than being learnt directly."""
    return any(name != "embedding" for name, _ in encoder.named_children())


@torch.no_grad()
def _cached(model: Any) -> tuple[int, int] | None:
    """Return heads and width of the keys that every layer keeps, None where layers differ. Raises ModelError.

    Tried on the model: configurations name the number of heads in many ways.
    """
    with in_evaluation(model):
        ids = torch.ones(1, 1, dtype=torch.long, device=model.device)
        cache: Any = model(input_ids=ids, use_cache=True).past_key_values
    try:
        shapes = {(layer.keys.shape[1], layer.keys.shape[3]) for layer in cache.layers}
    except (AttributeError, TypeError, IndexError) as error:
        raise ModelError(
            "prefix_tuning does not fit this model: its layers keep no keys and values", "use prompt_tuning or p_tuning"
        ) from error
    return shapes.pop() if len(shapes) == 1 else None


def _hidden(model: Any) -> int:
    return int(model.config.get_text_config().hidden_size)


def _ids(model: Any, recipe: Recipe, text: str) -> list[int]:
    from tuitune.models.load import load_tokenizer

    tokenizer: Any = load_tokenizer(model.name_or_path, trust_remote_code=recipe.trust_remote_code)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ModelError("prompt_tuning_init_text has no words for this tokenizer", "write some, or leave it out")
    return ids
