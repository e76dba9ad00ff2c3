"""The Export screen: a tuned model as files for other programs, with what it takes shown before."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical

from tuitune.tui.exporting import HUB_KEYS
from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.optiondraft import OptionDraft
from tuitune.tui.panes.export_plan import EarlierPane, PlanPane
from tuitune.tui.panes.export_setup import ExportSetup
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.panes.options import OptionsPane
from tuitune.tui.screens.export_actions import ExportActions, words_of
from tuitune.tui.screens.paned import PanedScreen, bindings
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

TABS = (
    ("setup", "1", "Export"), ("options", "2", "Settings"), ("takes", "3", "Takes"), ("made", "4", "Made before"),
    ("jobs", "5", "Work"),
)  # fmt: skip
_SECTIONS = (
    ("Form", ("export_format", "export_dtype", "export_gguf_type", "export_size", "export_device")),
    ("Few bits", ("export_quantization_bit", "export_quantization_method", "export_quantization_dataset",
                  "export_quantization_nsamples", "export_quantization_maxlen")),
    ("Beside it", ("export_model_card", "export_ollama", "template", "default_system")),
    ("Hub", ("export_hub_model_id", "export_hub_private")),
)  # fmt: skip
_IDLE = "s starts; what runs goes on without this screen, and shows here"
_KEYS = (
    ("s", "start", "Start", "export.start", "write what is asked for"),
    ("w", "what", "Which model", "export.what", "choose the run, checkpoint, adapter or model"),
    ("f", "form", "Form", "export.form", "choose the form: merged, quantised, GGUF"),
    ("a", "adapter", "Adapter", "export.adapter", "merge a further adapter"),
    ("x", "cancel", "Cancel", "export.cancel", "end the export in progress; asks"),
    ("z,f2", "zoom", "Zoom", "export.zoom", "this pane alone, or all of them again"),
    ("escape", "back", "Back", "export.back", "back to where you came from"),
)


class ExportScreen(ExportActions, PanedScreen):
    """What is asked for, what it takes, what is at work and what was made; below 100 columns one at a time."""

    CSS_PATH = "export.tcss"
    TABS = TABS
    BINDINGS: ClassVar[list[BindingType]] = bindings("export.to_", TABS, _KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__("setup")
        self.options = OptionDraft("export", "export", _SECTIONS, once=HUB_KEYS)
        self.wanted = subject

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="export"):
            with Vertical(classes="asked"):
                yield ExportSetup(self.options, classes="setup place")
                yield OptionsPane(self.options, digit="2", classes="options place")
            with Vertical(classes="done"):
                yield PlanPane(classes="takes place")
                yield EarlierPane(classes="made place")
                yield JobsPane(("export", "push"), words=words_of, empty=_IDLE, digit="5", classes="jobs place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Find out what it is about."""
        if self.left:
            return
        self.place_panes()
        self.query_one(ExportSetup).focus_first()
        self.options.subscribe(self.follow)
        self.look_for_subject()
        self.app.note_focus()

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        ending: list[Entry] = [("x", "cancel", "screen.cancel")] if self.at_work else []
        return [
            *ending, ("s", "start", "screen.start"), ("w", "which model", "screen.what"), ("f", "form", "screen.form"),
            ("a", "adapter", "screen.adapter"), ("esc", "back", "screen.back"), ("f1", "help", "help_here"),
            ("z", "zoom", "screen.zoom"),
        ]  # fmt: skip

    def on_export_setup_changed(self, message: ExportSetup.Changed) -> None:
        """Find out what is asked for now."""
        message.stop()
        self.follow()

    def on_jobs_pane_changed(self, message: JobsPane.Changed) -> None:
        """Show what has begun, and what has come out."""
        message.stop()
        self.job_changed(message.job)

    def on_jobs_pane_told(self, message: JobsPane.Told) -> None:
        """The pane itself shows how far it is."""
        message.stop()

    # -- where things stand ------------------------------------------------------------------------------------

    def stand(self) -> None:
        """Show the side that has the pane, where only one shows."""
        left = self.tab in ("setup", "options")
        self.query_one(".asked").set_class(left, "-active")
        self.query_one(".done").set_class(not left, "-active")
