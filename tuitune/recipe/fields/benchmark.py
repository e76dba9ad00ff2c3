"""Multiple-choice benchmarks, as LLaMA-Factory's evaluation recipes ask for them."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Purpose, Rule, option
from tuitune.recipe.shapes import Text, Whole


class BenchmarkOptions(Options):
    """What `tuitune evaluate` asks beside the held-out data."""

    GROUP: ClassVar[str] = "benchmark"
    PURPOSE: ClassVar[Purpose] = "evaluate"

    task: Text | None = option(
        None,
        "A multiple-choice benchmark in task_dir and its split, such as mmlu_test, ceval_validation or cmmlu_test; "
        "lm_eval:NAME is a task of the lm-evaluation-harness.",
    )
    task_dir: Text = option("evaluation", "The folder that holds benchmarks.")
    batch_size: Whole = option(4, "Questions that are asked together.", unit="questions", ge=1)
    lang: Literal["en", "zh"] = option("en", "The language of the words around the questions.")
    n_shot: Whole = option(5, "Answered examples before each question.", unit="examples", ge=0)
    save_dir: Text | None = option(None, "Where results are written; a run's own go into the run unless given.")
    download_mode: Literal["reuse_dataset_if_exists", "reuse_cache_if_exists", "force_redownload"] = option(
        "reuse_dataset_if_exists",
        "Of LLaMA-Factory: whether benchmarks are fetched again.",
        inert="benchmarks are read from files in task_dir and never fetched",
    )


RULES: tuple[Rule, ...] = ()
