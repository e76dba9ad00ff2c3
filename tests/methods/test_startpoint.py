"""PiSSA and LoftQ: adapters that begin with a part of the weights, through training, saving, loading and talking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, same, start
from tests.methods.cycle import PROBE, Ended, learns_and_reloads, loaded_logits, logits, resumes_exactly, train
from tests.tiny import tiny_model
from tuitune.chat.weights import of_model
from tuitune.errors import ModelError
from tuitune.methods.adapters import load_adapter
from tuitune.methods.base import Attempt
from tuitune.methods.loftq import dequantised
from tuitune.methods.lora import Lora
from tuitune.methods.original import original
from tuitune.methods.startpoint import FILE, StartPoint, of
from tuitune.models.shaping import Shaping, load_shaped
from tuitune.recipe import Recipe
from tuitune.run import events
from tuitune.run.inbox import Generate, Inbox

PISSA: dict[str, Any] = {"pissa_init": True, "pissa_iter": -1, "learning_rate": 2e-3}
FAST = PISSA | {"pissa_iter": 4}
LOFTQ: dict[str, Any] = {"quantization_bit": 4, "loftq_init": True, "loftq_iter": 3}
STARTS = {
    "exact": PISSA,
    "fast": FAST,
    "converted": PISSA | {"pissa_convert": True, "use_rslora": True},
    "fast, converted": FAST | {"pissa_convert": True},
    "beside plain layers": PISSA | {"pissa_convert": True, "lora_target": "q_proj,embed_tokens", "lora_dropout": 0.0},
    "loftq": LOFTQ,
    "loftq, 8 bits": LOFTQ | {"quantization_bit": 8, "loftq_iter": 1},
}


@pytest.mark.parametrize("case", STARTS)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **{"lora_dropout": 0.1, **STARTS[case]})


@pytest.mark.parametrize("case", ["exact", "fast", "loftq"])
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, lora_dropout=0.1, **STARTS[case])


# The decomposition


def begun(folder: Path, *, attempt: Attempt | None = None, **asked: Any) -> Any:
    """Return the model of `folder` with a fresh adapter, as a run prepares it."""
    recipe = Recipe(**{"model_name_or_path": str(folder), "lora_rank": 4, "lora_alpha": 6, **asked})
    model = load_shaped(folder, Shaping.of(recipe), dtype=torch.float32, device="cpu", attention="sdpa")
    method = Lora()
    method.attempt = attempt or Attempt()
    torch.manual_seed(0)
    return method.prepare(model, recipe)


def adapters(model: Any) -> dict[str, Any]:
    return {name: module for name, module in model.get_base_model().named_modules() if hasattr(module, "lora_A")}


def part(layer: Any) -> torch.Tensor:
    """The adapter's share of the weight, (outputs, inputs), in float64."""
    a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
    return layer.scaling["default"] * b @ a  # type: ignore[no-any-return]


def best(weight: torch.Tensor, rank: int) -> torch.Tensor:
    """The nearest matrix of that rank, in float64."""
    u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]  # type: ignore[no-any-return]


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}])
def test_exact_pissa_moves_the_principal_components_into_the_adapter(root: Path, more: dict[str, Any]) -> None:
    plain = dict(tiny_model(num_hidden_layers=4).named_parameters())
    model = begun(root / "tiny", pissa_init=True, pissa_iter=-1, **more)
    assert len(adapters(model)) == 28
    for name, layer in adapters(model).items():
        weight = plain[f"{name}.weight"].double()
        torch.testing.assert_close(part(layer), best(weight, 4), atol=1e-6, rtol=0)
        torch.testing.assert_close(layer.base_layer.weight.double() + part(layer), weight, atol=1e-7, rtol=0)
        # Both matrices take the root of the singular values (equations 2 and 3 of the paper).
        a, b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
        torch.testing.assert_close(a @ a.T, b.T @ b, atol=1e-6, rtol=0)
        values = (a @ a.T).diag() * layer.scaling["default"]
        torch.testing.assert_close(values, torch.linalg.svdvals(weight)[:4], atol=1e-6, rtol=0)


def test_the_fast_decomposition_comes_near_the_exact_one_and_follows_the_seed(root: Path) -> None:
    plain = dict(tiny_model(num_hidden_layers=4).named_parameters())
    asked = {"pissa_init": True, "pissa_iter": 8}
    one, same_seed, other = (begun(root / "tiny", seed=seed, **asked) for seed in (1, 1, 2))
    for name, layer in adapters(one).items():
        weight = plain[f"{name}.weight"].double()
        least = (weight - best(weight, 4)).norm()
        assert (weight - part(layer)).norm() < 1.001 * least
        twin, cousin = adapters(same_seed)[name], adapters(other)[name]
        assert torch.equal(layer.base_layer.weight, twin.base_layer.weight)
        assert torch.equal(layer.lora_A["default"].weight, twin.lora_A["default"].weight)
        assert not torch.equal(layer.lora_A["default"].weight, cousin.lora_A["default"].weight)


def test_no_other_random_number_of_the_run_moves(root: Path) -> None:
    begun(root / "tiny")
    without = torch.rand(3)
    begun(root / "tiny", pissa_init=True, pissa_iter=2)
    assert torch.equal(torch.rand(3), without)


@pytest.mark.parametrize("asked", [PISSA, FAST, LOFTQ])
def test_training_begins_at_the_original_model(root: Path, asked: dict[str, Any]) -> None:
    model = begun(root / "tiny", **asked)
    away = (logits(model) - logits(tiny_model(num_hidden_layers=4))).abs().max()
    with model.disable_adapter():
        residual = (logits(model) - logits(tiny_model(num_hidden_layers=4))).abs().max()
    assert away < (0.2 if asked is LOFTQ else 1e-5)
    assert residual > 1.2 * away


def test_a_rank_above_that_of_the_weight_leaves_the_surplus_as_in_lora(root: Path) -> None:
    model = begun(root / "tiny", pissa_init=True, pissa_iter=-1, lora_rank=48)
    layer = adapters(model)["model.layers.0.self_attn.k_proj"]  # 32 x 64
    assert not layer.lora_B["default"].weight[:, 32:].any()
    assert layer.lora_A["default"].weight[32:].any()
    assert layer.base_layer.weight.abs().max() < 1e-6


def test_layers_that_share_their_weight_begin_as_plain_lora(root: Path) -> None:
    said: list[str] = []
    attempt = Attempt(say=said.append)
    model = begun(root / "tiny", attempt=attempt, lora_target=("q_proj", "embed_tokens"), **PISSA)
    assert "embed_tokens" in said[0]
    plain = tiny_model(num_hidden_layers=4)
    assert torch.equal(model.get_input_embeddings().base_layer.weight, plain.get_input_embeddings().weight)
    torch.testing.assert_close(logits(model), logits(plain), atol=1e-5, rtol=0)


def test_it_can_be_watched_and_stopped(root: Path) -> None:
    class Halt(BaseException):
        pass

    seen: list[tuple[int, int]] = []

    def check() -> None:
        if len(seen) == 3:
            raise Halt

    with pytest.raises(Halt):
        begun(root / "tiny", attempt=Attempt(check=check, progress=lambda n, of: seen.append((n, of))), **PISSA)
    assert seen == [(1, 28), (2, 28), (3, 28)]


def test_conv1d_layers_have_it_too(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    plain = GPT2LMHeadModel(GPT2Config(vocab_size=512, n_embd=64, n_layer=2, n_head=4, n_positions=64)).eval()
    plain.save_pretrained(tmp_path / "gpt2")
    for asked, within in ((PISSA, 1e-5), (FAST, 1e-5)):
        model = begun(tmp_path / "gpt2", **asked)
        assert len(adapters(model)) == 8
        torch.testing.assert_close(logits(model), logits(plain), atol=within, rtol=0)
    model = begun(tmp_path / "gpt2", **LOFTQ)
    assert len(of(model).start) == 8  # type: ignore[union-attr]


# What others load


def with_peft(folder: Path, base: Any) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(base, str(folder))


@pytest.mark.parametrize("case", ["exact", "fast", "converted", "fast, converted"])
def test_peft_alone_loads_the_result(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    from peft import LoraConfig

    ended = Ended(monkeypatch)
    made = train(root, "run", additional_target="embed_tokens" if case == "converted" else "", **STARTS[case])
    config = LoraConfig.from_pretrained(str(made.final))
    assert (made.final / FILE).is_file() == (case == "exact")
    assert config.r == (8 if case == "exact" else 16)
    assert config.init_lora_weights == ("pissa" if case == "exact" else True)
    there = with_peft(made.final, tiny_model(num_hidden_layers=4))
    assert float((logits(there) - ended.logits).abs().max()) < 1e-5
    notes = [event.text for event in journal(made, events.Noted)]
    assert any("saved as a plain LoRA of rank 16" in note for note in notes) == (case == "fast")


def test_a_checkpoint_that_peft_cannot_load_is_refused_by_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train(root, "run", save_strategy="steps", save_steps=5, **FAST)
    checkpoint = made.checkpoints[0]
    with pytest.raises(ValueError, match="tuitune_start"):
        with_peft(checkpoint, tiny_model(num_hidden_layers=4))
    assert loaded_logits(made, checkpoint).isfinite().all()


# Going on, and back


@pytest.mark.parametrize("asked", [PISSA, LOFTQ])
def test_the_base_is_the_same_in_every_bit_when_it_is_loaded_again(root: Path, asked: dict[str, Any]) -> None:
    model = begun(root / "tiny", **asked)
    model.save_pretrained(root / "adapter")
    of(model).save(root / "adapter")  # type: ignore[union-attr]
    fresh = load_shaped(root / "tiny", Shaping.of(Recipe(**asked)), dtype=torch.float32, device="cpu", attention="sdpa")
    again = load_adapter(fresh, root / "adapter")
    mine, theirs = model.get_base_model().state_dict(), again.get_base_model().state_dict()
    assert any("absmax" in name for name in mine) == (asked is LOFTQ)
    assert same(mine, theirs)


@pytest.mark.parametrize("asked", [PISSA, FAST, LOFTQ])
def test_further_training_begins_where_the_adapter_ended(
    root: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    first = train(root, "first", save_strategy="steps", save_steps=10, **asked)
    ended = loaded_logits(first)
    bits = {"quantization_bit": 4} if asked is LOFTQ else {}
    for folder in (first.final, first.checkpoints[-1]):
        model = begun(root / "tiny", adapter_name_or_path=(str(folder),), **bits)
        torch.testing.assert_close(logits(model), ended, atol=1e-5, rtol=0)
    learns_and_reloads(root, monkeypatch, adapter_name_or_path=str(first.checkpoints[-1]), learning_rate=1e-3, **bits)


@pytest.mark.parametrize("asked", [PISSA, FAST, LOFTQ])
def test_the_original_comes_back_for_a_while(root: Path, asked: dict[str, Any]) -> None:
    model = begun(root / "tiny", lora_dropout=0.5, additional_target=("embed_tokens",), **asked)
    start = logits(model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)
    moved, learns = logits(model), [p.requires_grad for p in model.parameters()]
    model.train()
    with original(model), torch.no_grad():
        model.get_base_model().model.embed_tokens.train(False)
        inside = model(input_ids=torch.tensor(PROBE), use_cache=False).logits
    torch.testing.assert_close(inside, start, atol=1e-5, rtol=0)
    assert [p.requires_grad for p in model.parameters()] == learns
    assert all(m.training for m in model.modules() if isinstance(m, torch.nn.Dropout))
    assert torch.equal(logits(model), moved)


def test_the_base_in_a_live_chat_and_in_a_saved_one_is_the_original(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engine.test_live import at_parts
    from tuitune.chat.local import LocalChat
    from tuitune.engine import control
    from tuitune.engine.run import run

    seen: list[torch.Tensor] = []
    plain = control.reply

    def watched(model: Any, *args: Any, **more: Any) -> Any:
        seen.append(logits(model))
        return plain(model, *args, **more)

    monkeypatch.setattr(control, "reply", watched)
    made = start(root, "live", **PISSA)
    ask = lambda base: Inbox(made.inbox).send(Generate([{"role": "user", "content": "hello"}], base=base))  # noqa: E731
    run(made, on_session=at_parts(made, {12: [lambda: ask(True), lambda: ask(False)]}))
    truth = logits(tiny_model(num_hidden_layers=4))
    torch.testing.assert_close(seen[0], truth, atol=1e-5, rtol=0)
    assert (seen[1] - truth).abs().max() > 1e-2
    chat = LocalChat.load(of_model(str(root / "tiny"), made.final))
    with chat.using(base=True) as model:
        torch.testing.assert_close(logits(model), truth, atol=1e-5, rtol=0)


@pytest.mark.parametrize("asked", [PISSA, LOFTQ])
def test_on_an_unquantised_model_it_merges_to_what_was_learnt(root: Path, asked: dict[str, Any]) -> None:
    """W + s (B A - B0 A0), layer by layer."""
    made = train(root, "run", **asked)
    start = StartPoint.beside(made.final)
    assert start is not None
    plain = tiny_model(num_hidden_layers=4)
    weights = {name: p.detach().double().clone() for name, p in plain.named_parameters()}
    model = load_adapter(plain, made.final)
    wanted = {}
    for name, layer in adapters(model).items():
        pair = start.start[name]
        learnt = part(layer) - layer.scaling["default"] * pair.b.double() @ pair.a.double()
        assert learnt.abs().max() > 1e-4
        wanted[name] = weights[f"{name}.weight"] + learnt
    merged = dict(model.merge_and_unload().named_parameters())
    for name, weight in wanted.items():
        torch.testing.assert_close(merged[f"{name}.weight"].double(), weight, atol=1e-6, rtol=0)


def test_a_damaged_start_is_an_error_in_words(root: Path) -> None:
    made = train(root, "run", **PISSA)
    with pytest.raises(ModelError, match="does not have"):
        load_adapter(tiny_model(num_hidden_layers=2), made.final)
    (made.final / FILE).write_bytes(b"nothing of the sort")
    with pytest.raises(ModelError, match="cannot be read"):
        load_adapter(tiny_model(num_hidden_layers=4), made.final)


# LoftQ


@pytest.mark.parametrize(
    "more", [{}, {"quantization_type": "fp4"}, {"double_quantization": False}, {"quantization_bit": 8}]
)
@pytest.mark.parametrize("rounds", [1, 5])
def test_loftq_begins_nearer_to_the_weights_than_quantising_alone(
    root: Path, rounds: int, more: dict[str, Any]
) -> None:
    asked = {"quantization_bit": 4, **more}
    shaping = Shaping.of(Recipe(**asked))
    alone = load_shaped(root / "tiny", shaping, dtype=torch.float32, device="cpu", attention="sdpa")
    model = begun(root / "tiny", loftq_init=True, loftq_iter=rounds, **asked)
    plain = dict(tiny_model(num_hidden_layers=4).named_parameters())
    assert len(adapters(model)) == 28
    for name, layer in adapters(model).items():
        weight = plain[f"{name}.weight"].double()
        lost = (weight - dequantised(alone.get_submodule(name).weight).double()).norm()
        left = (weight - dequantised(layer.base_layer.weight).double() - part(layer)).norm()
        assert left < 0.99 * lost


def test_more_rounds_of_loftq_come_nearer(root: Path) -> None:
    plain = dict(tiny_model(num_hidden_layers=4).named_parameters())

    def error(rounds: int) -> float:
        model = begun(root / "tiny", quantization_bit=4, loftq_init=True, loftq_iter=rounds, lora_rank=16)
        layers = adapters(model).items()
        with torch.no_grad():
            left = [plain[f"{n}.weight"] - dequantised(layer.base_layer.weight) - part(layer) for n, layer in layers]
        return sum(float(matrix.norm()) for matrix in left)

    assert error(5) < 0.99 * error(1)


def test_loftq_refuses_weights_that_are_not_those_of_the_file(root: Path) -> None:
    recipe = Recipe(quantization_bit=4, loftq_init=True)
    model = load_shaped(root / "tiny", Shaping.of(recipe), dtype=torch.float32, device="cpu", attention="sdpa")
    layers = model.model.layers
    layers[0], layers[1] = layers[1], layers[0]
    with pytest.raises(ModelError, match="weights of its file"):
        Lora().prepare(model, recipe)
