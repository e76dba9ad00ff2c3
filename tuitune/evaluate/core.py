"""An evaluation from its request to its results: every model on the rows and the benchmarks, then the table."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.engine.reference import digest_of
from tuitune.errors import DataError, RunError, Stopped, UsageError
from tuitune.evaluate import figures, heldout, own_metrics, preferences, report
from tuitune.evaluate.benchmarks import benchmarks
from tuitune.evaluate.figures import Figure
from tuitune.evaluate.folder import Folder
from tuitune.evaluate.keeping import Unwritten
from tuitune.evaluate.measure import HeldOut
from tuitune.evaluate.partners import in_order, opened
from tuitune.evaluate.scores import Around, Progress, Series
from tuitune.evaluate.sheet import Sheet
from tuitune.run.evaluation import DATA, Evaluation, Item, Metric, Model
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
    around = Around(request.recipe, progress=progress, within=within, check=check)
    return _Evaluation(request, around, note, line).run()


class _Evaluation:
    def __init__(self, request: Request, around: Around, note: Callable[[str], None], line: Line) -> None:
        self.request, self.line = request, line
        self.notes: dict[str, None] = {}
        self._say = note
        self.around = around
        around.note = self.note
        self.tests: Sequence[Benchmark] = ()
        self.series: dict[str, dict[str, list[Series]]] = {}
        self.data: HeldOut | None = None

    def note(self, text: str) -> None:
        """Say it, and keep it for the report."""
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
        if choice is not None:
            self.data = HeldOut(request, choice, own, self.around, self.sheet, self._row)
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
        for partner in opened(in_order(request.models), self.around):
            if self.data is not None and self.data.held is None:
                self._begin_data(partner)
            elif self.data is None and not self.series:
                self._begun(None)
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
        self.series.setdefault("", {})

    def _row(self, task: str, name: str, model: str) -> None:
        self.line("row", {"task": task, "id": name, "model": model})

    def _test(self, test: Benchmark, partner: Partner) -> None:
        found = self.folder.kept(test.name, partner.key)
        if found is None:
            scores = test.run(partner, self.around)
            for item in scores.items:
                self.sheet.add(item)
                self._row(item.task, item.id, partner.key)
            found = list(scores.series)
            self.folder.keep(test.name, partner.key, found)
        self.series.setdefault(test.name, {})[partner.key] = found

    # Figures

    @property
    def models(self) -> list[Model]:
        """The models, the subject first."""
        return [named.model for named in self.request.models]

    def _figures(self) -> list[Figure]:
        found: list[Figure] = []
        if self.data is not None:
            found += self._data_figures(self.sheet.items(DATA))
        for task, by_model in self.series.items():
            found += figures.of_series(task, by_model)
        return found

    def _data_figures(self, items: Sequence[Item]) -> list[Figure]:
        assert self.data is not None
        if self.data.kind in ("pair", "label"):
            return self._preferences(items)
        found = [] if self.data.kind == "prompt" else figures.of_likelihood(items, self.models)
        return found + figures.of_answers(items, self.models, self.data.further)

    def _preferences(self, items: Sequence[Item]) -> list[Figure]:
        assert self.data is not None
        assert self.data.held is not None
        recipe, held = self.request.recipe, self.data.held
        labels = {name: bool(example.desirable) for name, example in zip(held.ids, held.examples, strict=True)}
        rows = {model.key: _rows(items, model.key) for model in self.models}
        base = next((model.key for model in self.models if model.role == "base"), None)
        by_model: dict[str, list[Series]] = {}
        for key, own in rows.items():
            if own and recipe.stage == "rm":
                by_model[key] = preferences.scored(own)
            elif own:
                before = rows[base] if base is not None and key != base and rows[base] else None
                by_model[key] = preferences.alone(own, recipe, labels)
                by_model[key] += preferences.measured(own, before, recipe, labels, self.note)
        return figures.of_series(DATA, by_model)

    def _metrics(self) -> tuple[Metric, ...]:
        seed = self.request.recipe.seed
        languages = set(self.data.languages.values()) if self.data is not None else set()
        if len(languages) > 1:
            self.note("the models read different tokens: their losses per token cannot be compared")
        return tuple(
            each.metric(self.models, seed, comparable=len(languages) < 2 or each.key not in figures.TOKENWISE)
            for each in self._figures()
        )

    def _tell_figures(self, key: str) -> None:
        for each in self._figures():
            found = each.estimate(key, self.request.recipe.seed)
            if found is not None:
                about = {"group": each.group, "key": each.key, "title": each.title, "unit": each.unit}
                self.line("metric", {**about, "model": key, **record(found)})

    # The end

    def _finish(self) -> Evaluation:
        self.around.progress("intervals", 0, None)
        metrics = self._metrics()
        self.sheet.finish()
        self.folder.know(metrics=metrics, notes=tuple(self.notes))
        return self.folder.finish(report.sentences(self.folder.now))

    def _interrupted(self) -> None:
        self.sheet.close()
        if not self.sheet.answered and not any(self.series.values()):
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
        recipe = self.request.recipe
        there = [f"save_dir={recipe.save_dir}"] if "save_dir" in recipe.asked else []
        return f"{first}go on with: {shlex.join(['tuitune', 'evaluate', self.request.subject, *there, '--resume'])}"


def _rows(items: Sequence[Item], model: str) -> dict[str, dict[str, float]]:
    found = {item.id: item.answers[model].scores for item in items if model in item.answers}
    return {name: row for name, row in found.items() if "logp_chosen" in row or "score_chosen" in row}


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
