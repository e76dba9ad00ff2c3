"""The memory a recipe would take, against what is free: sizes are looked up in a thread, the sum at each key."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tuitune.errors import TuiTuneError
from tuitune.fit.estimate import Estimate, estimate
from tuitune.fit.fill import Filled, filled
from tuitune.fit.machine import memory
from tuitune.fit.models import resolve
from tuitune.fit.shapes import ModelShape
from tuitune.fit.sizes import shape_of
from tuitune.fit.target import Card, Target, choose_target, torch_has_cuda
from tuitune.monitor import DeviceSample, Sampler
from tuitune.recipe import Recipe

_Key = tuple[str, str | None, str | None]


class Fitting:
    """Knows the shapes of the models that were asked for, and what is free."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._shapes: dict[_Key, ModelShape | None] = {}

    def known(self, recipe: Recipe | None) -> bool:
        """Tell whether nothing needs to be looked up for this recipe."""
        return recipe is None or _key(recipe) in self._shapes

    def look(self, recipe: Recipe | None) -> None:
        """Read the sizes of the recipe's model from the disk."""
        if recipe is None:
            return
        shape = None
        try:
            near = [recipe.source.parent] if recipe.source else []
            source = resolve(
                recipe.model_name_or_path, search=near, revision=recipe.model_revision, cache_dir=recipe.cache_dir
            )
            shape = shape_of(source)
        except TuiTuneError:
            shape = None  # the problem is told where the model is chosen
        self._shapes[_key(recipe)] = shape

    def forget(self) -> None:
        """Look again at everything: a model may have been fetched."""
        self._shapes.clear()

    def device(self, recipe: Recipe | None) -> DeviceSample | None:
        """Return the card that the recipe would be trained on, None for the processor."""
        card = self._sampler.latest().card(recipe.device if recipe is not None else "auto")
        return card if card is not None and not card.gone and torch_has_cuda() else None

    def _target(self, recipe: Recipe | None, devices: Sequence[DeviceSample]) -> Target:
        # What a run of this app holds now is free for the next one.
        cards = [
            Card(each.index, each.total, _with(each.free, each.own), each.uuid or "")
            for each in devices
            if not each.gone
        ]
        given = os.environ.get("TUITUNE_GIVEN_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        wanted = recipe.device if recipe is not None else "auto"
        host = self._sampler.latest().host
        free = _with(host.ram_available, host.run_rss)
        free = memory().available if free is None else free
        return choose_target(
            wanted, ram_free=free, ram_total=host.ram_total, cards=cards, visible=given, cuda=torch_has_cuda()
        )

    def estimate(self, recipe: Recipe | None) -> tuple[Estimate | None, str, str]:
        """Return what the recipe would take, where, and in words why nothing can be said."""
        target = self._target(recipe, self._sampler.latest().devices)
        if recipe is None:
            return None, target.where, "the recipe has problems; f8 shows them"
        if target.problem:
            return None, target.where, target.problem
        found = estimate(recipe, self._shapes.get(_key(recipe)), free=target.free, total=target.total, kind=target.kind)
        return found, target.where, ""

    def largest(self, recipe: Recipe) -> Filled:
        """Return the largest per_device_train_batch_size that goes through at once, with what to say about it."""
        target = self._target(recipe, self._sampler.latest().devices)
        if target.free is None:
            why = target.problem or f"the free memory of {target.where} is not known"
            return Filled(None, why, helps=False)
        return filled(recipe, self._shapes.get(_key(recipe)), free=target.free, total=target.total, kind=target.kind)


def _with(free: int | None, own: int | None) -> int | None:
    return None if free is None else free + (own or 0)


def _key(recipe: Recipe) -> _Key:
    return recipe.model_name_or_path, recipe.model_revision, recipe.cache_dir
