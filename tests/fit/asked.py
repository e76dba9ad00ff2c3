"""Recipes and shapes for tests of the estimate."""

from __future__ import annotations

from typing import Any

from tuitune.fit.shapes import ModelShape
from tuitune.recipe import Recipe

GIB = 1 << 30

QWEN_7B = ModelShape.of(
    {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    }
)


def recipe(**values: Any) -> Recipe:
    """Return a recipe with these values."""
    return Recipe.of({"model_name_or_path": "m", "dataset": "identity", **values})


def shape_of_model(model: Any) -> ModelShape:
    """Return the shape that a built model's own configuration gives."""
    return ModelShape.of(model.config.to_dict())
