"""Who can be asked in the chat: the model before training, what a run has saved, one that trains now, or any other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.base import Chat
from tuitune.chat.live import LiveChat
from tuitune.chat.local import LocalChat, Note, Progress
from tuitune.chat.weights import Weights
from tuitune.engine.asked import asked
from tuitune.errors import RunError, TuiTuneError, UsageError
from tuitune.face import meant
from tuitune.face.find import is_live
from tuitune.recipe import Recipe
from tuitune.run import RunDir, State
from tuitune.text import clean_line
from tuitune.tui.inmemory import Asked, Bringing, free

BASE, LIVE, TUNED, OTHER = "base", "live", "tuned", "other"
# Training waits while its weights answer, and half-trained ones may not find an end: the recipe's default is too long.
_SHORT = {"max_new_tokens": 256}
_SAMPLING = ("max_new_tokens", "temperature", "top_p", "top_k", "do_sample", "repetition_penalty")


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody to ask; `why_not` says in words why not now."""

    kind: str
    label: str
    available: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _Loaded:
    weights: Weights
    chat: LocalChat


@dataclass(frozen=True, slots=True)
class _Chosen:
    model: str | None
    adapter: Path | None
    run: Path | None

    @property
    def label(self) -> str:
        name = str(self.run or self.adapter or self.model or "")
        return clean_line(name.rstrip("/").rpartition("/")[2]) or OTHER

    @property
    def kind_label(self) -> str:
        """The label with what it is, for one that is called as another one is."""
        return f"{'run' if self.run else 'adapter' if self.adapter else 'model'} {self.label}"


class Partners:
    """Finds and loads who is asked; at most one model of its own is in memory.

    `recipe` is what is being edited, `run` the run that is shown, `live` whether that one trains now.
    """

    def __init__(
        self,
        recipe: Callable[[], Recipe | None],
        run: Callable[[], RunDir | None],
        live: Callable[[], bool],
    ) -> None:
        self._recipe, self._run, self._live = recipe, run, live
        self._other: _Chosen | None = None
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()
        self._bringing = Bringing()
        self.guests: list[Callable[[], None]] = []  # what others have in memory goes when room is needed

    @property
    def is_live(self) -> bool:
        """Whether the run that is shown trains now."""
        return self._live()

    def choose(self, model: str | None = None, adapter: Path | None = None, run: Path | None = None) -> None:
        """Let a model, an adapter, or what a run has saved be the fourth who can be asked."""
        self._other = _Chosen(model, adapter, run)

    @property
    def picked(self) -> str | None:
        """What was chosen as the fourth, as a command takes it; None for nothing."""
        other = self._other
        return None if other is None else str(other.run or other.adapter or other.model)

    def sampling(self) -> dict[str, float | int | bool]:
        """Return how the recipe wants answers to be drawn."""
        recipe = self._recipe()
        if recipe is None:
            return {name: Recipe.model_fields[name].default for name in _SAMPLING} | _SHORT
        found = {name: getattr(recipe, name) for name in _SAMPLING}
        return found if "max_new_tokens" in recipe.asked else found | _SHORT

    def options(self) -> list[Who]:
        """Return who there is, in a fixed order; looks at files, so not for the loop of the screen."""
        found = [self._who_base(), self._who_live(), self._who_tuned()]
        if self._other is not None:
            taken = {who.kind for who in found}
            found.append(Who(OTHER, self._other.label if self._other.label not in taken else self._other.kind_label))
        return found

    def _who_base(self) -> Who:
        if self._recipe() is None:
            return Who(BASE, BASE, False, "the recipe has problems, so no model is known")
        return Who(BASE, BASE)

    def _who_live(self) -> Who:
        run = self._run()
        state = State.read(run.state) if run is not None and self._live() else None
        if state is None:
            return Who(LIVE, LIVE, False, "no run is training now")
        if state.status == "starting":
            return Who(LIVE, LIVE, False, "the run is still preparing; it answers from its first step")
        return Who(LIVE, f"{LIVE} @{state.step}")

    def _who_tuned(self) -> Who:
        run = self._run()
        if run is None:
            return Who(TUNED, TUNED, False, "no run is open; f4 shows the runs")
        try:
            weights.newest(run)
        except TuiTuneError as error:
            return Who(TUNED, TUNED, False, clean_line(error.message))
        return Who(TUNED, TUNED)

    def partner(
        self,
        kind: str,
        *,
        progress: Progress = lambda stage, done, total: None,
        note: Note = lambda text: None,
    ) -> Chat:
        """Return who is asked, loaded; blocks, and raises TuiTuneError. Whoever raises in `progress` cancels it."""
        with self._lock:
            match kind:
                case "base":
                    return self._base(progress, note)
                case "live":
                    return LiveChat(self._shown())
                case "tuned":
                    return self._local(self._tuned(), progress, note)
                case "other" if self._other is not None:
                    return self._chosen(self._other, progress, note)
        raise UsageError(f"there is nobody called {kind!r:.80} to ask", "choose base, live or tuned")

    def release(self) -> None:
        """Give the memory of a loaded model back, and give up loading one; may take a moment."""
        self._forget()
        free()

    def make_room(self) -> None:
        """Do as `release` does, and return at once."""
        self._forget()
        threading.Thread(target=free, name="free", daemon=True).start()

    def make_room_for(self, guest: Callable[[], None]) -> None:
        """Let go of everything but what one of the guests has in memory, and return at once."""
        if self._loaded is not None or len(self.guests) > 1:
            self._forget(guest)
            threading.Thread(target=free, name="free", daemon=True).start()

    def _forget(self, but: Callable[[], None] | None = None) -> None:
        self._bringing.give_up()
        self._loaded = None
        for guest in self.guests:
            if guest != but:
                guest()

    def _shown(self) -> RunDir:
        run = self._run()
        if run is None:
            raise RunError("there is no run to ask", "start one, or ask base")
        return run

    def _tuned(self) -> Weights:
        run = self._shown()
        return weights.of_run(run, asked(run)[0])

    def _base(self, progress: Progress, note: Note) -> Chat:
        recipe = self._recipe()
        if recipe is None:
            raise UsageError("the recipe has problems, so no model is known", "repair it, then ask again")
        wanted = meant.of_recipe(recipe)
        run = self._run()
        if run is not None and self._live():
            if meant.has_base(run, wanted):
                return LiveChat(run, base=True)
            note("the run does not hold this model as it was before, so it is loaded beside the training")
        return self._local(self._shared(wanted), progress, note, base=wanted)

    def _shared(self, wanted: Weights) -> Weights:
        """Return weights that hold the base, too: an adapter on it can be switched off."""
        if self._loaded is not None and meant.holds(self._loaded.weights, wanted):
            return self._loaded.weights
        try:
            tuned = self._tuned()
        except TuiTuneError:
            return wanted
        return tuned if meant.holds(tuned, wanted) else wanted

    def _chosen(self, other: _Chosen, progress: Progress, note: Note) -> Chat:
        run = RunDir(other.run) if other.run is not None else None
        if run is not None and is_live(run):
            return LiveChat(run)
        found = weights.of_run(run, asked(run)[0]) if run is not None else meant.of_names(other.model, other.adapter)
        return self._local(found, progress, note)

    def _local(self, wanted: Weights, progress: Progress, note: Note, *, base: Weights | None = None) -> Chat:
        if self._loaded is None or self._loaded.weights != wanted:
            self._loaded = None
            free()
            chat = self._bringing.bring(
                wanted, LocalChat.load, progress=progress, note=note, training=self._live()
            )  # fmt: skip
            self._loaded = _Loaded(wanted, chat)
        off = base is not None and bool(wanted.adapters)
        return Asked(self._loaded.chat, (base or wanted).title, base=off)
