"""The declarations, one module per group; the order here is the order of forms and of resolved recipes."""

from __future__ import annotations

from tuitune.recipe.fields import (
    batch,
    data,
    evaluation,
    generation,
    logging,
    lora,
    method,
    model,
    optimizer,
    precision,
    run,
    saving,
    schedule,
)
from tuitune.recipe.option import Options, Rule

MODULES = (
    model,
    method,
    lora,
    data,
    batch,
    optimizer,
    schedule,
    precision,
    logging,
    saving,
    evaluation,
    generation,
    run,
)

GROUPS: tuple[type[Options], ...] = (
    model.ModelOptions,
    method.MethodOptions,
    lora.LoraOptions,
    data.DataOptions,
    batch.BatchOptions,
    optimizer.OptimizerOptions,
    schedule.ScheduleOptions,
    precision.PrecisionOptions,
    logging.LoggingOptions,
    saving.SavingOptions,
    evaluation.EvaluationOptions,
    generation.GenerationOptions,
    run.RunOptions,
)

RULES: tuple[Rule, ...] = tuple(rule for module in MODULES for rule in module.RULES)
