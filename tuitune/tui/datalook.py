"""The data of the recipe being edited, prepared in a thread and kept for as long as the recipe asks for the same."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from tuitune.errors import TuiTuneError
from tuitune.face.looking import look
from tuitune.recipe import Recipe
from tuitune.recipe.fields.data import DataOptions

if TYPE_CHECKING:
    from tuitune.data.look import Look
    from tuitune.tui.app import TuiTune

_MORE = (
    "stage", "model_name_or_path", "model_revision", "cache_dir", "trust_remote_code", "split_special_tokens",
    "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "seed",
)  # fmt: skip
KEYS = tuple(dict.fromkeys((*DataOptions.model_fields, *_MORE)))
"""The keys of a recipe that decide what is seen."""


class _Cancelled(Exception):
    """The preparing was called off."""


class DataLook:
    """What was prepared, or how far it is, or why it cannot be: `look`, `stage` with `done` and `total`, `trouble`."""

    def __init__(self, app: TuiTune) -> None:
        self._app = app
        self.look: Look | None = None
        self.trouble: tuple[str, str] | None = None  # what is wrong, and what to do
        self.stage, self.done, self.total = "", 0, 0
        self.begun = 0.0
        self.revision = 0  # grows with every result
        self._values: dict[str, object] = {}
        self._coming: dict[str, object] = {}
        self._cancel: threading.Event | None = None

    @property
    def busy(self) -> bool:
        """Whether it is being prepared."""
        return self._cancel is not None

    def changed(self, recipe: Recipe | None) -> list[str]:
        """Return the keys whose values differ from those that were prepared, or are being prepared."""
        known = self._coming if self.busy else self._values
        if recipe is None or not known:
            return []
        now = _values(recipe)
        return [key for key in now if now[key] != known[key]]

    def wanted(self, recipe: Recipe | None) -> bool:
        """Tell whether nothing was prepared or tried yet for this recipe."""
        return recipe is not None and not self.busy and (not self._values or bool(self.changed(recipe)))

    def start(self, recipe: Recipe) -> None:
        """Prepare in a thread; what is being prepared is called off."""
        self.cancel()
        cancel = self._cancel = threading.Event()
        self._coming, self.trouble, self.begun = _values(recipe), None, time.monotonic()
        self.stage, self.done, self.total = "starting", 0, 0

        def body() -> None:
            worker = get_current_worker()

            def check() -> None:
                if cancel.is_set() or worker.is_cancelled:
                    raise _Cancelled

            def progress(stage: str, done: int, total: int | None) -> None:
                check()
                if self._cancel is cancel:
                    self.stage, self.done, self.total = stage, done, total or 0

            found, trouble = None, None
            try:
                found = look(recipe, progress=progress, check=check)
            except _Cancelled:
                return
            except TuiTuneError as error:
                trouble = (error.message, error.hint)
            except Exception as error:  # a fault in a thread must not take the screen down
                trouble = (f"{type(error).__name__}: {error}", "")
            if not worker.is_cancelled:
                self._app.call_from_thread(self._finished, cancel, found, trouble)

        self._app.run_worker(body, thread=True, group="look", exit_on_error=False, description="prepare the data")

    def _finished(self, cancel: threading.Event, found: Look | None, trouble: tuple[str, str] | None) -> None:
        if self._cancel is not cancel:
            return
        self._cancel, self._values = None, self._coming
        self.look, self.trouble = found, trouble
        self.revision += 1

    def cancel(self) -> None:
        """Call off what is being prepared; what was there before stays."""
        if self._cancel is not None:
            self._cancel.set()
            self._cancel = None
            self.revision += 1


def _values(recipe: Recipe) -> dict[str, object]:
    return {key: getattr(recipe, key) for key in KEYS}
