"""AdamW on a tensor at a time, and what every optimizer of our own shares: groups by weight decay, exact states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import TrainingArguments

Group = dict[str, Any]
_LOW = (torch.bfloat16, torch.float16)


def decayed(model: nn.Module) -> set[str]:
    """Return the names of the parameters that weight decay shrinks, by the Trainer's rule: no biases, no norms."""
    from transformers import Trainer

    # The method reads nothing of the Trainer; there is none yet when an optimizer is made in a test or a benchmark.
    return set(Trainer.get_decay_parameter_names(None, model))  # type: ignore[arg-type]


def by_decay(
    model: nn.Module, args: TrainingArguments, only: Callable[[str, nn.Parameter], bool] = lambda name, p: True
) -> list[Group]:
    """Return the trainable parameters for which `only` holds in groups with and without weight decay, none empty."""
    names = decayed(model)
    chosen = [(name, p) for name, p in model.named_parameters() if p.requires_grad and only(name, p)]
    groups: list[Group] = [
        {"params": [p for name, p in chosen if name in names], "weight_decay": args.weight_decay},
        {"params": [p for name, p in chosen if name not in names], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def settings(args: TrainingArguments) -> Group:
    """Return the recipe's learning rate, betas and epsilon as an optimizer's defaults."""
    return {"lr": args.learning_rate, "betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}


class OwnOptimizer(torch.optim.Optimizer):
    """An optimizer whose states come back in the format they had: torch's own loading rounds them to the weights'."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step from the gradients that are there, after `closure`, whose result is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self.update()
        return loss

    def update(self) -> None:
        """Change weights and states; what a method has to say."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore groups and states; the states are those of the same parameters in the same order."""
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        parameters = [p for group in self.param_groups for p in group["params"]]
        for number, values in state_dict["state"].items():
            p = parameters[number]
            self.state[p] = {
                key: value.to(p.device) if isinstance(value, Tensor) else value for key, value in values.items()
            }

    def parameters_with_gradient(self) -> Iterable[tuple[nn.Parameter, Tensor, Group]]:
        """Yield every parameter that has a gradient, the gradient, and its group."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield p, p.grad, group


def working_format(kind: torch.dtype) -> torch.dtype:
    """Return the format of Adam's states: fp32, or more if the weights have more."""
    return torch.promote_types(kind, torch.float32)


def adamw(weight: Tensor, grad: Tensor, state: dict[str, Any], group: Group, *, copy: bool) -> None:
    """Make one step of AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2) in place; equals torch's in bits.

    state: of this tensor, filled by the first step; its moments are fp32 whatever the weights are. copy: keep weights
    of 16 bits in fp32 too, so that small updates add up instead of being rounded away.
    """
    exact = working_format(weight.dtype)
    if "step" not in state:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(grad, dtype=exact)
        state["exp_avg_sq"] = torch.zeros_like(grad, dtype=exact)
        if copy and weight.dtype in _LOW:
            state["master"] = weight.detach().to(exact)
    state["step"] += 1
    (beta1, beta2), lr = group["betas"], group["lr"]
    grad = grad.to(exact)
    state["exp_avg"].lerp_(grad, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    correction1, correction2 = 1 - beta1 ** state["step"], math.sqrt(1 - beta2 ** state["step"])
    denominator = (state["exp_avg_sq"].sqrt() / correction2).add_(group["eps"])
    goal = state.get("master", weight)
    goal.mul_(1 - lr * group["weight_decay"])
    goal.addcdiv_(state["exp_avg"], denominator, value=-lr / correction1)
    if goal is not weight:
        weight.copy_(goal)
