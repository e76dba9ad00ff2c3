"""GGUF weights de-quantised into a folder that transformers loads like any other model. Runs in the child process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.fit.embedded import NOTES
from tuitune.models.gguf_pace import told
from tuitune.models.gguf_words import tokenizer_of
from tuitune.models.load import strip_quantisation_marks

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Progress = Callable[[str, int, int | None], None]


def convert(source: str, target: str, *, progress: Progress) -> str:
    """Write the GGUF file `source` as fp32 safetensors with its tokenizer into the folder `target`; return `target`.

    What there is to say about its tokenizer goes to `target`/tuitune-notes.json, for whoever loads it.
    """
    file = Path(source)
    notes: list[str] = []
    progress("read the file", 0, None)
    try:
        with _alone(file) as link:
            tokenizer = tokenizer_of(link, notes.append)
            model = read_model(link, progress=progress)
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
    if notes:
        (Path(target) / NOTES).write_text(json.dumps({"notes": notes}), encoding="utf-8")
    return target


@contextmanager
def _alone(file: Path) -> Iterator[Path]:
    """Give the file by a name in a folder of its own: transformers takes a tokenizer.json that lies beside it."""
    with tempfile.TemporaryDirectory(prefix="tuitune-") as folder:
        link = Path(folder) / "model.gguf"
        link.symlink_to(file.resolve())
        yield link


def read_model(
    file: Path, config: PretrainedConfig | None = None, *, progress: Progress = lambda stage, done, total: None
) -> PreTrainedModel:
    """Return the model in a GGUF file, de-quantised to fp32; raises what transformers raises.

    config: its architecture, where that is known better than from the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    with told(file, progress):
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
