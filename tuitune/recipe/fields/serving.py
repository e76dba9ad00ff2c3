"""Which engine answers, in `tuitune chat` and `tuitune serve`, and how it is set."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Purpose, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Settings, Whole

_VLLM = When("infer_backend", ("vllm",))
_SGLANG = When("infer_backend", ("sglang",))


class ServingOptions(Options):
    """The engines that answer: transformers in this process, or vLLM and SGLang where they are installed."""

    GROUP: ClassVar[str] = "serving"
    PURPOSE: ClassVar[Purpose] = "serve"

    infer_backend: Literal["huggingface", "vllm", "sglang"] = option(
        "huggingface", "The engine that answers.", read_as={"hf": ("huggingface", "is read as huggingface")}
    )
    infer_dtype: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto",
        "The number format of the weights that answer; auto is what the device computes best in.",
        also=("export", "evaluate"),
    )
    vllm_maxlen: Whole = option(4096, "Longest prompt and answer together.", unit="tokens", ge=1, when=_VLLM)
    vllm_gpu_util: Number = option(0.7, "Share of the GPU's memory that vLLM takes.", gt=0, le=1, when=_VLLM)
    vllm_enforce_eager: Flag = option(False, "Compile nothing in vLLM.", when=_VLLM)
    vllm_max_lora_rank: Whole = option(32, "Largest rank of the adapters that vLLM serves.", ge=1, when=_VLLM)
    vllm_config: Settings = option({}, "More settings of vLLM's engine, by its own names.", when=_VLLM)
    sglang_maxlen: Whole = option(4096, "Longest prompt with its answer.", unit="tokens", ge=1, when=_SGLANG)
    sglang_mem_fraction: Number = option(0.7, "How much of the GPU's memory SGLang takes.", gt=0, le=1, when=_SGLANG)
    sglang_tp_size: Whole = option(-1, "GPUs that share the model; -1 takes all.", ge=-1, when=_SGLANG)
    sglang_config: Settings = option({}, "More settings of SGLang's server, by its own names.", when=_SGLANG)
    sglang_lora_backend: Literal["triton", "flashinfer"] = option(
        "triton", "What computes adapters in SGLang.", when=_SGLANG
    )


RULES: tuple[Rule, ...] = ()
