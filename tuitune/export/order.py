"""What an export is asked for: which weights, in which form, where to. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.chat.weights import Weights
from tuitune.errors import UsageError
from tuitune.recipe import Recipe

Dtype = Literal["float32", "bfloat16", "float16"]
Form = Literal["safetensors", "gguf"]
GgufType = Literal["F16", "BF16", "Q8_0", "Q4_0"]
Library = Literal["gptq", "awq", "bnb"]
BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
# Keys of training and of serving that mean something for an export too.
READ_TOO = ("infer_dtype", "quantization_type", "double_quantization")
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty", "max_new_tokens")


@dataclass(frozen=True)
class Quantised:
    """Few bits for a weight; the texts count for gptq and awq, `type` and `double` for bnb's 4 bits."""

    bits: int
    library: Library
    texts: str | None = None
    samples: int = 128
    length: int = 1024
    type: str = "nf4"
    double: bool = True

    @property
    def words(self) -> str:
        """How it is called in a sentence: `4-bit bnb (nf4)`."""
        return f"{self.bits}-bit {self.library}" + (
            f" ({self.type})" if (self.library, self.bits) == ("bnb", 4) else ""
        )


@dataclass(frozen=True)
class Order:
    """One export.

    shares: how much of each adapter goes in, () for all of each; chained: some adapter was trained on top of those
    before it. shard: bytes of the largest file of weights. device: "cpu" or "auto". repo: a name on the hub to push it
    to. generation: values for generation_config.json. recipe: what was asked, for what reads data by it. subject: what
    was named, as the command had it.
    """

    weights: Weights
    out: Path
    dtype: Dtype = "bfloat16"
    form: Form = "safetensors"
    shard: int = 5 * 10**9
    device: str = "cpu"
    shares: tuple[float, ...] = ()
    chained: bool = False
    quantised: Quantised | None = None
    gguf_type: GgufType = "Q8_0"
    card: bool = True
    ollama: bool = True
    repo: str | None = None
    private: bool = True
    generation: tuple[tuple[str, object], ...] = ()
    recipe: Recipe | None = None
    subject: str = ""

    def __post_init__(self) -> None:
        count = len(self.weights.adapters)
        if self.shares and len(self.shares) != count:
            raise UsageError(
                f"export_adapter_weights has {len(self.shares)} numbers, and {self.weights.title} has {_many(count)}",
                "give one number for each adapter that is merged, in their order",
            )

    @classmethod
    def of(cls, weights: Weights, out: Path, recipe: Recipe) -> Order:
        """Return what a recipe read for exporting asks for."""
        return cls(
            weights, out, dtype=dtype_of(recipe), form=recipe.export_format, shard=recipe.export_size * 10**9,
            device=recipe.export_device, shares=tuple(float(each) for each in recipe.export_adapter_weights),
            quantised=_quantised(recipe), gguf_type=recipe.export_gguf_type, card=recipe.export_model_card,
            ollama=recipe.export_ollama, repo=recipe.export_hub_model_id, private=recipe.export_hub_private,
            generation=tuple((key, getattr(recipe, key)) for key in _SAMPLING if key in recipe.asked), recipe=recipe,
        )  # fmt: skip

    @property
    def number(self) -> str:
        """How the weights are kept: `bfloat16`, `4-bit gptq`, `Q8_0`."""
        if self.form == "gguf":
            return self.gguf_type
        return self.quantised.words if self.quantised else self.dtype

    @property
    def form_words(self) -> str:
        """The form in a few words, for the model card and lists."""
        return f"GGUF {self.gguf_type}" if self.form == "gguf" else f"safetensors, {self.number}"

    @property
    def source(self) -> str:
        """Where what is exported lies: the folder of the last adapter, or of the model, or its name on the hub."""
        adapters, model = self.weights.adapters, Path(self.weights.model).expanduser()
        place = adapters[-1] if adapters else model if model.exists() else None
        return str(place.resolve()) if place is not None else self.weights.model

    @property
    def shared(self) -> bool:
        """Whether some adapter goes in with another weight than 1."""
        return any(share != 1 for share in self.shares)


def dtype_of(recipe: Recipe) -> Dtype:
    """Return the number format of the weights: export_dtype, else infer_dtype, else bfloat16."""
    asked = recipe.export_dtype if recipe.export_dtype != "auto" else recipe.infer_dtype
    return "bfloat16" if asked == "auto" else asked


def _quantised(recipe: Recipe) -> Quantised | None:
    if recipe.export_quantization_bit is None or recipe.export_format == "gguf":
        return None
    return Quantised(
        recipe.export_quantization_bit, recipe.export_quantization_method, recipe.export_quantization_dataset,
        recipe.export_quantization_nsamples, recipe.export_quantization_maxlen, recipe.quantization_type,
        recipe.double_quantization,
    )  # fmt: skip


def _many(count: int) -> str:
    return "no adapter" if not count else "1 adapter" if count == 1 else f"{count} adapters"
