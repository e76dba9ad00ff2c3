"""A model that does not learn, asked about the same texts: the trained one as it was before, a copy, or another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch

from tuitune.models.generate import in_evaluation
from tuitune.models.head import Head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.paths import Path, Reading

Precision = Callable[[], AbstractContextManager[object]]


class Reference(Protocol):
    """A model that does not learn; `digest` says which one, for those who keep its numbers."""

    digest: str

    def rows(self, model: Any, head: Head, inputs: dict[str, Any]) -> tuple[Tensor, nn.Linear | None]:
        """Return its hidden states (batch, kept, width) and the head over them, or logits and None.

        model, head: those that learn. inputs: what `model` is called with. Draws no random numbers, keeps no gradient.
        """
        ...

    def reading(self, model: Any, path: Path, groups: Sequence[Sequence[Row]]) -> AbstractContextManager[Reading]:
        """Open what it says of these sequences; `scores` are to be asked while that is open.

        Tokens and sequences are those of `path.read(model, groups)`, in the same order. Nothing is ever dropped.
        """
        ...


class Itself:
    """The trained model itself; `before` lets it be what it was: its adapter is off while that is open."""

    def __init__(
        self, before: Callable[[Any], AbstractContextManager[None]], precision: Precision, digest: str = ""
    ) -> None:
        self._before, self._precision, self.digest = before, precision, digest

    def rows(self, model: Any, head: Head, inputs: dict[str, Any]) -> tuple[Tensor, nn.Linear | None]:
        """Run `model` as it was."""
        with torch.no_grad(), self._precision(), in_evaluation(model), self._before(model):
            return head.rows(model, inputs), head.linear

    @contextmanager
    def reading(self, model: Any, path: Path, groups: Sequence[Sequence[Row]]) -> Iterator[Reading]:
        """Read `model` as it was."""
        with torch.no_grad(), self._precision(), in_evaluation(model), self._before(model):
            yield path.read(model, groups)


class FrozenCopy:
    """A second model in memory; `path`: its own way, where it is not a copy of the trained one."""

    def __init__(
        self, model: Any, head: Head, precision: Precision, *, path: Path | None = None, digest: str = ""
    ) -> None:
        self._model, self._head, self._precision, self._path, self.digest = model, head, precision, path, digest

    def rows(self, model: Any, head: Head, inputs: dict[str, Any]) -> tuple[Tensor, nn.Linear | None]:
        """Run the copy."""
        with torch.no_grad(), self._precision():
            return self._head.rows(self._model, inputs), self._head.linear

    @contextmanager
    def reading(self, model: Any, path: Path, groups: Sequence[Sequence[Row]]) -> Iterator[Reading]:
        """Read the copy."""
        with torch.no_grad(), self._precision():
            yield (self._path or path.on(self._head)).read(self._model, groups)


class Later:
    """A reference that is loaded when it is asked for the first time; where its numbers are kept it never is."""

    def __init__(self, load: Callable[[], Reference], digest: str) -> None:
        self._load, self.digest = load, digest
        self._loaded: Reference | None = None

    def _there(self) -> Reference:
        self._loaded = self._loaded or self._load()
        return self._loaded

    def rows(self, model: Any, head: Head, inputs: dict[str, Any]) -> tuple[Tensor, nn.Linear | None]:
        """Ask it."""
        return self._there().rows(model, head, inputs)

    def reading(self, model: Any, path: Path, groups: Sequence[Sequence[Row]]) -> AbstractContextManager[Reading]:
        """Read it."""
        return self._there().reading(model, path, groups)
