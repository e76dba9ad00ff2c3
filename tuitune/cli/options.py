"""The words that several commands take, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

RecipePath = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file; LLaMA-Factory's run as they are.")]
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values that take the place of the recipe's.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, the beginning of it, or its path.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line and nothing else.")]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background; the run outlives this terminal.")]
NoMouse = Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal, to select text with.")]
Plain = Annotated[bool, typer.Option("--plain", help="Without the app, in plain lines.")]
