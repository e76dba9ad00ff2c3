"""Tasks of the lm-evaluation-harness (EleutherAI, arXiv 2405.14782), asked of a model that is in memory.

`task: lm_eval:hellaswag` is one of its own tasks, whose data it fetches; `task: lm_eval:folder/task.yaml` a file in its
form, for which nothing is fetched. The figures are the harness's, and so are their standard errors where a figure is no
mean over questions; questions are asked without a chat template, as it does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import DataError, TrainingError, TuiTuneError, UsageError
from tuitune.evaluate.harness_results import items_of, series_of
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around, Kept, Series
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

    def run(self, partner: Partner, around: Around, kept: Kept) -> list[Series]:
        """Ask the model; the harness tells what was answered when all is. Raises TuiTuneError."""
        batch = self._recipe.batch_size
        while True:
            try:
                with _said(self.name):
                    found = self._asked(partner, around, batch)
                for item in items_of(found, self.name, partner.key):
                    kept.add(item)
                return series_of(found)
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
        if not isinstance(found, Mapping) or not found.get("results"):
            raise DataError(f"{self.name} has given no results")
        return found


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
