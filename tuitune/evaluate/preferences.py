"""Figures of pairs and votes: what the log probabilities of answers come to, alone and measured from the base.

Rewards and losses that need a reference take the base of the evaluation as that; their definitions are the stages' own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from tuitune.evaluate.scores import Series
from tuitune.recipe.fields.preference import needs_reference
from tuitune.stages import preference_losses as costs
from tuitune.stages.kto import Kto, baseline
from tuitune.stages.preference import AVERAGED, Preference
from tuitune.stages.preference_losses import Pairs

if TYPE_CHECKING:
    from tuitune.recipe import Recipe
    from tuitune.run.evaluation import Better

Rows = Mapping[str, Mapping[str, float]]  # by id: the scores of likelihood.Pairs


def alone(rows: Rows, recipe: Recipe, labels: Mapping[str, bool]) -> list[Series]:
    """Return the figures that need no reference; labels: of votes (kto), by id."""
    if recipe.stage == "kto":
        return _votes_alone(rows, labels)
    loss = {name: -row["plain_chosen"] / row["tokens_chosen"] for name, row in rows.items()}
    prefers = {name: float(row["logp_chosen"] > row["logp_rejected"]) for name, row in rows.items()}
    weights = [row["tokens_chosen"] for row in rows.values()]
    return [
        Series("loss_chosen", "loss of the better answer", list(loss.values()), list(rows), weights, better="less"),
        Series("preference", "better answer likelier", list(prefers.values()), list(rows), unit="%", scale=100.0),
    ]


def _votes_alone(rows: Rows, labels: Mapping[str, bool]) -> list[Series]:
    found = []
    for good, word in ((True, "good"), (False, "bad")):
        own = {name: row for name, row in rows.items() if labels[name] is good}
        if own:
            found.append(
                Series(
                    f"loss_{word}", f"loss of {word} answers",
                    [-row["plain_chosen"] / row["tokens_chosen"] for row in own.values()], list(own),
                    [row["tokens_chosen"] for row in own.values()], better="less" if good else "more",
                )
            )  # fmt: skip
    return found


def measured(
    rows: Rows, before: Rows | None, recipe: Recipe, labels: Mapping[str, bool], note: Callable[[str], None]
) -> list[Series]:
    """Return the stage's loss and rewards; before: the base's scores, None where there is none to measure from.

    Rows that the base could not read are left out then.
    """
    if before is not None:
        rows = {name: row for name, row in rows.items() if name in before}
    if before is not None and needs_reference(recipe) and (recipe.ref_model or recipe.adapter_name_or_path):
        other = recipe.ref_model or "the adapter that was trained further"
        note(f"rewards are measured from the base here and were from {other} in training: they differ from those")
    if recipe.stage == "kto":
        return [] if before is None else _votes(rows, before, recipe, labels)
    stage = Preference(recipe)
    if stage.needs_reference and before is None:
        return []
    if recipe.pref_bco_weight:
        note(
            "the loss is left out: pref_bco_weight measures from the rewards of the training, which are not known here"
        )
    pairs = _pairs(stage, rows, before if stage.needs_reference else None, recipe)
    return _series(stage, pairs, list(rows), recipe)


def _pairs(stage: Preference, rows: Rows, before: Rows | None, recipe: Recipe) -> Pairs:
    now, counts = _column(rows, "logp"), _column(rows, "tokens")
    past = None if before is None else _column({name: before[name] for name in rows}, "logp")
    if stage.loss in AVERAGED:
        now, past = now / counts, None if past is None else past / counts
    ratios = now if past is None else now - past
    plain = torch.tensor([row["plain_chosen"] for row in rows.values()], dtype=torch.float64)
    return Pairs(ratios[:, 0], ratios[:, 1], (now[:, 0], now[:, 1]), plain / counts[:, 0])


def _column(rows: Rows, name: str) -> torch.Tensor:
    """Return (pairs, 2): of the better and of the worse answer."""
    both = [[row[f"{name}_chosen"], row[f"{name}_rejected"]] for row in rows.values()]
    return torch.tensor(both, dtype=torch.float64).view(-1, 2)


def _series(stage: Preference, pairs: Pairs, ids: Sequence[str], recipe: Recipe) -> list[Series]:
    beta, found = recipe.pref_beta, list[Series]()
    if not recipe.pref_bco_weight:
        baselines = costs.baselines([pairs]) if stage.loss == "kto_pair" else (0.0, 0.0)
        loss = stage.losses(pairs, baselines).tolist()
        found.append(Series("loss", f"loss ({stage.loss})", loss, ids, better="less"))
    right = (beta * pairs.chosen > beta * pairs.rejected).double()
    found.append(Series("rewards/accuracies", "reward right", right.tolist(), ids, unit="%", scale=100.0))
    margins = beta * (pairs.chosen - pairs.rejected)
    return [
        *found,
        Series("rewards/margins", "reward margin", margins.tolist(), ids),
        Series("rewards/chosen", "reward, better", (beta * pairs.chosen).tolist(), ids, better=""),
        Series("rewards/rejected", "reward, worse", (beta * pairs.rejected).tolist(), ids, better=""),
    ]


def _votes(rows: Rows, before: Rows, recipe: Recipe, labels: Mapping[str, bool]) -> list[Series]:
    now, past = _column(rows, "logp"), _column({name: before[name] for name in rows}, "logp")
    moved = now - past  # (votes, 2): the answer, and one that belongs elsewhere
    good = torch.tensor([labels[name] for name in rows])
    counts = torch.tensor([row["tokens_chosen"] for row in rows.values()], dtype=torch.float64)
    more = -recipe.pref_ftx * now[:, 0] / counts * good
    loss = Kto(recipe).losses(moved[:, 0], good, baseline(moved[:, 1].tolist())) + more
    rewards = recipe.pref_beta * moved[:, 0]
    found = [Series("loss", "loss (kto)", loss.tolist(), list(rows), better="less")]
    sorts: tuple[tuple[torch.Tensor, str, str, Better], ...] = (
        (good, "chosen", "good", "more"), (~good, "rejected", "bad", "less"),
    )  # fmt: skip
    for mask, name, word, better in sorts:
        if bool(mask.any()):
            ids = [each for each, own in zip(rows, mask.tolist(), strict=True) if own]
            found.append(Series(f"rewards/{name}", f"reward, {word}", rewards[mask].tolist(), ids, better=better))
    return found


def scored(rows: Rows) -> list[Series]:
    """Return the figures of a reward model's scores of pairs: its loss, and how often the better answer scores more."""
    chosen = torch.tensor([row["score_chosen"] for row in rows.values()], dtype=torch.float64)
    rejected = torch.tensor([row["score_rejected"] for row in rows.values()], dtype=torch.float64)
    loss, right = -torch.nn.functional.logsigmoid(chosen - rejected), (chosen > rejected).double()
    ids = list(rows)
    return [
        Series("loss", "loss", loss.tolist(), ids, better="less"),
        Series("rewards/accuracies", "reward right", right.tolist(), ids, unit="%", scale=100.0),
        Series("rewards/margins", "reward margin", (chosen - rejected).tolist(), ids),
        Series("rewards/chosen", "reward, better", chosen.tolist(), ids, better=""),
        Series("rewards/rejected", "reward, worse", rejected.tolist(), ids, better=""),
    ]
