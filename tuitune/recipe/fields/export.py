"""What `tuitune export` writes, as LLaMA-Factory's export recipes ask for it."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Purpose, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Text, Whole

_QUANTISED = When("export_quantization_bit")
_CALIBRATED = (_QUANTISED, When("export_quantization_method", ("gptq", "awq")))
_GGUF = When("export_format", ("gguf",))
_FILES = When("export_format", ("safetensors",))
GGUF_TYPES = ("F16", "BF16", "Q8_0", "Q4_0")


class ExportOptions(Options):
    """Where the tuned model goes, and in which form."""

    GROUP: ClassVar[str] = "export"
    PURPOSE: ClassVar[Purpose] = "export"

    export_dir: Text | None = option(None, "The folder to write; it must not exist.")
    export_format: Literal["safetensors", "gguf"] = option(
        "safetensors", "A folder that transformers and servers load, or one with a GGUF file for llama.cpp and Ollama."
    )
    export_dtype: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto", "The number format of the weights; auto is infer_dtype, and bfloat16 where that is auto too.",
        when=_FILES,
    )  # fmt: skip
    export_size: Whole = option(5, "Largest file of weights; more are written where they do not fit.", unit="GB", ge=1)
    export_device: Literal["cpu", "auto"] = option(
        "cpu", "Where the merging is computed: in main memory, or on the GPU where there is one."
    )
    export_adapter_weights: Names = option(
        (), "How much of each adapter goes in, one number for each of adapter_name_or_path; 1 is all of it."
    )
    export_quantization_bit: Whole | None = option(
        None, "Bits of a weight: 4 or 8 with bnb, 4 with awq, 2, 3, 4 or 8 with gptq.", unit="bits", ge=2, le=8,
        when=_FILES,
    )  # fmt: skip
    export_quantization_method: Literal["gptq", "awq", "bnb"] = option(
        "gptq", "The library that quantises the merged weights.", when=_QUANTISED
    )
    export_quantization_dataset: Text | None = option(
        None, "Texts to calibrate on: a data set's name, or a file.", when=_CALIBRATED
    )
    export_quantization_nsamples: Whole = option(128, "Calibration samples.", unit="samples", ge=1, when=_CALIBRATED)
    export_quantization_maxlen: Whole = option(
        1024, "Length of a calibration sample.", unit="tokens", ge=1, when=_CALIBRATED
    )
    export_legacy_format: Flag = option(
        False, "Of LLaMA-Factory: write pickled .bin files.",
        inert="weights are written as safetensors: pickled files can run code when they are loaded",
    )  # fmt: skip
    export_gguf_type: Literal["F16", "BF16", "Q8_0", "Q4_0"] = option(
        "Q8_0", "The number format of the matrices in the GGUF file.", when=_GGUF
    )
    export_model_card: Flag = option(True, "Write a README.md from the recipe and the evaluation.")
    export_ollama: Flag = option(True, "Write a Modelfile for Ollama.")
    export_hub_model_id: Text | None = option(None, "Push the result to the hub under this name, organisation/name.")
    export_hub_private: Flag = option(True, "Make the repository on the hub private.", when=When("export_hub_model_id"))


def _numbers(values: tuple[str, ...]) -> bool:
    try:
        return all(abs(float(value)) < 1e6 for value in values)  # False for nan
    except ValueError:
        return False


RULES = (
    Rule(
        ("export_adapter_weights",),
        lambda r: not _numbers(r.export_adapter_weights),
        "must be numbers, such as 0.7, 0.3",
    ),
    Rule(
        ("export_adapter_weights", "adapter_name_or_path"),
        lambda r: (
            bool(r.export_adapter_weights) and len(r.export_adapter_weights) != len(r.adapter_name_or_path)
        ),
        "must have one number for each adapter of adapter_name_or_path",
        "name as many adapters as weights",
    ),
    Rule(
        ("export_quantization_bit", "export_quantization_method"),
        lambda r: (
            r.export_quantization_bit is not None
            and r.export_quantization_bit not in {"gptq": (2, 3, 4, 8), "awq": (4,), "bnb": (4, 8)}[
                r.export_quantization_method
            ]
        ),
        "the library does not quantise to so many bits",
        "awq has 4, bnb 4 and 8, gptq 2, 3, 4 and 8",
    ),
    Rule(
        ("export_quantization_dataset", "export_quantization_bit", "export_quantization_method"),
        lambda r: (
            r.export_quantization_bit is not None
            and r.export_quantization_method != "bnb"
            and not r.export_quantization_dataset
        ),
        "is missing: gptq and awq need texts to calibrate on",
        "name a data set or a file; or set export_quantization_method: bnb, which needs none",
    ),
)  # fmt: skip
