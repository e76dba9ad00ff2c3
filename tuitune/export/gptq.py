"""The child process that quantises by gptqmodel: the package ends its whole process where one of its threads fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from tuitune.models.quantise import quiet

Progress = Callable[[str, int, int | None], None]


def quantise(order: str, *, progress: Progress) -> str:
    """Do what the file `order` says: model, out, texts (token ids), library, bits, group, device, scratch, shard.

    Returns the folder. Raises whatever the package raises, or ends.
    """
    asked: dict[str, Any] = orjson.loads(Path(order).read_bytes())
    scratch = Path(asked["scratch"])
    scratch.mkdir()
    os.chdir(scratch)  # the package writes logs where it stands
    # Two workers load the model, and the package counts one on machines with two processors, and then refuses to work.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    quiet()
    library: Any = import_module("gptqmodel")
    settings: dict[str, Any] = {
        "bits": asked["bits"], "group_size": asked["group"], "device": asked["device"],
        "offload_to_disk_path": str(scratch / "layers"),
    }  # fmt: skip
    if asked["library"] == "awq":
        kinds: Any = import_module("gptqmodel.quantization")
        settings |= {"quant_method": kinds.METHOD.AWQ, "format": kinds.FORMAT.GEMM}
    progress("quantise", 0, None)
    model = library.GPTQModel.load(asked["model"], library.QuantizeConfig(**settings))
    rows = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in asked["texts"]]
    model.quantize(rows, batch_size=1)
    model.save(asked["out"], max_shard_size=asked["shard"])
    return str(asked["out"])
