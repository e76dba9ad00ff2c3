"""From a recipe to a trainer that is ready: model, data, method, plan; then train and seal the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed

from tuitune.data import build as build_data
from tuitune.data.templates import Style
from tuitune.data.templates import choose as choose_template
from tuitune.engine import checkpoint, weights
from tuitune.engine.arguments import training_arguments
from tuitune.engine.control import Controls
from tuitune.engine.forward import settle_forward
from tuitune.engine.plan import Plan, choose_device, other_versions, resume_plan, slow_precision, unpaged
from tuitune.engine.room import result_folder
from tuitune.engine.session import Halt, Session
from tuitune.engine.trainer import StepTrainer
from tuitune.fit.machine import cpu, usable_cores
from tuitune.fit.models import resolve
from tuitune.methods import method
from tuitune.methods.base import Attempt
from tuitune.methods.counting import count_of
from tuitune.models.generate import Sampling
from tuitune.models.load import load_tokenizer
from tuitune.models.prepare import prepare
from tuitune.models.quantise import check as check_quantised
from tuitune.models.shaping import Shaping, load_any_attention
from tuitune.recipe import Recipe
from tuitune.run import manifest
from tuitune.stages import stage

if TYPE_CHECKING:
    from tuitune.data import Examples, Prepared
    from tuitune.data.templates import Template
    from tuitune.fit.resolve import ModelSource


class Build:
    """One attempt, step by step; every phase can be stopped between its pieces."""

    def __init__(self, session: Session, recipe: Recipe, restored: checkpoint.Restored | None) -> None:
        self.session, self.recipe, self.restored = session, recipe, restored
        self.method, self.stage = method(recipe.finetuning_type), stage(recipe)
        self._training: StepTrainer | None = None

    def train(self) -> tuple[str, dict[str, float]]:
        """Do everything; return the final folder and the metrics of the end. Raises Halt when stopped."""
        trainer = self._trainer()
        path = str(self.restored.path) if self.restored else None
        self._training = trainer
        try:
            result = trainer.train(resume_from_checkpoint=path)
        except Halt as halt:
            if halt.save and trainer.state.global_step > 0:
                self.session.phase("save")
                trainer.save_boundary()
            raise
        finally:
            trainer.controls.end()
        self.session.phase("save", "the result")
        if not checkpoint.finite(trainer.model, self.recipe):
            self.session.warn(
                "the result holds numbers that are not finite and is of no use",
                "resume from a checkpoint with a lower learning_rate",
            )
        final = self._final(trainer)
        return str(final), {"train_loss": result.metrics["train_loss"]}

    # The pieces

    def _trainer(self) -> StepTrainer:
        session, recipe = self.session, self.recipe
        session.phase("prepare", recipe.model_name_or_path)
        source, folder = self._model_folder()
        session.phase("tokenize")
        tokenizer = load_tokenizer(
            folder, trust_remote_code=recipe.trust_remote_code, split_special_tokens=recipe.split_special_tokens,
            note=session.warn,
        )  # fmt: skip
        template = choose_template(recipe.template, tokenizer, recipe.default_system, Style.of(recipe))
        data = build_data(
            recipe, tokenizer, template=template, check=self._attend, warn=session.warn,
            progress=lambda what, done, total: session.progress("tokenize", done, total),
        )  # fmt: skip
        self._tell(data)
        digest = data.digest(session.check)
        if self.restored is not None and self.restored.own.get("data", digest) != digest:
            session.warn(
                "not bit-equal: the rows are not those that the run began with",
                "it goes on with the new ones, from the same place in their order",
            )
        session.phase("load", folder.name)
        plan, model = self._load(source, folder)
        session.check()
        args = training_arguments(recipe, plan, session.run, self.stage.batches_per_step)
        trainer = StepTrainer(
            model=model, args=args, recipe=recipe, method=self.method, stage=self.stage, session=session, plan=plan,
            restored=self.restored, tokenizer=tokenizer, train_rows=data.train, eval_rows=data.evaluation,
            callbacks=self._callbacks(), data_digest=digest,
        )  # fmt: skip
        trainer.controls = Controls(
            session, tokenizer, template, system=recipe.default_system, sampling=sampling_of(recipe)
        )
        settle_forward(trainer, model, folder, data)
        self._begin(trainer, template, data)
        return trainer

    def _begin(self, trainer: StepTrainer, template: Template, data: Prepared) -> None:
        if self.restored is not None:
            self.stage.load(trainer.model, self.restored.path)
        # A stream has no places; stages that need them refuse streaming.
        train = cast("Examples", data.train)
        self.stage.begin(trainer.surroundings(template, sampling_of(self.recipe)), train, data.evaluation)

    def _attend(self) -> None:
        """Obey the inbox, also while a stream is read in the middle of training."""
        if self._training is None:
            self.session.check()
        else:
            self._training.attend()

    def _model_folder(self) -> tuple[ModelSource, Path]:
        recipe = self.recipe
        near = [recipe.source.parent] if recipe.source else []
        source = resolve(
            recipe.model_name_or_path, search=near, revision=recipe.model_revision, cache_dir=recipe.cache_dir
        )
        folder = prepare(
            source, check=self.session.check, trust_remote_code=recipe.trust_remote_code, cache_dir=recipe.cache_dir,
            progress=lambda what, done, total: self.session.progress("prepare", done, total),
        )  # fmt: skip
        return source, folder

    def _load(self, source: ModelSource, folder: Path) -> tuple[Plan, Any]:
        session, recipe = self.session, self.recipe
        plan = self._first_plan()
        torch.set_num_threads(plan.threads)
        # This order gives the adapter and the row order of a plain Trainer with the same seed (reference/README).
        set_seed(recipe.seed)
        check_quantised(folder, Shaping.of(recipe), whole=recipe.whole)
        model = load_any_attention(
            folder, Shaping.of(recipe), dtype=plan.torch_dtype, device=plan.device,
            trust_remote_code=recipe.trust_remote_code, note=session.warn,
        )  # fmt: skip
        self.method.attempt = self._attempt()
        prepared = self.stage.prepare(self.method.prepare(model, recipe))
        session.note(f"trains {count_of(prepared).words()}")
        # An adapter should name its base as others know it, and wherever they are.
        base = source.name if source.kind in ("hub", "cached") else str(folder.resolve())
        for config in getattr(prepared, "peft_config", {}).values():
            config.base_model_name_or_path = base
        return plan, prepared

    def _attempt(self) -> Attempt:
        session = self.session
        return Attempt(
            self.restored.path if self.restored else None, session.check, session.phase,
            lambda done, total: session.progress("init", done, total), session.note,
        )  # fmt: skip

    def _first_plan(self) -> Plan:
        plan = choose_device(self.recipe, self.recipe.threads or usable_cores())
        for words in (slow_precision(plan, frozenset(cpu().half_flags)), unpaged(plan, self.recipe.optim)):
            if words:
                self.session.warn(words)
        if self.restored is None:
            return plan
        plan, reasons = resume_plan(plan, self.restored.own, self.recipe)
        reasons += other_versions(self.restored.path)
        if reasons:
            self.session.warn(f"not bit-equal: {'; '.join(reasons)}", "it goes on from the same weights and optimizer")
        return plan

    def _callbacks(self) -> list[TrainerCallback]:
        patience = self.recipe.early_stopping_steps
        return [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []

    def _tell(self, data: Prepared) -> None:
        report, warn = data.report, self.session.warn
        rows = report.rows + report.evaluation_rows
        if data.cached:
            self.session.note(f"{rows} rows that an earlier run has tokenised (overwrite_cache: true makes them anew)")
        for fact in report.facts:
            self.session.note(fact)
        for note in report.notes:
            warn(note)
        if report.bad_count:
            warn(f"{report.bad_count} of {rows + report.bad_count} rows cannot be used: {report.first_reasons(5)}")
        if report.truncated:
            warn(f"{report.truncated} of {rows} rows are longer than cutoff_len {self.recipe.cutoff_len} and were cut")

    def _final(self, trainer: StepTrainer) -> Path:
        run, step, attempt = self.session.run, trainer.state.global_step, self.session.attempt
        meta = {"kind": "final", "model": self.recipe.model_name_or_path}
        with result_folder(trainer) as folder:
            weights.write(trainer, folder, exact=False)
            return manifest.seal(folder, run.final, meta, step=step, attempt=attempt).path


def sampling_of(recipe: Recipe) -> Sampling:
    """Return the recipe's generation settings."""
    return Sampling(
        recipe.max_new_tokens, recipe.temperature, recipe.top_p, recipe.top_k, recipe.do_sample,
        recipe.repetition_penalty, seed=recipe.seed, skip_special_tokens=recipe.skip_special_tokens,
    )  # fmt: skip
