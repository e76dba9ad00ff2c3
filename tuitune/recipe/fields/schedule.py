"""How long to train, and the learning rate on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self, get_args

from pydantic import model_validator

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Number, Settings, Share, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
]

_MIN_LR = frozenset({"num_cycles", "min_lr", "min_lr_rate"})
# What each schedule of transformers takes beyond the optimizer and the numbers of steps; an unknown name raises there.
SCHEDULER_KWARGS: dict[str, frozenset[str]] = {
    "linear": frozenset(),
    "cosine": frozenset({"num_cycles"}),
    "cosine_with_restarts": frozenset({"num_cycles"}),
    "polynomial": frozenset({"lr_end", "power"}),
    "constant": frozenset(),
    "constant_with_warmup": frozenset(),
    "inverse_sqrt": frozenset({"timescale"}),
    "reduce_lr_on_plateau": frozenset(
        {"mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"}
    ),
    "cosine_with_min_lr": _MIN_LR,
    "cosine_warmup_with_min_lr": _MIN_LR | {"warmup_lr_rate"},
    "warmup_stable_decay": frozenset(
        {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles"}
    ),
    "greedy": frozenset(
        {"mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr", "eps"}
        | {"verbose", "smooth", "window_size", "reset_start"}
    ),
}
NO_WARMUP = ("constant", "reduce_lr_on_plateau", "greedy")
_WARM = When("lr_scheduler_type", tuple(name for name in get_args(Scheduler) if name not in NO_WARMUP))


class ScheduleOptions(Options):
    """Length of the training and the curve of the learning rate."""

    GROUP: ClassVar[str] = "schedule"

    num_train_epochs: Number = option(
        3.0,
        "How often all rows are seen; parts of an epoch are possible.",
        unit="epochs",
        gt=0,
        when=When("max_steps", (-1,)),
        essential=True,
    )
    max_steps: Whole = option(
        -1,
        "Optimizer steps to train, whatever the number of epochs; -1 lets num_train_epochs decide.",
        unit="steps",
        ge=-1,
        essential=True,
    )
    lr_scheduler_type: Scheduler = option("linear", "The curve of the learning rate after the warm-up.", essential=True)
    lr_scheduler_kwargs: Settings | None = option(
        None, "Settings of the curve, such as {min_lr: 1.0e-6} for cosine_with_min_lr."
    )
    warmup_steps: Share = option(
        0.0,
        "Steps over which the learning rate rises from 0: a number of steps, or a share of all steps below 1.",
        unit="steps or share",
        ge=0,
        when=_WARM,
        essential=True,
    )
    warmup_ratio: Number | None = option(
        None,
        "The older name for warmup_steps as a share; read as that.",
        unit="share",
        ge=0,
        lt=1,
        when=_WARM,
    )

    @model_validator(mode="after")
    def _ratio_is_steps(self) -> Self:
        """Take over a ratio: transformers 5 reads warmup_steps below 1 as one. The set of asked keys stays."""
        if self.warmup_ratio and "warmup_steps" not in self.model_fields_set:
            self.__dict__["warmup_steps"] = self.warmup_ratio
        return self


def _unknown_kwargs(recipe: Recipe) -> bool:
    return not (recipe.lr_scheduler_kwargs or {}).keys() <= SCHEDULER_KWARGS[recipe.lr_scheduler_type]


def _number(recipe: Recipe, name: str, default: float) -> float:
    value = (recipe.lr_scheduler_kwargs or {}).get(name, default)
    return value if isinstance(value, int | float) else default


def _needs(schedule: str, *names: str) -> Rule:
    return Rule(
        ("lr_scheduler_type", "lr_scheduler_kwargs"),
        lambda r: r.lr_scheduler_type == schedule and (r.lr_scheduler_kwargs or {}).keys().isdisjoint(names),
        f"{schedule} needs {' or '.join(names)}",
        f"add lr_scheduler_kwargs: {{{names[0]}: ...}}",
    )


def _unevaluated(schedule: str) -> Rule:
    return Rule(
        ("lr_scheduler_type", "eval_strategy"),
        lambda r: r.lr_scheduler_type == schedule and r.eval_strategy == "no",
        f"{schedule} follows the evaluation loss, and nothing is evaluated",
        "set eval_strategy: steps or epoch, with val_size or eval_dataset",
    )


RULES = (
    Rule(("max_steps",), lambda r: r.max_steps == 0, "0 steps train nothing", "use -1 to let num_train_epochs decide"),
    Rule(
        ("warmup_ratio",),
        lambda r: bool(r.warmup_ratio) and "warmup_steps" not in r.asked,
        "is the older name: read as warmup_steps, where a number below 1 is a share of all steps",
        level="warning",
    ),
    Rule(
        ("warmup_ratio", "warmup_steps"),
        lambda r: bool(r.warmup_ratio) and "warmup_steps" in r.asked and r.warmup_steps > 0,
        "warmup_ratio and warmup_steps say the same thing twice",
        "keep one of them",
    ),
    Rule(
        ("lr_scheduler_kwargs", "lr_scheduler_type"),
        _unknown_kwargs,
        "names a setting that this schedule does not have",
        "; ".join(f"{name}: {', '.join(sorted(args))}" for name, args in SCHEDULER_KWARGS.items() if 0 < len(args) < 5),
    ),
    _needs("cosine_with_min_lr", "min_lr", "min_lr_rate"),
    _needs("cosine_warmup_with_min_lr", "min_lr", "min_lr_rate"),
    _needs("warmup_stable_decay", "num_decay_steps"),
    Rule(
        ("lr_scheduler_kwargs",),
        lambda r: {"min_lr", "min_lr_rate"} <= (r.lr_scheduler_kwargs or {}).keys(),
        "min_lr and min_lr_rate say the same thing twice",
        "keep one of them",
    ),
    Rule(
        ("lr_scheduler_kwargs", "learning_rate"),
        lambda r: r.lr_scheduler_type == "polynomial" and _number(r, "lr_end", 1e-7) >= r.learning_rate,
        "lr_end must be less than learning_rate",
        "lower lr_end",
    ),
    _unevaluated("reduce_lr_on_plateau"),
    _unevaluated("greedy"),
    Rule(
        ("lr_scheduler_type", "learning_rate"),
        lambda r: (
            r.lr_scheduler_type == "greedy" and "min_lr" not in (r.lr_scheduler_kwargs or {}) and r.learning_rate < 1e-3
        ),
        "greedy never goes below its min_lr, which is 0.001 unless set: more than this learning_rate",
        "add lr_scheduler_kwargs: {min_lr: 1.0e-6}",
        level="warning",
    ),
)
