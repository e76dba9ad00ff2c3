"""Tasks of the lm-evaluation-harness (EleutherAI, arXiv 2405.14782), asked of a model that is in memory.

`task: lm_eval:hellaswag` is one of its own tasks, whose data it fetches; `task: lm_eval:folder/task.yaml` a file in its
form, for which nothing is fetched. The figures are the harness's, and so are their standard errors where a figure is no
mean over questions; questions are asked without a chat template, as it does.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import DataError, TrainingError, TuiTuneError, UsageError
from tuitune.evaluate.scores import Scores, Series
from tuitune.run.evaluation import Item, Reply
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around
    from tuitune.recipe import Recipe

PACKAGE = "lm_eval"
_YAML = (".yaml", ".yml")


class Harness:
    """One task, or a group of them, by its name or the file that describes it."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        """Look the task up and load its questions. Raises UsageError or DataError."""
        _needed()
        self.name, self._recipe = f"lm_eval:{name}", recipe
        self._manager, self._spec = _found(name, recipe)
        with _said(self.name):
            self._manager.load([self._spec])

    def run(self, partner: Partner, around: Around) -> Scores:
        """Ask the model. Raises TuiTuneError."""
        batch = self._recipe.batch_size
        while True:
            try:
                with _said(self.name):
                    return self._scores(self._asked(partner, around, batch), partner.key)
            except _NoMemory as error:
                if batch == 1:
                    raise TrainingError(f"there is no memory left for {self.name}", "free memory") from error
            _free()
            batch //= 2
            around.note(f"memory ran out: {self.name} asks {batch} at once from now on")

    def _asked(self, partner: Partner, around: Around, batch: int) -> Mapping[str, Any]:
        import lm_eval

        shots = self._recipe.n_shot if "n_shot" in self._recipe.asked else None  # else the task's own
        found = lm_eval.simple_evaluate(
            model=_model(partner, around, self.name, batch), tasks=[self._spec], num_fewshot=shots, batch_size=batch,
            task_manager=self._manager, log_samples=True, random_seed=self._recipe.seed,
            numpy_random_seed=self._recipe.seed, torch_random_seed=self._recipe.seed,
            fewshot_random_seed=self._recipe.seed,
        )  # fmt: skip
        if not isinstance(found, Mapping):
            raise DataError(f"{self.name} has given no results")
        return found

    def _scores(self, found: Mapping[str, Any], model: str) -> Scores:
        results: Mapping[str, Mapping[str, Any]] = found["results"]
        better: Mapping[str, Mapping[str, Any]] = found.get("higher_is_better", {})
        samples: Mapping[str, Sequence[Mapping[str, Any]]] = found.get("samples", {})
        series = [
            _paired(each, task, samples.get(task, ()), *about)
            for task, values in results.items()
            for each, about in _series(f"{task} " if len(results) > 1 else "", values, better.get(task, {}))
        ]
        if not series:
            raise DataError(f"{self.name} has given no figures")
        items = [_item(self.name, task, each, model) for task, several in samples.items() for each in several]
        return Scores(series, items)


# Before a model is loaded


def _needed() -> None:
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UsageError(
            "the lm-evaluation-harness is not installed",
            "pip install lm-eval, or pip install 'tuitune[benchmarks]'",
        ) from None


def _found(name: str, recipe: Recipe) -> tuple[Any, str]:
    """Return the harness's index of tasks, and what it calls the one that is asked for."""
    from lm_eval.tasks import TaskManager

    if name.endswith(_YAML):
        path = recipe.locate(name)
        if not path.is_file():
            raise UsageError(f"there is no file {path}", "write lm_eval:PATH with the path of a task's YAML file")
        return TaskManager(include_path=str(path.parent), include_defaults=False), _task_in(path)
    manager = TaskManager()
    if name not in manager.all_tasks:
        near = difflib.get_close_matches(name, manager.all_tasks, n=1)
        hint = f"did you mean lm_eval:{near[0]}?" if near else "lm_eval --tasks list shows them"
        raise UsageError(f"the lm-evaluation-harness has no task {name}", hint)
    return manager, name


def _task_in(path: Path) -> str:
    """Return the name of the task, or group, that a file describes; without running anything that it names."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # Its tags, such as !function, stay mere tags here.
        values = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        raise DataError(f"{path} cannot be read: {clean_line(str(error))[:300]}") from error
    names = [values[key] for key in ("task", "group") if isinstance(values, dict) and isinstance(values.get(key), str)]
    if not names:
        raise DataError(f"{path} describes no task", "a task's file has the key `task` with its name")
    return str(names[0])


# The model


def _model(partner: Partner, around: Around, name: str, batch: int) -> Any:
    """Return the model as the harness wants it; each of its calls looks whether the user still wants them."""
    from lm_eval.models.huggingface import HFLM

    calls = iter(range(1, 1 << 62))

    def attend() -> None:
        around.check()
        around.progress(f"{name}, {partner.key}", next(calls), None)

    class Asked(HFLM):  # type: ignore[misc]
        """The harness's own wrapper."""

        def _model_call(self, inps: Any, attn_mask: Any = None, labels: Any = None) -> Any:
            attend()
            logits = super()._model_call(inps, attn_mask, labels)
            return logits[:, -inps.shape[1] :]  # prompt tuning lays tokens before

        def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
            attend()
            return super()._model_generate(context, max_length, stop, **kwargs)

    return Asked(partner.model, backend="causal", tokenizer=partner.tokenizer, batch_size=batch)


class _NoMemory(Exception):
    """Memory ran out inside the harness."""


class _said:
    """Errors of the harness, in words; ours, and the user's wish to stop, pass."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from tuitune.models.oom import is_out_of_memory

        if not isinstance(error, Exception) or isinstance(error, TuiTuneError):
            return
        if is_out_of_memory(error):
            raise _NoMemory(str(error)) from None
        words = clean_line(str(error))[:300] or type(error).__name__
        hint = "its data must be there: the harness fetches them from the Hugging Face hub unless the task names files"
        raise DataError(f"{self._name} cannot be asked: {words}", hint) from error


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# What comes out


def _series(
    prefix: str, values: Mapping[str, Any], better: Mapping[str, Any]
) -> Iterator[tuple[Series, tuple[str, str]]]:
    """Yield the figures among a task's results, which stand as `acc,none` beside `acc_stderr,none`, and both words."""
    for key, value in values.items():
        metric, _, kind = key.partition(",")
        if not isinstance(value, int | float) or isinstance(value, bool) or not kind or metric.endswith("_stderr"):
            continue
        error = values.get(f"{metric}_stderr,{kind}")
        name = prefix + metric + ("" if kind == "none" else f" ({kind})")
        wanted = better.get(metric)
        made = Series(
            name, name, [float(value)], [""], error=float(error) if isinstance(error, int | float) else math.nan,
            better="" if wanted is None else "more" if wanted else "less",
        )  # fmt: skip
        yield made, (metric, kind)


def _paired(series: Series, task: str, samples: Sequence[Mapping[str, Any]], metric: str, kind: str) -> Series:
    """Return a figure question by question where it is the mean of what the harness says of each; else as it is.

    Two models are then compared on the same questions, and an interval stays within what is possible.
    """
    own = [each for each in samples if each.get("filter", "none") == kind and isinstance(each.get(metric), int | float)]
    values = [float(each[metric]) for each in own]
    if not values or not math.isclose(sum(values) / len(values), series.values[0], rel_tol=1e-9, abs_tol=1e-12):
        return series
    return replace(series, values=values, ids=[_id(task, each) for each in own], error=None)


def _item(group: str, task: str, sample: Mapping[str, Any], model: str) -> Item:
    scores = {name: float(sample[name]) for name in sample.get("metrics", ())
              if isinstance(sample.get(name), int | float)}  # fmt: skip
    prompt, said, wanted = _texts(sample)
    return Item(group, _id(task, sample), task, prompt, wanted, {model: Reply(said, scores)})


def _id(task: str, sample: Mapping[str, Any]) -> str:
    kind = sample.get("filter", "none")
    return f"{task}:{sample.get('doc_id')}" + ("" if kind == "none" else f":{kind}")


def _texts(sample: Mapping[str, Any]) -> tuple[str, str | None, str]:
    """Return the prompt, the answer (what was written, or the continuation thought likeliest) and the right one."""
    requests = [list(each) for each in sample.get("arguments") or () if isinstance(each, Sequence)]
    answers, wanted = list(sample.get("filtered_resps") or ()), sample.get("target", "")
    prompt = str(requests[0][0]) if requests and requests[0] else ""
    if not answers or isinstance(answers[0], str):
        return prompt, answers[0] if answers else None, str(wanted)
    liked = _likelihoods(answers)
    if liked is None or len(liked) != len(requests) or any(len(each) < 2 for each in requests):
        return prompt, None, str(wanted)
    choices = [str(each[1]).strip() for each in requests]
    right = choices[wanted] if isinstance(wanted, int) and 0 <= wanted < len(choices) > 1 else str(wanted)
    return prompt, choices[liked.index(max(liked))], right


def _likelihoods(answers: Sequence[Any]) -> list[float] | None:
    """Return the log likelihood of each continuation, which come alone or with whether they were the greedy ones."""
    try:
        return [float(each[0] if isinstance(each, Sequence) else each) for each in answers]
    except (TypeError, ValueError, IndexError):
        return None
