"""The commands for what comes after training, in words; each command's work is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Dtype = Literal["float32", "bfloat16", "float16"]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else.")]


def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint in it, or an adapter's folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; it must not exist.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The model to merge into, if not the one trained on.")
    ] = None,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="The number format of the weights.")] = "bfloat16",
    json: Json = False,
) -> int:
    """Merge a run's adapters into their model and write it as an ordinary one, for other programs to load."""
    from tuitune.cli.export import export as work

    return work(name, out, model=model, dtype=dtype, as_json=json)


def expand(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, folder or GGUF file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; it must not exist.")],
    blocks: Annotated[int, typer.Option("--blocks", metavar="N", min=1, help="How many; N divides the layers.")],
    json: Json = False,
) -> int:
    """Insert blocks into a model that change nothing until they are trained (LLaMA Pro), and write it as a new one."""
    from tuitune.cli.expand import expand as work

    return work(model, out, blocks, as_json=json)


COMMANDS = (export, expand)
