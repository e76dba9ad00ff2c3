"""A recipe as transformers' TrainingArguments: every default that differs from ours is set in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import TrainingArguments

from tuitune.recipe.fields.figures import greater_is_better

if TYPE_CHECKING:
    from tuitune.engine.plan import Plan
    from tuitune.recipe import Recipe
    from tuitune.run.directory import RunDir


def training_arguments(recipe: Recipe, plan: Plan, run: RunDir, batches: int = 1) -> TrainingArguments:
    """Return the arguments of a run; one "batch" of the Trainer is the rows of a whole optimizer step.

    batches: how many times the recipe's rows of a step make one batch (ppo's buffer).
    """
    arguments = TrainingArguments(
        output_dir=str(run.path),
        # The step is cut by us: see StepTrainer.
        per_device_train_batch_size=recipe.rows_per_step * batches,
        gradient_accumulation_steps=1,
        per_device_eval_batch_size=recipe.per_device_eval_batch_size,
        remove_unused_columns=False,
        # Schedule and optimizer.
        learning_rate=recipe.learning_rate,
        num_train_epochs=recipe.num_train_epochs,
        max_steps=recipe.max_steps,
        lr_scheduler_type=recipe.lr_scheduler_type,
        lr_scheduler_kwargs=dict(recipe.lr_scheduler_kwargs or {}),
        warmup_steps=recipe.warmup_steps,
        optim=recipe.optim,
        optim_args=recipe.optim_args,
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_epsilon=recipe.adam_epsilon,
        max_grad_norm=recipe.max_grad_norm,
        # Precision.
        bf16=plan.autocast == "bf16",
        fp16=plan.autocast == "fp16",
        tf32=recipe.tf32 if plan.device != "cpu" else None,
        use_cpu=plan.device == "cpu",
        # Logging: losses as they are, also when they are not numbers.
        logging_strategy=recipe.logging_strategy,
        logging_steps=recipe.logging_steps,
        logging_first_step=recipe.logging_first_step,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no",
        report_to=[],
        disable_tqdm=True,
        # Saving and evaluating.
        save_strategy=recipe.save_strategy,
        save_steps=recipe.save_steps,
        save_only_model=recipe.save_only_model,
        save_total_limit=None,
        eval_strategy=recipe.eval_strategy,
        eval_steps=recipe.eval_steps,
        load_best_model_at_end=recipe.load_best_model_at_end,
        metric_for_best_model=recipe.metric_for_best_model,
        greater_is_better=greater_is_better(recipe),
        # Randomness and order.
        seed=recipe.seed,
        data_seed=recipe.data_seed,
        train_sampling_strategy="sequential" if recipe.disable_shuffling else "random",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        # accelerate would look for tensors in the rows of a stream.
        accelerator_config={"dispatch_batches": False},
        ddp_timeout=int(recipe.ddp_timeout),
        run_name=recipe.run_name,
        # Signals belong to the host; its handler only asks for a stop.
        enable_jit_checkpoint=False,
        push_to_hub=False,
        label_names=["labels"],
    )
    # Several visible GPUs would make Trainer split the rows of a step over them in one process.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
