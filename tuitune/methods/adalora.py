"""AdaLoRA: low-rank adapters whose ranks are pruned while they learn (Zhang et al., arXiv 2303.10512), through peft.

Each adapter is P diag(E) Q. From the warm-up to the final phase, those of all directions whose smoothed sensitivity is
lowest are switched off (E = 0) until `lora_rank` of each layer are left on average. peft's allocator is used; when it
is called, what is added to the loss, and what a checkpoint holds are ours.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft.utils.warning import PeftWarning
from safetensors.torch import load_file, save_file

from tuitune.errors import TrainingError
from tuitune.methods.adapters import Adapter
from tuitune.methods.kin import targets
from tuitune.methods.state import load_trained, trained
from tuitune.methods.targets import trained_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from peft import PeftConfig
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe

STATE = "tuitune_adalora.safetensors"
_UNKNOWN = 1 << 30  # peft wants a number of steps before there is one


class AdaLora(Adapter):
    """Adapters that begin with `adalora_init_rank` and are pruned to `lora_rank` on average."""

    name = "adalora"
    kind = "ADALORA"

    def __init__(self) -> None:
        self._pruned_before = False
        self._say: Callable[[str], None] = lambda text: None

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the adapter; `begin` sets the schedule, when the number of steps is known."""
        from peft import AdaLoraConfig, TaskType

        return AdaLoraConfig(
            task_type=TaskType.CAUSAL_LM,
            init_r=recipe.adalora_init_rank,
            target_r=recipe.lora_rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=targets(model, recipe.lora_target),
            modules_to_save=trained_whole(model, recipe),
            total_step=_UNKNOWN,
        )

    def further(self, model: Any, folder: Path, recipe: Recipe) -> nn.Module:
        """Train an adapter on; one that was pruned keeps its ranks, which differ from layer to layer by now."""
        made: Any = super().further(model, folder, recipe)
        self._pruned_before = _config(made).rank_pattern is not None
        return made  # type: ignore[no-any-return]

    def noise(self, recipe: Recipe) -> bool:
        """Whether adapters drop inputs."""
        return recipe.lora_dropout > 0

    def begin(self, model: Any, recipe: Recipe, steps: int, say: Callable[[str], None]) -> None:
        """Lay the schedule over the steps; raises TrainingError when there is no room for pruning."""
        self._say, config = say, _config(model)
        first, last = _steps(recipe.adalora_warmup, steps), steps - _steps(recipe.adalora_final, steps)
        config.total_step, config.tinit, config.tfinal = steps, first, steps - last
        config.deltaT, config.orth_reg_weight = recipe.adalora_interval, recipe.adalora_orthogonality
        if self._pruned_before:
            say("the ranks of this adapter were pruned before; they stay as they are")
        elif first >= last:
            raise TrainingError(
                f"AdaLoRA has no step to prune in: {first} of warm-up and {steps - last} at the end, of {steps}",
                "lower adalora_warmup or adalora_final, or train for more steps",
            )
        else:
            say(f"ranks are pruned from {config.init_r} to {config.target_r} on average, step {first + 1} to {last}")

    def penalty(self, model: Any) -> Tensor | None:
        """Return the mean of ||P'P - I|| and ||QQ' - I|| over all adapters, weighted (equation 4, as in its code)."""
        weight: float = _config(model).orth_reg_weight
        bases = [p for name, p in _tuned(model) if (".lora_A." in name or ".lora_B." in name) and p.numel()]
        if not weight or not bases:
            return None
        # A is (rank, inputs), B is (outputs, rank): the smaller side is the rank.
        squares = [_square(p, rows=p.shape[0] <= p.shape[1]) for p in bases]
        far = [torch.linalg.matrix_norm(s - torch.eye(len(s), device=s.device)) for s in squares]
        return weight * torch.stack([each.to(far[0].device) for each in far]).mean()

    def after_step(self, model: Any, step: int) -> None:
        """Update the sensitivities from weights and gradients, and prune where the schedule says so."""
        if self._pruned_before:
            return
        for _, parameter in _tuned(model):
            if parameter.requires_grad and parameter.grad is None:  # a layer that no row of this step went through
                parameter.grad = torch.zeros_like(parameter)
        model.base_model.update_and_allocate(step)
        config = _config(model)
        if step == config.total_step - config.tfinal and config.rank_pattern:
            self._say(_pruned_words(config.rank_pattern))

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the adapter as the model is now; exact: the switched off directions and the sensitivities too."""
        config = _config(model)
        pattern = config.rank_pattern
        # Between two prunings what was switched off learns again, and peft would drop it by the last pattern.
        config.rank_pattern = _alive(model, pattern)
        try:
            # peft takes a layer that has no rank left for a broken one.
            with warnings.catch_warnings(action="ignore", category=PeftWarning):
                model.save_pretrained(folder, save_embedding_layers=False)
        finally:
            config.rank_pattern = pattern
        if exact:
            save_file(_state(model), str(Path(folder) / STATE))

    def restore(self, model: Any, folder: Path) -> bool:
        """Load weights, sensitivities and ranks of a checkpoint."""
        tensors = load_file(str(folder / STATE))
        load_trained(model, _part(tensors, "trained."))
        allocator, device = model.base_model.rankallocator, model.device
        allocator.exp_avg_ipt = _part(tensors, "sensitivity.", device)
        allocator.exp_avg_unc = _part(tensors, "uncertainty.", device)
        allocator.ipt = {name: torch.zeros_like(each) for name, each in allocator.exp_avg_ipt.items()}
        pattern = {name: each.bool().tolist() for name, each in _part(tensors, "pattern.").items()}
        _config(model).rank_pattern = pattern or None
        return True


def _config(model: Any) -> Any:
    return model.peft_config[model.active_adapter]


def _tuned(model: Any) -> list[tuple[str, nn.Parameter]]:
    """Return the adapters' own parameters, by the names that peft's allocator uses."""
    return [(name, p) for name, p in model.base_model.model.named_parameters() if ".lora_" in name]


def _square(matrix: Tensor, *, rows: bool) -> Tensor:
    m = matrix.float()
    return m @ m.T if rows else m.T @ m


def _steps(share: float, steps: int) -> int:
    return math.ceil(share * steps) if share < 1 else int(share)


def _alive(model: Any, pattern: dict[str, list[bool]] | None) -> dict[str, list[bool]] | None:
    """Return which directions do anything: those of the pattern, and those that learnt again since it was made."""
    if not pattern:
        return None
    short = f".{model.active_adapter}"
    found = {}
    for name, parameter in _tuned(model):
        if ".lora_E." not in name:
            continue
        kept = pattern[name] if name in pattern else pattern[name.removesuffix(short)]
        if len(kept) == len(parameter):  # else it was pruned before this training, and holds only what is left
            kept = [a or b for a, b in zip(kept, (parameter.detach().flatten() != 0).tolist(), strict=True)]
        found[name] = kept
    return found


def _state(model: Any) -> dict[str, Tensor]:
    allocator, pattern = model.base_model.rankallocator, _config(model).rank_pattern or {}
    return (
        {f"trained.{name}": each for name, each in trained(model).items()}
        | {f"sensitivity.{name}": each for name, each in allocator.exp_avg_ipt.items()}
        | {f"uncertainty.{name}": each for name, each in allocator.exp_avg_unc.items()}
        | {f"pattern.{name}": torch.tensor(kept, dtype=torch.uint8) for name, kept in pattern.items()}
    )


def _part(tensors: dict[str, Tensor], begin: str, device: torch.device | None = None) -> dict[str, Tensor]:
    return {name.removeprefix(begin): each.to(device) for name, each in tensors.items() if name.startswith(begin)}


def _pruned_words(pattern: dict[str, list[bool]]) -> str:
    left = [sum(kept) for kept in pattern.values()]
    return f"{sum(left)} of {sum(map(len, pattern.values()))} ranks are left, {min(left)} to {max(left)} in a layer"
