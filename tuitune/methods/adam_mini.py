"""Adam-mini (Zhang et al., arXiv 2406.16793): one second moment for each dense block of the Hessian.

A block is a head of the query and key matrices, a row (an output neuron) of every other matrix in the layers, a token's
row of embedding and head, and a whole vector (norms, biases): algorithm 3 of the paper. A matrix that holds query, key
and value in one goes by rows, which is finer and as safe.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tuitune.methods.adamw import Group, OwnOptimizer, by_decay, settings, working_format
from tuitune.models.layers import decoder_layers, text_config

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe

# What families call the projections of query and key, where these are matrices of their own.
_QUERY = frozenset({"q_proj", "wq", "query", "q_lin"})
_KEY = frozenset({"k_proj", "wk", "key", "k_lin"})


class AdamMini(OwnOptimizer):
    """AdamW whose second moment is a mean over blocks; the first has the format of the weights, the second is fp32.

    Groups have `rows`: how many rows of a matrix make a block, 0 for one block of the whole tensor; and `columns`: True
    for matrices that keep their outputs in columns (GPT-2's Conv1D).
    """

    def update(self) -> None:
        """Update what has a gradient."""
        for p, grad, group in self.parameters_with_gradient():
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(p)
                blocks = len(_blocks(p, group))
                state["exp_avg_sq"] = torch.zeros(blocks, 1, dtype=working_format(p.dtype), device=p.device)
            _step(p, grad, state, group)


def _step(p: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
    state["step"] += 1
    (beta1, beta2), lr, second = group["betas"], group["lr"], state["exp_avg_sq"]
    weight, first, grad = (_blocks(each, group) for each in (p, state["exp_avg"], grad))
    first.lerp_(grad, 1 - beta1)
    lengths = torch.linalg.vector_norm(grad, dim=1, keepdim=True, dtype=second.dtype)
    second.mul_(beta2).addcmul_(lengths, lengths, value=(1 - beta2) / grad.shape[1])
    correction1, correction2 = 1 - beta1 ** state["step"], math.sqrt(1 - beta2 ** state["step"])
    weight.mul_(1 - lr * group["weight_decay"])
    weight.addcdiv_(first, (second.sqrt() / correction2).add_(group["eps"]), value=-lr / correction1)


def _blocks(tensor: Tensor, group: Group) -> Tensor:
    """Return a view with a block in each row."""
    tensor = tensor.detach()
    if group["columns"]:
        return tensor.T
    return tensor.reshape(-1, group["rows"] * tensor.shape[-1]) if group["rows"] else tensor.reshape(1, -1)


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return Adam-mini for the trainable parameters of `model`."""
    partition = _partition(model)
    groups: list[Group] = []
    for rows, columns in sorted(set(partition.values())):
        these = by_decay(model, args, lambda name, p, kind=(rows, columns): partition[id(p)] == kind)  # type: ignore[misc]
        groups += [{**group, "rows": rows, "columns": columns} for group in these]
    return AdamMini(groups, settings(args))


def _partition(model: nn.Module) -> dict[int, tuple[int, bool]]:
    """Return rows to a block, and whether outputs are columns, by the id of each parameter."""
    _, layers = decoder_layers(model)
    inside = set(layers.modules())
    found: dict[int, tuple[int, bool]] = {}
    for name, module in model.named_modules():
        heads = _heads(model, name.rpartition(".")[2]) if module in inside else 0
        for p in module.parameters(recurse=False):
            if p.ndim < 2:
                kind = (0, False)
            elif _outputs_in_columns(module):
                kind = (1, True)
            else:
                kind = (p.shape[0] // heads if heads and p.ndim == 2 and p.shape[0] % heads == 0 else 1, False)
            found.setdefault(id(p), kind)
    return found


def _heads(model: nn.Module, name: str) -> int:
    config = text_config(model)
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    if name in _KEY:
        return int(getattr(config, "num_key_value_heads", None) or heads)
    return heads if name in _QUERY else 0


def _outputs_in_columns(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)
