"""What is written down while training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Share, Text, words_for

# YAML 1.1 reads a bare `no` as false.
Strategy = Annotated[Literal["no", "steps", "epoch"], BeforeValidator(words_for({False: "no"}))]
Counting = Annotated[
    Literal["no", "all", "non_padding"],
    BeforeValidator(words_for({False: "no", True: "all", "true": "all", "false": "no"})),
]


class LoggingOptions(Options):
    """Steps, names and pictures."""

    GROUP: ClassVar[str] = "logging"

    logging_strategy: Strategy = option("steps", "Log every few steps, after each epoch, or not at all.")
    logging_steps: Share = option(
        500.0,
        "Log after so many optimizer steps, or after this share of all steps when below 1.",
        unit="steps or share",
        gt=0,
        when=When("logging_strategy", ("steps",)),
        essential=True,
    )
    logging_first_step: Flag = option(False, "Log the first step too.")
    include_num_input_tokens_seen: Counting = option(
        "no", "Count the tokens that went into the model. TuiTune always does; every value is accepted."
    )
    include_effective_tokens_per_second: Flag = option(
        False, "Report tokens per second without padding. TuiTune always does; both values are accepted."
    )
    run_name: Text | None = option(None, "A name for the run, shown in lists.")
    plot_loss: Flag = option(
        False, "Draw the loss and every other logged figure into the run's folder at its end, as PNG and SVG."
    )
    ddp_timeout: Share = option(
        1800.0,
        "How long processes that train together wait for each other.",
        unit="seconds",
        gt=0,
        inert="a run uses one device so far, so no process waits for another",
    )


RULES: tuple[Rule, ...] = ()
