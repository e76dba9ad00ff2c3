"""From what was measured row by row to figures of all models with their intervals and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from tuitune.evaluate import statistics
from tuitune.evaluate.scores import Series
from tuitune.evaluate.statistics import Array, Sample
from tuitune.run.evaluation import DATA, Better, Difference, Estimate, Item, Metric, Model, title_of
from tuitune.stages.likeness import BLEU, EXACT, ORDER, ROUGES, bleu_counts

_TOKENWISE = ("loss", "perplexity", "accuracy", "loss_chosen", "loss_good", "loss_bad", "rewards/margins",
              "rewards/chosen", "rewards/rejected")  # fmt: skip
OF_ANSWERS = (EXACT, BLEU, *ROUGES, "cut_off")
_BOOTSTRAP = "95 % by the bootstrap over rows"
_WILSON = "95 % by Wilson"


@dataclass(frozen=True)
class Figure:
    """One figure of some models: what it is computed from, or where somebody else measured, the finished estimate."""

    group: str
    key: str
    title: str
    unit: str
    better: Better
    how: str
    samples: dict[str, Sample] = field(default_factory=dict)
    given: dict[str, Estimate] = field(default_factory=dict)

    def estimate(self, model: str, seed: int) -> Estimate | None:
        """Return the figure of one model, None where it has none."""
        if model in self.given:
            return self.given[model]
        return statistics.estimate(self.samples[model], seed) if model in self.samples else None

    def metric(
        self, models: Sequence[Model], seed: int, *, final: bool = True, apart: Set[str] = frozenset()
    ) -> Metric:
        """Return it with all models that have it, and where it is final their differences from the reference.

        apart: models that read other tokens than the others, so that figures of tokens cannot be compared.
        """
        values = {each.key: found for each in models if (found := self.estimate(each.key, seed)) is not None}
        reference = against([each for each in models if each.key in values])
        differences: dict[str, Difference] = {}
        left_out = apart if self.group == DATA and self.key in _TOKENWISE else frozenset()
        for key in values if final and reference not in left_out else ():
            if reference is not None and key != reference and key not in left_out:
                differences[key] = self._difference(key, reference, values, seed)
        return Metric(self.group, self.key, self.title, self.unit, self.better, self.how, values, differences)

    def _difference(self, key: str, reference: str, values: Mapping[str, Estimate], seed: int) -> Difference:
        if key in self.samples and reference in self.samples:
            return statistics.difference(self.samples[key], self.samples[reference], reference, self.better, seed)
        return _of_errors(values[key], values[reference], reference, self.better)


def _of_errors(own: Estimate, other: Estimate, against: str, better: str) -> Difference:
    """Return the difference of two estimates as if they were of different rows: wider than row by row."""
    value = own.value - other.value
    if own.low is None or own.high is None or other.low is None or other.high is None:
        return Difference(against, value, None, None, "unclear")
    half = float(np.hypot(own.high - own.low, other.high - other.low)) / 2
    verdict = statistics.verdict(value - half, value + half, better)
    return Difference(against, value, value - half, value + half, verdict)


def against(models: Sequence[Model]) -> str | None:
    """Return with whom the others are compared: the base, where there is none the subject."""
    bases = [each.key for each in models if each.role == "base"]
    return bases[0] if bases else models[0].key if models else None


# Of series


def of_series(group: str, by_model: Mapping[str, Sequence[Series]]) -> list[Figure]:
    """Return the figures of what was measured item by item, in the order in which they first come."""
    found: dict[str, Figure] = {}
    for model, several in by_model.items():
        for each in several:
            figure = found.setdefault(each.key, Figure(group, each.key, each.title, each.unit, each.better, _how(each)))
            if each.error is None:
                share = _is_share(each)
                figure.samples[model] = statistics.mean(
                    each.ids, each.values, each.weights, scale=each.scale, share=share
                )
            else:
                figure.given[model] = _given(each)
    return list(found.values())


def _how(series: Series) -> str:
    if series.error is not None:
        return "mean; 95 % by the standard error"
    if series.weights is not None:
        return f"mean, weighted by tokens; {_BOOTSTRAP}"
    return f"share of rows; {_WILSON}" if _is_share(series) else f"mean over rows; {_BOOTSTRAP}"


def _is_share(series: Series) -> bool:
    yes_or_no = bool(np.isin(np.asarray(series.values), (0.0, 1.0)).all())
    return series.unit == "%" and series.weights is None and yes_or_no


def _given(series: Series) -> Estimate:
    value, half = series.scale * series.values[0], series.scale * 1.959963984540054 * (series.error or 0.0)
    known = series.error is not None and half == half
    return Estimate(value, value - half if known else None, value + half if known else None, len(series.ids))


# Of the held-out data


def of_likelihood(items: Sequence[Item], models: Sequence[Model]) -> list[Figure]:
    """Return loss, perplexity and the share of tokens predicted right."""
    figures = {
        "loss": Figure(DATA, "loss", "loss", "per token", "less", f"mean over the answers' tokens; {_BOOTSTRAP}"),
        "perplexity": Figure(DATA, "perplexity", "perplexity", "", "less", f"exp(loss); {_BOOTSTRAP}"),
        "accuracy": Figure(DATA, "accuracy", title_of("accuracy"), "%", "more", f"share of tokens; {_BOOTSTRAP}"),
    }
    for model in models:
        rows = {item.id: reply.scores for item in items
                if (reply := item.answers.get(model.key)) is not None and "labelled" in reply.scores}  # fmt: skip
        if not rows:
            continue
        ids, weights = list(rows), [row["labelled"] for row in rows.values()]
        losses = [row["loss"] for row in rows.values()]
        figures["loss"].samples[model.key] = statistics.mean(ids, losses, weights)
        figures["perplexity"].samples[model.key] = statistics.mean(ids, losses, weights, shape=np.exp)
        right = [row["accuracy"] for row in rows.values()]
        figures["accuracy"].samples[model.key] = statistics.mean(ids, right, weights, scale=100.0)
    return [figure for figure in figures.values() if figure.samples]


@dataclass(frozen=True)
class Further:
    """A score of answers beside likeness: which way it is better, and whether it says yes or no."""

    better: Better = "more"
    share: bool = False


def of_answers(items: Sequence[Item], models: Sequence[Model], own: Mapping[str, Further]) -> list[Figure]:
    """Return how like the answers are to the data's, further scores by name, and how many answers were cut off."""
    together, each_row = f"sacrebleu, over all answers together; {_BOOTSTRAP}", f"rouge-score, F, mean; {_BOOTSTRAP}"
    figures = [
        Figure(DATA, EXACT, title_of(EXACT), "%", "more", f"share of rows; {_WILSON}"),
        Figure(DATA, BLEU, title_of(BLEU), "%", "more", together),
        *(Figure(DATA, key, title_of(key), "%", "more", each_row) for key in ROUGES),
    ]
    for name, each in own.items():
        how = f"share of rows; {_WILSON}" if each.share else f"mean over rows; {_BOOTSTRAP}"
        figures.append(Figure(DATA, name, name, "%" if each.share else "", each.better, how))
    cut_off = Figure(DATA, "cut_off", "cut off", "%", "", f"share of answers that did not end by themselves; {_WILSON}")
    for model in models:
        answered = [item for item in items if item.answers.get(model.key) and item.answers[model.key].text is not None]
        for figure in figures:
            share = figure.key == EXACT or (figure.key in own and own[figure.key].share)
            _answered(figure, answered, model.key, share)
        if answered:
            ended = [float(item.answers[model.key].ended is False) for item in answered]
            cut_off.samples[model.key] = statistics.mean([item.id for item in answered], ended, scale=100.0, share=True)
    if any(sample.value > 0 for sample in cut_off.samples.values()):
        figures.append(cut_off)
    return [figure for figure in figures if figure.samples]


def _answered(figure: Figure, items: Sequence[Item], model: str, share: bool) -> None:
    rows = {item.id: item.answers[model].scores for item in items}
    known = {name: row[figure.key] for name, row in rows.items() if row.get(figure.key, np.nan) == row.get(figure.key)}
    if not known:
        return
    if figure.key == BLEU:
        chosen = [item for item in items if item.id in known]
        counts = [bleu_counts(item.answers[model].text or "", item.reference) for item in chosen]
        figure.samples[model] = Sample(list(known), np.asarray(counts, dtype=np.float64), bleu_of)
        return
    # ROUGE is in percent row by row, what says yes or no is 1 or 0.
    figure.samples[model] = statistics.mean(
        list(known), list(known.values()), scale=100.0 if share else 1.0, share=share
    )


def bleu_of(sums: Array) -> Array:
    """Return corpus BLEU-4 (...,) of added up counts (..., 10), as sacrebleu computes it (smoothing `exp`)."""
    correct, total = sums[..., :ORDER], sums[..., ORDER : 2 * ORDER]
    said, wanted = sums[..., 2 * ORDER], sums[..., 2 * ORDER + 1]
    none = (correct == 0).cumsum(-1)  # runs without any hit so far: each halves what the next one is taken to have
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(correct == 0, 1 / (2.0**none * total), correct / total)
        logs = np.where(total > 0, np.log(share), -np.inf).mean(-1)
        short = np.where(said < wanted, 1 - wanted / said, 0.0)
        found = 100 * np.exp(short + logs)
    return np.where((correct[..., 0] > 0) & (total > 0).all(-1), found, 0.0)
