"""An evaluation from its request to its results: every model on the rows and the benchmarks, then the table."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.engine.reference import digest_of
from tuitune.errors import DataError, RunError, Stopped, UsageError
from tuitune.evaluate import figures, heldout, own_metrics, report
from tuitune.evaluate.benchmarks import benchmarks
from tuitune.evaluate.collected import Collected
from tuitune.evaluate.folder import Folder
from tuitune.evaluate.keeping import Unwritten
from tuitune.evaluate.measure import HeldOut
from tuitune.evaluate.partners import in_order, opened
from tuitune.evaluate.scores import Around, Kept, Progress
from tuitune.evaluate.sheet import Sheet
from tuitune.evaluate.telling import Telling
from tuitune.run.evaluation import Evaluation, Item, Metric
from tuitune.run.evaluations import evaluations_in
from tuitune.run.packing import record

if TYPE_CHECKING:
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.request import Request
    from tuitune.evaluate.scores import Benchmark

Line = Callable[[str, Mapping[str, object]], None]


def evaluate(
    request: Request,
    *,
    progress: Progress = lambda stage, done, total: None,
    within: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
    line: Line = lambda kind, values: None,
    check: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure, write and return; what was measured before an interruption is kept, and its folder named.

    within: gets how far answers are that are being made. line: gets objects for those who follow (`begun`, `row`,
    `metric`). check: raises to cancel. Raises TuiTuneError;
    Stopped with a word on how to go on where KeyboardInterrupt came. Call `tuitune.face.host.prepare_for` before.
    """
    telling = Telling(progress, within)
    around = Around(request.recipe, progress=telling.progress, within=telling.within, check=check)
    return _Evaluation(request, around, telling, note, line).run()


class _Evaluation:
    def __init__(
        self, request: Request, around: Around, telling: Telling, note: Callable[[str], None], line: Line
    ) -> None:
        self.request, self.line = request, line
        self.notes: dict[str, None] = {}
        self._say = note
        self.around, self.telling = around, telling
        around.note = self.note
        self.tests: Sequence[Benchmark] = ()
        self.data: HeldOut | None = None
        self.done: list[str] = []  # the keys of the models that are measured
        self.metrics: tuple[Metric, ...] = ()

    def note(self, text: str) -> None:
        """Say it, and keep it for the report."""
        if text not in self.notes:
            self.notes.setdefault(text)
            self._say(text)

    def run(self) -> Evaluation:
        request = self.request
        choice = heldout.choose(request) if request.held_out else None
        self.tests = benchmarks(request.recipe)  # their questions are read before a model is
        if choice is None and not self.tests:
            raise UsageError("there is nothing to measure", "name a benchmark (task=...) or data")
        own = own_metrics.load(request.metrics, self.note)
        self._refuse_names(own)
        self.folder = Folder(request, _settings(request), heldout.name_of(choice) if choice is not None else "")
        self.sheet = Sheet(self.folder.path)
        self.telling.into(self.folder.path, self.folder.seconds)
        if choice is not None:
            self.data = HeldOut(request, choice, own, self.around, self.sheet, self._row)
        self.collected = Collected(request, self.sheet, self.note, self.data)
        try:
            self._measure()
            return self._finish()
        except BaseException as error:
            self._interrupted()
            if isinstance(error, KeyboardInterrupt):
                raise self._stopped() from None
            if isinstance(error, Unwritten) and error.full and self.folder.path.exists():
                hint = self._go_on("free some space, then ")
                raise RunError(f"{error.message}; what was measured is kept", hint) from error
            raise

    def _refuse_names(self, own: Sequence[own_metrics.OwnMetric]) -> None:
        known = ("loss", "perplexity", "accuracy", "labelled", *figures.OF_ANSWERS)
        for metric in own:
            if metric.name in known:
                raise UsageError(f"a metric cannot be called {metric.name}: that name is taken", "rename the function")

    def _measure(self) -> None:
        request = self.request
        if self.data is None:
            self._begun(None)
        for partner in opened(in_order(request.models), self.around):
            if self.data is not None and self.data.held is None:
                self._begin_data(partner)
            if self.data is not None:
                self.data.measure(partner)
                self.data.judge_answers(partner)
            for test in self.tests:
                self._test(test, partner)
            self._tell_figures(partner.key)

    def _begin_data(self, partner: Partner) -> None:
        assert self.data is not None
        held = self.data.begin(partner)
        if not held.ids:
            raise DataError("no row is left to measure on", "raise --rows, or name other data")
        data = heldout.data_of(self.data.choice, held)
        self.folder.know(data=data, tasks=tuple(test.name for test in self.tests))
        self._begun(data.rows)

    def _begun(self, rows: int | None) -> None:
        models = [{"key": each.key, "title": each.model.title, "role": each.role} for each in self.request.models]
        self.line("begun", {"path": self.folder.path, "models": models, "rows": rows})

    def _row(self, task: str, name: str, model: str) -> None:
        self.line("row", {"task": task, "id": name, "model": model})

    def _test(self, test: Benchmark, partner: Partner) -> None:
        found = self.folder.kept(test.name, partner.key)
        if found is None:
            known = {item.id: item for item in self.sheet.items(test.name) if partner.key in item.answers}
            found = list(test.run(partner, self.around, Kept(known, lambda item: self._answered(item, partner.key))))
            self.folder.keep(test.name, partner.key, found)
        self.collected.series.setdefault(test.name, {})[partner.key] = found

    def _answered(self, item: Item, model: str) -> None:
        self.sheet.add(item)
        self._row(item.task, item.id, model)

    def _tell_figures(self, key: str) -> None:
        """Tell the figures of a model that is done; the file has all of them so far, for those who look there."""
        self.around.progress("intervals", 0, None)
        self.done.append(key)
        self.metrics = self.collected.metrics(self.done)
        for each in self.metrics:
            if key in each.values:
                about = {"group": each.group, "key": each.key, "title": each.title, "unit": each.unit}
                self.line("metric", {**about, "model": key, **record(each.values[key])})
        self.folder.know(metrics=self.metrics)

    # The end

    def _finish(self) -> Evaluation:
        self.sheet.finish()
        self.folder.know(metrics=self.metrics, notes=tuple(self.notes))
        self.telling.end()
        return self.folder.finish(report.sentences(self.folder.now))

    def _interrupted(self) -> None:
        self.sheet.close()
        self.telling.end()
        if not self.collected.anything:
            self.folder.discard()  # there is nothing in it that would be worth keeping
            return
        with contextlib.suppress(Unwritten):  # a process that is gone counts as interrupted too
            self.folder.know(notes=tuple(self.notes))
            self.folder.interrupt()

    def _stopped(self) -> Stopped:
        if not self.folder.path.exists():
            return Stopped("cancelled before anything was measured")
        return Stopped(f"cancelled; what was measured is kept in {self.folder.path}", self._go_on())

    def _go_on(self, first: str = "") -> str:
        recipe, path = self.request.recipe, self.folder.path
        words = [f"save_dir={recipe.save_dir}"] if "save_dir" in recipe.asked else []
        named = [] if evaluations_in(path.parent)[:1] == [path] else ["--name", path.name]
        command = ["tuitune", "evaluate", self.request.subject, *words, "--resume", *named]
        return f"{first}go on with: {shlex.join(command)}"


def _settings(request: Request) -> dict[str, object]:
    """Return all that the figures depend on, as plain values: a resume must have the same."""
    recipe = request.recipe
    keys = ["stage", "seed", "cutoff_len", "template", "default_system", "val_size", "dataset", "eval_dataset",
            "max_new_tokens", "repetition_penalty", "task", "n_shot", "lang", "pref_loss", "pref_beta"]  # fmt: skip
    if request.sample:
        keys += ["temperature", "top_p", "top_k"]
    weights = {}
    for named in request.models:
        folders = [Path(named.weights.model), *named.weights.adapters]
        weights[named.key] = digest_of([path for path in folders if path.is_dir()], named.weights.model)
    return {
        "models": weights, "data": request.data, "rows": request.rows, "sample": request.sample,
        "answers": request.answers, "held_out": request.held_out, **{key: getattr(recipe, key) for key in keys},
    }  # fmt: skip
