"""`tuitune runs` and its commands, in words; each command's work is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuitune.cli.options import Json, RunName

runs_app = typer.Typer(
    help="List the runs, the one last active first; note, tag, compare, delete, restore or import them.",
    rich_markup_mode=None,
)

# Those of `tuitune.face.runs`, which `tuitune --help` has no time to import.
_ORDERS = ("newest", "name", "loss", "eval", "steps", "tokens", "time", "speed", "method", "model", "data", "state")

RunNames = Annotated[list[str], typer.Argument(metavar="RUN...", help="Names, beginnings of names, or paths.")]
Trashed = Annotated[list[str], typer.Argument(metavar="RUN...", help="Names, or ids as `tuitune runs trash` lists.")]
Tags = Annotated[list[str], typer.Argument(metavar="TAG...", help="Words; a # before one is left out.")]


@runs_app.callback(invoke_without_command=True)
def _runs(
    context: typer.Context,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Only those with this tag.")] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="STAGE", help="Only sft, pt, rm, dpo, orpo, simpo, kto, ppo, grpo or rloo."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only live, finished, stopped, failed, crashed, imported ones."),
    ] = None,
    search: Annotated[
        str,
        typer.Option("--search", metavar="WORDS", help="Only those whose names, data, tags or notes hold them all."),
    ] = "",
    sort: Annotated[
        str,
        typer.Option("--sort", metavar="BY", help=f"{', '.join(_ORDERS)}; -BY turns it round."),
    ] = "newest",
    json: Json = False,
) -> int:
    if context.invoked_subcommand is not None:
        return 0
    from tuitune.cli.runs import runs as work

    return work(tags=tag or [], stages=stage or [], states=state or [], search=search, sort=sort, as_json=json)


@runs_app.command("show")
def show(run: RunName, json: Json = False) -> int:
    """Say everything there is to say about a run: figures, checkpoints, evaluations, note and tags."""
    from tuitune.cli.runs_show import show as work

    return work(run, as_json=json)


@runs_app.command("diff")
def diff(runs: RunNames, json: Json = False) -> int:
    """Compare the recipes of two or more runs: the keys that differ, side by side."""
    from tuitune.cli.runs_show import diff as work

    return work(runs, as_json=json)


@runs_app.command("note")
def note(
    run: RunName,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="The note; without one it is printed.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the note away.")] = False,
) -> int:
    """Write a note on a run, in place of the one it had."""
    from tuitune.cli.runs_keep import note as work

    return work(run, " ".join(text) if text else None, clear=clear)


@runs_app.command("tag")
def tag(run: RunName, tags: Tags) -> int:
    """Give a run tags."""
    from tuitune.cli.runs_keep import tag as work

    return work(run, tags)


@runs_app.command("untag")
def untag(run: RunName, tags: Tags) -> int:
    """Take tags from a run."""
    from tuitune.cli.runs_keep import untag as work

    return work(run, tags)


@runs_app.command("delete")
def delete(runs: RunNames) -> int:
    """Move runs to the trash, from which they can be restored; one that trains is refused."""
    from tuitune.cli.runs_keep import delete as work

    return work(runs)


@runs_app.command("restore")
def restore(runs: Trashed) -> int:
    """Put deleted runs back where they were."""
    from tuitune.cli.runs_keep import restore as work

    return work(runs)


@runs_app.command("trash")
def trash(
    empty: Annotated[bool, typer.Option("--empty", help="Delete what is in it for good; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> int:
    """List the deleted runs with their sizes, or delete them for good."""
    from tuitune.cli.runs_keep import trash as work

    return work(empty=empty, sure=yes, as_json=json)


@runs_app.command("import")
def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="An output folder, or one that holds several, such as `saves`.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values of the recipe that its files do not tell."),
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Name of the run.")] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="The YAML that it was trained with.")
    ] = None,
    json: Json = False,
) -> int:
    """Take in what LLaMA-Factory or transformers trained, to compare, ask and export it; nothing there is changed."""
    from tuitune.cli.runs_import import import_ as work

    return work(folder, settings or [], name=run, recipe=recipe, as_json=json)


@runs_app.command("plot")
def plot(
    runs: RunNames,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PLACE", help="A folder, or one .png or .svg with all of them; else each run."),
    ] = None,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="NAME", help="Another figure than the loss.")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="AXIS", help="steps, time (of training) or tokens along the foot.")
    ] = "steps",
    smooth: Annotated[
        float, typer.Option("--smooth", metavar="PART", min=0, max=0.99, help="How much the past counts; 0: as logged.")
    ] = 0.9,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic values.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="KIND", help="training or evaluation, else both.")
    ] = None,
    json: Json = False,
) -> int:
    """Draw the curves of runs as PNG and SVG pictures; --out FILE.png lays those of up to eight over each other."""
    from tuitune.cli.runs_plot import plot as work

    return work(runs, out=out, figure=figure, by=by, smooth=smooth, log=log, only=only, as_json=json)
