"""One optimizer step of ours against TRL's SFTTrainer: same rows, same threads, one process, taking turns.

    python -m tests.benchmarks.step RECIPE [key=value ...] [--steps N]

Times forward and backward of whole optimizer steps (the optimizer itself is the same). Prints each step, then the
medians of the paired ratios; checks on the first step that losses and gradients agree.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuitune.engine.setup import prepare_process

WAYS = ("trl, recomputation on (its default)", "trl, recomputation off", "tuitune")


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    prepare_process()
    from tuitune.recipe import load

    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(load(given.recipe, given.overrides), Path(scratch))
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(given.steps + 1):
            bench.step(number, seconds if number else None)  # the first one warms up and is checked
        report(seconds)


class Bench:
    """Both trainers on the same model weights and rows."""

    def __init__(self, recipe: Any, scratch: Path) -> None:
        import torch

        from tuitune.data import build
        from tuitune.fit.machine import usable_cores
        from tuitune.fit.models import resolve
        from tuitune.models.load import load_tokenizer
        from tuitune.models.prepare import prepare

        torch.set_num_threads(recipe.threads or usable_cores())
        self.recipe, self.folder = recipe, prepare(resolve(recipe.model_name_or_path))
        self.tokenizer = load_tokenizer(self.folder)
        self.rows = build(recipe, self.tokenizer).train
        self.per_step = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps
        self.trl = self._trl(scratch)
        self.mine, self.stepper = self._ours()
        print(
            f"{recipe.model_name_or_path}, {len(self.rows)} rows, {self.per_step} per step, "
            f"{torch.get_num_threads()} threads, torch {torch.__version__}, {next(self.mine.parameters()).dtype}"
        )

    def _model(self, attention: str) -> Any:
        import torch

        from tuitune.methods import method
        from tuitune.models.load import load_model

        model = load_model(self.folder, dtype=torch.float32, device="cpu", attention=attention)
        torch.manual_seed(1)
        made = method("lora").prepare(model, self.recipe)
        for name, parameter in made.named_parameters():
            if "lora_B" in name:  # away from zero, so that all gradients are alive
                torch.nn.init.normal_(parameter, std=0.02)
        return made.train()

    def _trl(self, scratch: Path) -> Any:
        from datasets import Dataset
        from transformers import DataCollatorForSeq2Seq
        from trl import SFTConfig, SFTTrainer

        args = SFTConfig(
            output_dir=str(scratch), per_device_train_batch_size=self.recipe.per_device_train_batch_size,
            gradient_accumulation_steps=self.recipe.gradient_accumulation_steps, bf16=False, use_cpu=True,
            report_to=[], disable_tqdm=True, max_length=None, gradient_checkpointing=True,
            dataset_kwargs={"skip_prepare_dataset": True},
        )  # fmt: skip
        rows = Dataset.from_list([dict(row) for row in self.rows.rows])
        return SFTTrainer(
            self._model("sdpa"), args, train_dataset=rows, processing_class=self.tokenizer,
            data_collator=DataCollatorForSeq2Seq(self.tokenizer),
        )  # fmt: skip

    def _ours(self) -> tuple[Any, Any]:
        from accelerate import Accelerator

        from tuitune.engine.plan import choose_device, settle
        from tuitune.engine.step import Stepper
        from tuitune.models import paths
        from tuitune.stages import stage

        model = self._model("tuitune")
        longest = self.rows.longest
        path, why = paths.choose(model.get_base_model(), longest=longest, pad=0, dropout=False, autocast=None)
        assert not why, why
        plan, _ = settle(
            choose_device(self.recipe, 1), self.recipe, model, self.folder, longest=longest, path=path.name
        )
        stepper = Stepper(
            stage(self.recipe), path, Accelerator(cpu=True), tokens_per_batch=plan.tokens_per_batch,
            before_part=lambda: None, warn=print, recompute=None,
        )  # fmt: skip
        return model, stepper

    def _trl_step(self, rows: list[Any], recompute: bool) -> float:
        # Trainer switches recomputation on inside train(); a bare training_step would silently run without it.
        toggle = "activation_checkpointing_enable" if recompute else "activation_checkpointing_disable"
        base = self.trl.model.get_base_model()
        getattr(base, toggle)()
        if recompute:
            self.trl.model.enable_input_require_grads()
        assert base.is_activation_checkpointing is recompute
        size = self.recipe.per_device_train_batch_size
        parts = [self.trl.data_collator(rows[i : i + size]) for i in range(0, len(rows), size)]
        self.trl.current_gradient_accumulation_steps = len(parts)
        items = sum((part["labels"][:, 1:] != -100).sum() for part in parts)
        return float(sum(self.trl.training_step(self.trl.model, part, items) for part in parts))

    def step(self, number: int, seconds: dict[str, list[float]] | None) -> None:
        """Run step `number` all three ways; without `seconds` compare the results instead of the times."""
        start = number * self.per_step % max(1, len(self.rows) - self.per_step)
        rows = [self.rows[i] for i in range(start, start + self.per_step)]
        runs: dict[str, tuple[Any, Callable[[], float]]] = {
            WAYS[0]: (self.trl.model, lambda: self._trl_step([dict(r.sequences[0]) for r in rows], True)),
            WAYS[1]: (self.trl.model, lambda: self._trl_step([dict(r.sequences[0]) for r in rows], False)),
            WAYS[2]: (self.mine, lambda: float(self.stepper.run(self.mine, rows).loss)),
        }
        seen: dict[str, tuple[float, Any]] = {}
        for way, (model, run) in runs.items():
            model.zero_grad()
            begun = time.perf_counter()
            loss = run()
            if seconds is not None:
                seconds[way].append(time.perf_counter() - begun)
            seen[way] = (loss, gradient(model))
        if seconds is None:
            compare(seen)
        else:
            print(
                f"step {number}: " + ", ".join(f"{way} {values[-1]:.2f} s" for way, values in seconds.items()),
                flush=True,
            )


def gradient(model: Any) -> Any:
    """Return all gradients as one vector."""
    import torch

    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


def compare(seen: dict[str, tuple[float, Any]]) -> None:
    """Refuse to time things that do not compute the same."""
    loss, grad = seen[WAYS[1]]
    for way, (other, vector) in seen.items():
        far = float((vector - grad).norm() / grad.norm())
        print(f"{way}: loss {other:.7f}, gradient differs from trl's by {far:.1e}")
        assert abs(other - loss) < 2e-5 * abs(loss), "the losses differ"
        assert far < 1e-3, "the gradients differ"


def report(seconds: dict[str, list[float]]) -> None:
    """Print medians and paired ratios."""
    pairs = len(seconds[WAYS[2]])
    print(f"\n| way | median seconds per step | times as long as tuitune (median of {pairs} pairs) |\n|---|---|---|")
    for way, values in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(values, seconds[WAYS[2]], strict=True))
        print(f"| {way} | {statistics.median(values):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
