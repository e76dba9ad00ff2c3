"""Loading the model quantised, so that adapters can be trained in little memory (QLoRA)."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.fields.method import ADAPTERS
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Text, Whole

_ON = When("quantization_bit")
_BNB4 = (When("quantization_bit", (4,)), When("quantization_method", ("bnb",)))


class QuantizationOptions(Options):
    """How few bits the frozen weights take."""

    GROUP: ClassVar[str] = "quantisation"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", ADAPTERS),)
    FIXED: ClassVar[bool] = True

    quantization_bit: Whole | None = option(
        None,
        "Bits of a frozen weight: 4 or 8 with bitsandbytes, 1, 2, 3, 4 or 8 with hqq. Unset, the model is loaded as "
        "it is.",
        unit="bits",
        ge=1,
        le=8,
        essential=True,
    )
    quantization_method: Literal["bnb", "hqq"] = option(
        "bnb",
        "The library that quantises while the model is loaded.",
        when=_ON,
        read_as={"bitsandbytes": ("bnb", "is read as bnb, its short name")},
        planned={"eetq": "use bnb with quantization_bit: 8"},
    )
    quantization_type: Literal["nf4", "fp4"] = option(
        "nf4", "The sixteen numbers that 4 bits stand for: evenly likely ones (nf4) or a tiny float (fp4).", when=_BNB4
    )
    double_quantization: Flag = option(
        True, "Quantise the scales of 4-bit weights too; 0.4 bits less each.", when=_BNB4
    )
    quantization_device_map: Text | None = option(
        None, "Kept from LLaMA-Factory, where it spreads a model for inference; training uses one device.", when=_ON,
        inert="training uses one device",
    )  # fmt: skip


RULES = (
    Rule(
        ("quantization_bit", "finetuning_type"),
        lambda r: r.quantization_bit is not None and r.finetuning_type not in ADAPTERS,
        "quantised weights cannot learn, only adapters beside them",
        "set finetuning_type: lora (QLoRA) or oft (QOFT), or remove quantization_bit",
    ),
    Rule(
        ("quantization_bit", "quantization_method"),
        lambda r: r.quantization_bit not in (None, 4, 8) and r.quantization_method == "bnb",
        "bitsandbytes has 4 and 8 bits only",
        "use 4 or 8, or quantization_method: hqq",
    ),
    Rule(
        ("quantization_bit", "quantization_method"),
        lambda r: r.quantization_bit in (5, 6, 7) and r.quantization_method == "hqq",
        "hqq has 1, 2, 3, 4 and 8 bits",
        "use one of them",
    ),
    Rule(
        ("quantization_bit", "pissa_init"),
        lambda r: r.quantization_bit is not None and r.pissa_init,
        "PiSSA takes the weights apart, which must not be quantised for it",
        "use loftq_init: true, which is made for quantised weights, or remove quantization_bit",
    ),
    Rule(
        ("quantization_bit", "adapter_name_or_path"),
        lambda r: r.quantization_bit is not None and (r.create_new_adapter or len(r.adapter_name_or_path) > 1),
        "merging an adapter into quantised weights would round it away",
        "merge it first (tuitune export) and name the result as the model, or train on one adapter",
    ),
    Rule(
        ("loftq_init", "quantization_method"),
        lambda r: r.loftq_init and r.quantization_method != "bnb",
        "LoftQ is built for bitsandbytes",
        "set quantization_method: bnb",
    ),
)
