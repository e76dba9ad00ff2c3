"""One optimizer step over pairs: memory that runs out, activations computed again, a reference asked beforehand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from tests.engine.test_step import one_accelerator  # noqa: F401  # a fixture
from tests.stages.judged import examples_of
from tests.stages.pairs import far, gradient, pairs, recipe, way
from tests.tiny import tiny_model
from tuitune.engine.step import Stepper
from tuitune.methods.original import original
from tuitune.models import attention
from tuitune.models.reference import Itself
from tuitune.stages.preference import Preference
from tuitune.stages.reference_sums import FILE, read, write

PAIRS = pairs(9, seed=4)


class Bench:
    """A tiny model with a LoRA that has moved, its stage, and a stepper on them."""

    def __init__(self, tmp_path: Path, tokens: int, **more: Any) -> None:
        from peft import LoraConfig, get_peft_model

        attention.register()
        base = tiny_model(attn_implementation="tuitune", num_hidden_layers=4)
        self.path = way(base, "shared")
        torch.manual_seed(0)
        self.model: Any = get_peft_model(base, LoraConfig(target_modules="all-linear", init_lora_weights=False)).train()
        self.stage = Preference(recipe(tmp_path, **more))
        self.stage.reference = Itself(original, torch.no_grad)
        self.said: list[str] = []
        self.stepper = Stepper(
            self.stage, self.path, Accelerator(cpu=True), tokens_per_batch=tokens, before_part=lambda: None,
            warn=self.said.append, recompute=self.recompute,
        )  # fmt: skip
        self.left = 0
        base.model.layers[2].register_forward_hook(self._forward)

    def recompute(self) -> None:
        self.model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        self.model.enable_input_require_grads()

    def _forward(self, module: Any, args: Any, out: Any) -> None:
        hidden = out[0] if isinstance(out, tuple) else out
        if hidden.requires_grad:
            hidden.register_hook(lambda grad: self._blow())
        elif self.left % 2:  # in the pass of the reference, every other time
            self._blow()

    def _blow(self) -> None:
        if self.left > 0:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")

    def step(self, examples: Any = PAIRS) -> tuple[float, torch.Tensor, dict[str, float]]:
        self.model.zero_grad()
        result = self.stepper.run(self.model, self.stage.before_step(examples, 1))
        figures = {name: float(value) / count for name, (value, count) in result.figures.items()}
        return float(result.loss), gradient(self.model), figures


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_step_for_which_memory_runs_out_is_repeated_with_the_same_result(times: int, tmp_path: Path) -> None:
    loss, calm, figures = Bench(tmp_path, 10**9).step()
    bench = Bench(tmp_path, 10**9)
    bench.left = times
    again, grad, seen = bench.step()
    assert len(bench.said) == times
    assert again == pytest.approx(loss, abs=1e-6)
    assert far(grad, calm) < 1e-5
    assert seen == pytest.approx(figures, rel=1e-4)
    assert bench.stepper.recomputing == (times == 4)


def test_recomputed_activations_give_the_same_gradient_in_every_bit(tmp_path: Path) -> None:
    loss, calm, _ = Bench(tmp_path, 120).step()
    bench = Bench(tmp_path, 120)
    bench.recompute()
    again, grad, _ = bench.step()
    assert again == loss
    assert torch.equal(grad, calm)


def around(bench: Bench, folder: Path, tokens: int = 10**9) -> Any:
    nothing = lambda *args: None  # noqa: E731
    return SimpleNamespace(
        model=bench.model, path=bench.path, recipe=bench.stage.recipe, tokens_per_batch=lambda: tokens, attend=nothing,
        phase=nothing, progress=nothing, note=nothing, folder=folder,
    )  # fmt: skip


def test_a_reference_asked_before_survives_a_lack_of_memory_and_gives_the_same_step(tmp_path: Path) -> None:
    loss, grad, figures = Bench(tmp_path, 200).step()
    bench = Bench(tmp_path, 200, precompute_ref_log_probs=True)
    bench.left = 3
    bench.stage.begin(around(bench, tmp_path), examples_of(PAIRS), examples_of(pairs(3, seed=6)))
    assert bench.left < 3
    bench.left = 0
    assert bench.stage.reference is None
    before, its_grad, seen = bench.step()
    assert before == pytest.approx(loss, abs=1e-6)
    assert far(its_grad, grad) < 1e-5
    assert seen == pytest.approx(figures, rel=1e-4)
    with torch.no_grad():  # held-out pairs were asked about too
        assert bench.stage.part_loss(bench.model.eval(), pairs(3, seed=6), bench.path).loss > 0


def test_rows_that_are_new_are_asked_about_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = Itself.reading
    monkeypatch.setattr(Itself, "reading", lambda self, m, p, g: asked.append(len(g)) or plain(self, m, p, g))
    for some, wanted in ((PAIRS[:5], 5), (PAIRS[::-1], 4), (PAIRS, 0)):
        asked.clear()
        bench = Bench(tmp_path, 200, precompute_ref_log_probs=True)
        bench.stage.begin(around(bench, tmp_path), examples_of(some), None)
        assert sum(asked) == wanted
    asked.clear()
    bench = Bench(tmp_path, 200, precompute_ref_log_probs=True, ld_alpha=0.5)  # other sums of the same tokens
    bench.stage.begin(around(bench, tmp_path), examples_of(PAIRS), None)
    assert sum(asked) == 9


def test_numbers_of_another_reference_or_in_no_good_file_are_not_believed(tmp_path: Path) -> None:
    known, file = {b"k" * 16: (-1.5, -2.25), b"l" * 16: (0.1, -1e-30)}, tmp_path / FILE
    write(file, "this", known)
    assert read(file, "this") == known
    assert read(file, "another") == read(tmp_path / "none", "this") == {}
    whole = file.read_bytes()
    for broken in (b"", whole[:-40], whole[:100], b"PK" + whole[2:200], whole.replace(b"PK", b"XX")):
        file.write_bytes(broken)
        assert read(file, "this") == {}
    write(file, "this", {b"k" * 16: (float("nan"), 0.0)})
    assert read(file, "this") == {}


def test_the_pass_for_kto_pair_asks_the_reference_once_for_each_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, 200, pref_loss="kto_pair")
    asked: list[int] = []
    plain = Itself.reading
    monkeypatch.setattr(Itself, "reading", lambda self, m, p, g: asked.append(len(g)) or plain(self, m, p, g))
    found = around(bench, tmp_path, 200)
    found.precision = torch.no_grad
    bench.stage.begin(found, examples_of(PAIRS), None)
    bench.step()
    assert sum(asked) == 9
