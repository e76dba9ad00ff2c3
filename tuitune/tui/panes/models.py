"""The model pane: a search line over the models of this machine, and the adapters of the model in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker, get_current_worker

from tuitune.fit.adapters import AdapterInfo, scan_adapters
from tuitune.fit.models import ModelInfo, scan
from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.units import binary
from tuitune.tui.messages import AdapterChosen, ChatWith, ModelChosen
from tuitune.tui.panes.model_items import FEW, Item, Typed, items_of, read_typed
from tuitune.tui.panes.model_list import ModelList
from tuitune.tui.panes.model_search import Glass, SearchLine

_ROOMY = 9  # rows of the list


class ModelPane(Pane):
    """Chooses the model to train, or an adapter to train further, or whom to talk to."""

    label, digit = "Model", "1"
    HELP: ClassVar[str] = """\
The models on this machine: TuiTune's own, those in the hub's cache, folders and GGUF files below the current directory
and in `$TUITUNE_MODELS`. `•` marks the model of the recipe; below it stand the adapters that were trained on it.

In the list, `enter` trains the model (with an adapter it asks what you want), `t` trains the adapter further, and `c`
chats with either. In the search line all words must be found; `org/name` or a path is offered as it is.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="models.search", tooltip="search the models"),
        Binding("r", "look", "Look again", id="models.refresh", tooltip="look for models and adapters again"),
        Binding("escape", "unsearch", "End the search", show=False, id="models.unsearch", tooltip="show all models"),
    ]
    DEFAULT_CSS = """
    ModelPane .search { height: 1; }
    ModelPane ModelList { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.search = SearchLine(placeholder="/ search, a path or org/name")
        self.list = ModelList()
        self._models: Sequence[ModelInfo] = ()
        self._adapters: Sequence[AdapterInfo] = ()
        self._chosen = ""
        self._typed: Typed | None = None
        self._state = "looking"
        self._unfolded = False

    @property
    def meta(self) -> Row:
        """How many models there are, and where in a long list the cursor stands."""
        if self._state == "looking":
            return R("quiet", "looking…")
        if self._state:
            return R("error", "cannot look")
        if self.list.overflows and self.has_focus_inside:
            return R("ink", f"{self.list.at + 1}", "quiet", f" of {len(self.list.items)}")
        return R("quiet", f"{len(self._models)} found")

    @property
    def _few(self) -> int | None:
        # In a low pane the adapters would hide every other model.
        return None if self._unfolded else FEW if self.list.content_size.height >= _ROOMY else 0

    def compose_body(self) -> Iterable[Widget]:
        """Yield the search line and the list."""
        with Horizontal(classes="search"):
            yield Glass()
            yield self.search
        yield self.list

    def on_mount(self) -> None:
        """Look for the first time."""
        self.action_look()

    def on_resize(self, event: Resize) -> None:
        """Fold the adapters away where there is little room."""
        self.call_after_refresh(self._fill)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave escape to others while nothing is searched for."""
        return bool(self.search.value) if action == "unsearch" else True

    def focus_first(self) -> None:
        """Give the keys to the list."""
        self.list.focus()

    # -- what is shown -----------------------------------------------------------------------------------------

    def show(self, model_name: str) -> None:
        """Mark the model that the recipe names."""
        if model_name != self._chosen:
            self._chosen, self._unfolded = model_name, False
            self._fill()

    def action_look(self) -> None:
        """Look for models and adapters, in a thread."""
        self._state = "looking"
        self.retitle()
        self.run_worker(self._look, thread=True, exclusive=True, exit_on_error=False, group="models")

    def _look(self) -> None:
        worker: Worker[None] = get_current_worker()
        try:
            models, adapters, problem = scan(), scan_adapters(), ""
        except Exception as error:  # a fault in a thread must not take the screen down
            models, adapters, problem = [], [], clean_line(f"{type(error).__name__}: {error}")
        if not worker.is_cancelled:
            self.app.call_from_thread(self._looked, models, adapters, problem)

    def _looked(self, models: Sequence[ModelInfo], adapters: Sequence[AdapterInfo], problem: str) -> None:
        self._state = problem
        if not problem:
            self._models, self._adapters = models, adapters
        self._fill()

    def _fill(self, *, first: bool = False) -> None:
        items = items_of(
            self._models, self._adapters, chosen=self._chosen, query=self.search.value, typed=self._typed,
            few=self._few,
        )  # fmt: skip
        self.list.show(items, self._why_empty(), first=first)

    def _why_empty(self) -> str:
        if self._state == "looking":
            return "looking for models…"
        if self._state:
            return self._state
        query = self.search.value.strip()
        if not query:
            return "no model is here: type a name of the hub, or a path"
        problem = self._typed.problem if self._typed is not None and self._typed.text == query else ""
        return problem or "nothing found"

    def on_model_list_moved(self, event: ModelList.Moved) -> None:
        """Say where the cursor is."""
        event.stop()
        self.retitle()

    # -- the search --------------------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what is found, and find out what the words mean as a name."""
        event.stop()
        self._fill(first=True)
        query = event.value.strip()
        if query:
            self.run_worker(lambda: self._read(query), thread=True, exclusive=True, exit_on_error=False, group="typed")

    def _read(self, query: str) -> None:
        worker: Worker[None] = get_current_worker()
        typed = read_typed(query)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._was_read, typed)

    def _was_read(self, typed: Typed) -> None:
        self._typed = typed
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Use the first that is found."""
        event.stop()
        self.list.action_do("use")

    def on_find_line_left(self, event: SearchLine.Left) -> None:
        """Go to the list."""
        event.stop()
        self.focus_first()

    def action_search(self) -> None:
        """Give the keys to the search line."""
        self.search.focus()

    def action_unsearch(self) -> None:
        """Show all models again."""
        self.search.value = ""

    # -- what is done ------------------------------------------------------------------------------------------

    def on_model_list_wish(self, event: ModelList.Wish) -> None:
        """Do what is asked for, or say why it cannot be done."""
        event.stop()
        item, what = event.item, event.what
        if item.kind == "more":
            self._unfolded = True
            self._fill()
        elif item.adapter is not None:
            self._with_adapter(item.adapter, what)
        elif what == "further":
            self.notify("t trains an adapter further; this is a model: enter uses it", markup=False)
        elif what == "chat":
            self.post_message(ChatWith(model=item.name))
        else:
            self._use(item)

    def _use(self, item: Item) -> None:
        self.post_message(ModelChosen(item.name))
        self.search.value = ""
        self.focus_first()

    def _with_adapter(self, info: AdapterInfo, what: str) -> None:
        if what == "further":
            self.post_message(AdapterChosen(info.path, self._chosen))
        elif what == "chat":
            self.post_message(ChatWith(model=self._chosen, adapter=info.path))
        else:
            choices = [
                Choice("t", "Train it further", "the recipe names it", "further"),
                Choice("c", "Chat with it", "nothing is trained", "chat"),
                Choice("esc", "Cancel", "", ""),
            ]
            facts = [info.name, binary(info.bytes)]
            self.app.push_screen(
                Ask("What shall be done with this adapter?", facts, choices),
                lambda answer: self._with_adapter(info, answer) if answer else None,
            )
