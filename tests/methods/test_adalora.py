"""AdaLoRA."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, start, weights
from tests.methods.cycle import Ended, learns_and_reloads, loaded_logits, resumes_exactly, train
from tests.methods.test_adapter_paths import prepared
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns
from tuitune.engine.run import run
from tuitune.errors import RecipeError, TrainingError
from tuitune.methods.adalora import AdaLora
from tuitune.recipe import Recipe
from tuitune.run import events

ADALORA: dict[str, Any] = {
    "finetuning_type": "adalora",
    "lora_rank": 4,
    "adalora_init_rank": 8,
    "adalora_warmup": 2,
    "adalora_final": 2,
    "adalora_interval": 2,
    "lora_dropout": 0.2,
    "learning_rate": 2e-2,
}


def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(root, monkeypatch, **ADALORA)


def test_resumes_exactly(root: Path) -> None:
    resumes_exactly(root, stops=(1, 5, 9), **ADALORA)


def test_it_can_be_used_elsewhere_trained_on_and_merged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=True, **ADALORA)


def test_it_can_be_talked_to_while_it_learns(root: Path) -> None:
    talks_while_it_learns(root, **ADALORA)


# The method's parts, on a model whose gradients are made by hand


class Paper:
    """Sections 3.2 and 3.3 of the paper in float64: sensitivity, its average and its uncertainty, the cubic budget."""

    def __init__(self, layers: dict[str, dict[str, torch.Tensor]], last: int, *, warm: int, final: int) -> None:
        self.start, self.end, self.steps = warm, last - final, last
        self.average = {n: {k: torch.zeros_like(p) for k, p in t.items()} for n, t in layers.items()}
        self.doubt = {n: {k: torch.zeros_like(p) for k, p in t.items()} for n, t in layers.items()}
        self.layers = layers

    def see(self, name: str, part: str, gradient: torch.Tensor) -> None:
        """Take in the gradient of A, B or E of a layer."""
        now = (self.layers[name][part] * gradient).abs()
        self.average[name][part] = 0.85 * self.average[name][part] + 0.15 * now
        off = (now - self.average[name][part]).abs()
        self.doubt[name][part] = 0.85 * self.doubt[name][part] + 0.15 * off

    def budget(self, step: int, begin: int, goal: int) -> int:
        """Return how many directions of all layers may be on."""
        left = 1 - (step - self.start) / (self.end - self.start)
        return int(goal + (begin - goal) * left**3)

    def on(self, budget: int) -> dict[str, torch.Tensor]:
        """Return which directions stay: those with the largest sum of scores."""
        scores = {}
        for name, average in self.average.items():
            score = {part: average[part] * self.doubt[name][part] for part in average}
            scores[name] = score["E"][:, 0] + score["A"].mean(1) + score["B"].mean(0)
        line = torch.cat(list(scores.values())).sort(descending=True).values[budget - 1]
        return {name: score >= line for name, score in scores.items()}


def test_what_is_pruned_and_when_is_that_of_the_paper() -> None:
    made, recipe, way = prepared("adalora", {**ADALORA, "adalora_warmup": 3, "adalora_interval": 2, "adalora_final": 3})
    said: list[str] = []
    way.begin(made, recipe, 12, said.append)
    layers: dict[str, dict[str, torch.Tensor]] = {}
    own: dict[tuple[str, str], torch.nn.Parameter] = {}
    for name, p in made.named_parameters():
        if ".lora_" in name:
            layer, _, part = name.removesuffix(".default").rpartition(".lora_")
            own[layer, part] = p
            layers.setdefault(layer, {})[part] = p.detach().double()
    paper = Paper(layers, 12, warm=3, final=3)
    begin, goal = 8 * len(layers), 4 * len(layers)
    mask = {name: torch.ones(8, dtype=torch.bool) for name in layers}
    torch.manual_seed(3)
    for step in range(1, 13):
        for (layer, part), p in own.items():
            with torch.no_grad():  # the optimizer's move
                p.add_(0.01 * torch.randn_like(p))
            layers[layer][part] = p.detach().double()
            p.grad = torch.randn_like(p)
            if step < 9:
                paper.see(layer, part, p.grad.double())
        way.after_step(made, step)
        pruned = (3 < step < 9 and step % 2 == 0) or step == 9
        if pruned:
            mask = paper.on(paper.budget(step, begin, goal))
        for name in layers:
            wanted = layers[name]["E"] * mask[name][:, None] if pruned or step > 9 else layers[name]["E"]
            assert torch.equal(own[name, "E"].detach().double(), wanted), (step, name)
    assert sum(int(each.sum()) for each in mask.values()) == goal
    assert any(int(each.sum()) != 4 for each in mask.values())
    assert said[0] == "ranks are pruned from 8 to 4 on average, step 4 to 9"
    assert said[1].startswith(f"{goal} of {begin} ranks are left")


def test_the_penalty_is_that_of_the_paper() -> None:
    made, recipe, way = prepared("adalora", {"adalora_orthogonality": 0.3})
    way.begin(made, recipe, 100, lambda text: None)
    far = []
    for name, p in made.named_parameters():
        if ".lora_A." in name:
            far.append(((p.double() @ p.double().T - torch.eye(12)) ** 2).sum().sqrt())
        if ".lora_B." in name:
            far.append(((p.double().T @ p.double() - torch.eye(12)) ** 2).sum().sqrt())
    got, wanted = way.penalty(made), 0.3 * torch.stack(far).mean()
    assert float((got - wanted).detach().abs()) < 1e-5
    names = [name for name, p in made.named_parameters() if ".lora_A." in name]
    mine = torch.autograd.grad(got, [made.get_parameter(name) for name in names])
    theirs = torch.autograd.grad(wanted, [made.get_parameter(name) for name in names])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(mine, theirs, strict=True))


def test_the_penalty_counts_once_however_a_step_is_cut(root: Path) -> None:
    """The same run in one part per step and in many: equal up to rounding. Without the penalty it is another run."""
    plain = {**ADALORA, "lora_dropout": 0.0, "learning_rate": 1e-3, "adalora_orthogonality": 5.0, "max_grad_norm": 0.0}
    one, many = train(root, "one", **plain, tokens_per_batch=4000), train(root, "many", **plain, tokens_per_batch=1)
    off = train(root, "off", **{**plain, "adalora_orthogonality": 0.0}, tokens_per_batch=4000)
    norm = [{event.step: event.grad_norm for event in journal(made, events.StepLogged)}[1] for made in (one, many, off)]
    assert norm[0] == pytest.approx(norm[1], rel=1e-4)
    assert norm[0] > 1.5 * norm[2]


# Through the engine


def test_the_ranks_really_go_down(root: Path) -> None:
    made = train(root, "run", **ADALORA)
    left = [t.shape[0] for name, t in weights(made.final).items() if name.endswith("lora_A")]
    assert sum(left) == 4 * len(left) == 4 * 28
    assert len(set(left)) > 1
    assert any(f"{4 * 28} of {8 * 28} ranks are left" in event.text for event in journal(made, events.Noted))


def test_a_result_before_the_ranks_are_settled_is_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two prunings directions that are off learn again; a checkpoint holds them too."""
    seen: dict[int, torch.Tensor] = {}
    from tests.methods.cycle import logits

    def watch(self: Any, model: Any, folder: str, *, exact: bool = False) -> None:
        saved(self, model, folder, exact=exact)
        modes = [(module, module.training) for module in model.modules()]
        seen[len(seen)] = logits(model)
        for module, mode in modes:
            module.training = mode

    saved = AdaLora.save
    monkeypatch.setattr(AdaLora, "save", watch)
    made = train(root, "run", **ADALORA, save_strategy="steps", save_steps=1)
    for index in (2, 4, 6):  # step 3, 5 and 7: pruned at 4 and 6
        folder = made.checkpoints[index]
        assert float((loaded_logits(made, folder) - seen[index]).abs().max()) <= 1e-5


def test_a_pruned_adapter_keeps_its_ranks_when_it_is_trained_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(root, "first", **ADALORA)
    ended = Ended(monkeypatch)
    further = train(root, "further", **ADALORA, adapter_name_or_path=str(first.path))
    shapes = [{name: tuple(t.shape) for name, t in weights(made.final).items()} for made in (first, further)]
    assert shapes[0] == shapes[1]
    assert any("stay as they are" in event.text for event in journal(further, events.Noted))
    assert float((loaded_logits(further) - ended.logits).abs().max()) <= 1e-5


def test_a_run_without_room_for_pruning_is_refused(root: Path) -> None:
    it = start(root, **{**ADALORA, "adalora_warmup": 6, "adalora_final": 0.5})
    assert run(it).status == "failed"
    assert "no step to prune in: 6 of warm-up and 5 at the end, of 10" in journal(it, events.RunFailed)[0].message
    made, recipe, way = prepared("adalora", {})
    with pytest.raises(TrainingError, match="no step to prune in"):
        way.begin(made, recipe, 1, lambda text: None)


def test_nothing_to_prune_is_a_mistake_in_the_recipe() -> None:
    given = {"model_name_or_path": "x", "dataset": "a", "finetuning_type": "adalora", "lora_rank": 12}
    with pytest.raises(RecipeError) as caught:
        Recipe.of(given)
    assert any("begin above it" in problem.reason for problem in caught.value.problems)
    assert math.isclose(Recipe.of(given | {"lora_rank": 11}).adalora_orthogonality, 0.5)
