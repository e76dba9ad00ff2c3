"""The commands that open the app where there is a terminal, and do the same in plain lines where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from tuitune.tui.env import on_terminal
from tuitune.tui.launch import launch
from tuitune.tui.leave import Request
from tuitune.tui.opening import is_setting


def nothing(help_text: str, *, mouse: bool) -> int:
    """`tuitune` alone: what was open last, or the help for whoever cannot see the app."""
    if not on_terminal():
        print(help_text)
        return 0
    return launch(Request(mouse=mouse))


def recipe(words: Sequence[str], *, mouse: bool) -> int:
    """Open a recipe with its settings; settings alone are those of the first preset."""
    first = None if is_setting(words[0]) else words[0]
    return launch(Request(recipe=first, settings=tuple(words[first is not None :]), mouse=mouse))


def attach(run: str | None, *, plain: bool, mouse: bool) -> int:
    """Open a run that trains elsewhere, or that has ended."""
    if plain or not on_terminal():
        from tuitune.cli.attach import attach as follow

        return follow(run)
    return launch(Request(attach=run or "", mouse=mouse))


def demo(settings: Sequence[str], *, name: str | None, author: str | None, plain: bool, mouse: bool) -> int:
    """Open the first preset with what the model shall say of itself."""
    if plain or not on_terminal():
        from tuitune.cli.demo import demo as train

        return train(settings, name=name, author=author)
    return launch(Request(recipe="quickstart", settings=(*identity(name, author), *settings), mouse=mouse))


def identity(name: str | None, author: str | None) -> list[str]:
    """Return what the model shall say of itself as settings of the recipe."""
    given = {"name": name, "author": author}
    return [f'{key}="{_quoted(value)}"' for key, value in given.items() if value is not None]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
