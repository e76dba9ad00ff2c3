"""What the lm-evaluation-harness has found, as figures and items of ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuitune.evaluate.scores import Series
from tuitune.run.evaluation import Item, Reply


def series_of(found: Mapping[str, Any]) -> list[Series]:
    """Return the figures of one model among the results of `simple_evaluate`."""
    results: Mapping[str, Mapping[str, Any]] = found["results"]
    better: Mapping[str, Mapping[str, Any]] = found.get("higher_is_better", {})
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = found.get("samples", {})
    return [
        paired(each, task, samples.get(task, ()), *about)
        for task, values in results.items()
        for each, about in figures(f"{task} " if len(results) > 1 else "", values, better.get(task, {}))
    ]


def items_of(found: Mapping[str, Any], name: str, model: str) -> Iterator[Item]:
    """Yield the questions of the benchmark `name`, answered under the model's key."""
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = found.get("samples", {})
    for task, several in samples.items():
        for each in several:
            yield item(name, task, each, model)


def figures(
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


def paired(series: Series, task: str, samples: Sequence[Mapping[str, Any]], metric: str, kind: str) -> Series:
    """Return a figure question by question where it is the mean of what the harness says of each; else as it is.

    Two models are then compared on the same questions, and an interval stays within what is possible.
    """
    own = [each for each in samples if each.get("filter", "none") == kind and isinstance(each.get(metric), int | float)]
    values = [float(each[metric]) for each in own]
    if not values or not math.isclose(sum(values) / len(values), series.values[0], rel_tol=1e-9, abs_tol=1e-12):
        return series
    return replace(series, values=values, ids=[_id(task, each) for each in own], error=None)


def item(group: str, task: str, sample: Mapping[str, Any], model: str) -> Item:
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
