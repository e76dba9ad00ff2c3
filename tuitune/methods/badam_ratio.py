"""BAdam by ratio: Adam on a share of the entries of every matrix at a time, with states for that share only.

The gradients stay whole: the common norm, and with it clipping, is that of any other training. The authors' package
makes them sparse instead, which clipping does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tuitune.methods.adamw import Group, OwnOptimizer, adamw

_SMALL_INDEX = torch.iinfo(torch.int32).max


class RatioAdamW(OwnOptimizer):
    """AdamW (fp32 states, and fp32 copies of weights of 16 bits) on a moving share of each matrix.

    Vectors (norms and biases) learn whole and keep their states: they are few. share: of the entries of a matrix, at
    least one. mask: the entries lie side by side ("adjacent") or anywhere ("scatter"). interval: steps before others
    have their turn, which begin with new states; -1 keeps the first ones. No entry comes again before the
    last one has its turn. verbose: what is said at the begin of a turn, with the `names` of the parameters.
    """

    say: Callable[[str], None] | None = None

    def __init__(
        self, groups: list[Group], *, share: float, mask: Literal["adjacent", "scatter"], interval: int, seed: int,
        verbose: int, names: Mapping[nn.Parameter, str], **defaults: Any,
    ) -> None:  # fmt: skip
        super().__init__(groups, defaults)
        self._share, self._mask, self._interval, self._seed, self._verbose = share, mask, interval, seed, verbose
        self._names = names
        self._number = {p: number for number, p in enumerate(p for g in self.param_groups for p in g["params"])}
        self.steps = 0

    @property
    def turn(self) -> int:
        """The number of the present turn."""
        return 0 if self._interval < 0 else self.steps // self._interval

    def count(self, p: nn.Parameter) -> int:
        """How many entries of `p` learn at a time."""
        return max(1, round(p.numel() * self._share)) if p.ndim > 1 else p.numel()

    def update(self) -> None:
        """Update the share of what has a gradient."""
        if self.steps == 0 or (self._interval > 0 and self.steps % self._interval == 0):
            self._turn_over()
        for p, grad, group in self.parameters_with_gradient():
            if p.ndim > 1:
                self._step_share(p, grad, group)
            else:
                adamw(p, grad, self.state[p], group, copy=True)
        self.steps += 1

    def _turn_over(self) -> None:
        for p in list(self.state):
            if p.ndim > 1:
                del self.state[p]
        if self._verbose and self.say is not None:
            matrices = [p for p in self._number if p.ndim > 1]
            learning, all_of_them = sum(map(self.count, matrices)), sum(p.numel() for p in matrices)
            self.say(f"learning from step {self.steps + 1} on: {learning:,} of {all_of_them:,} entries ({self._mask})")
            if self._verbose > 1:
                self.say("; ".join(f"{self._names[p]} {self.count(p):,} of {p.numel():,}" for p in matrices))

    def _step_share(self, p: nn.Parameter, grad: Tensor, group: Group) -> None:
        state = self.state[p]
        where = self._where(p, state)
        flat = p.data.view(-1)
        weights = flat[where]
        adamw(weights, grad.reshape(-1)[where], state, group, copy=True)
        flat[where] = weights

    def _where(self, p: nn.Parameter, state: dict[str, Any]) -> Tensor:
        """Return the indices of the share in the flat matrix; drawn ones are kept until the turn ends."""
        if "index" in state:
            kept: Tensor = state["index"]
            return kept.long()
        size, count = p.numel(), self.count(p)
        window = (torch.arange(count, device=p.device) + self.turn * count) % size
        if self._mask == "adjacent":
            return window
        kind = torch.int32 if size <= _SMALL_INDEX else torch.int64
        draw = torch.Generator(p.device).manual_seed(self._seed + self._number[p])
        drawn = torch.randperm(size, generator=draw, device=p.device, dtype=kind)[window]
        state["index"] = drawn
        return drawn.long()

    def state_dict(self) -> dict[str, Any]:
        """Return states and groups, and the steps made, which say whose turn it is."""
        return super().state_dict() | {"steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore it all."""
        super().load_state_dict(state_dict)
        self.steps = int(state_dict["steps"])
