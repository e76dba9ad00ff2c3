"""What will be trained on, to be looked at: every example token by token, and what the whole data set comes to.

Nothing is decoded before it is asked for, so that a million rows open as fast as ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.data.examples import Examples
from tuitune.data.look_pieces import Pieces, Token
from tuitune.data.look_side import Filter, Setting, Side
from tuitune.data.look_view import Block, Strand, View
from tuitune.data.options import Check

if TYPE_CHECKING:
    from tuitune.data.prepared import Prepared

__all__ = ["FILTERS", "Block", "Filter", "Look", "Pieces", "Setting", "Side", "Strand", "Token", "View"]

FILTERS: dict[Filter, str] = {
    "all": "all",
    "cut": "cut to cutoff_len",
    "twice": "duplicates",
    "unended": "end token not trained",
    "untrained": "nothing trained",
    "longest": "longest first",
}


class Look:
    """A prepared data set with its tokenizer, ready to be looked at."""

    def __init__(self, prepared: Prepared, pieces: Pieces, setting: Setting, check: Check = lambda: None) -> None:
        if not isinstance(prepared.train, Examples):
            raise TypeError("a stream has no rows to look at")
        self.report, self.template, self.setting, self.pieces = prepared.report, prepared.template_name, setting, pieces
        self.train = Side(prepared.train, pieces, setting, check)
        held = prepared.evaluation
        self.evaluation = None if held is None else Side(held, pieces, setting, check)

    @property
    def stop_text(self) -> str:
        """The token that ends an answer; not cleaned."""
        return self.pieces.text(self.setting.stop[:1])

    @property
    def checks_ends(self) -> bool:
        """Whether answers of this stage should end in an end token."""
        return self.setting.kind in ("answer", "pair", "label")

    def end_words(self, side: Side) -> str:
        """Say how it stands with the end token; nothing where there is nothing to say."""
        if not self.checks_ends or not side.rows_answered:
            return ""
        if not self.setting.stop:
            return "this template names no end token: the model does not learn where an answer ends"
        if not side.closed.any():
            return f"this template never trains the end token {self.stop_text}"
        return f"the end token is trained in {side.rows_closed:,} of {side.rows_answered:,} rows"
