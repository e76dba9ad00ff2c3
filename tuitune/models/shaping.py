"""What is done to a model before any method sees it: quantised, stretched, blocks inserted, tokens routed.

An adapter fits only a base that was shaped as in its training, so the shaping is saved beside it. No torch at import.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tuitune.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from tuitune.models.load import Note
    from tuitune.recipe import Recipe

FILE = "tuitune_base.json"


@dataclass(frozen=True)
class Shaping:
    """The changes, by the recipe's names; `rope_length` is the longest text that stretched positions must reach."""

    quantization_bit: int | None = None
    quantization_method: str = "bnb"
    quantization_type: str = "nf4"
    double_quantization: bool = True
    rope_scaling: str | None = None
    rope_length: int | None = None
    expand_blocks: int | None = None
    mixture_of_depths: str | None = None
    mod_capacity: float = 0.125

    @classmethod
    def of(cls, recipe: Recipe) -> Shaping:
        """Return what a recipe asks for."""
        own = {f.name: getattr(recipe, f.name) for f in fields(cls) if f.name != "rope_length"}
        return cls(**own, rope_length=recipe.cutoff_len if recipe.rope_scaling else None)

    def __bool__(self) -> bool:
        """Return whether anything is changed at all."""
        return any((self.quantization_bit, self.rope_scaling, self.expand_blocks, self.mixture_of_depths))

    def save_beside(self, recipe: Recipe, folder: Path) -> None:
        """Write it beside an adapter; a whole model says by itself how it is shaped."""
        if self and not recipe.whole:
            (folder / FILE).write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @classmethod
    def beside(cls, folder: Path) -> Shaping:
        """Return what lies beside an adapter, no change where nothing does. Raises ModelError."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            values = orjson.loads(path.read_bytes())
            return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error


def load_shaped(
    folder: Path,
    shaping: Shaping,
    *,
    dtype: torch.dtype,
    device: str,
    attention: str = "tuitune",
    trust_remote_code: bool = False,
    note: Note = lambda text: None,
) -> PreTrainedModel:
    """Load the model of a local folder and shape it. Raises ModelError."""
    from tuitune.models.load import load_model
    from tuitune.models.quantise import Quantiser, check, same_arithmetic, trainable_kernels

    stored = check(folder, shaping, device=device)
    settings: dict[str, Any] = {}
    if shaping.rope_scaling:
        from tuitune.models.rope import scaled_config

        settings["config"] = scaled_config(folder, shaping, trust_remote_code=trust_remote_code, note=note)
    quantiser = Quantiser(shaping, dtype, device) if shaping.quantization_bit else None
    if quantiser is not None:
        settings |= quantiser.arguments()
    if stored in ("gptq", "awq"):
        settings["config"] = trainable_kernels(folder, settings.get("config"), trust_remote_code=trust_remote_code)
    if stored or "quantization_config" in settings:
        settings["device_map"] = {"": device}  # transformers would choose a GPU where there is one
    model = load_model(
        folder, dtype=dtype, device=device, attention=attention, trust_remote_code=trust_remote_code, note=note,
        **settings,
    )  # fmt: skip
    if shaping.rope_scaling:
        from tuitune.models.rope import refuse_ignored

        refuse_ignored(model)
    if quantiser is not None:
        quantiser.after_loading(model, note)
    same_arithmetic(model)
    if shaping.expand_blocks:
        from tuitune.models.blocks import expand

        model = expand(model, shaping.expand_blocks)
    if shaping.mixture_of_depths:
        from tuitune.models.depths import settle

        model = settle(model, shaping.mixture_of_depths, shaping.mod_capacity)
    return model


def load_any_attention(
    folder: Path, shaping: Shaping, *, note: Note, dtype: torch.dtype, device: str, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Load and shape with our attention, or with the model's own where it takes no other. Raises ModelError."""
    from tuitune.models.load import refuses_attention

    settings: dict[str, Any] = {"dtype": dtype, "device": device, "trust_remote_code": trust_remote_code}
    try:
        return load_shaped(folder, shaping, **settings, note=note)
    except ModelError as error:
        if not refuses_attention(error):
            raise
    note("this model does not take our attention function; its own is used, with padded rows")
    return load_shaped(folder, shaping, **settings, attention="eager", note=note)
