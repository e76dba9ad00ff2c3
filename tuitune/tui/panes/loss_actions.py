"""How the user looks at a curve: what the keys and the mouse do in the Loss pane."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp

from tuitune.face import figures
from tuitune.face.curve import ACROSS, NO_LOG, SMOOTHING
from tuitune.text import clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.chart import Window
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.panes.loss_frame import EDGE, columns
from tuitune.tui.panes.loss_look import Look, following, jumped, moved, panned, pointed, window, zoomed
from tuitune.tui.runview import RunView

_SMOOTHINGS = (0.0, 0.6, 0.9, 0.97)
_KEYS = (
    ("l", "log_scale", "Log scale", "loss.log", "logarithmic or linear values"),
    ("x", "across", "Axis", "loss.x", "steps, time or tokens along the foot"),
    ("s", "smooth", "Smoothing", "loss.smooth", "none, .6, .9 or .97 of the past in the smooth curve"),
    ("m", "figure(1)", "Figure", "loss.figure", "another figure of the stage as the large curve"),
    ("M", "figure(-1)", "Figure before", "loss.figure_before", "the figure before it"),
    ("e", "range", "Range", "loss.range", "all values, or without the steep beginning"),
    ("plus,equals_sign,up", "zoom_in", "Zoom in", "loss.zoom_in", "half as many steps, around the cursor or the end"),
    ("minus,down", "zoom_out", "Zoom out", "loss.zoom_out", "twice as many steps"),
    ("left", "earlier", "Earlier", "loss.left", "earlier steps; without a zoom, the cursor"),
    ("right", "later", "Later", "loss.right", "later steps; without a zoom, the cursor"),
    ("shift+left", "cursor(-1)", "Cursor left", "loss.cursor_left", "read the values of an earlier step"),
    ("shift+right", "cursor(1)", "Cursor right", "loss.cursor_right", "read the values of a later step"),
    ("home", "first", "First steps", "loss.home", "the beginning of the run"),
    ("end", "last", "Last steps", "loss.end", "the end of the run, and follow it"),
    ("0", "whole", "All steps", "loss.whole", "no zoom, no cursor; again: up to the last step to come"),
)


class LossActions(DrawnPane):
    """A pane that draws the curve of a run, and its keys."""

    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.look = Look()
        self.smoothing = SMOOTHING
        self._view: RunView | None = None

    @property
    def _drawing(self) -> RunView | None:
        return self._view if self._view is not None and len(self._view.curves) else None

    def _see(self, look: Look) -> None:
        self.look = look
        self.redraw()

    def action_log_scale(self) -> None:
        """Change between logarithmic and linear values."""
        if self._view is not None and self._view.curves.shown != figures.LOSS:
            self.app.notify(NO_LOG, markup=False)
            return
        self._see(replace(self.look, log=not self.look.log))

    def action_across(self) -> None:
        """Change what stands on the horizontal axis."""
        kind = ACROSS[(ACROSS.index(self.look.across) + 1) % len(ACROSS)]
        self._see(replace(self.look, across=kind, zoom=0, right=None))

    def action_smooth(self) -> None:
        """Take the next smoothing."""
        self.smoothing = next((each for each in _SMOOTHINGS if each > self.smoothing), _SMOOTHINGS[0])
        if self._view is not None:
            self._view.curves.smoothing = self.smoothing
        self.redraw()

    def action_figure(self, way: int) -> None:
        """Show another figure as the large curve."""
        if (view := self._drawing) is None:
            return
        name = following(view, view.curves.shown, way)
        if name == view.curves.shown:
            self.app.notify("this run logs no other figure than its loss", markup=False)
            return
        self.look = replace(self.look, figure=None if name == figures.main(view.picture.stage) else name)
        view.curves.main = name
        self._entitle(view)
        self.redraw()

    def _entitle(self, view: RunView) -> None:
        self.label = clean_line(figures.word(view.curves.shown)).capitalize()

    def action_range(self) -> None:
        """Leave out the steep beginning, or show all values."""
        self._see(replace(self.look, robust=not self.look.robust))

    def action_whole(self) -> None:
        """End zoom and cursor; when there is none, change between the steps so far and all that will be."""
        look = self.look
        if look.zoom or look.cursor is not None:
            self._see(replace(self.look, zoom=0, right=None, cursor=None))
        else:
            self._see(replace(self.look, whole=not look.whole))

    def action_zoom_in(self) -> None:
        """Show half as many steps."""
        self._zoom(1)

    def action_zoom_out(self) -> None:
        """Show twice as many steps."""
        self._zoom(-1)

    def _zoom(self, more: int) -> None:
        if (view := self._drawing) is not None:
            self._see(zoomed(view, self.look, more))

    def action_earlier(self) -> None:
        """See earlier steps."""
        self._pan(-1)

    def action_later(self) -> None:
        """See later steps."""
        self._pan(1)

    def _pan(self, way: int) -> None:
        if not self.look.zoom:
            self.action_cursor(way)
        elif (view := self._drawing) is not None:
            self._see(panned(view, self.look, way))

    def action_first(self) -> None:
        """See the beginning, or move the cursor there."""
        self._jump(0)

    def action_last(self) -> None:
        """See the end and follow it, or move the cursor there."""
        self._jump(-1)

    def _jump(self, end: int) -> None:
        if (view := self._drawing) is not None:
            self._see(jumped(view, self.look, end))

    def action_cursor(self, way: int) -> None:
        """Move the cursor by one column, and what is seen with it."""
        if (view := self._drawing) is not None:
            self._see(moved(view, self.look, self._seen(view), way))

    def _seen(self, view: RunView) -> Window:
        return window(view, self.look, columns(self.content_size.width))

    def on_click(self, event: Click) -> None:
        """Set the cursor where the mouse asks for it, once the pane has the keys."""
        focused, view = self.has_focus, self._drawing
        super().on_click(event)
        if not focused or view is None:
            return
        seen = self._seen(view)
        column = event.get_content_offset_capture(self).x - EDGE
        if 0 <= column < seen.width:
            self._see(pointed(view, self.look, seen, column))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self._zoom(1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self._zoom(-1)
