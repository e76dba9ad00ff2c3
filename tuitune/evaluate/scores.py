"""What evaluations are made of: figures of one model over items, and what those who measure may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from tuitune.errors import TrainingError
from tuitune.run.evaluation import Better, Item

if TYPE_CHECKING:
    from tuitune.evaluate.partners import Partner
    from tuitune.recipe import Recipe

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
_CPU_TOKENS, _CUDA_TOKENS = 1536, 16384  # measured for training (engine.plan); a forward alone takes less memory
_FEW = 16


@dataclass(frozen=True)
class Series:
    """One figure of one model over items.

    values: one number an item; ids: of the items, by which two models are compared item by item. The figure is `scale`
    times their mean, weighted where weights are given. error: a standard error, where somebody else measured and no
    items are known; then there is one value with the id "".
    """

    key: str
    title: str
    values: Sequence[float]
    ids: Sequence[str]
    weights: Sequence[float] | None = None
    unit: str = ""
    scale: float = 1.0
    better: Better = "more"
    error: float | None = None


@dataclass(frozen=True)
class Kept:
    """The items of a benchmark that one model has answered: those from before a break, by id, and where more are put.

    An item is put there as soon as it is answered, under the model's key: what is killed loses none.
    """

    before: Mapping[str, Item]
    add: Callable[[Item], None]


class Around:
    """What those who measure may use: the recipe, where to tell, how many tokens at once.

    within: how far the piece of work is that `progress` does not count yet. check: raises to cancel; to be called
    between pieces of work of a second.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        progress: Progress = lambda stage, done, total: None,
        within: Callable[[str], None] = lambda text: None,
        note: Callable[[str], None] = lambda text: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.recipe, self.progress, self.within, self.note, self.check = recipe, progress, within, note, check
        self._tokens = 0

    def begin(self, device: str) -> None:
        """Start anew for a model on `device`."""
        self._tokens = self.recipe.tokens_per_batch or (_CPU_TOKENS if device == "cpu" else _CUDA_TOKENS)

    def tokens_per_batch(self) -> int:
        """Return how many tokens may go through the model at once."""
        return self._tokens

    def smaller(self, why: str) -> None:
        """Halve them after memory ran out. Raises TrainingError when nothing is left to halve."""
        if self._tokens < _FEW:
            raise TrainingError(f"there is no memory left ({why})", "free memory on the device, or set device: cpu")
        self._tokens //= 2
        self.note(f"memory ran out: at most {self._tokens} tokens at once from now on")

    def surviving(self, work: Callable[[], T]) -> T:
        """Return what `work` does; when memory runs out it is done again with half of the tokens at once."""
        from tuitune.models.oom import is_out_of_memory

        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                why = f"{type(error).__name__}: {error}"
            _free()  # out here the traceback is gone, and with it what it held
            self.smaller(why)


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Benchmark(Protocol):
    """A test with questions of its own; `name` is its group among the results."""

    name: str

    def run(self, partner: Partner, around: Around, kept: Kept) -> Sequence[Series]:
        """Ask the model, which is loaded and in evaluation mode (`partner.model`). Raises TuiTuneError."""
        ...
