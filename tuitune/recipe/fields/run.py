"""Where and how the run itself takes place: seeds and TuiTune's own keys."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from tuitune.recipe.option import Options, Rule, option
from tuitune.recipe.problems import shown
from tuitune.recipe.shapes import Text, Whole, as_text, wrong

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_SEEDS = 2**32


def _device(value: object) -> str:
    name = as_text(value).strip().lower()
    if not _DEVICE.fullmatch(name):
        raise wrong(f"{shown(value)} is not a device", "use auto, cpu, or cuda:0 for the first GPU")
    return "cuda:0" if name == "cuda" else name


class RunOptions(Options):
    """Seeds, device and host."""

    GROUP: ClassVar[str] = "run"

    seed: Whole = option(42, "Start of all random numbers; the same seed and plan give the same run.", ge=0, lt=_SEEDS)
    data_seed: Whole | None = option(None, "Start of the random numbers of shuffling. Unset, seed.", ge=0, lt=_SEEDS)
    device: Annotated[Text, BeforeValidator(_device)] = option(
        "auto",
        "The one device to train on: cpu, cuda:0, cuda:1, ...; auto takes the GPU with most free memory, else the CPU.",
        essential=True,
    )
    host: Literal["thread", "process"] = option(
        "thread", "Where the engine runs: in a thread of TuiTune, or in a process of its own."
    )
    threads: Whole | None = option(None, "CPU threads for computing. Unset, all physical cores.", unit="threads", ge=1)


RULES: tuple[Rule, ...] = ()
