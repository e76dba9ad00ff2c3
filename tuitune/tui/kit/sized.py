"""A screen that stands right from the first sight on."""

from __future__ import annotations

from textual.screen import Screen


def fit_in_time(screen: Screen[None]) -> None:
    """Give a screen the classes of its size before it is drawn: Textual gives them when it has been."""
    app = screen.app
    for cells, own, of_all in (
        (app.size.width, screen.HORIZONTAL_BREAKPOINTS, app.HORIZONTAL_BREAKPOINTS),
        (app.size.height, screen.VERTICAL_BREAKPOINTS, app.VERTICAL_BREAKPOINTS),
    ):
        names = [name for least, name in sorted((of_all if own is None else own) or ()) if cells >= least]
        screen.add_class(*names[-1:])
