"""rsLoRA, DoRA and LoRA+ differ from LoRA in what their papers say and in nothing else: their formulas in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.methods.own import arguments, backward, given
from tests.tiny import tiny_model
from tuitune.methods import method
from tuitune.recipe import Recipe

RANK, ALPHA = 4, 6
ASKED: dict[str, Any] = {"finetuning_type": "lora", "lora_rank": RANK, "lora_alpha": ALPHA, "seed": 3}


def moved(**more: Any) -> Any:
    """Return a layer with an adapter that has learnt something, the same numbers whatever the method."""
    torch.manual_seed(0)
    model = method("lora").prepare(tiny_model(), Recipe(**ASKED | more))  # type: ignore[arg-type]
    layer: Any = model.get_submodule("base_model.model.model.layers.0.mlp.up_proj")
    draw = torch.Generator().manual_seed(1)
    for parameter in (layer.lora_A["default"].weight, layer.lora_B["default"].weight):
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw)
    return layer


def inputs() -> torch.Tensor:
    return torch.randn(5, 64, generator=torch.Generator().manual_seed(2))


def grown(layer: Any) -> dict[str, torch.Tensor]:
    """Return the gradients of a fixed loss of the layer's output."""
    out = layer(inputs())
    (out * torch.linspace(-1, 1, out.shape[-1])).sum().backward()
    return {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}


def numbers(layer: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return W, A and B in float64, ready for gradients."""
    parts = layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight
    weight, a, b = (part.detach().double().requires_grad_() for part in parts)
    return weight, a, b


def check(layer: Any, formula: torch.Tensor, wanted: dict[str, torch.Tensor]) -> None:
    """Compare the layer's output with `formula` and the gradients of a fixed loss with those of the formula."""
    torch.testing.assert_close(layer(inputs()).double(), formula, atol=1e-5, rtol=0)
    (formula * torch.linspace(-1, 1, formula.shape[-1], dtype=torch.float64)).sum().backward()
    found = grown(layer)
    assert len(found) == len(wanted)
    for name, leaf in wanted.items():
        torch.testing.assert_close(found[name].double(), leaf.grad, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("more", "scale"), [({}, ALPHA / RANK), ({"use_rslora": True}, ALPHA / RANK**0.5)])
def test_rslora_divides_by_the_root_of_the_rank(more: dict[str, Any], scale: float) -> None:
    """Kalajdzievski, arXiv 2312.03732, definition 3.1: y = W x + alpha / sqrt(r) B A x."""
    layer = moved(**more)
    weight, a, b = numbers(layer)
    x = inputs().double()
    formula = x @ weight.detach().T + scale * (x @ a.T) @ b.T
    check(layer, formula, {"lora_A.default.weight": a, "lora_B.default.weight": b})


def test_one_step_of_rslora_moves_the_weight_by_the_rank_times_that_of_lora() -> None:
    """From B = 0, a step of gradient descent of size h moves the weight by -h s^2 G A^T A: sqrt(r)^2 = r as much."""
    changes = []
    for more in ({}, {"use_rslora": True}):
        layer = moved(**more)
        layer.lora_B["default"].weight.data.zero_()
        gradient = grown(layer)["lora_B.default.weight"]
        changes.append(layer.scaling["default"] * -1e-2 * gradient @ layer.lora_A["default"].weight)
    torch.testing.assert_close(changes[1], RANK * changes[0])


def test_dora_learns_length_and_direction_apart() -> None:
    """Liu et al., arXiv 2402.09353, equations 5 and 11: W' = m (W + s B A) / |W + s B A|, the norm held constant."""
    layer = moved(use_dora=True)
    weight, a, b = numbers(layer)
    length = weight.detach().norm(dim=1, keepdim=True).requires_grad_()  # m begins as the length of W's rows
    whole = weight.detach() + ALPHA / RANK * b @ a
    turned = length * whole / whole.detach().norm(dim=1, keepdim=True)
    names = {
        "lora_A.default.weight": a,
        "lora_B.default.weight": b,
        "lora_magnitude_vector.default.weight": length,
    }
    formula = inputs().double() @ turned.T
    torch.testing.assert_close(layer(inputs()).double(), formula, atol=1e-5, rtol=0)
    (formula * torch.linspace(-1, 1, 128, dtype=torch.float64)).sum().backward()
    found = grown(layer)
    assert found.keys() == names.keys()
    for name, leaf in names.items():
        assert leaf.grad is not None
        wanted = leaf.grad[:, 0] if leaf is length else leaf.grad
        torch.testing.assert_close(found[name].double(), wanted, atol=1e-4, rtol=1e-5)


def test_dora_changes_lengths_by_the_magnitude_only() -> None:
    layer = moved(use_dora=True)
    before = layer.base_layer.weight.norm(dim=1)
    with torch.no_grad():
        turned = layer(torch.eye(64)).T
        torch.testing.assert_close(turned.norm(dim=1), before)
        layer.lora_magnitude_vector["default"].weight *= 2
        torch.testing.assert_close(layer(torch.eye(64)).T, 2 * turned)


def adamw(gradients: list[torch.Tensor], start: torch.Tensor, rate: float, decay: float) -> torch.Tensor:
    """Return where AdamW ends, in float64 (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2)."""
    weight = start.double()
    m, v = torch.zeros_like(weight), torch.zeros_like(weight)
    for t, gradient in enumerate(gradients, 1):
        g = gradient.double()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        weight = weight * (1 - rate * decay) - rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return weight


def stepped(
    tied: bool = True, **more: Any
) -> tuple[dict[str, torch.Tensor], dict[str, list[torch.Tensor]], dict[str, torch.Tensor]]:
    """Return the adapter before, its gradients in three steps, and the adapter after."""
    torch.manual_seed(0)
    asked = ASKED | {"learning_rate": 1e-3, "weight_decay": 0.1} | more
    model, optimizer = given(tiny_model(num_hidden_layers=4, tie_word_embeddings=tied), **asked)
    if optimizer is None:
        from transformers import Trainer

        optimizer = Trainer(model=model, args=arguments(Recipe(**asked))).create_optimizer()
    learns = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in learns.items()}
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in learns}
    for number in range(3):
        backward(model, number)
        for name, parameter in learns.items():
            assert parameter.grad is not None
            gradients[name].append(parameter.grad.clone())
        optimizer.step()
    return before, gradients, {name: p.detach() for name, p in learns.items()}


@pytest.mark.parametrize("ratio", [None, 16.0])
def test_lora_plus_lets_b_learn_faster_and_a_as_before(ratio: float | None) -> None:
    """Hayou et al., arXiv 2402.12354: the rate of B is `ratio` times that of A, whose rate is that of LoRA."""
    before, gradients, after = stepped(loraplus_lr_ratio=ratio)
    assert len(before) == 56
    for name, start in before.items():
        rate = 1e-3 * (ratio or 1.0) if "lora_B" in name else 1e-3
        wanted = adamw(gradients[name], start, rate, 0.1)
        torch.testing.assert_close(after[name].double(), wanted, atol=2e-6, rtol=0)
        assert (after[name] != start).any()


def test_lora_plus_has_a_rate_of_its_own_for_embeddings() -> None:
    before, gradients, after = stepped(
        tied=False, loraplus_lr_ratio=16.0, loraplus_lr_embedding=5e-4, lora_target=("q_proj", "embed_tokens")
    )
    embedding = [name for name in before if "lora_embedding" in name]
    assert len(embedding) == 2
    for name in embedding:
        wanted = adamw(gradients[name], before[name], 5e-4, 0.1)
        torch.testing.assert_close(after[name].double(), wanted, atol=2e-6, rtol=0)
