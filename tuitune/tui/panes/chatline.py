"""The line of the prompt but for the prompt itself."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, width_of
from tuitune.tui.panes.chatforms import Sampling
from tuitune.tui.panes.job import Job
from tuitune.tui.panes.prompt import Prompt


class Chevron(Static):
    """The mark before the prompt."""

    DEFAULT_CSS = "Chevron { width: 3; height: 1; background: $lift; color: $accent; text-style: bold; }"

    def render(self) -> Content:
        """Return it."""
        return Content(" > " if getattr(self.app, "ascii_glyphs", False) else " › ")

    def on_click(self) -> None:
        """Lead to the prompt."""
        self.screen.query_one(Prompt).focus()


class Beside(Drawn):
    """What stands right of the prompt: how answers are drawn, or how one goes."""

    DEFAULT_CSS = "Beside { width: auto; height: 1; }"
    row: Row = []  # noqa: RUF012  # never changed in place

    def rows(self, width: int, height: int) -> list[Row]:
        """Return it."""
        return [self.row]

    def put(self, row: Row) -> None:
        """Show another row, in as many cells as it takes."""
        if row != self.row:
            self.row = row
            self.styles.width = width_of(row)
        self.redraw()


def going(job: Job) -> Row:
    """Return how an answer goes."""
    words = "loading" if job.loading is not None else job.words()
    return R("quiet on lift", f" {words}  ", "accent on lift", "esc", "quiet on lift", " ends it ")


def drawing(sampling: Sampling, *, system: bool, tools: bool = False) -> Row:
    """Return how answers are drawn."""
    greedy = not sampling.get("do_sample", True) or sampling["temperature"] == 0
    how = "likeliest" if greedy else f"temp {sampling['temperature']:g}  top_p {sampling['top_p']:g}"
    seed = f"  seed {sampling['seed']}" if "seed" in sampling else ""
    first = ("system  " if system else "") + ("tools  " if tools else "")
    return R("quiet on lift", f" {first}{how}  {sampling['max_new_tokens']} tokens{seed} ")
