"""Try on the model itself which attention and which arrangement of rows give what each row gives alone.

A model can take our attention's name and still do something else with it (its own attention code, ALiBi, soft-
capping), and then rows would see each other in silence. So nothing is believed from a list of names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tuitune.errors import ModelError
from tuitune.models.attention import NAME, flat_forward
from tuitune.models.flat import Layout, Span

_PLAIN = ("sdpa", "eager")


class flat_call:
    """While open, no attention mask is made: the layout says who sees whom."""

    def __enter__(self) -> None:
        self._token = flat_forward.set(True)

    def __exit__(self, *exc: object) -> None:
        flat_forward.reset(self._token)


def use(model: Any, implementation: str) -> None:
    """Switch the attention implementation, also of models that do not know how to."""
    model.set_attn_implementation(implementation)
    for config in (model.config, model.config.get_text_config()):
        if config._attn_implementation != implementation:
            config._attn_implementation = implementation


def attention_of(model: Any) -> str:
    """Return the name of the attention that is in use."""
    name: str = model.config.get_text_config()._attn_implementation
    return name


def rows_alone(model: Any) -> list[Tensor]:
    """Return the logits of the probe rows, each computed alone with the plainest attention: the truth."""
    use(model, "eager")
    return _quietly(model, lambda device: [_logits(model, _ids([row], device))[0] for row in _rows(model)])


def flat_agrees(model: Any, truth: list[Tensor], implementation: str = NAME) -> bool:
    """Switch to `implementation`; whether two rows and a branch of the first, laid into one row, give the truth."""

    def run(device: torch.device) -> list[Tensor]:
        first, second, third = _rows(model)
        a, b, shared = len(first), len(first) + len(second), 4
        layout = Layout([Span(0, a), Span(a, b), Span(b, b + len(third) - shared, (0, shared))], device)
        positions = [*range(a), *range(len(second)), *range(shared, len(third))]
        with flat_call():
            out = _logits(
                model,
                _ids([first + second + third[shared:]], device),
                position_ids=_ids([positions], device),
                logits_to_keep=torch.arange(len(positions), device=device),
                layout=layout,
            )[0]
        return [out[:a], out[a:b], torch.cat([out[:shared], out[b:]])]

    return _agrees(model, truth, implementation, run)


def settle_padded(model: Any, truth: list[Tensor]) -> None:
    """Switch to the first plain attention with which padded rows give the truth; raises ModelError if none does."""

    def run(device: torch.device) -> list[Tensor]:
        rows = _rows(model)
        width = max(map(len, rows))
        ids = _ids([row + [0] * (width - len(row)) for row in rows], device)
        mask = _ids([[1] * len(row) + [0] * (width - len(row)) for row in rows], device)
        out = _logits(model, ids, attention_mask=mask)
        return [out[i, : len(row)] for i, row in enumerate(rows)]

    if not any(_agrees(model, truth, name, run) for name in _PLAIN):
        raise ModelError(
            "this model mixes the rows of a batch, whatever attention it is given",
            "it cannot be trained here; please report its architecture",
        )


def _agrees(model: Any, truth: list[Tensor], implementation: str, run: Callable[[torch.device], list[Tensor]]) -> bool:
    try:
        use(model, implementation)
        mine = _quietly(model, run)
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError):
        return False  # it does not know this attention, or does not take the layout
    scale = max(float(t.float().abs().max()) for t in truth) or 1.0
    half = truth[0].dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(truth[0].device.type)
    tolerance = 5e-2 if half else 1e-4
    far = max(float((a.float() - b.float()).abs().max()) for a, b in zip(mine, truth, strict=True))
    return far / scale < tolerance


@torch.no_grad()
def _quietly(model: Any, run: Callable[[torch.device], list[Tensor]]) -> list[Tensor]:
    training, precision = model.training, torch.get_float32_matmul_precision()
    model.eval()
    torch.set_float32_matmul_precision("highest")  # TF32 would look like a disagreement
    try:
        return run(next(model.parameters()).device)
    finally:
        torch.set_float32_matmul_precision(precision)
        model.train(training)


def _rows(model: Any) -> list[list[int]]:
    size = model.config.get_text_config().vocab_size
    first, second = ([(k * i + 3) % size for i in range(n)] for k, n in ((7, 9), (5, 6)))
    return [first, second, first[:4] + second[:3]]


def _ids(rows: list[list[int]], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


def _logits(model: Any, ids: Tensor, **more: Any) -> Tensor:
    logits: Tensor = model(input_ids=ids, use_cache=False, **more).logits
    return logits
