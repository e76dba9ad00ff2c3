"""NEFTune's noise: its size for every text, and that nothing but training has it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from tests.engine.given import data_folder, model_folder, recipe_text
from tests.models.test_flat import rows_of
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.engine.arguments import training_arguments
from tuitune.engine.plan import Plan
from tuitune.errors import ModelError
from tuitune.models import attention, paths
from tuitune.models.generate import Sampling, in_evaluation, reply
from tuitune.models.neftune import Noise
from tuitune.recipe import Document
from tuitune.run.directory import RunDir

ALPHA, WIDTH = 5.0, 64
LENGTHS = [40, 9, 160, 2]


class Seen:
    """The model's embeddings as they leave the hook, beside those that the table holds."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.noise: list[torch.Tensor] = []
        table = model.get_input_embeddings()
        table.register_forward_hook(
            lambda module, inputs, out: self.noise.append((out - module.weight[inputs[0]]).detach())
        )


def chosen(path: str, alpha: float = ALPHA) -> tuple[torch.nn.Module, paths.Path]:
    attention.register()
    model = tiny_model(attn_implementation="tuitune")
    if path == "flat":
        return model, paths.choose(model, longest=200, pad=0, dropout=False, autocast=None, neftune=alpha)[0]
    noise = Noise.on(model, alpha)
    return model, paths.PaddedPath(paths.Head(None, None), torch.device("cpu"), 0, noise)


def given() -> tuple[list[list[int]], list[list[int]]]:
    rows = rows_of(LENGTHS, prompt=1)
    return [r for r, _ in rows], [m for _, m in rows]


def noises(path: str, noise: torch.Tensor) -> list[torch.Tensor]:
    """The noise of each text; the last token of a text is not computed, it predicts nothing."""
    if path == "padded":
        return [noise[i, : n - 1] for i, n in enumerate(LENGTHS)]
    return list(noise[0].split([n - 1 for n in LENGTHS]))


@pytest.mark.parametrize("path", ["flat", "padded"])
def test_the_noise_is_uniform_with_the_scale_of_each_text(path: str) -> None:
    model, way = chosen(path)
    seen = Seen(model)
    torch.manual_seed(0)
    way.score(model.train(), *given())
    for n, noise in zip(LENGTHS, noises(path, seen.noise[-1]), strict=True):
        unit = noise.flatten() * (n * WIDTH) ** 0.5 / ALPHA
        assert 0.9 < unit.abs().max() < 1 + 1e-4
        assert abs(float(unit.std()) - 3**-0.5) < 0.05  # of a uniform distribution on [-1, 1]
        assert abs(float(unit.mean())) < 0.2


@pytest.mark.parametrize("path", ["flat", "padded"])
def test_evaluation_generation_and_saved_weights_have_none(path: str, tmp_path: Path) -> None:
    (quiet, plain), (model, way) = chosen(path, 0.0), chosen(path)
    ids, labels = given()
    seen = Seen(model)
    with in_evaluation(model), torch.no_grad():
        assert torch.equal(way.score(model, ids, labels).loss, plain.score(quiet, ids, labels).loss)
    model.train()
    replies = [
        reply(each, tiny_tokenizer(), ids[1], Sampling(max_new_tokens=5, seed=1), stop_ids=[2]).text
        for each in (model, quiet)
    ]
    assert replies[0] == replies[1]
    assert not any(noise.any() for noise in seen.noise)
    assert way.score(model, ids, labels).loss != plain.score(quiet.train(), ids, labels).loss
    assert seen.noise[-1].any()
    model.save_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), quiet.state_dict().values(), strict=True))
    assert "neftune" not in (tmp_path / "config.json").read_text()


def test_without_it_everything_is_as_before() -> None:
    (quiet, plain), (model, way) = chosen("flat", 0.0), chosen("flat")
    assert isinstance(way, paths.FlatPath)
    assert way._noise is not None
    way._noise.remove()
    ids, labels = given()
    assert torch.equal(way.score(model.train(), ids, labels).loss, plain.score(quiet.train(), ids, labels).loss)


def test_the_noise_comes_from_the_random_state_of_the_run_and_once_with_recomputation() -> None:
    losses = []
    for recompute in (False, True):
        model, way = chosen("flat")
        if recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        torch.manual_seed(3)
        loss = way.score(model.train(), *given()).loss
        loss.backward()
        losses.append((loss.item(), model.get_input_embeddings().weight.grad))
    assert losses[0][0] == losses[1][0]
    assert torch.equal(losses[0][1], losses[1][1])


def test_common_beginnings_get_noise_of_their_own() -> None:
    row = [random.Random(0).randrange(3, 500) for _ in range(30)]
    model, way = chosen("flat")
    labels = [-100] * 20 + row[20:]
    assert way.shared([row, [*row[:28], 7, 9]], [labels] * 2) == 0
    seen = Seen(model)
    way.score(model.train(), [row, row], [labels] * 2)
    first, second = seen.noise[-1][0].split(29)
    assert not torch.equal(first, second)


def test_the_hook_of_transformers_stays_off(tmp_path: Path) -> None:
    model_folder(tmp_path)
    data_folder(tmp_path)
    recipe = Document.parse(recipe_text(tmp_path, neftune_noise_alpha=5)).recipe()
    run = RunDir.create(tmp_path / "run", "")
    assert training_arguments(recipe, Plan("cpu", "float32", "no", 1), run).neftune_noise_alpha is None


def test_a_model_without_a_known_embedding_is_refused() -> None:
    class Strange(torch.nn.Module):
        def get_input_embeddings(self) -> torch.nn.Module:
            raise NotImplementedError

    with pytest.raises(ModelError, match="input embedding"):
        Noise.on(Strange(), 5.0)
