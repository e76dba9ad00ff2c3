"""Adapters that rotate, scale, or multiply: OFT, IA3, LoHa, LoKr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuitune.fit.layers import Block, Module, elements, packed
from tuitune.fit.methods.base import NotKnown, Trained
from tuitune.fit.methods.lora import targets, whole
from tuitune.fit.targets import adapted

if TYPE_CHECKING:
    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe

_ENDS_MLP = "mlp.down_proj"


def oft(recipe: Recipe, model: Shaped) -> Trained:
    """Return the rotations: for each target so many blocks, each the upper half of a skew-symmetric matrix."""
    found = adapted(model.modules, recipe.oft_target, recipe.additional_target)
    if not found:
        raise NotKnown(f"oft_target {', '.join(recipe.oft_target)} names no layer of this model")
    sizes = [_rotation(recipe, module) for module in found]
    blocks = [Block((count, size * (size - 1) // 2)) for count, size in sizes]
    # A rotation is a power series, whose matrices are kept (measured: four of them).
    return Trained(packed([*whole(recipe, model), *blocks]), fixed=4 * sum(count * size**2 for count, size in sizes))


def _rotation(recipe: Recipe, module: Module) -> tuple[int, int]:
    """Return how many blocks of which size; peft takes the divisor that is nearest to what is asked for."""
    width = module.inputs
    if recipe.oft_rank:
        count = _divisor(width, recipe.oft_rank)
        return count, width // count
    size = _divisor(width, recipe.oft_block_size)
    return width // size, size


def _divisor(width: int, asked: int) -> int:
    if asked <= width and width % asked == 0:
        return asked
    above = next((n for n in range(asked, width + 1) if width % n == 0), None)
    below = next((n for n in range(min(asked, width), 0, -1) if width % n == 0), 1)
    return below if above is None or asked - below <= above - asked else above


def ia3(recipe: Recipe, model: Shaped) -> Trained:
    """Return one vector for each target: over its outputs, or over the inputs of the layer that ends an MLP."""
    found = targets(recipe, model)
    blocks = [Block((1, m.inputs)) if m.name.endswith(_ENDS_MLP) else Block((m.outputs, 1)) for m in found]
    return Trained(packed([*whole(recipe, model), *blocks]), trainable="frozen", token=elements(blocks))


def loha(recipe: Recipe, model: Shaped) -> Trained:
    """Return four matrices for each target; the product of two pairs is as large as the weight, and kept."""
    found, rank = targets(recipe, model), recipe.lora_rank
    blocks = [Block(size, 2) for m in found for size in ((m.out, rank), (rank, m.into))]
    return Trained(packed([*whole(recipe, model), *blocks]), fixed=sum(m.out * m.into for m in found))


def lokr(recipe: Recipe, model: Shaped) -> Trained:
    """Return the factors of a Kronecker product for each target; the product is as large as the weight, and kept."""
    found = targets(recipe, model)
    blocks = [block for m in found for block in _factors(m, recipe.lora_rank, recipe.lokr_factor)]
    return Trained(packed([*whole(recipe, model), *blocks]), fixed=sum(m.out * m.into for m in found))


def _factors(module: Module, rank: int, factor: int) -> Iterator[Block]:
    (small_in, large_in), (small_out, large_out) = factorised(module.into, factor), factorised(module.out, factor)
    yield Block((small_out, small_in))
    if rank < max(large_out, large_in) / 2:
        yield Block((large_out, rank))
        yield Block((rank, large_in))
    else:
        yield Block((large_out, large_in))


def factorised(size: int, factor: int) -> tuple[int, int]:
    """Return two factors of `size`, the smaller first: `factor` where it divides it, else as near below as there is.

    -1 asks for the pair nearest to the square root.
    """
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    limit = size if factor == -1 else factor
    small = max(n for n in range(1, int(size**0.5) + 1) if size % n == 0 and (n <= limit or n == 1))
    return small, size // small
