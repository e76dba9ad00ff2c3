"""The Serve screen: models behind an OpenAI-style interface, what their server does, how it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical

from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.optiondraft import OptionDraft
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.panes.options import OptionsPane
from tuitune.tui.panes.serve_live import ServerPane, UsePane
from tuitune.tui.panes.serve_setup import ServeSetup
from tuitune.tui.screens.paned import PanedScreen, bindings
from tuitune.tui.screens.serve_actions import ServeActions, words_of
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

TABS = (
    ("setup", "1", "Serve"), ("options", "2", "Settings"), ("server", "3", "Server"), ("use", "4", "Use it"),
    ("jobs", "5", "Work"),
)  # fmt: skip
_SECTIONS = (
    ("Engine", ("infer_backend", "infer_dtype", "device", "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager",
                "vllm_max_lora_rank", "vllm_config", "sglang_maxlen", "sglang_mem_fraction", "sglang_tp_size",
                "sglang_lora_backend", "sglang_config")),
    ("Answers, where clients say nothing", ("do_sample", "temperature", "top_p", "top_k", "max_new_tokens",
                                            "repetition_penalty")),
    ("Template", ("template", "default_system", "enable_thinking")),
)  # fmt: skip
_IDLE = "s starts; a server goes on without this screen, and shows here"
_EVERY = 0.5  # seconds between two looks at the servers
_KEYS = (
    ("s", "start", "Start", "serve.start", "serve what is asked for"),
    ("w", "what", "Which model", "serve.what", "choose the first model"),
    ("a", "more", "Another model", "serve.more", "serve one more model"),
    ("t", "reveal", "Token", "serve.reveal", "show the token, or hide it"),
    ("c", "token", "Copy the token", "serve.token", "copy the token"),
    ("n", "next", "Next server", "serve.next", "show the next server"),
    ("x", "stop", "Stop", "serve.stop", "stop the server; asks"),
    ("z,f2", "zoom", "Zoom", "serve.zoom", "this pane alone, or all of them again"),
    ("escape", "back", "Back", "serve.back", "back to where you came from"),
)


class ServeScreen(ServeActions, PanedScreen):
    """What is asked for on the left, the server on the right; below 100 columns one pane at a time."""

    CSS_PATH = "serve.tcss"
    TABS = TABS
    BINDINGS: ClassVar[list[BindingType]] = bindings("serve.to_", TABS, _KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__("setup")
        self.options = OptionDraft("serve", "serve", _SECTIONS)
        self.wanted = subject

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="serve"):
            with Vertical(classes="asked"):
                yield ServeSetup(self.settings, self.wanted, classes="setup place")
                yield OptionsPane(self.options, digit="2", classes="options place")
                yield JobsPane(
                    ("serve",), words=words_of, doing=self.doing, empty=_IDLE, digit="5", classes="jobs place"
                )
            with Vertical(classes="done"):
                yield ServerPane(classes="server place")
                yield UsePane(classes="use place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Find out what it is about, and which servers run."""
        if self.left:
            return
        self.place_panes()
        self.query_one(ServeSetup).focus_first()
        self.look_for_subject()
        self.look()
        self.set_interval(_EVERY, self.look)
        self.app.note_focus()

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        runs: list[Entry] = [("x", "stop", "screen.stop"), ("t", "token", "screen.reveal")] if self.server else []
        piece: list[Entry] = [("y", "copy this")] if self.tab == "use" and self.server else []
        return [
            ("s", "start", "screen.start"), *piece, *runs, ("w", "which model", "screen.what"),
            ("a", "another", "screen.more"), ("esc", "back", "screen.back"), ("f1", "help", "help_here"),
            ("z", "zoom", "screen.zoom"),
        ]  # fmt: skip

    def on_jobs_pane_changed(self, message: JobsPane.Changed) -> None:
        """Show what has begun or ended."""
        message.stop()
        self.job_changed(message.job)

    def on_jobs_pane_told(self, message: JobsPane.Told) -> None:
        """The pane itself shows how far it is."""
        message.stop()

    # -- where things stand ------------------------------------------------------------------------------------

    def stand(self) -> None:
        """Show the side that has the pane, where only one shows."""
        left = self.tab in ("setup", "options", "jobs")
        self.query_one(".asked").set_class(left, "-active")
        self.query_one(".done").set_class(not left, "-active")
