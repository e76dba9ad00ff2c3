"""The commands for what comes after training, in words; each command's work is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from tuitune.cli.options import Json

Dtype = Literal["float32", "bfloat16", "float16"]
GgufType = Literal["F16", "BF16", "Q8_0", "Q4_0"]


def _gguf_type(word: str) -> str:
    """Return a type as it is written; typer would name those that there are in small letters."""
    found: str | None = next((each for each in get_args(GgufType) if each.lower() == word.lower()), None)
    if found is None:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(get_args(GgufType))}.")
    return found


def export(
    name: Annotated[
        str, typer.Argument(metavar="WHAT", help="A run, a checkpoint in it, an adapter, a model, or a recipe's file.")
    ],
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OUT] [KEY=VALUE]...", help="The folder to write, new; then values for recipe keys."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The model to merge into, if not the one trained on.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Option("--with", metavar="ADAPTER", help="A further adapter, a run or folder.")
    ] = None,
    shares: Annotated[
        str | None, typer.Option("--weights", metavar="W,W", help="How much of each adapter goes in, such as 0.7,0.3.")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option("--dtype", help="The number format of the weights.")] = None,
    gguf: Annotated[
        str | None,
        typer.Option(
            "--gguf",
            metavar="F16|BF16|Q8_0|Q4_0",
            parser=_gguf_type,
            help="Write a GGUF file for llama.cpp and Ollama, in this format.",
        ),
    ] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", metavar="N", help="Quantise, by bitsandbytes unless said: 4 or 8.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written, and how large.")] = False,
    json: Json = False,
) -> int:
    """Merge adapters into their model and write it for other programs: as it is, with few bits, or as GGUF.

    Everything is checked against the source before it is called done. All keys: docs/export.md.
    """
    from tuitune.cli.export import export as work

    given = {
        "export_adapter_weights": shares, "export_dtype": dtype, "export_format": gguf and "gguf",
        "export_gguf_type": gguf, "export_quantization_bit": bits,
    }  # fmt: skip
    options = [f"{key}={value}" for key, value in given.items() if value is not None]
    return work(name, rest or [], model=model, more=more or [], given=options, dry_run=dry_run, as_json=json)


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of an export.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="The name on the hub: organisation/name.")],
    public: Annotated[bool, typer.Option("--public", help="Make the repository public, or let it be.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are in the repository.")] = False,
    anything: Annotated[bool, typer.Option("--any", help="Push a folder that tuitune export did not write.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare with the repository; send nothing.")] = False,
    json: Json = False,
) -> int:
    """Push an export to a hub. The token is read from HF_TOKEN, or from the hub's own login."""
    from tuitune.cli.push import push as work

    return work(folder, repo, public=public, overwrite=overwrite, anything=anything, dry_run=dry_run, as_json=json)


def expand(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, folder or GGUF file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; it must not exist.")],
    blocks: Annotated[int, typer.Option("--blocks", metavar="N", min=1, help="How many; N divides the layers.")],
    json: Json = False,
) -> int:
    """Insert blocks into a model that change nothing until they are trained (LLaMA Pro), and write it as a new one."""
    from tuitune.cli.expand import expand as work

    return work(model, out, blocks, as_json=json)


def evaluate(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A run, a checkpoint, an adapter, a model, or a recipe's file.")
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values for recipe keys, as task=mmlu_test.")
    ] = None,
    others: Annotated[
        list[str] | None, typer.Option("--with", metavar="OTHER", help="A further model to measure beside it.")
    ] = None,
    no_base: Annotated[bool, typer.Option("--no-base", help="Leave out the model that it was trained from.")] = False,
    data: Annotated[
        str | None, typer.Option("--data", metavar="D", help="A data set or file, instead of what the run held back.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=1, max=2**63 - 1, help="At most so many of the rows.")
    ] = None,
    metrics: Annotated[
        list[Path] | None,
        typer.Option("--metric", metavar="FILE", help="Python with functions metric_...; runs with your permissions."),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw answers as the recipe samples, instead of the likeliest.")
    ] = False,
    no_answers: Annotated[bool, typer.Option("--no-answers", help="Measure the loss only.")] = False,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="What the results are called; with --resume, which of them to go on with."
        ),
    ] = "",
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The model of an adapter, if not the one it names.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the one that was interrupted last, or that --name says.")
    ] = False,
    json: Json = False,
) -> int:
    """Measure a tuned model and its base side by side: loss, answers, benchmarks, with 95 % intervals."""
    from tuitune.cli.evaluate import evaluate as work
    from tuitune.face.subject import Words

    words = Words(
        what, tuple(settings or ()), tuple(others or ()), not no_base, data, rows, tuple(map(str, metrics or ())),
        sample, not no_answers, name, model,
    )  # fmt: skip
    return work(words, resume=resume, as_json=json)


def serve(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT... [KEY=VALUE]...",
            help="Runs, folders, adapters or models, as WHAT or NAME=WHAT; or a recipe's file; values for its keys.",
        ),
    ],
    host: Annotated[
        str | None, typer.Option("--host", metavar="H", help="The address to listen on; 127.0.0.1 unless given.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="P", help="8000 unless given; 0 takes a free one.")
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--name", metavar="NAME", help="The name of a model, in the order of WHAT.")
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", metavar="N", min=1, help="Answers written at once.")] = None,
    queue: Annotated[int | None, typer.Option("--queue", metavar="N", min=1, help="Answers that may wait.")] = None,
    context: Annotated[
        int | None, typer.Option("--context", metavar="N", min=1, help="Longest prompt and answer, in tokens.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=1, help="Longest time for a request, in seconds.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing of single requests.")] = False,
    json: Json = False,
) -> int:
    """Serve models behind an OpenAI-style interface, on this machine and behind a token unless told otherwise.

    The token is shown once, and is taken from TUITUNE_API_KEY where that is set.
    """
    from tuitune.cli.serve import Asked
    from tuitune.cli.serve import serve as work

    limits = {"rows": rows, "queue": queue, "context": context, "answer": max_tokens, "seconds": timeout}
    return work(Asked(words, names or (), host, port, limits, quiet), as_json=json)


def web(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] [KEY=VALUE]...", help="What the app opens; what was open last unless given."),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="H", help="The address to listen on; 127.0.0.1 unless given.")
    ] = None,
    port: Annotated[int, typer.Option("--port", metavar="P", help="0 takes a free one.")] = 8080,
) -> int:
    """Open the app in a browser, on this machine and behind a token; every tab is an app of its own."""
    from tuitune.cli.web import web as work

    return work(words or [], host=host, port=port)


COMMANDS = (evaluate, export, push, expand, serve, web)
