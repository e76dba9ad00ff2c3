"""GGUF weights de-quantised into a folder that transformers loads like any other model. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.models.load import strip_quantisation_marks

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Progress = Callable[[str, int, int | None], None]


def convert(source: str, target: str, *, progress: Progress) -> str:
    """Write the GGUF file `source` as fp32 safetensors with its tokenizer into the folder `target`; return `target`."""
    file = Path(source)
    progress("read the file", 0, None)
    try:
        tokenizer = _tokenizer(file)
        progress("de-quantise", 0, None)
        model = read_model(file)
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"cannot convert {file.name}: {type(error).__name__}: {error}",
            "The file may be damaged, or its architecture is one that transformers cannot read from GGUF. "
            "Use the model's safetensors instead.",
        ) from error
    _settle(model, tokenizer)
    progress("write", 0, None)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _tokenizer(file: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(file.parent), gguf_file=file.name, trust_remote_code=False
    )
    return tokenizer


def read_model(file: Path, config: PretrainedConfig | None = None) -> PreTrainedModel:
    """Return the model in a GGUF file, de-quantised to fp32; raises what transformers raises.

    config: its architecture, where that is known better than from the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        str(file.parent),
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        attn_implementation="sdpa",
        trust_remote_code=False,
        output_loading_info=True,
        **({} if config is None else {"config": config}),
    )
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise ValueError(f"{len(missing)} tensors are not in it, {missing[0]} first")
    model: PreTrainedModel = loaded[0]
    return strip_quantisation_marks(model)


def _settle(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    # Where the file lay is of no interest to whoever loads the result.
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    # GGUF files often name the special tokens in the tokenizer's part only; generation stops by the model's.
    for holder in (model.config, model.generation_config):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if holder is not None and getattr(holder, name, None) is None:
                setattr(holder, name, getattr(tokenizer, name))
