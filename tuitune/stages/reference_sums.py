"""What the reference says of whole answers: asked when it is first needed, or once for all before training.

It never changes its mind, so its numbers are remembered for later epochs and evaluations; checkpoints carry them, so
that a resumed run ends equal in every bit. With `precompute_ref_log_probs` they lie in the run directory. Each stands
under a hash of its example: whatever becomes of the rows' order, only what is new is asked.
"""

from __future__ import annotations

import gc
import hashlib
import io
import time
import zipfile
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from tuitune.errors import TrainingError
from tuitune.models.oom import is_out_of_memory
from tuitune.run.files import write_atomic
from tuitune.stages.cut import cut

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import Tensor, nn

    from tuitune.data import Example, Examples
    from tuitune.models.paths import Path, Reading
    from tuitune.stages.base import Stage, Surroundings

FILE = "reference_log_probs.npz"
PHASE = "reference"
_AT_ONCE = 64  # examples that are sorted into micro-batches together
_WRITE_GAP = 60.0  # seconds
_MOST = 500_000  # examples that are remembered on the way, 250 bytes each
Sums = Callable[["Reading", "Tensor", Sequence["Example"]], "Tensor"]


def plain(reading: Reading, values: Tensor, examples: Sequence[Example]) -> Tensor:
    """Return the log probability of each sequence, (sequences,) in float64."""
    return reading.sums(values)


class ReferenceSums:
    """One number for each sequence of an example, in the order of the stage's groups.

    sums: makes them of the log probabilities of the labelled tokens (N,). facts: what else they depend on. The stage's
    `reference` is asked; once everything is known before training it is let go, and a second model with it.
    """

    def __init__(self, stage: Stage, sums: Sums = plain, facts: object = None) -> None:
        self._stage, self._sums, self._facts = stage, sums, facts
        self._known: dict[bytes, tuple[float, ...]] = {}
        self._fresh: tuple[list[bytes], Tensor] | None = None  # said last, perhaps still being computed on a GPU

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Ask for everything, if the recipe says so; may raise to stop, and then keeps what it has."""
        reference = self._stage.reference
        if not around.recipe.precompute_ref_log_probs or reference is None:
            return
        digest = self._digest()
        self._known = read(around.folder / FILE, digest)
        sets = [examples for examples in (train, evaluation) if examples is not None]
        missing = [(of, place) for of in sets for place in range(len(of)) if self._lacks(of[place])]
        total = sum(map(len, sets))
        if missing:
            around.phase(PHASE, f"{len(missing)} of {total} examples")
            try:
                self._ask(around, missing, digest)
            finally:
                write(around.folder / FILE, digest, self._known)
        else:
            around.note(f"what the reference says of {total} examples is known already")
        self._let_go()

    def of(self, model: nn.Module, path: Path, examples: Sequence[Example]) -> Tensor:
        """Return the numbers of all sequences of `examples`, (sequences,) in float64 on the model's device."""
        self._settle()
        keys = [key_of(example) for example in examples]
        if all(key in self._known for key in keys):
            numbers = [number for key in keys for number in self._known[key]]
            return torch.tensor(numbers, dtype=torch.float64, device=next(model.parameters()).device)
        reference = self._stage.reference
        if reference is None:
            raise TrainingError("the reference was not asked about a row before training", "resume the run")
        groups = [group for example in examples for group in self._stage.groups(example)]
        with reference.reading(model, path, groups) as reading:
            said = self._sums(reading, reading.scores(entropy=False).values, examples)
        if len(self._known) + len(keys) <= _MOST or self._stage.recipe.precompute_ref_log_probs:
            self._fresh = keys, said
        return said

    def _settle(self) -> None:
        """Take what was said last into memory: by now nobody has to wait for it."""
        if self._fresh is not None:
            keys, said = self._fresh
            self._known |= zip(keys, map(tuple, said.view(len(keys), -1).tolist()), strict=True)
            self._fresh = None

    def save(self, folder: Folder) -> None:
        """Write what is remembered into a checkpoint, where it does not lie in the run directory anyway."""
        self._settle()
        if self._stage.reference is not None:
            write(folder / FILE, self._digest(), self._known)

    def load(self, folder: Folder) -> None:
        """Remember what `save` wrote."""
        if self._stage.reference is not None:
            self._known = read(folder / FILE, self._digest())

    def _digest(self) -> str:
        """Return a hash of all that the numbers depend on beside the examples."""
        assert self._stage.reference is not None
        return hashlib.sha256(repr((self._stage.reference.digest, self._facts)).encode()).hexdigest()

    def _lacks(self, example: Example) -> bool:
        return bool(self._stage.groups(example)) and key_of(example) not in self._known

    def _ask(self, around: Surroundings, missing: Sequence[tuple[Examples, int]], digest: str) -> None:
        done, written = 0, time.monotonic()
        for start in range(0, len(missing), _AT_ONCE):
            examples = [found[place] for found, place in missing[start : start + _AT_ONCE]]
            for part in cut(examples, self._stage, around.path, around.tokens_per_batch()):
                around.attend()
                self._surviving(around, part)
                done += len(part)
                around.progress(PHASE, done, len(missing))
            if time.monotonic() - written > _WRITE_GAP:
                write(around.folder / FILE, digest, self._known)
                written = time.monotonic()
        around.progress(PHASE, len(missing), len(missing))

    def _surviving(self, around: Surroundings, part: Sequence[Example]) -> None:
        """Ask about the part; when memory runs out, half by half. Raises what cannot be halved."""
        try:
            self.of(around.model, around.path, part)
            self._settle()
            return
        except Exception as error:
            if not is_out_of_memory(error) or len(part) < 2:
                raise
        gc.collect()
        for half in (part[: len(part) // 2], part[len(part) // 2 :]):
            self._surviving(around, half)

    def _let_go(self) -> None:
        self._stage.reference = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def key_of(example: Example) -> bytes:
    """Return a hash of an example's tokens and labels."""
    made = hashlib.blake2b(digest_size=16)
    for row in example.sequences:
        made.update(len(row["input_ids"]).to_bytes(8, "little"))
        made.update(array("q", row["input_ids"]).tobytes())
        made.update(array("q", row["labels"]).tobytes())
    return made.digest()


# The file: keys uint8 (examples, 16), numbers float64 (examples, sequences), and what they belong to


def write(file: Folder, digest: str, known: Mapping[bytes, Iterable[float]]) -> None:
    """Keep the numbers of the reference `digest`; nothing is written for none."""
    if not known:
        return
    stream = io.BytesIO()
    keys = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(len(known), -1)
    np.savez(stream, keys=keys, numbers=np.array([list(row) for row in known.values()]), digest=np.array(digest))
    write_atomic(file, stream.getvalue())


def read(file: Folder, digest: str) -> dict[bytes, tuple[float, ...]]:
    """Return what `write` kept of the same reference; nothing where it was another, or the file is damaged."""
    try:
        with np.load(file, allow_pickle=False) as found:
            if str(found["digest"]) != digest:
                return {}
            keys, numbers = found["keys"], found["numbers"]
        if keys.shape[1:] != (16,) or numbers.shape[:1] != keys.shape[:1] or not np.isfinite(numbers).all():
            return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return {key.tobytes(): tuple(row) for key, row in zip(keys, numbers.tolist(), strict=True)}
