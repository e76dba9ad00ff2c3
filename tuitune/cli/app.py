"""The command line: what may be asked, in words; each command's work is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuitune.cli import after, during
from tuitune.cli.group import Commands
from tuitune.cli.options import Detach, Json, NoMouse, Plain, RecipePath, RunName, Settings
from tuitune.cli.runs_app import runs_app

app = typer.Typer(
    name="tuitune",
    help="Fine-tune language models from a terminal.\n\nWithout a command it opens the app: on a recipe file or a "
    "preset, with KEY=VALUE in place of its values, or on what was open last.",
    cls=Commands,
    subcommand_metavar="[RECIPE] [KEY=VALUE]... | COMMAND [ARGS]...",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="List the models on this machine, or fetch one.", rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
app.add_typer(models_app, name="models")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    no_mouse: NoMouse = False,
) -> int:
    if version:
        from importlib.metadata import version as installed

        print(installed("tuitune"))
    elif context.invoked_subcommand is None:
        from tuitune.cli.open import nothing

        return nothing(context.get_help(), mouse=not no_mouse)
    context.obj = not no_mouse
    return 0


@app.command("_open", hidden=True)
def open_(context: typer.Context, words: list[str], no_mouse: NoMouse = False) -> int:
    """Open the app on a recipe."""
    from tuitune.cli.open import recipe as work

    return work(words, mouse=bool(context.obj) and not no_mouse)


@app.command()
def train(
    recipe: RecipePath,
    settings: Settings = None,
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Name of the run.")] = None,
    detach: Detach = False,
    json: Json = False,
) -> int:
    """Train what a recipe asks for; the same recipe in the same place goes on where it stopped.

    ctrl+c saves a checkpoint and ends, a second one ends without. A detached run takes `tuitune stop`; at SIGTERM it
    writes a checkpoint and goes on.
    """
    from tuitune.cli.train import train as work

    return work(recipe, settings or [], name=run, detached=detach, as_json=json)


@app.command()
def resume(run: RunName, settings: Settings = None, detach: Detach = False, json: Json = False) -> int:
    """Go on with a run from its newest checkpoint, with other values if some are given."""
    from tuitune.cli.resume import resume as work

    return work(run, settings or [], detached=detach, as_json=json)


for name, command in during.COMMANDS.items():
    app.command(name)(command)


@app.command()
def chat(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE [KEY=VALUE]...]",
            help="A recipe for inference, LLaMA-Factory's too; or a run, a folder of one, or a model by its name.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="A model's name, folder or GGUF file.")
    ] = None,
    adapter: Annotated[str | None, typer.Option("--adapter", metavar="DIR", help="An adapter to put on it.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="A run: its live weights, or its result.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="An OpenAI-style server; TUITUNE_API_KEY if it is not yours."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="OTHER", help="A second one answers too: a run, model, URL#MODEL, or `base`."
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="S", help="What the assistant is told first.")
    ] = None,
    tools: Annotated[
        Path | None, typer.Option("--tools", metavar="FILE", help="Functions it may call: a JSON list of them.")
    ] = None,
    load: Annotated[
        Path | None, typer.Option("--load", metavar="FILE", help="Go on with a file, kept or saved, or a comparison.")
    ] = None,
    once: Annotated[
        str | None, typer.Option("--once", metavar="TEXT", help="Print one reply, keep nothing; `-`: standard input.")
    ] = None,
    score: Annotated[
        bool,
        typer.Option("--score", help="With a reward model: score the conversations on standard input (JSON or lines)."),
    ] = False,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest reply, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token always.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens of this probability.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many likeliest tokens; 0 sets no limit.")] = None,
    seed: Annotated[int | None, typer.Option(help="Start of the random numbers of every reply.")] = None,
) -> int:
    """Talk to a model, to a tuned one, or to a run while it learns; or to two of them at once."""
    from tuitune.cli.chat import Wish
    from tuitune.cli.chat import chat as work

    options = {
        "max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed,
    }  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None}
    return work(
        Wish(
            what or (), model, adapter, run, server, compare, system, tools, load, once, score, given,
        )
    )  # fmt: skip


for command in after.COMMANDS:
    app.command()(command)


@app.command()
def check(recipe: RecipePath, settings: Settings = None, json: Json = False) -> int:
    """Say everything that is wrong with a recipe, without training."""
    from tuitune.cli.check import check as work

    return work(recipe, settings or [], as_json=json)


@app.command()
def plan(
    recipe: RecipePath,
    settings: Settings = None,
    everything: Annotated[bool, typer.Option("--all", help="Every tensor by itself, not layers together.")] = False,
    json: Json = False,
) -> int:
    """Say what a recipe would train, tensor by tensor, and how much memory it would take, without training."""
    from tuitune.cli.plan import plan as work

    return work(recipe, settings or [], everything=everything, as_json=json)


@app.command()
def data(
    recipe: RecipePath,
    settings: Settings = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, help="How many examples to show.")] = 2,
    row: Annotated[
        str | None, typer.Option("--row", metavar="ROW", help="Only this one: its number, or FILE:ROW.")
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="As another stage sees them.")] = None,
    evaluation: Annotated[bool, typer.Option("--eval", help="The rows held back for evaluation.")] = False,
    json: Json = False,
) -> int:
    """Show which tokens a recipe would train on: what the data come to, what is wrong, examples token by token."""
    from tuitune.cli.data import data as work

    return work(recipe, settings or [], count=rows, row=row, stage=stage, evaluation=evaluation, as_json=json)


@app.command()
def schema() -> int:
    """Print the JSON schema of recipes, for editors."""
    from tuitune.cli.check import schema as work

    return work()


@models_app.callback(invoke_without_command=True)
def _models(context: typer.Context, json: Json = False) -> int:
    if context.invoked_subcommand is not None:
        return 0
    from tuitune.cli.models import listed as work

    return work(as_json=json)


@models_app.command("get")
def models_get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="organisation/name on the hub, or smollm2-135m.")],
    json: Json = False,
) -> int:
    """Fetch a model and make it ready to be trained."""
    from tuitune.cli.models import get as work

    return work(name, as_json=json)


@app.command()
def doctor(json: Json = False) -> int:
    """Look at this machine and say what is missing."""
    from tuitune.cli.doctor import doctor as work

    return work(as_json=json)


@app.command()
def demo(
    context: typer.Context,
    settings: Settings = None,
    name: Annotated[str | None, typer.Option("--name", help="What the model shall call itself.")] = None,
    author: Annotated[str | None, typer.Option("--author", help="Who it shall say made it.")] = None,
    plain: Plain = False,
    no_mouse: NoMouse = False,
) -> int:
    """Teach a small model its own name: in the app, or in plain lines with the same questions before and after."""
    from tuitune.cli.open import demo as work

    mouse = bool(context.obj) and not no_mouse
    return work(settings or [], name=name, author=author, plain=plain, mouse=mouse)


@app.command("_host", hidden=True)
def host(run_dir: str) -> int:
    """Train in a run directory without a terminal."""
    from tuitune.cli.host import host as work

    return work(run_dir)
