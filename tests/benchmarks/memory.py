"""What each method holds of gradients and optimizer states at the worst moment of a step, counted from live tensors.

    python -m tests.benchmarks.memory [METHOD ...]

Trains a random llama of 54.5 million parameters for three real steps with the engine's own pieces. Gradients are looked
at whenever one more of them is there, states before and after every step. The bytes by formula are made from the
shapes of the model's tensors and nothing else. Prints a Markdown table; fails where the two differ by a single byte.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tuitune.engine.setup import prepare_process

SIZE = {
    "vocab_size": 8192, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
    "num_attention_heads": 8, "num_key_value_heads": 8, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
STEPS, RANK, SHARE, LAYERS = 3, 16, 0.05, 2
_COUNTER = 4  # bytes: torch's AdamW counts the steps of each tensor in a tensor


class Shapes:
    """The tensors of a llama with tied embeddings, by what the formulas tell apart."""

    def __init__(self, tensors: dict[str, tuple[int, ...]], heads: tuple[int, int]) -> None:
        self.tensors, self.heads = tensors, heads
        self.whole = _elements(tensors.values())
        self.layer = _elements(shape for name, shape in tensors.items() if ".layers.0." in name)
        self.outside = _elements(shape for name, shape in tensors.items() if ".layers." not in name)
        self.matrices = [shape for name, shape in tensors.items() if ".layers." in name and len(shape) == 2]
        self.embedding = prod(tensors["model.embed_tokens.weight"])
        self.rest = self.whole - _elements(self.matrices)
        self.largest = max(map(prod, tensors.values()))

    @property
    def adapters(self) -> int:
        """Entries of LoRA's matrices beside every matrix of the layers."""
        return sum(RANK * (m + n) for m, n in self.matrices)

    @property
    def shares(self) -> int:
        """Entries that BAdam by ratio trains at a time: its share of matrices, vectors whole, no embedding."""
        return sum(max(1, round(m * n * SHARE)) for m, n in self.matrices) + self.rest - self.embedding

    @property
    def low(self) -> int:
        """Entries of one moment of GaLore, of all matrices."""
        return sum(RANK * max(shape) for shape in self.matrices)

    @property
    def projectors(self) -> int:
        """Entries of GaLore's projectors."""
        return sum(RANK * min(shape) for shape in self.matrices)

    @property
    def dense_blocks(self) -> int:
        """Second moments of Adam-mini: for each head, row or vector one."""
        query, key = self.heads
        kinds = {"q_proj": query, "k_proj": key}
        return sum(
            1 if len(shape) == 1 else kinds.get(name.split(".")[-2], shape[0]) for name, shape in self.tensors.items()
        )


def _elements(shapes: Iterable[tuple[int, ...]]) -> int:
    return sum(map(prod, shapes))


@dataclass(frozen=True)
class Case:
    """A method by its recipe, with the bytes that it promises of gradients and of states, and both in words."""

    recipe: dict[str, Any]
    gradients: Callable[[Shapes], int]
    states: Callable[[Shapes], int]
    words: str
    parts: int = 1  # micro-batches of a step


_FULL = {"finetuning_type": "full"}
_GALORE = _FULL | {"use_galore": True, "galore_rank": RANK}
_LAYERWISE = _GALORE | {"galore_layerwise": True, "max_grad_norm": 0.0}
_APOLLO = _FULL | {"use_apollo": True, "apollo_rank": RANK}
_BADAM = _FULL | {"use_badam": True, "badam_switch_interval": 2}
_RATIO = _BADAM | {"badam_mode": "ratio", "badam_update_ratio": SHARE}
_LISA = _FULL | {"use_lisa": True, "lisa_activated_layers": LAYERS, "lisa_interval": 2}


def _galore_states(s: Shapes) -> int:
    return 4 * (2 * s.low + s.projectors) + 8 * s.rest


def _apollo_states(s: Shapes) -> int:
    return 4 * 2 * s.low + 4 * len(s.matrices) + 8 * s.rest


def _summed(s: Shapes) -> int:
    """The worst moment of layerwise GaLore with several parts: the first matrix of the last one has its gradient."""
    last_norm = s.tensors["model.norm.weight"][0]  # it came before that matrix, and is done
    return 4 * (s.low + s.rest - last_norm + max(map(prod, s.matrices))) + 4 * len(s.matrices)


CASES: dict[str, Case] = {
    "full": Case(
        _FULL, lambda s: 4 * s.whole, lambda s: 8 * s.whole + _COUNTER * len(s.tensors),
        "gradients and two moments of everything",
    ),
    "full, pure_bf16": Case(
        _FULL | {"pure_bf16": True}, lambda s: 2 * s.whole, lambda s: 4 * s.whole + _COUNTER * len(s.tensors),
        "the same in 16 bits",
    ),
    "freeze, 2 layers": Case(
        {"finetuning_type": "freeze", "freeze_trainable_layers": LAYERS},
        lambda s: 4 * LAYERS * s.layer, lambda s: 8 * LAYERS * s.layer + _COUNTER * LAYERS * 9,
        "gradients and two moments of the chosen layers",
    ),
    "LoRA, rank 16": Case(
        {"finetuning_type": "lora", "lora_rank": RANK},
        lambda s: 4 * s.adapters, lambda s: 8 * s.adapters + _COUNTER * 2 * len(s.matrices),
        "gradients and two moments of the adapters",
    ),
    "GaLore, rank 16": Case(
        _GALORE, lambda s: 4 * s.whole, _galore_states,
        "all gradients; two moments of rank r and one projector for each matrix in the layers, AdamW for the rest",
    ),
    "GaLore layerwise, one micro-batch": Case(
        _LAYERWISE, lambda s: 4 * s.largest, _galore_states,
        "one gradient at a time, the largest is that of the embedding; states of GaLore",
    ),
    "GaLore layerwise, two micro-batches": Case(
        _LAYERWISE, _summed, _galore_states,
        "sums of rank r for each matrix, whole ones for embedding and norms, and one whole gradient; states of GaLore",
        parts=2,
    ),
    "APOLLO, rank 16": Case(
        _APOLLO, lambda s: 4 * s.whole, _apollo_states,
        "all gradients; two moments of rank r and one norm for each matrix in the layers (the projection is drawn "
        "again from its seed), AdamW for the rest",
    ),
    "BAdam by layer": Case(
        _BADAM, lambda s: 4 * s.layer, lambda s: 8 * s.layer, "gradients and two moments of one layer"
    ),
    "BAdam by layer, pure_bf16": Case(
        _BADAM | {"pure_bf16": True}, lambda s: 2 * s.layer, lambda s: 12 * s.layer,
        "gradients of one layer in 16 bits, two moments and a copy of it in fp32",
    ),
    "BAdam by ratio, 5 %": Case(
        _RATIO, lambda s: 4 * (s.whole - s.embedding), lambda s: 8 * s.shares,
        "gradients of all but the embedding; two moments of the share",
    ),
    "BAdam by ratio, 5 %, scatter": Case(
        _RATIO | {"badam_mask_mode": "scatter"}, lambda s: 4 * (s.whole - s.embedding),
        lambda s: 12 * s.shares - 4 * (s.rest - s.embedding),
        "the same, and the places of the share's entries",
    ),
    "LISA, 2 layers": Case(
        _LISA, lambda s: 4 * (s.outside + LAYERS * s.layer), lambda s: 8 * (s.outside + LAYERS * s.layer),
        "gradients and two moments of the drawn layers, of embedding, head and last norm",
    ),
    "Muon": Case(
        _FULL | {"use_muon": True}, lambda s: 4 * s.whole, lambda s: 4 * (s.whole - s.rest) + 8 * s.rest,
        "all gradients; one momentum for each matrix in the layers, AdamW for the rest",
    ),
    "Adam-mini": Case(
        _FULL | {"use_adam_mini": True}, lambda s: 4 * s.whole, lambda s: 4 * s.whole + 4 * s.dense_blocks,
        "all gradients; one moment, and one number for each head, row or vector",
    ),
}  # fmt: skip


@dataclass
class Watch:
    """The most bytes of gradients, and of states, that were alive at a time."""

    parameters: list[Any]
    optimizer: Any = None
    gradients: int = 0
    states: int = 0

    def look(self, *_: object) -> None:
        """Count what is alive now."""
        sums = dict(getattr(self.optimizer, "held", {}))
        grads = [p.grad for p in self.parameters if p.grad is not None]
        grads += [tensor for held in sums.values() for tensor in (held.value, held.outside)]
        states = list(_tensors(self.optimizer.state if self.optimizer else {}))
        # A projector that was made in this step waits beside the sums until it becomes a state.
        states += _tensors([vars(held.projection) for held in sums.values() if held.projection is not None])
        self.gradients = max(self.gradients, _bytes(grads))
        self.states = max(self.states, _bytes(states))


def _tensors(value: Any) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _tensors(part)


def _bytes(tensors: Iterable[Any]) -> int:
    # By storage: a view holds all of what it looks at, and two views of the same hold it once.
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def measure(case: Case, folder: Path) -> tuple[Watch, Shapes]:
    """Train the model of `folder` for a few steps; return what was held, and the shapes of the bare model."""
    import torch
    from accelerate import Accelerator

    from tuitune.engine.step import Stepper
    from tuitune.methods import method
    from tuitune.models import paths
    from tuitune.models.load import load_model
    from tuitune.recipe import Recipe
    from tuitune.stages import stage

    recipe = Recipe(**{"max_grad_norm": 1.0} | case.recipe)
    way = method(recipe.finetuning_type)
    model = load_model(folder, dtype=torch.bfloat16 if recipe.pure_bf16 else torch.float32, device="cpu")
    config = model.config
    shapes = Shapes(
        {name: tuple(p.shape) for name, p in model.named_parameters()},
        (config.num_attention_heads, config.num_key_value_heads),
    )
    prepared: Any = way.prepare(model, recipe)
    base = prepared.get_base_model() if hasattr(prepared, "get_base_model") else prepared
    path, _ = paths.choose(base, longest=64, pad=0, dropout=False, autocast=None)
    watch = Watch(list(prepared.parameters()))
    for p in watch.parameters:
        if p.requires_grad:  # before the optimizer's own hooks, which let gradients go
            p.register_post_accumulate_grad_hook(watch.look)
    watch.optimizer = _optimizer(way, prepared, recipe)
    aware = watch.optimizer if hasattr(watch.optimizer, "begin_part") else None
    stepper = Stepper(
        stage(recipe), path, Accelerator(cpu=True), tokens_per_batch=(128 if case.parts == 1 else 64),
        before_part=lambda: None, warn=_refuse, recompute=None,
    )  # fmt: skip
    prepared.train()
    for number in range(STEPS):
        done = stepper.run(prepared, _rows(number, config.vocab_size), aware)
        assert done.parts == case.parts, done
        if aware is None:
            torch.nn.utils.clip_grad_norm_(prepared.parameters(), recipe.max_grad_norm)
        watch.look()
        watch.optimizer.step()
        watch.look()
        prepared.zero_grad()
    return watch, shapes


def _refuse(text: str) -> None:
    raise AssertionError(text)


def _optimizer(way: Any, model: Any, recipe: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    from tuitune.methods.adamw import by_decay

    args = TrainingArguments(use_cpu=True, optim=recipe.optim, learning_rate=recipe.learning_rate)
    own = way.optimizer(model, recipe, args)
    if own is not None:
        return own
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(args, model)
    return kind(by_decay(model, args), **settings)


def _rows(number: int, vocabulary: int) -> list[Any]:
    from tuitune.data import Example

    draw = random.Random(number)
    rows = [[draw.randrange(vocabulary) for _ in range(60)] for _ in range(2)]
    return [Example.of(row, row) for row in rows]


def table(cases: dict[str, Case], folder: Path) -> Iterator[str]:
    """Yield the lines of the table as they are measured. Raises AssertionError where a promise is not kept."""
    yield "| method | gradients, MiB | by formula | states, MiB | by formula | what is held |"
    yield "|---|---|---|---|---|---|"
    for name, case in cases.items():
        seen, shapes = measure(case, folder)
        promised = case.gradients(shapes), case.states(shapes)
        figures = (seen.gradients, promised[0], seen.states, promised[1])
        yield f"| {name} | {' | '.join(f'{figure / 2**20:.2f}' for figure in figures)} | {case.words} |"
        assert (seen.gradients, seen.states) == promised, (name, figures)


def main() -> None:
    """Run the benchmark of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help=f"some of: {'; '.join(CASES)}")
    given = parser.parse_args()
    prepare_process()
    from tests.tiny import tiny_model

    with tempfile.TemporaryDirectory() as scratch:
        model = tiny_model(**SIZE)
        print(f"{model.num_parameters():,} parameters, {STEPS} steps\n", file=sys.stderr)
        model.save_pretrained(scratch)
        for line in table({name: CASES[name] for name in given.methods or CASES}, Path(scratch)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
