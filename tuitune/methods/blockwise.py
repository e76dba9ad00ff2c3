"""AdamW on a few blocks of a model at a time: what BAdam by layer and LISA have in common.

Only the blocks whose turn it is have `requires_grad`, so that no gradient of another one is ever made; only they have
states, which are dropped when their turn ends. Which blocks those are is a function of the number of steps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from tuitune.methods.adamw import Group, OwnOptimizer, adamw
from tuitune.models.layers import decoder_layers

if TYPE_CHECKING:
    from torch import Tensor

Turns = Callable[[int], Sequence[int]]


@dataclass(frozen=True)
class Block:
    """A layer by its name in the model, with its parameters by name."""

    name: str
    parameters: Mapping[str, nn.Parameter]


def blocks_of(model: nn.Module) -> list[Block]:
    """Return the transformer layers of `model`, first to last. Raises ModelError where it has none."""
    name, layers = decoder_layers(model)
    return [Block(f"{name}.{i}", dict(layer.named_parameters())) for i, layer in enumerate(layers)]


class Blockwise(OwnOptimizer):
    """AdamW (fp32 states, and fp32 copies of weights of 16 bits) on the blocks whose turn it is, and on all the rest.

    groups: of every parameter that may learn; those in no block always do. turns: the numbers of the blocks that learn
    in turn 0, 1, ... of `interval` steps each; -1 keeps the first turn. verbose: what is said at the begin of a turn.
    """

    say: Callable[[str], None] | None = None

    def __init__(
        self,
        groups: list[Group],
        blocks: Sequence[Block],
        turns: Turns,
        *,
        interval: int,
        verbose: int,
        **defaults: Any,
    ) -> None:
        super().__init__(groups, defaults)
        self.blocks, self._turns, self._interval, self._verbose = blocks, turns, interval, verbose
        self.steps = 0
        self._activate()

    @property
    def active(self) -> list[int]:
        """The numbers of the blocks that learn in the next step, ascending."""
        return sorted(self._turns(0 if self._interval < 0 else self.steps // self._interval))

    def update(self) -> None:
        """Update what has a gradient; after the last step of a turn give the next blocks theirs."""
        if self.steps == 0 or self._changes():
            self._tell()
        for p, grad, group in self.parameters_with_gradient():
            adamw(p, grad, self.state[p], group, copy=True)
        self.steps += 1
        if self._changes():
            self._activate()

    def _changes(self) -> bool:
        return self._interval > 0 and self.steps % self._interval == 0

    def _activate(self) -> None:
        now = set(self.active)
        for number, block in enumerate(self.blocks):
            for p in block.parameters.values():
                p.requires_grad_(number in now)
                if number not in now:
                    p.grad = None
                    self.state.pop(p, None)

    def _tell(self) -> None:
        if not self._verbose or self.say is None:
            return
        blocks = [self.blocks[number] for number in self.active]
        until = f" to {self.steps + self._interval}" if self._interval > 0 else " on"
        self.say(f"learning from step {self.steps + 1}{until}: {', '.join(block.name for block in blocks)}")
        if self._verbose > 1:
            for block in blocks:
                self.say("; ".join(f"{block.name}.{name} {_shape(p)}" for name, p in block.parameters.items()))

    def state_dict(self) -> dict[str, Any]:
        """Return states and groups, and the steps made, which say whose turn it is."""
        return super().state_dict() | {"steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore it all, and with it which blocks learn."""
        super().load_state_dict(state_dict)
        self.steps = int(state_dict["steps"])
        self._activate()


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))
