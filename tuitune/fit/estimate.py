"""The first estimate of a run's peak memory, fast enough for every keystroke. No torch.

What is held is counted exactly: weights, adapters, gradients, optimizer states. What comes and goes
(activations, logits, the libraries' own) follows formulas for the largest micro-batch that the engine would form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tuitune.fit import layers
from tuitune.fit.count import Count
from tuitune.fit.cut import MOST_TOKENS, Cut, choose_cut, room_for_activations
from tuitune.fit.layers import Block
from tuitune.fit.load import Load, load_of
from tuitune.fit.methods import NotKnown
from tuitune.fit.parts import ROLES, STANDING, Role, parts_of
from tuitune.fit.precision import DeviceKind
from tuitune.fit.shapes import ModelShape, likeness
from tuitune.recipe.fields.online import ONLINE
from tuitune.recipe.fields.preference import PAIRS, needs_reference

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

__all__ = [
    "ROLES", "Estimate", "Fits", "Role", "estimate", "largest_batch", "most_tokens", "tokens_of_row", "why_no_batch",
]  # fmt: skip

Fits = Literal["yes", "tight", "no", "unknown"]
_TIGHT = 0.9
# A file may hold a tied head twice, or tables that are no weights; more of a difference is another model.
_SAME_MODEL = 0.01


@dataclass(frozen=True)
class Estimate:
    """Predicted peak memory in bytes, by part; `parts` is None where nothing can be said, and `notes` say why.

    `tokens` go through at once, with activations computed again or not; `count` says how many numbers learn.
    """

    parts: dict[Role, int] | None
    free: int | None = None
    capacity: int | None = None
    tokens: int = 0
    recompute: bool = False
    notes: tuple[str, ...] = field(default=())
    count: Count | None = None

    @property
    def total(self) -> int | None:
        """The sum of all parts."""
        return None if self.parts is None else sum(self.parts.values())

    @property
    def missing(self) -> int:
        """Bytes that are needed and not free."""
        return 0 if self.total is None or self.free is None else max(0, self.total - self.free)

    @property
    def fits(self) -> Fits:
        """Whether the run fits into the memory that is free."""
        if self.total is None or self.free is None:
            return "unknown"
        if self.total > self.free:
            return "no"
        return "tight" if self.total > self.free * _TIGHT else "yes"


def estimate(
    recipe: Recipe,
    shape: ModelShape | None,
    *,
    free: int | None = None,
    total: int | None = None,
    kind: DeviceKind = "cpu",
    bf16_units: bool = True,
    longest: int | None = None,
    adapter: Sequence[Block] | None = None,
) -> Estimate:
    """Estimate the peak memory of a run on a device with so many bytes free.

    longest: tokens of the longest row, cutoff_len if not known.
    adapter: tensors of the adapter that is trained further.
    """
    load, why = _load(recipe, shape, kind, bf16_units, adapter)
    if load is None:
        return Estimate(None, free, total, notes=why)
    row = _row(recipe, longest) + load.trained.before
    cut = _cut(recipe, load, free, kind, row)
    tokens = max(row, min(cut.tokens, recipe.rows_per_step * row))
    parts = parts_of(recipe, load.model.shape, load, cut, tokens, kind)
    notes = (*_notes(recipe, cut, row, tokens, longest, adapter), *why)
    return Estimate(parts, free, total, tokens, cut.recompute, notes, load.count)


def largest_batch(
    recipe: Recipe,
    shape: ModelShape | None,
    *,
    free: int,
    kind: DeviceKind = "cpu",
    bf16_units: bool = True,
    longest: int | None = None,
    adapter: Sequence[Block] | None = None,
) -> int | None:
    """Return the most rows of full length that go through at once without getting tight; None when not even one does.

    The limit is the memory, or the tokens beyond which nothing gets faster. Larger values of
    per_device_train_batch_size are no error: the engine cuts the step, and gains nothing by it.
    """
    load, _ = _load(recipe, shape, kind, bf16_units, adapter)
    if load is None:
        return None
    row = _row(recipe, longest) + load.trained.before
    cut = _cut(recipe, load, free, kind, row)
    most = most_tokens(recipe, kind)

    def fits(rows: int) -> bool:
        parts = parts_of(recipe, load.model.shape, load, cut, rows * row, kind)
        return parts is not None and sum(parts.values()) <= free * _TIGHT

    if not fits(1):
        return None
    low, high = 1, max(1, most // row) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def most_tokens(recipe: Recipe, kind: DeviceKind) -> int:
    """Return the most tokens that go through at once, however much memory there is."""
    return recipe.tokens_per_batch or MOST_TOKENS[kind]


def tokens_of_row(recipe: Recipe, shape: ModelShape | None, kind: DeviceKind) -> int:
    """Return the most tokens that one row makes the model compute at once, with what the method puts before it."""
    load, _ = _load(recipe, shape, kind, True, None)
    return _row(recipe, None) + (load.trained.before if load is not None else 0)


def why_no_batch(found: Estimate) -> str:
    """Say why not even one row fits, and what would help."""
    if found.parts is None:
        return found.notes[0] if found.notes else "the sizes of this model are not known"
    if found.free is None:
        return "the free memory of this device is not known"
    held = sum(found.parts[role] for role in ("weights", "adapters", "grads", "optim", "runtime"))
    if held > found.free:
        return "not even an empty step fits: choose a smaller model, finetuning_type: lora or another device"
    return "not even one row fits with room to spare: lower cutoff_len or choose a smaller model"


def _row(recipe: Recipe, longest: int | None) -> int:
    """Return the most tokens that one row makes the model compute at once."""
    row = min(longest or recipe.cutoff_len, recipe.cutoff_len)
    if recipe.stage in ONLINE:
        return row + recipe.max_new_tokens
    return 2 * row if recipe.stage in PAIRS else row


def _load(
    recipe: Recipe, shape: ModelShape | None, kind: DeviceKind, bf16_units: bool, adapter: Sequence[Block] | None
) -> tuple[Load | None, tuple[str, ...]]:
    if shape is None:
        return None, ("the model is not here yet: its sizes are known once it is fetched",)
    if problem := _unknown(shape):
        return None, (problem,)
    try:
        return load_of(recipe, shape, kind=kind, bf16_units=bf16_units, adapter=adapter), ()
    except NotKnown as error:
        return None, (str(error),)


def _unknown(shape: ModelShape) -> str:
    if shape.architecture is None:
        return "config.json does not say what kind of model this is"
    if likeness(shape) is None:
        return f"the architecture {shape.architecture} is not one whose memory can be told in advance"
    if shape.packed:
        return "its weights are packed (quantised): their memory cannot be told in advance"
    tensors = layers.whole(shape)
    if tensors is None:
        return "config.json does not tell the sizes of this model"
    count = layers.elements(tensors)
    twice = count + (shape.vocab_size or 0) * (shape.hidden_size or 0) if shape.tied else count
    if shape.parameters and min(abs(shape.parameters - each) for each in (count, twice)) > count * _SAME_MODEL:
        return "its weights are not those that config.json describes: their memory cannot be told in advance"
    return ""


def _cut(recipe: Recipe, load: Load, free: int | None, kind: DeviceKind, row: int) -> Cut:
    loaded = load.weights + load.adapters + STANDING[kind]
    room = None if free is None else room_for_activations(free, loaded, load.coming)
    return choose_cut(recipe, load.model.shape, load.formats, load.trained, kind=kind, room=room, longest=row)


def _notes(
    recipe: Recipe, cut: Cut, row: int, tokens: int, longest: int | None, adapter: Sequence[Block] | None
) -> tuple[str, ...]:
    rows = recipe.rows_per_step
    notes = ["an estimate" if longest else f"an estimate, for rows of {recipe.cutoff_len:,} tokens (cutoff_len)"]
    if recipe.stage in ONLINE:
        notes[0] += f" and answers of {recipe.max_new_tokens:,} (max_new_tokens), without what sampling them takes"
    if recipe.ref_model and needs_reference(recipe) and not recipe.precompute_ref_log_probs:
        notes.append("ref_model is counted as a model of the same size")
    if tokens < rows * row:
        notes.append(f"at most {tokens:,} tokens at once: a step of {rows:,} such rows is cut, with the same gradient")
    if cut.recompute:
        notes.append(
            "activations are recomputed" + ("" if recipe.gradient_checkpointing else ", or a row would not fit")
        )
    if recipe.optim.startswith("paged_"):
        notes.append("paged optimizer states can move to main memory")
    if recipe.adapter_name_or_path and not recipe.create_new_adapter and adapter is None:
        notes.append("the adapter is counted as a new one of this recipe")
    return tuple(notes)
