"""How the model answers: in the chat, and for live replies while it learns."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Whole

_SAMPLED = When("do_sample", (True,))


class GenerationOptions(Options):
    """Sampling and length of answers."""

    GROUP: ClassVar[str] = "generation"

    do_sample: Flag = option(True, "Draw tokens at random by their probability; false always takes the likeliest.")
    temperature: Number = option(
        0.95, "Above 1 flattens the probabilities, below 1 sharpens them.", gt=0, when=_SAMPLED
    )
    top_p: Number = option(
        0.7, "Draw only from the likeliest tokens that together have this probability.", gt=0, le=1, when=_SAMPLED
    )
    top_k: Whole = option(
        50, "Draw only from so many likeliest tokens; 0 sets no limit.", unit="tokens", ge=0, when=_SAMPLED
    )
    num_beams: Whole = option(1, "Beams of a beam search; 1, the only value so far, searches none.", ge=1)
    max_new_tokens: Whole = option(1024, "Longest answer.", unit="tokens", ge=1)
    max_length: Whole = option(
        1024,
        "Of LLaMA-Factory: most tokens of prompt and answer together.",
        unit="tokens",
        ge=1,
        inert="max_new_tokens decides, as it does in LLaMA-Factory",
    )
    repetition_penalty: Number = option(1.0, "Above 1 makes tokens that were used already less likely.", gt=0)
    length_penalty: Number = option(
        1.0,
        "Above 0 favours long answers in a beam search.",
        inert="only a beam search uses it, which is not supported yet",
    )
    skip_special_tokens: Flag = option(True, "Leave control marks such as the end mark out of answers.")


RULES = (
    Rule(
        ("num_beams",),
        lambda r: r.num_beams > 1,
        "beam search is not supported yet",
        "set num_beams: 1",
    ),
)
