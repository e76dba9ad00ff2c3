"""How many rows make an optimizer step, and how they are cut to fit the memory."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, option
from tuitune.recipe.shapes import Flag, Whole


class BatchOptions(Options):
    """Rows per step, and recomputation."""

    GROUP: ClassVar[str] = "batch"

    per_device_train_batch_size: Whole = option(
        8,
        "Rows per micro-batch, as LLaMA-Factory counts. TuiTune multiplies it with gradient_accumulation_steps and "
        "cuts the rows of a step to fit; the gradient does not depend on the cut.",
        unit="rows",
        ge=1,
        essential=True,
    )
    gradient_accumulation_steps: Whole = option(
        1, "Micro-batches per optimizer step.", unit="micro-batches", ge=1, essential=True
    )
    per_device_eval_batch_size: Whole = option(8, "Rows evaluated at once.", unit="rows", ge=1)
    tokens_per_batch: Whole | None = option(
        None,
        "Most tokens in one micro-batch of rows laid end to end. Unset, the memory plan decides. A longer row goes in "
        "alone.",
        unit="tokens",
        ge=1,
    )
    gradient_checkpointing: Flag | None = option(
        None,
        "Compute activations again in the backward pass instead of keeping them: slower, less memory. Unset, only when "
        "the memory plan needs it; LLaMA-Factory always does.",
    )
    disable_gradient_checkpointing: Flag = option(
        False,
        "Never compute activations again. False, the default, leaves the choice to gradient_checkpointing, which "
        "decides by itself when unset; in LLaMA-Factory false means always.",
    )


RULES = (
    Rule(
        ("disable_gradient_checkpointing", "gradient_checkpointing"),
        lambda r: r.disable_gradient_checkpointing and r.gradient_checkpointing is True,
        "disable_gradient_checkpointing and gradient_checkpointing: true contradict each other",
        "keep one of them",
    ),
    Rule(
        ("tokens_per_batch", "cutoff_len"),
        lambda r: r.tokens_per_batch is not None and r.tokens_per_batch < r.cutoff_len,
        "is smaller than cutoff_len: a row that is longer still goes in whole, in a micro-batch of its own",
        "lower cutoff_len if that does not fit",
        level="warning",
    ),
)
