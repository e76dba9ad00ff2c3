"""Load a model with few bits per weight, and know the ones that come so: bitsandbytes, hqq, GPTQ, AWQ, AQLM.

bitsandbytes quantises while transformers loads; hqq afterwards, layer by layer, because transformers 5 has lost its
way to it. What stays as it is: embeddings, the head, norms.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.fit.files import read_object

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from tuitune.models.load import Note
    from tuitune.models.shaping import Shaping

_HQQ_GROUP = 64  # weights that share a scale
# By the name in config.json: what must be importable, and how it is installed.
_NEEDS = {
    "bitsandbytes": (("bitsandbytes",), "bitsandbytes"),
    "gptq": (("gptqmodel", "optimum"), "gptqmodel optimum"),
    "awq": (("gptqmodel",), "gptqmodel"),
    "aqlm": (("aqlm",), "aqlm[gpu,cpu]"),
    "compressed-tensors": (("compressed_tensors",), "compressed-tensors"),
    "auto-round": (("auto_round",), "auto-round"),
}


def quiet() -> None:
    """Keep quantisation libraries from the terminal and from the network; call it before torch is imported.

    On CPUs with bf16 instructions bitsandbytes asks the package `kernels` for a binary from a hub and runs it, or
    complains that there is none. Nothing that a hub sends is run here, so that package does not exist for this process.
    """
    if "kernels" not in sys.modules:
        sys.modules["kernels"] = None  # type: ignore[assignment]  # Python's own mark for "must not be imported"
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def stored_method(folder: Path) -> str:
    """Return how the weights of a folder are quantised already (`gptq`, ...), "" where they are not."""
    stored = _stored(folder)
    # Old files of bitsandbytes do not say.
    return str(stored.get("quant_method") or "bitsandbytes").lower() if stored else ""


def _stored(folder: Path) -> dict[str, object]:
    found = read_object(folder / "config.json").get("quantization_config")
    return found if isinstance(found, dict) else {}


def check(folder: Path, shaping: Shaping, *, whole: bool = False, device: str = "") -> str:
    """Return how the weights of a folder are quantised already, "" where they are not.

    whole: the weights themselves shall learn. Raises ModelError where a quantised model cannot be had or cannot learn.
    """
    method = stored_method(folder)
    if not method:
        return ""
    if whole:
        raise ModelError(
            f"the weights of {folder.name} are quantised ({method}) and cannot learn",
            "set finetuning_type: lora to train adapters beside them, or take the model as it was before",
        )
    if shaping.quantization_bit:
        raise ModelError(
            f"the weights of {folder.name} are quantised already ({method})",
            "remove quantization_bit, or take the model as it was before",
        )
    modules, install = _NEEDS.get(method, ((), ""))
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"a model quantised with {method} needs {' and '.join(missing)}, which is not installed",
            f"pip install {install}",
        )
    if method == "aqlm" and device == "cpu" and _stored(folder).get("nbits_per_codebook") == 8:
        # aqlm 1.1.7 adds up in a race there, and its backward pass fails.
        raise ModelError(
            "the library aqlm computes wrongly on a CPU where codebooks have 256 entries, as in this model",
            "use a GPU, or a model whose codebooks have 16 bits (1x16)",
        )
    return method


@dataclass(frozen=True)
class Quantiser:
    """Brings a model to `shaping.quantization_bit` bits; `dtype` is what it computes in."""

    shaping: Shaping
    dtype: torch.dtype
    device: str

    def __post_init__(self) -> None:
        name = "hqq" if self.shaping.quantization_method == "hqq" else "bitsandbytes"
        if find_spec(name) is None:
            raise ModelError(f"quantization_method: {self.shaping.quantization_method} needs {name}",
                             f"pip install {name}")  # fmt: skip

    def arguments(self) -> dict[str, Any]:
        """Return what `from_pretrained` must be given."""
        if self.shaping.quantization_method == "hqq":
            return {}
        return {"quantization_config": quantisation(self.shaping, self.dtype)}

    def after_loading(self, model: PreTrainedModel, note: Note) -> None:
        """Do what is left to do; say through `note` when most weights are not quantised."""
        if self.shaping.quantization_method == "hqq":
            _to_hqq(model, self.shaping, self.dtype)
        share = _share(model)
        if share < 0.5:
            note(
                f"only {share:.0%} of the weights could be quantised: experts that are kept in one block, for example, "
                "stay as they are"
            )


def quantisation(shaping: Shaping, dtype: torch.dtype) -> Any:
    """Return the BitsAndBytesConfig (Dettmers et al., arXiv 2305.14314 for 4 bits, 2208.07339 for 8)."""
    import transformers

    config: Any = transformers.BitsAndBytesConfig
    if shaping.quantization_bit == 8:
        return config(load_in_8bit=True)
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type=shaping.quantization_type,
        bnb_4bit_use_double_quant=shaping.double_quantization,
        bnb_4bit_compute_dtype=dtype,
    )


def trainable_kernels(folder: Path, config: Any | None, *, trust_remote_code: bool) -> Any:
    """Return the configuration of a GPTQ or AWQ model, made to ask for products through which gradients pass.

    config: one that was read and changed already.
    """
    from transformers import AutoConfig

    if config is None:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
    config.quantization_config["backend"] = "auto_trainable"  # left alone, gptqmodel takes the fastest for answers
    return config


def same_arithmetic(model: nn.Module) -> None:
    """Let bitsandbytes' layers on a CPU compute in evaluation as they do in training.

    They would pack 4-bit weights anew for bf16 products, through which no gradient passes when training goes on, and
    round the inputs of 8-bit layers to 8 bits.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
        elif type(module).__name__ == "Linear8bitLt" and module.weight.device.type == "cpu":
            module.forward = _EightBits(module)


class _EightBits:
    """The forward of an 8-bit layer on a CPU: its weight made whole, times the input as it is."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        import bitsandbytes

        layer = self._layer
        if layer.weight.CB is not None:
            layer.init_8bit_state()
        layer.state.is_training = True
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        out: Tensor = bitsandbytes.matmul(x, layer.weight, bias=bias, state=layer.state)
        return out


def _to_hqq(model: Any, shaping: Shaping, dtype: torch.dtype) -> None:
    """Replace every linear layer but the head (Badri and Shaji, Half-Quadratic Quantization, 2023)."""
    from torch import nn

    hqq: Any = import_module("hqq.core.quantize")
    head = model.get_output_embeddings()
    config = hqq.BaseQuantizeConfig(nbits=shaping.quantization_bit, group_size=_HQQ_GROUP)
    for name, layer in list(model.named_modules()):
        if type(layer) is not nn.Linear or layer is head:
            continue
        if layer.weight.numel() % _HQQ_GROUP:
            continue  # _share says when that leaves much as it was
        layer.requires_grad_(False)
        where = str(layer.weight.device)
        model.set_submodule(name, hqq.HQQLinear(layer, config, compute_dtype=dtype, device=where))


def is_quantised(layer: nn.Module) -> bool:
    """Whether a layer's weight is kept in few bits."""
    return type(layer).__name__ in ("Linear4bit", "Linear8bitLt", "HQQLinear")


def _share(model: Any) -> float:
    """Return the share of the weights that is quantised, embeddings and head aside."""
    from torch import nn

    quantised, plain = 0, 0
    apart = {id(layer) for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
    for layer in model.modules():
        if is_quantised(layer):
            quantised += layer.in_features * layer.out_features
        elif id(layer) not in apart and not isinstance(layer, nn.Embedding):
            plain += sum(p.numel() for p in layer.parameters(recurse=False))
    return quantised / max(1, quantised + plain)
