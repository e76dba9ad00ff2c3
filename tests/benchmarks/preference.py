"""One optimizer step of DPO, ours against TRL's DPOTrainer: same pairs, same threads, one process, taking turns.

    python -m tests.benchmarks.preference [--data FILE] [--steps N] [--pairs N] [--longest N] [--threads N]

Times forward and backward of whole optimizer steps of SmolLM2 with a LoRA on all linear layers, in fp32. FILE: JSON
that a dataset_info.json beside it knows (dpo_en_demo.json); without it, random tokens of like lengths. Checks on a
first step that losses and gradients agree; prints each step, then the medians of the paired ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuitune.engine.setup import prepare_process

TRL, PLAIN, OURS, KNOWN = (
    "trl, its defaults (recomputation, all pairs at once)",
    "trl, no recomputation, 2 pairs at a time",
    "tuitune, first epoch",
    "tuitune, later epochs, or the reference asked beforehand",
)
AT_ONCE = 2  # pairs; more of them, and trl without recomputation does not fit into 24 GB


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=8, help="pairs per optimizer step")
    parser.add_argument("--longest", type=int, default=512, help="pairs with a longer row are left out")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given, Path(scratch))
        bench.compare()
        seconds: dict[str, list[float]] = {way: [] for way in (TRL, PLAIN, OURS, KNOWN)}
        for number in range(1, given.steps + 1):
            bench.step(number, seconds)
        report(seconds)


class Bench:
    """Both trainers on the same weights and pairs."""

    def __init__(self, given: Any, scratch: Path) -> None:
        import torch

        from tests.engine.given import recipe_text
        from tuitune.fit.machine import usable_cores
        from tuitune.fit.models import resolve
        from tuitune.models.load import load_tokenizer
        from tuitune.models.prepare import prepare
        from tuitune.recipe import Document

        torch.set_num_threads(given.threads or usable_cores())
        self.folder = prepare(resolve("smollm2-135m"))
        self.tokenizer = load_tokenizer(self.folder)
        self.per_step = given.pairs
        text = recipe_text(scratch, stage="dpo", model_name_or_path="smollm2-135m", cutoff_len=65536)
        self.recipe = Document.parse(text).recipe()
        found = file_pairs(given.data, self.recipe, self.tokenizer) if given.data else random_pairs(400)
        self.pairs = [e for e in found if max(len(row["input_ids"]) for row in e.sequences) <= given.longest]
        self.trl = self._trl(scratch)
        self.mine, self.asking = self._ours({})
        _, self.knowing = self._ours({"precompute_ref_log_probs": True})
        print(
            f"SmolLM2-135M, LoRA of rank 8 on all linear layers, {self.per_step} of {len(self.pairs)} pairs per step, "
            f"rows up to {given.longest} tokens, {torch.get_num_threads()} threads, torch {torch.__version__}, fp32",
            flush=True,
        )

    def _load(self, attention: str) -> Any:
        import torch

        from tuitune.models.load import load_model

        return load_model(self.folder, dtype=torch.float32, device="cpu", attention=attention)

    def _trl(self, scratch: Path) -> Any:
        import trl
        from datasets import Dataset

        class Trainer(trl.DPOTrainer):  # type: ignore[misc]
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                return dataset

        args = trl.DPOConfig(
            output_dir=str(scratch), bf16=False, use_cpu=True, report_to=[], disable_tqdm=True, max_length=None,
            gradient_checkpointing=True,
        )  # fmt: skip
        rows = Dataset.from_list([trl_row(example) for example in self.pairs[:2]])
        with warnings.catch_warnings(action="ignore"):
            made = Trainer(
                self._load("sdpa"), args=args, train_dataset=rows, processing_class=self.tokenizer, peft_config=lora()
            )
        away_from_zero(made.model)
        return made

    def _ours(self, more: dict[str, Any]) -> tuple[Any, Any]:
        """Return the model, made once, and a stepper on it."""
        from accelerate import Accelerator
        from peft import get_peft_model

        from tuitune.engine.plan import choose_device, settle
        from tuitune.engine.step import Stepper
        from tuitune.methods.original import original
        from tuitune.models import paths
        from tuitune.models.reference import Itself
        from tuitune.stages.preference import Preference

        if not more:
            base = self._load("tuitune")
            path, why = paths.choose(base, longest=512, pad=0, dropout=False, autocast=None)
            assert not why, why
            self.path, self.mine = path, get_peft_model(base, lora())
            away_from_zero(self.mine)
        stage = Preference(self.recipe.model_copy(update=more))
        stage.reference = Itself(original, warnings.catch_warnings)
        plan, _ = settle(
            choose_device(self.recipe, 1), self.recipe.model_copy(update={"tokens_per_batch": None}), self.mine,
            self.folder, longest=512, path="flat",
        )  # fmt: skip
        stepper = Stepper(
            stage, self.path, Accelerator(cpu=True), tokens_per_batch=plan.tokens_per_batch, before_part=lambda: None,
            warn=print, recompute=None,
        )  # fmt: skip
        return self.mine, stepper

    # One step

    def _trl_step(self, some: Sequence[Any], *, recompute: bool) -> float:
        # Trainer switches recomputation on inside train(); a bare training_step would silently run without it.
        base = self.trl.model.get_base_model()
        getattr(base, f"activation_checkpointing_{'enable' if recompute else 'disable'}")()
        if recompute:
            self.trl.model.enable_input_require_grads()
        assert base.is_activation_checkpointing is recompute
        size = len(some) if recompute else AT_ONCE
        rows = [trl_row(example) for example in some]
        parts = [self.trl.data_collator(rows[i : i + size]) for i in range(0, len(rows), size)]
        self.trl.current_gradient_accumulation_steps = len(parts)
        return float(sum(self.trl.training_step(self.trl.model, part) for part in parts))

    def _first_epoch(self, some: Sequence[Any]) -> float:
        self.asking._stage._asked._known.clear()  # pairs of an earlier step may come again
        return self._our_step(self.asking, some)

    def _our_step(self, stepper: Any, some: Sequence[Any]) -> float:
        return float(stepper.run(self.mine, stepper._stage.before_step(some, 1)).loss)

    def _know(self, some: Sequence[Any]) -> None:
        """Ask the reference about the pairs, as a run does before its first step."""
        from types import SimpleNamespace

        from tests.stages.judged import examples_of

        nothing = lambda *args: None  # noqa: E731
        stage: Any = self.knowing._stage
        stage.reference = self.asking._stage.reference
        around: Any = SimpleNamespace(
            model=self.mine, path=self.path, recipe=stage.recipe, attend=nothing, phase=nothing, progress=nothing,
            note=nothing, folder=Path(tempfile.mkdtemp()), tokens_per_batch=lambda: self.knowing.tokens_per_batch,
        )  # fmt: skip
        stage.begin(around, examples_of(list(some)), None)

    def _ways(self, number: int) -> dict[str, tuple[Any, Callable[[], float]]]:
        start = number * self.per_step % max(1, len(self.pairs) - self.per_step)
        some = self.pairs[start : start + self.per_step]
        self.mine.train()
        self.trl.model.train()
        self._know(some)
        return {
            TRL: (self.trl.model, lambda: self._trl_step(some, recompute=True)),
            PLAIN: (self.trl.model, lambda: self._trl_step(some, recompute=False)),
            OURS: (self.mine, lambda: self._first_epoch(some)),
            KNOWN: (self.mine, lambda: self._our_step(self.knowing, some)),
        }

    def compare(self) -> None:
        """Warm up, and refuse to time things that do not compute the same."""
        seen = {}
        for way, (model, run) in self._ways(0).items():
            model.zero_grad()
            seen[way] = (run(), gradient(model))
        loss, grad = seen[PLAIN]
        for way, (other, vector) in seen.items():
            far = float((vector - grad).norm() / grad.norm())
            print(f"{way}: loss {other:.6f}, gradient differs from trl's by {far:.1e}", flush=True)
            assert abs(other - loss) < 1e-4 * abs(loss), "the losses differ"
            assert far < 1e-3, "the gradients differ"

    def step(self, number: int, seconds: dict[str, list[float]]) -> None:
        """Time step `number` in every way, each time in another order."""
        ways = list(self._ways(number).items())
        for way, (model, run) in ways[number % len(ways) :] + ways[: number % len(ways)]:
            model.zero_grad()
            begun = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - begun)
        print(
            f"step {number}: " + ", ".join(f"{way} {values[-1]:.2f} s" for way, values in seconds.items()), flush=True
        )


def file_pairs(file: Path, recipe: Any, tokenizer: Any) -> list[Any]:
    """Return the pairs of a data set's file."""
    from tuitune.data import build

    known = json.loads((file.parent / "dataset_info.json").read_text())
    name = next(name for name, entry in known.items() if entry.get("file_name") == file.name)
    more = {"dataset": (name,), "dataset_dir": str(file.parent.resolve())}
    return list(build(recipe.model_copy(update=more), tokenizer).train)


def random_pairs(count: int) -> list[Any]:
    """Return pairs of random tokens whose lengths are spread as in dpo_en_demo's short rows."""
    from tuitune.data import Example

    draw = random.Random(0)

    def ids(least: int, mean: float) -> list[int]:
        return [draw.randrange(20, 40_000) for _ in range(least + int(draw.expovariate(1 / (mean - least))))]

    def made() -> Example:
        prompt, answers = ids(30, 105), (ids(10, 164), ids(10, 164))
        rows = [{"input_ids": prompt + a, "labels": [-100] * len(prompt) + a} for a in answers]
        return Example(tuple(rows))  # type: ignore[arg-type]

    return [made() for _ in range(count)]


def trl_row(example: Any) -> dict[str, list[int]]:
    """Return a pair as DPOTrainer's own collator takes it."""
    chosen, rejected = example.sequences
    start = sum(label == -100 for label in chosen["labels"])
    assert chosen["input_ids"][:start] == rejected["input_ids"][:start]
    return {
        "prompt_ids": chosen["input_ids"][:start],
        "chosen_ids": chosen["input_ids"][start:],
        "rejected_ids": rejected["input_ids"][start:],
    }


def lora() -> Any:
    """Return the adapter's description."""
    from peft import LoraConfig

    return LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")


def away_from_zero(model: Any) -> None:
    """Give every adapter the same weights, with which all gradients are alive."""
    import torch

    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.02)


def gradient(model: Any) -> Any:
    """Return all gradients as one vector."""
    import torch

    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


def report(seconds: dict[str, list[float]]) -> None:
    """Print medians and paired ratios."""
    print(f"\n| way | median seconds per step | times as long as {OURS} | as {KNOWN} |\n|---|---|---|---|")
    for way, values in seconds.items():
        ratios = [
            statistics.median(a / b for a, b in zip(values, seconds[mine], strict=True)) for mine in (OURS, KNOWN)
        ]
        print(f"| {way} | {statistics.median(values):.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
