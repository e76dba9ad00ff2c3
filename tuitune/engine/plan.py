"""What a run chooses by itself, once: device, precision, threads, how many tokens go through at once, recomputation.

A resume takes the plan of its checkpoint, because bit-equal results need the same cut and the same threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from tuitune.engine import changes
from tuitune.errors import TrainingError
from tuitune.fit.cut import tokens_that_fit
from tuitune.fit.machine import memory
from tuitune.fit.methods import NotKnown, trained
from tuitune.fit.precision import Precision
from tuitune.fit.shaped import shaped
from tuitune.fit.shapes import ModelShape
from tuitune.fit.states import held
from tuitune.methods.counting import blocks_of
from tuitune.run import manifest
from tuitune.run.listing import versions

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from tuitune.recipe import Recipe

# More tokens at once are not faster on a CPU, fewer waste its matrix kernels (engine.md, section 8, and measured
# again here).
_CPU_TOKENS = 1536
# Beyond this a GPU's matrix units are busy anyway, and the cut stays responsive to the inbox.
_CUDA_TOKENS = 32768
_SPARE = 0.85  # of the free memory; the rest is for fragmentation and what others take meanwhile
_UNKNOWN_TOKENS = 2048


@dataclass(frozen=True)
class Plan:
    """The choices in force; `autocast` is "no", "bf16" or "fp16", `dtype` that of the loaded weights."""

    device: str
    dtype: str
    autocast: str
    threads: int
    tokens_per_batch: int = 0
    recompute: bool = False
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_dict` wrote; later fields may be missing."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})

    @property
    def torch_dtype(self) -> torch.dtype:
        kind = getattr(torch, self.dtype)
        assert isinstance(kind, torch.dtype)
        return kind

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.autocast)


def choose_device(recipe: Recipe, threads: int) -> Plan:
    """Return the plan's first half, before the model is loaded; raises TrainingError for the impossible."""
    device = "cpu" if recipe.device == "cpu" or not torch.cuda.is_available() else "cuda:0"
    if recipe.device.startswith("cuda") and device == "cpu":
        raise TrainingError(
            f"device: {recipe.device} is asked for, but torch sees no GPU", "run `tuitune doctor`, or set device: cpu"
        )
    if recipe.fp16 and device == "cpu":
        raise TrainingError("fp16 training needs a GPU", "remove fp16: true; on a CPU fp32 is the fast choice")
    dtype, autocast = _precision(recipe, device)
    return Plan(device, dtype, autocast, threads)


def _precision(recipe: Recipe, device: str) -> tuple[str, str]:
    """Return what is asked for; where nothing is said, what the device does well (bf16 where it has it)."""
    if recipe.pure_bf16:
        return "bfloat16", "no"
    # Of a frozen model only what learns is fp32, which the method sees to.
    whole = recipe.finetuning_type == "full"
    silent = not {"bf16", "fp16"} & recipe.asked
    if recipe.bf16 or (silent and device != "cpu" and torch.cuda.is_bf16_supported(including_emulation=False)):
        return ("float32" if whole else "bfloat16"), "bf16"
    if recipe.fp16:
        return ("float32" if whole else "float16"), "fp16"
    return "float32", "no"


def slow_precision(plan: Plan, cpu_flags: frozenset[str]) -> str:
    """Return a warning when the machine can only do badly what is asked, else nothing."""
    wants = plan.dtype == "bfloat16" or plan.autocast == "bf16"
    if wants and plan.device == "cpu" and not cpu_flags & {"avx512_bf16", "amx_bf16"}:
        return "this CPU has no bf16 instructions: bf16 halves the memory but is several times slower than fp32"
    if wants and plan.device != "cpu" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "this GPU has no bf16 units: torch emulates them, fp16: true is faster"
    return ""


def unpaged(plan: Plan, optim: str) -> str:
    """Return a warning when a paged optimizer has nothing to page, else nothing."""
    if optim.startswith("paged_") and plan.device == "cpu":
        return f"optim: {optim} pages between GPU and main memory; on a CPU it is {optim.removeprefix('paged_')}"
    return ""


def resume_plan(fresh: Plan, own: Mapping[str, Any], recipe: Recipe) -> tuple[Plan, list[str]]:
    """Return the plan of a resumed run, and why it is not the one of the checkpoint if it is not."""
    former = Plan.of(own["plan"])
    reasons = [
        f"{key} was {before}, it is {after}"
        for key, (before, after) in changes.changed(own["recipe"], recipe).items()
        if key in changes.PLANNED
    ]
    if former.device.partition(":")[0] != fresh.device.partition(":")[0]:
        reasons.append(f"the run was on {former.device}, this machine offers {fresh.device}")
    return (fresh, reasons) if reasons else (replace(former, device=fresh.device), [])


def other_versions(checkpoint: Path) -> list[str]:
    """Return in words which packages have another version than when the checkpoint was written."""
    now = versions()
    then = manifest.read(checkpoint).versions
    return [f"{name} was {then[name]}, it is {now[name]}" for name in then if name in now and then[name] != now[name]]


def settle(plan: Plan, recipe: Recipe, model: nn.Module, folder: Path, *, longest: int, path: str) -> tuple[Plan, str]:
    """Return the whole plan, with the model loaded: the cut and whether to recompute; and a warning if it is tight.

    longest: tokens of the longest row. Recomputation is on when the recipe says so, or when one row would not fit
    otherwise.
    """
    shape = ModelShape.read(folder)
    room = _free_bytes(plan.device) * _SPARE - _still_to_come(model, recipe, shape)
    recompute = bool(recipe.recompute)
    tokens = _tokens_that_fit(plan, recipe, shape, room, recompute=recompute)
    if recipe.recompute is None and tokens < longest:
        recompute = True
        tokens = _tokens_that_fit(plan, recipe, shape, room, recompute=True)
    most = _CPU_TOKENS if plan.device == "cpu" else _CUDA_TOKENS
    # A longer row stands alone whatever the cut says, so the cut never needs to be below the longest row.
    tight = "" if tokens >= longest else f"a row of {longest} tokens may not fit into the memory that is free"
    tokens = recipe.tokens_per_batch or max(min(tokens, most), min(longest, most))
    return replace(plan, tokens_per_batch=tokens, recompute=recompute, path=path), tight


def _tokens_that_fit(plan: Plan, recipe: Recipe, shape: ModelShape, room: float, *, recompute: bool) -> int:
    formats = Precision(plan.dtype, plan.autocast, recipe.pure_bf16)
    try:
        model = shaped(recipe, shape)
        fitting = tokens_that_fit(model.shape, formats, trained(recipe, model), room, recompute=recompute)
    except NotKnown:
        fitting = None
    return _UNKNOWN_TOKENS if fitting is None else fitting


def _still_to_come(model: nn.Module, recipe: Recipe, shape: ModelShape) -> int:
    """Return the bytes of gradients and optimizer states, which are not allocated before the first step."""
    size = max((p.element_size() for p in model.parameters() if p.requires_grad), default=4)
    coming = held(recipe, blocks_of(model), size, shape.head_dim or 0)
    return coming.grads + coming.states


def _free_bytes(device: str) -> int:
    if device != "cpu":
        return torch.cuda.mem_get_info(torch.device(device))[0]
    return memory().available
