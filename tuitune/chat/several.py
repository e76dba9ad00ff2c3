"""Several weights in memory at once, those of one model on one set of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuitune.chat.loading import Base, Note, Progress, device_of, folder_of, load_base, silent, unsaid
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import Weights
from tuitune.models.shaping import Shaping

Key = tuple[Path, str, str, bool, Shaping, tuple[Path, ...]]


class Several:
    """Conversation partners; for each model, shaped alike and with the same adapters merged, it is in memory once.

    An adapter goes onto a twin of the model (see `tuitune.models.twin`): kinds of adapters can be mixed, none is ever
    switched, and what one is asked does not show in another. Those of one model take turns, by `LocalChat.turn`.
    """

    def __init__(self) -> None:
        self._bases: dict[Key, Base] = {}
        self._there: dict[Key, list[LocalChat]] = {}
        self.partners: tuple[LocalChat, ...] = ()

    @classmethod
    def load(cls, wanted: Sequence[Weights], *, progress: Progress = silent, note: Note = unsaid) -> Several:
        """Load all of them, each model once; raises ModelError or DataError.

        Call `tuitune.face.host.prepare_for` before, since torch is imported here.
        """
        made = cls()
        for weights in wanted:
            made.add(weights, progress=progress, note=note)
        return made

    def add(self, weights: Weights, *, progress: Progress = silent, note: Note = unsaid) -> LocalChat:
        """Load one more, and return it; raises ModelError or DataError."""
        key = _key(weights, progress)
        if key not in self._bases:
            self._bases[key] = load_base(weights, progress=progress, note=note)
        there = self._there.setdefault(key, [])
        try:
            there.append(LocalChat.on(self._bases[key], weights, alone=False, note=note))
        finally:
            self._let_go(key)
        self.partners = (*self.partners, there[-1])
        return there[-1]

    def drop(self, partner: LocalChat) -> None:
        """Forget one; the model goes with the last of those who stand on it."""
        self.partners = tuple(each for each in self.partners if each is not partner)
        for key, there in list(self._there.items()):
            there[:] = [each for each in there if each is not partner]
            self._let_go(key)

    def _let_go(self, key: Key) -> None:
        if not self._there[key]:
            del self._there[key], self._bases[key]


def _key(weights: Weights, progress: Progress) -> Key:
    """Return what is equal for those who can stand on one model: where it lies, and what is done to it."""
    merged = weights.adapters[:-1]
    where = device_of(weights)
    return folder_of(weights, progress), where, weights.dtype, weights.trust_remote_code, weights.shaping, merged
