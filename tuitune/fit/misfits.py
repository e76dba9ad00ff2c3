"""What a recipe names that this very model does not have: layers, modules, sizes. Looks at config.json alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tuitune.fit import layers
from tuitune.fit.layers import EMBEDDING, HEAD, Module
from tuitune.fit.shapes import ModelShape
from tuitune.fit.targets import adapted, targeted
from tuitune.recipe import Problem
from tuitune.recipe.fields.lora import is_regex
from tuitune.recipe.fields.method import TARGETED

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

# The keys that are held against the model: whoever watches a recipe looks again when one of them changes.
KEYS = (
    "finetuning_type", "create_new_adapter", "lora_target", "lora_rank", "oft_target", "oft_block_size",
    "freeze_trainable_layers", "freeze_trainable_modules", "use_llama_pro", "use_galore", "galore_target",
    "use_apollo", "apollo_target", "use_badam", "badam_mode", "badam_start_block", "use_lisa",
    "lisa_activated_layers", "expand_blocks",
)  # fmt: skip


def misfits(recipe: Recipe, shape: ModelShape | None) -> list[Problem]:
    """Return what cannot be with a model of this shape; nothing where the shape is not told or not known here."""
    known = layers.modules(shape) if shape is not None else None
    if shape is None or known is None or not shape.layers:
        return []
    return list(_Against(recipe, known, shape.layers).problems())


@dataclass(frozen=True)
class _Against:
    recipe: Recipe
    known: Sequence[Module]
    layers: int

    def problems(self) -> Iterator[Problem]:
        yield from self._counts()
        yield from self._targets()
        yield from self._parts()
        yield from self._sizes()

    def _say(self, key: str, reason: str, hint: str, level: Literal["error", "warning"] = "error") -> Problem:
        return Problem(key, getattr(self.recipe, key), reason, hint, level=level)

    def _counts(self) -> Iterator[Problem]:
        recipe, count = self.recipe, self.layers
        has = f"the model has {count} layers"
        freezes = recipe.finetuning_type == "freeze" and not recipe.use_llama_pro
        if freezes and abs(recipe.freeze_trainable_layers) > count:
            yield self._say("freeze_trainable_layers", has, f"use at most {count}, or finetuning_type: full")
        start = recipe.badam_start_block
        if recipe.use_badam and recipe.badam_mode == "layer" and start is not None and start >= count:
            yield self._say("badam_start_block", has, f"they are counted from 0 to {count - 1}")
        if recipe.use_lisa and recipe.lisa_activated_layers > count:
            yield self._say("lisa_activated_layers", has, "the paper draws 2 of 32")
        blocks = recipe.expand_blocks if recipe.use_llama_pro else None
        if blocks is not None and count % blocks:
            spread = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0)
            yield self._say("expand_blocks", f"cannot be spread evenly over {count} layers", f"use one of {spread}")

    def _targets(self) -> Iterator[Problem]:
        recipe = self.recipe
        if recipe.finetuning_type in TARGETED and not (recipe.adapter_name_or_path and not recipe.create_new_adapter):
            yield from self._unknown("lora_target", recipe.lora_target)
        if recipe.finetuning_type == "oft":
            yield from self._unknown("oft_target", recipe.oft_target)

    def _unknown(self, key: str, names: tuple[str, ...]) -> Iterator[Problem]:
        tried = [names] if is_regex(names) else [(name,) for name in names]
        for each in tried:
            if not any(m.kind != "norm" and targeted(m.name, m.kind, each) for m in self.known):
                yield self._say(key, f"{each[0]} fits no layer of this model", f"there are {self._linear()}, or all")

    def _linear(self) -> str:
        return ", ".join(sorted({m.name.rpartition(".")[2] for m in self.known if m.kind == "linear"}))

    def _parts(self) -> Iterator[Problem]:
        recipe = self.recipe
        inside = [m.name for m in self.known if m.name not in (EMBEDDING, HEAD)]
        for key, on in (("galore_target", recipe.use_galore), ("apollo_target", recipe.use_apollo)):
            for name in getattr(recipe, key) if on else ():
                if name != "all" and not any(name in m.name for m in self.known if m.kind == "linear"):
                    yield self._say(
                        key, f"no layer of this model has {name} in its name", f"there are {self._linear()}"
                    )
        if recipe.finetuning_type != "freeze":
            return
        for name in recipe.freeze_trainable_modules:
            if name != "all" and not any(f".{name}." in f".{path}." for path in inside):
                parts = {p for path in inside for p in path.split(".")[3:]}
                hint = f"there are {', '.join(sorted(parts))}, or all"
                yield self._say("freeze_trainable_modules", f"no layer of this model has a module {name}", hint)

    def _sizes(self) -> Iterator[Problem]:
        recipe = self.recipe
        if recipe.finetuning_type == "oft" and recipe.oft_block_size:
            sizes = {m.into for m in adapted(self.known, recipe.oft_target)}
            odd = sorted(size for size in sizes if size % recipe.oft_block_size)
            if odd:
                reason = f"does not divide the width of every layer ({', '.join(map(str, odd))})"
                yield self._say("oft_block_size", reason, "the nearest size that divides is taken there", "warning")
        if recipe.finetuning_type in ("lora", "adalora"):
            widths = [min(m.into, m.out) for m in adapted(self.known, recipe.lora_target) if m.kind == "linear"]
            if widths and recipe.lora_rank > min(widths):
                reason = f"is more than the smaller side of a layer ({min(widths)}), which no adapter can use"
                yield self._say("lora_rank", reason, f"use {min(widths)} or less, or finetuning_type: full", "warning")
