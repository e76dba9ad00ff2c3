"""The Export pane: which model, which adapters and how much of each, in which form, where to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tuitune.text import clean_line
from tuitune.tui.exporting import PRESETS, Asked, Plan, Preset, preset_of
from tuitune.tui.kit.rows import R, Row, cells, cut, split
from tuitune.tui.optiondraft import OptionDraft
from tuitune.tui.panes.export_asking import ExportAsking, about_size
from tuitune.tui.panes.export_plan import plan_rows
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.subjects import named

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_NAMES = 9  # cells
_STEP = 0.1
_LEAST = 4  # rows that say anything about what it takes


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is about, its words, a note; `value` is the adapter where it is one of several."""

    kind: str
    name: str
    words: str
    note: str = ""
    value: str = ""


class ExportSetup(ExportAsking, ListPane[Line]):
    """What is asked for, line by line."""

    label = "Export"
    digit = "1"
    HELP = """
# Export

A tuned model as files that other programs load. Adapters are merged into their model in fp32; what was written is read
again and must answer as the model did, within a bound that is shown. Nothing is there before all of it is.

- **s** starts; the work goes on when you leave the screen or the app
- **w** chooses what: a run, a checkpoint, an adapter, a model
- **enter** changes a line, **left** and **right** turn it, **delete** takes an adapter out or puts a line back
- **y** copies the command that does the same

With several adapters each has a weight: 0.5 puts half of what it changes into the model.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(each for each in list_keys("exporting") if isinstance(each, Binding) and each.id != "exporting.copy"),
        Binding("left", "turn(-1)", "Before", show=False, id="exporting.before", tooltip="the choice before, or less"),
        Binding("right", "turn(1)", "After", show=False, id="exporting.after", tooltip="the choice after, or more"),
        Binding("delete,backspace", "remove", "Take out", show=False, id="exporting.remove",
                tooltip="take the adapter out, or put the line back"),
        Binding("y", "copy", "Copy", show=False, id="exporting.copy", tooltip="copy the command that does the same"),
    ]  # fmt: skip
    if TYPE_CHECKING:
        app: TuiTune

    class Changed(Message):
        """Something else is asked for."""

    def __init__(self, options: OptionDraft, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.options = options
        self.asked = Asked()
        self.plan = Plan()
        self.dataset = ""  # what the run was trained on, to calibrate with

    def ask(self, asked: Asked) -> None:
        """Ask for something else."""
        self.asked = asked
        self.show()
        self.call_later(self.post_message, self.Changed())

    def know(self, plan: Plan) -> None:
        """Take notice of what would happen."""
        self.plan = plan
        self.show()

    def show(self) -> None:
        """Draw the lines that there are now."""
        at = self._at
        self.take(self.lines())
        self._at = min(at, len(self._items) - 1)
        self.redraw()

    # -- what there is -----------------------------------------------------------------------------------------

    @property
    def preset(self) -> Preset | None:
        """The form that the settings ask for."""
        return preset_of(self.options.values)

    def lines(self) -> list[Line]:
        """Return the lines there are now."""
        asked, order = self.asked, self.plan.order
        whom = named(asked.subject) if asked.subject is not None else "choose one"
        lines = [Line("subject", "model", whom, "" if asked.subject is not None else "w")]
        adapters = order.weights.adapters if order is not None else ()
        for path in adapters:
            share = asked.shares.get(str(path), 1.0)
            lines.append(Line("adapter", "adapter", named(str(path)), f"× {share:g}", str(path)))
        if order is None or adapters:
            lines.append(Line("add", "", "+ another adapter"))
        preset = self.preset
        size = self.plan.outline.size if self.plan.outline is not None else None
        lines.append(Line("form", "as", preset.name if preset else self._other(), about_size(size)))
        lines.append(Line("out", "to", clean_line(self.out_words()), "" if asked.out else "a new one"))
        repo = self.options.value("export_hub_model_id")
        lines.append(Line("repo", "push to", clean_line(str(repo)) if repo else "nowhere", "" if repo else "the hub"))
        return lines

    def _other(self) -> str:
        return self.plan.order.form_words if self.plan.order is not None else "as the settings say"

    def out_words(self) -> str:
        """Return the folder, short."""
        argv = self.plan.argv
        return _short(argv[2]) if len(argv) > 2 else "a folder of its own"

    def body(self, width: int, height: int) -> list[Row]:
        """Return the lines; where this pane shows alone, what it takes below them."""
        rows = super().body(width, height)
        room = height - len(rows) - 1
        alone = self.screen.has_class("-one") and room >= _LEAST
        return [*rows, [], *plan_rows(self.plan, width, room, brief=True)] if alone else rows

    def nothing(self) -> str:
        """Return what is said while there is nothing."""
        return "looking"

    def text_of(self, item: Line) -> str:
        """Return the command: a line alone does nothing."""
        return self.plan.command

    def lines_of(self, item: Line, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return the row of a line."""
        role = "strong b" if chosen else "quiet" if item.kind == "add" else "ink"
        left = R("accent", "▌ " if chosen else "  ", "quiet", f"{item.name:<{_NAMES}}")
        room = width - 2 - _NAMES - 1
        note = item.note if cells(item.words) + cells(item.note) + 2 <= room or item.kind == "adapter" else ""
        said = item.words
        if item.kind in ("out", "adapter"):
            said = _tail(said, room - cells(note) - 1)
        return [split([*left, *R(role, cut(said, room))], R("quiet", f" {note} " if note else ""), width, " ", "ink")]

    # -- what keys do ------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Change the line under the cursor."""
        line = self._chosen()
        match line.kind if line is not None else "":
            case "subject":
                self.choose_subject()
            case "add":
                self.choose_adapter()
            case "adapter":
                assert line is not None
                self.ask_share(line.value)
            case "form":
                self.choose_form()
            case "out":
                self.ask_out()
            case "repo":
                self.ask_repo()

    def action_turn(self, by: int) -> None:
        """Take the next form, or a little more of an adapter."""
        line = self._chosen()
        if line is not None and line.kind == "form":
            at = PRESETS.index(self.preset) if self.preset is not None else -1
            self.take_form(PRESETS[(at + by) % len(PRESETS)].slug)
        elif line is not None and line.kind == "adapter":
            self.set_share(line.value, self.asked.shares.get(line.value, 1.0) + by * _STEP)

    def action_remove(self) -> None:
        """Take an adapter out, or put the line back to its default."""
        line, asked = self._chosen(), self.asked
        match line.kind if line is not None else "":
            case "adapter":
                assert line is not None
                shares = {path: share for path, share in asked.shares.items() if path != line.value}
                more = tuple(each for each in asked.more if not Path(line.value).is_relative_to(Path(each)))
                self.ask(replace(asked, shares=shares, more=more))
            case "out":
                self.ask(replace(asked, out=None))
            case "form":
                self.take_form(PRESETS[0].slug)
            case "repo":
                self.take_repo("")

    def action_copy(self) -> None:
        """Copy the command."""
        self.app.copy(self.plan.command)


def _short(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path


def _tail(text: str, width: int) -> str:
    """Return the end of a path: what tells it from others."""
    return text if cells(text) <= width else "…" + text[-max(1, width - 1) :]
