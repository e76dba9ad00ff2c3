"""Which words on the command line are commands, and which mean the app."""

from __future__ import annotations

import difflib

from typer._click import Command, Context
from typer.core import TyperGroup
from typer.exceptions import TyperException

from tuitune.tui.opening import is_recipe

_OPEN = "_open"


class Commands(TyperGroup):
    """The commands; a first word that is none but means a recipe opens the app on it."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Return the command, and what is left of the words."""
        word = args[0]
        if word.startswith("-"):
            return super().resolve_command(ctx, args)
        if self.get_command(ctx, word) is None and is_recipe(word):
            args = [_OPEN, *args]
        try:
            return super().resolve_command(ctx, args)
        except TyperException as error:
            error.message = self._unknown(word)
            raise

    def _unknown(self, word: str) -> str:
        from tuitune import resources

        shown = [name for name, command in self.commands.items() if not command.hidden]
        near = difflib.get_close_matches(word, [*shown, *resources.all_presets()], n=3)
        likes = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"{word!r:.100} is no command, no preset and no recipe file (.yaml, .yml, .json){likes}"
