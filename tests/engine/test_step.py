"""One optimizer step: the cut, the gradient whatever the cut, and memory that runs out in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.models.test_flat import rows_of
from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.engine.step import Stepper, cut, is_out_of_memory
from tuitune.errors import TrainingError
from tuitune.models import attention, paths
from tuitune.models.head import HeadTap
from tuitune.stages.sft import Sft

LENGTHS = [40, 3, 90, 25, 2, 60, 33, 17]


@pytest.fixture(autouse=True)
def one_accelerator() -> Iterator[None]:
    """Accelerate keeps global state; other tests must not inherit ours."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def rows() -> list[Example]:
    return [Example.of(ids, labels) for ids, labels in rows_of(LENGTHS)]


class Bench:
    """A tiny model, a stepper on it, and what it said."""

    def __init__(self, tokens: int, *, dropout: float = 0.0, recompute: bool = True) -> None:
        attention.register()
        self.model: nn.Module = tiny_model(attn_implementation="tuitune", num_hidden_layers=4)
        if dropout:
            for layer in self.model.model.layers:
                layer.mlp.down_proj = nn.Sequential(layer.mlp.down_proj, nn.Dropout(dropout))
        self.model.train()
        path = paths.FlatPath(paths.Head(HeadTap.on(self.model), None), torch.device("cpu"), share=not dropout)
        self.said: list[str] = []
        self.parts_begun = 0
        self.stepper = Stepper(
            Sft(), path, Accelerator(cpu=True), tokens_per_batch=tokens, before_part=self._count, warn=self.said.append,
            recompute=self.model.activation_checkpointing_enable if recompute else None,
        )  # fmt: skip

    def _count(self) -> None:
        self.parts_begun += 1

    def step(self, data: list[Example]) -> tuple[float, torch.Tensor]:
        self.model.zero_grad()
        result = self.stepper.run(self.model, data)
        return result.loss.item(), torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])

    def fail(self, *, times: int, backward: bool, layer: int = 2) -> None:
        """Run out of memory `times` times, in a forward or half way down a backward."""
        left = [times]

        def blow() -> None:
            if left[0] > 0:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")

        def forward(module: nn.Module, args: object, out: torch.Tensor) -> None:
            if not backward:
                blow()
            hidden = out[0] if isinstance(out, tuple) else out
            if backward and hidden.requires_grad:
                hidden.register_hook(lambda grad: blow())

        self.model.model.layers[layer].register_forward_hook(forward)


def test_the_cut_is_few_full_batches_and_loses_no_row() -> None:
    data = rows()
    path = paths.FlatPath(paths.Head(None, None), torch.device("cpu"), share=False)
    parts = cut(data, Sft(), path, 100)
    assert sorted(id(row) for part in parts for row in part) == sorted(map(id, data))
    sizes = [sum(path.sizes([row])[0] for example in part for row in example.sequences) for part in parts]
    assert max(sizes) <= 100
    assert len(parts) == 3  # 262 tokens cannot be fewer
    assert cut(data, Sft(), path, 10)[0] == [data[2]]  # a longer row stands alone


def test_the_cut_counts_a_shared_beginning_once_and_measures_no_row_twice() -> None:
    trunk = list(range(10, 40))
    data = [Example.of([*trunk, n, n], [-100] * 30 + [n, n]) for n in range(50, 58)]
    path = paths.FlatPath(paths.Head(None, None), torch.device("cpu"), share=True)
    asked: list[int] = []
    real = path.sizes
    path.sizes = lambda group: asked.append(len(group)) or real(group)  # type: ignore[method-assign]
    parts = cut(data, Sft(), path, 34)  # 30 shared tokens, then one of its own for each row
    assert [len(part) for part in parts] == [4, 4]
    assert asked == [1] * len(data)


@pytest.mark.parametrize("tokens", [1, 60, 100, 10_000])
def test_the_gradient_does_not_depend_on_the_cut(tokens: int) -> None:
    loss, grad = Bench(tokens).step(rows())
    whole_loss, whole = Bench(10**9).step(rows())
    assert abs(loss - whole_loss) < 1e-6
    assert ((grad - whole).norm() / whole.norm()).item() < 1e-5


@pytest.mark.parametrize("backward", [False, True], ids=["in a forward", "half way down a backward"])
def test_out_of_memory_halves_the_cut_and_keeps_the_gradient(backward: bool) -> None:
    calm_loss, calm = Bench(10**9).step(rows())
    bench = Bench(10**9)
    bench.fail(times=1, backward=backward)
    loss, grad = bench.step(rows())
    assert abs(loss - calm_loss) < 1e-6
    assert ((grad - calm).norm() / calm.norm()).item() < 1e-5
    assert bench.stepper.tokens_per_batch == 131
    assert "at most 131 tokens" in bench.said[0]


def test_after_out_of_memory_dropout_draws_what_it_would_have_drawn_with_that_cut() -> None:
    hit = Bench(10**9, dropout=0.2)
    hit.fail(times=1, backward=True)
    torch.manual_seed(7)
    loss, grad = hit.step(rows())
    calm = Bench(hit.stepper.tokens_per_batch, dropout=0.2)
    torch.manual_seed(7)
    calm_loss, calm_grad = calm.step(rows())
    assert loss == calm_loss
    assert torch.equal(grad, calm_grad)


def test_the_ladder_ends_with_recomputation_and_then_with_words() -> None:
    calm_loss, calm = Bench(10**9).step(rows())
    bench = Bench(10**9)
    bench.fail(times=3, backward=True)
    loss, grad = bench.step(rows())
    assert bench.model.is_activation_checkpointing
    assert "recomputed" in bench.said[-1]
    assert abs(loss - calm_loss) < 1e-6
    assert ((grad - calm).norm() / calm.norm()).item() < 1e-5
    hopeless = Bench(10**9)
    hopeless.fail(times=99, backward=True)
    with pytest.raises(TrainingError, match="one row of 89 tokens does not fit") as error:
        hopeless.step(rows())
    assert "cutoff_len" in error.value.hint


def test_a_step_can_be_given_up_between_its_parts() -> None:
    class GiveUp(BaseException):
        pass

    bench = Bench(60)

    def leave() -> None:
        bench.parts_begun += 1
        if bench.parts_begun == 3:
            raise GiveUp

    bench.stepper._before_part = leave
    with pytest.raises(GiveUp):
        bench.step(rows())


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (lambda: torch.OutOfMemoryError("x"), True),
        (lambda: RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried"), True),
        (lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (lambda: RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (lambda: ValueError("out of memory"), False),
    ],
)
def test_only_a_lack_of_memory_is_taken_for_one(error: Callable[[], Exception], verdict: bool) -> None:
    assert is_out_of_memory(error()) is verdict
