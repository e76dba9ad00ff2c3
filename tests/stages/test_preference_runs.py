"""Whole runs of dpo, orpo and simpo: they learn, resume in every bit, load again, choose the best, ask a reference."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.given import journal, losses, start
from tests.methods.cycle import learns_and_reloads, resumes_exactly, train
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.engine import reference as room
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.models.reference import FrozenCopy
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Stop
from tuitune.stages.reference_sums import FILE

PAIRS: dict[str, Any] = {"dataset": "pairs", "stage": "dpo"}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"lora_dropout": 0.1},
    "full": {"finetuning_type": "full", "learning_rate": 1e-3},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "qlora": {"quantization_bit": 4, "quantization_type": "nf4"},
}
HELD_OUT = {"val_size": 10, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}


def figures(made: RunDir, kind: Any = events.StepLogged) -> list[dict[str, float]]:
    return [event.metrics for event in journal(made, kind)]


def phases(made: RunDir) -> list[str]:
    return [event.phase for event in journal(made, events.PhaseStarted)]


def other_model(root: Path) -> Path:
    """Save a model of another shape but the same tokenizer."""
    folder = root / "other"
    tiny_model(seed=5, num_hidden_layers=3, hidden_size=32).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "recipe",
    [
        {"pref_loss": "sigmoid"}, {"pref_loss": "hinge"}, {"pref_loss": "ipo", "pref_beta": 0.5},
        {"pref_loss": "robust", "dpo_label_smoothing": 0.1}, {"pref_loss": "kto_pair"}, {"stage": "orpo"},
        {"stage": "simpo", "pref_beta": 2.0}, {"pref_bco_weight": 0.5, "pref_ftx": 0.1}, {"ld_alpha": 0.5},
    ],
    ids=lambda recipe: " ".join(map(str, recipe.values())),
)  # fmt: skip
def test_every_loss_tells_the_better_answer_from_the_worse_one(recipe: dict[str, Any], root: Path) -> None:
    made = train(root, "run", **PAIRS | {"max_steps": 6} | recipe)
    seen = figures(made)
    # ORPO's rewards are means over tokens, a tenth of them.
    assert seen[-1]["rewards/margins"] > seen[0]["rewards/margins"] + (0.002 if "orpo" in recipe.values() else 0.05)
    assert seen[-1]["rewards/accuracies"] == 1.0
    losses_seen = [loss for loss, _ in losses(made).values()]
    assert losses_seen[-1] < losses_seen[0]


@pytest.mark.parametrize("how", ["lora", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS if m != "lora")])
def test_dpo_resumes_exactly(how: str, root: Path) -> None:
    resumes_exactly(root, **PAIRS | METHODS[how] | {"pref_bco_weight": 0.3})


@pytest.mark.parametrize("stage", ["dpo", pytest.param("kto", marks=pytest.mark.slow)])
def test_each_row_is_asked_about_once_in_all_epochs_and_evaluations_also_when_resumed(
    stage: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    plain = room.Itself.reading
    monkeypatch.setattr(room.Itself, "reading", lambda self, m, p, g: asked.append(len(g)) or plain(self, m, p, g))
    recipe = {"dataset": "votes" if stage == "kto" else "pairs", "stage": stage, "max_samples": 16, "val_size": 4}
    recipe |= {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no"}
    whole = train(root, "whole", **recipe)
    assert sum(asked) == 16
    asked.clear()
    resumes = train(root, "broken", stop_at=4, **recipe)
    assert (resumes.checkpoints[-1] / FILE).is_file()
    assert losses(train(root, "broken")) == losses(whole)
    assert sum(asked) == 16
    assert not (whole.final / FILE).exists()


@pytest.mark.parametrize("how", ["full", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS if m != "full")])
def test_simpo_resumes_exactly(how: str, root: Path) -> None:
    resumes_exactly(root, **PAIRS | METHODS[how] | {"stage": "simpo", "pref_beta": 2.0})


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("stage", ["dpo", pytest.param("simpo", marks=pytest.mark.slow)])
def test_the_result_loads_again(how: str, stage: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(root, monkeypatch, **PAIRS | METHODS[how] | {"stage": stage})


def test_the_best_checkpoint_is_that_of_the_rewards_and_patience_ends_the_run(root: Path) -> None:
    made = train(
        root, "run", **PAIRS, **HELD_OUT, load_best_model_at_end=True, metric_for_best_model="rewards/accuracies",
        early_stopping_steps=2, max_steps=20,
    )  # fmt: skip
    seen = [metrics["eval_rewards/accuracies"] for metrics in figures(made, events.EvalLogged)]
    best = 2 * (seen.index(max(seen)) + 1)
    assert len(seen) == best // 2 + 2 < 10
    a, b = (load_file(f / "adapter_model.safetensors") for f in (made.checkpoint(best), made.final))
    assert all(torch.equal(a[key], b[key]) for key in a)


# The reference


def first_loss(root: Path, **recipe: Any) -> float:
    made = train(root, "run", **PAIRS | {"max_steps": 2} | recipe)
    return losses(made)[1][0]


@pytest.mark.parametrize(
    "recipe",
    [
        {"finetuning_type": "full"}, {"finetuning_type": "full", "bf16": True}, {"finetuning_type": "freeze"},
        {"finetuning_type": "freeze", "bf16": True, "freeze_trainable_layers": 1},
        {"finetuning_type": "freeze", "use_llama_pro": True, "expand_blocks": 2, "freeze_trainable_layers": 2},
        {"lora_dropout": 0.3}, {"bf16": True}, {"pure_bf16": True}, {"quantization_bit": 4},
        {"pissa_init": True, "pissa_iter": 4}, {"pissa_init": True, "pissa_iter": -1},
        {"quantization_bit": 4, "loftq_init": True}, {"finetuning_type": "prompt_tuning"}, {"use_dora": True},
        {"finetuning_type": "full", "precompute_ref_log_probs": True}, {"precompute_ref_log_probs": True},
        {"ref_model": "tiny"},
    ],
    ids=lambda recipe: " ".join(map(str, recipe)),
)  # fmt: skip
def test_the_first_loss_is_that_of_a_coin_whatever_the_method(recipe: dict[str, Any], root: Path) -> None:
    recipe = {key: str(root / "tiny") if key == "ref_model" else value for key, value in recipe.items()}
    moved = recipe.get("finetuning_type") == "prompt_tuning"  # its vectors are there from the begin
    assert (abs(first_loss(root, **recipe) - math.log(2)) < 1e-6) != moved


def test_an_adapter_that_is_trained_further_is_its_own_reference(root: Path) -> None:
    before = train(root, "before", **PAIRS, max_steps=4)
    recipe = PAIRS | {"adapter_name_or_path": str(before.final), "max_steps": 4}
    made = train(root, "run", stop_at=2, **recipe)
    made = train(root, "run")
    assert losses(made)[1][0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses(made) == losses(train(root, "whole", **recipe))
    merged = losses(train(root, "new", **recipe, create_new_adapter=True))
    assert merged[1][0] == pytest.approx(math.log(2), abs=1e-6)


def test_numbers_of_the_reference_asked_before_are_those_asked_on_the_way(root: Path) -> None:
    other = str(other_model(root))
    held_out = HELD_OUT | {"max_steps": 4, "save_strategy": "no"}
    for name, recipe in {"another": {"ref_model": other}, "whole": METHODS["full"]}.items():
        on_the_way = train(root, f"{name} a", **PAIRS, **held_out, **recipe)
        before = train(root, f"{name} b", **PAIRS, **held_out, **recipe, precompute_ref_log_probs=True)
        assert "reference" in phases(before)
        assert "reference" not in phases(on_the_way)
        assert (before.path / FILE).is_file()
        for kind in (events.StepLogged, events.EvalLogged):
            for a, b in zip(figures(before, kind), figures(on_the_way, kind), strict=True):
                # While the model is its reference, rounding alone says which answer is the better one.
                if abs(b.get("rewards/margins", 1.0)) < 1e-6:
                    a, b = ({key: seen[key] for key in seen if key != "rewards/accuracies"} for seen in (a, b))
                assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
        assert len(figures(before, events.EvalLogged)) == 2


def test_a_resumed_run_reads_what_the_reference_said_and_never_loads_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**PAIRS, "ref_model": str(other_model(root)), "precompute_ref_log_probs": True}
    whole = train(root, "whole", **recipe)
    made = train(root, "run", stop_at=4, **recipe)
    kept = (made.path / FILE).read_bytes()
    monkeypatch.setattr(room, "_loaded", None)  # loading it would fail
    made = train(root, "run")
    assert (made.path / FILE).read_bytes() == kept
    assert losses(made) == losses(whole)
    assert phases(made).count("reference") == 1
    assert any("is known already" in note.text for note in journal(made, events.Noted))


def test_a_file_that_is_damaged_is_made_anew(root: Path) -> None:
    recipe = {**PAIRS, "precompute_ref_log_probs": True, "max_steps": 4}
    made = train(root, "run", stop_at=2, **recipe)
    file = made.path / FILE
    file.write_bytes(file.read_bytes()[:-300])
    assert losses(train(root, "run")) == losses(train(root, "whole", **recipe))
    assert phases(made).count("reference") == 2


def test_a_stop_while_the_reference_is_asked_loses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = start(root, "run", **PAIRS, precompute_ref_log_probs=True, tokens_per_batch=100)

    def watch(session: Session) -> None:
        told = session.progress

        def progress(phase: str, done: int, total: int | None) -> None:
            told(phase, done, total)
            if phase == "reference" and done > 10:
                session.ask(Stop())

        session.progress = progress  # type: ignore[method-assign]

    assert run(made, on_session=watch).status == "stopped"
    asked: list[int] = []
    plain = room.Itself.reading
    monkeypatch.setattr(room.Itself, "reading", lambda self, m, p, g: asked.append(len(g)) or plain(self, m, p, g))
    assert run(made).status == "finished"
    assert 0 < sum(asked) < 30
    assert losses(made)[1][0] == pytest.approx(math.log(2), abs=1e-6)


def test_a_second_model_is_let_go_once_it_was_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import weakref

    alive: list[weakref.ref[FrozenCopy]] = []
    plain = room._loaded

    def loaded(*args: Any) -> FrozenCopy:
        made = plain(*args)
        alive.append(weakref.ref(made._model))
        return made

    monkeypatch.setattr(room, "_loaded", loaded)
    seen: list[bool] = []

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == 1:
                gc.collect()
                seen.extend(ref() is not None for ref in alive)

        session.stepped = stepped  # type: ignore[method-assign]

    for precompute in (False, True):
        made = start(root, f"run {precompute}", **PAIRS, max_steps=2, ref_model=str(other_model(root)),
                     precompute_ref_log_probs=precompute)  # fmt: skip
        assert run(made, on_session=watch).status == "finished"
        alive.clear()
    assert seen == [True, False]


def test_the_reference_takes_adapters_and_few_bits(root: Path) -> None:
    tiny = str(root / "tiny")
    adapter = train(root, "before", **PAIRS)
    plain = losses(train(root, "plain", **PAIRS, max_steps=2, ref_model=tiny))[1][0]
    with_it = losses(train(root, "with", **PAIRS, max_steps=2, ref_model=tiny, ref_model_adapters=[str(adapter.path)]))
    further = losses(
        train(root, "further", **PAIRS, max_steps=2, adapter_name_or_path=str(adapter.final), ref_model=tiny)
    )
    assert plain == pytest.approx(math.log(2), abs=1e-6)
    # The model against its adapted self is the adapted one against the model, turned round.
    assert with_it[1][0] > plain + 0.05
    assert further[1][0] < plain - 0.05
    few = losses(train(root, "few", **PAIRS, max_steps=2, ref_model=tiny, ref_model_quantization_bit=4))[1][0]
    assert few != plain
    assert few == pytest.approx(plain, abs=0.1)


def test_a_reference_with_another_vocabulary_is_refused_in_words(root: Path) -> None:
    folder = other_model(root)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"<|im_start|>"', '"<|begin|>"'))
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace("<|im_start|>", "<|begin|>"))
    made = start(root, "run", **PAIRS, ref_model=str(folder))
    ended = run(made)
    assert ended.status == "failed"
    assert "another vocabulary" in ended.message
    assert "<|im_start|>" in ended.message
    assert "tokenizer of the trained model" in ended.hint
