"""Stops, resumes and failures in the places where nobody looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from tests.engine.given import data_folder, journal, losses, recipe_text, same, start, weights
from tests.engine.test_run import stop_after
from tests.tiny import tiny_tokenizer
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.run import events
from tuitune.run.inbox import Inbox, Save, SetLearningRate, Stop, StopNow

WET = {"lora_dropout": 0.3, "save_strategy": "steps", "save_steps": 3}


def stop_in_first_step(session: Session) -> None:
    """Stop as soon as training has begun, before one step is done."""
    taken = session.commands
    session.commands = lambda: [Stop()] if session.last_phase == "train" else taken()  # type: ignore[method-assign]


def test_a_second_stop_before_one_step_is_done_loses_no_random_state(root: Path) -> None:
    whole, broken = start(root, "whole", **WET), start(root, "broken", **WET)
    run(whole)
    run(broken, on_session=stop_after(4))
    run(broken, on_session=stop_in_first_step)
    run(broken, on_session=stop_in_first_step)
    assert run(broken).status == "finished"
    assert same(weights(broken.final), weights(whole.final))


def test_a_run_that_broke_off_before_its_result_trains_no_further_step(root: Path) -> None:
    more = {**WET, "max_steps": 7}
    whole, broken = start(root, "whole", **more), start(root, "broken", **more)
    run(whole)
    import tuitune.engine.build as room

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.Build, "_final", lambda self, trainer: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert run(broken).status == "failed"
    assert run(broken).status == "finished"
    assert max(losses(broken)) == 7
    assert same(weights(broken.final), weights(whole.final))
    assert journal(broken, events.RunFinished)[-1].metrics == pytest.approx(
        journal(whole, events.RunFinished)[-1].metrics
    )


def test_a_stop_during_an_evaluation_does_it_again_after_the_resume(root: Path) -> None:
    more = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5, "threshold": 0.5},
        "warmup_steps": 0, "val_size": 0.3, "eval_strategy": "steps", "eval_steps": 2, "learning_rate": 0.02,
    }  # fmt: skip
    whole, broken = start(root, "whole", **more), start(root, "broken", **more)
    run(whole)
    import tuitune.engine.evaluation as room

    real, calls = room.score, [0]

    def score(trainer: Any, rows: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            trainer.session.ask(Stop())
        return real(trainer, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "score", score)
        assert run(broken).status == "stopped"
    assert run(broken).status == "finished"
    scored = [{e.step: e.loss for e in journal(it, events.EvalLogged)} for it in (whole, broken)]
    assert scored[0] == scored[1]
    rates = [{e.step: e.learning_rate for e in journal(it, events.StepLogged)} for it in (whole, broken)]
    assert rates[0] == rates[1]
    assert len(set(rates[0].values())) > 1
    assert same(weights(broken.final), weights(whole.final))


def test_early_stopping_counts_across_a_resume(root: Path) -> None:
    more = {
        "val_size": 0.3, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1,
        "load_best_model_at_end": True, "early_stopping_steps": 3, "learning_rate": 1e-30, "warmup_steps": 0,
        "lr_scheduler_type": "constant", "optim": "sgd",
    }  # fmt: skip
    whole, broken = start(root, "whole", **more), start(root, "broken", **more)
    run(whole)
    last = max(losses(whole))
    assert last < 10
    run(broken, on_session=stop_after(last - 1))
    run(broken)
    assert max(losses(broken)) == last
    assert same(weights(broken.final), weights(whole.final))


def test_the_best_checkpoint_exists_whatever_the_saving_interval(root: Path) -> None:
    it = start(
        root, val_size=0.3, eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=5,
        load_best_model_at_end=True, learning_rate=0.3, lr_scheduler_type="constant",
    )  # fmt: skip
    assert run(it).status == "finished"
    scored = {e.step: e.loss for e in journal(it, events.EvalLogged)}
    best = min(scored, key=lambda step: scored[step])
    assert same(weights(it.final), weights(it.checkpoint(best)))


def test_one_infinite_loss_does_not_hide_the_next_ones(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuitune.engine.step as room

    real = room.Stepper.run
    steps = [0]

    def once(self: Any, *given: Any) -> Any:
        result = real(self, *given)
        steps[0] += 1
        return (
            room.StepResult(result.loss * float("inf"), result.tokens, result.labelled, result.parts)
            if steps[0] == 3
            else result
        )

    monkeypatch.setattr(room.Stepper, "run", once)
    it = start(root, save_strategy="steps", save_steps=4, logging_steps=2)
    assert run(it).status == "finished"
    found = {step: loss for step, (loss, _) in losses(it).items()}
    assert found[4] == float("inf")
    assert all(abs(found[step]) < 100 for step in (2, 6, 8, 10))


def test_a_rate_set_after_a_checkpoint_of_the_same_step_is_kept_by_a_stop(root: Path) -> None:
    it = start(root, lr_scheduler_type="constant", warmup_steps=0, save_strategy="steps", save_steps=3)

    asked: list[bool] = []

    def watch(session: Session) -> None:
        taken = session.commands

        def commands() -> Any:
            if session.step == 3 and not asked:
                asked.append(True)
                return [SetLearningRate(1e-4), Stop()]
            return taken()

        session.commands = commands  # type: ignore[method-assign]

    run(it, on_session=watch)
    assert [p.name for p in it.path.glob("checkpoint-*")] == ["checkpoint-3"]
    run(it)
    assert {e.learning_rate for e in journal(it, events.StepLogged) if e.step > 3} == {1e-4}


def test_other_intervals_count_after_a_resume(root: Path) -> None:
    it = start(root, logging_steps=5)
    run(it, on_session=stop_after(5))
    it.replace_recipe(recipe_text(root, logging_steps=1))
    run(it)
    assert sorted(losses(it)) == [5, 6, 7, 8, 9, 10]


def test_a_checkpoint_named_in_the_recipe_is_the_beginning_and_no_more(root: Path) -> None:
    first = start(root, "first", save_strategy="steps", save_steps=2)
    run(first)
    it = start(root, "second", resume_from_checkpoint=str(first.checkpoint(2)))
    run(it, on_session=stop_after(6))
    run(it)
    assert [e.step for e in journal(it, events.RunStarted)] == [2, 6]


def test_a_disk_that_is_full_for_the_weights_is_a_warning_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuitune.methods.lora as room

    real = room.Lora.save

    def full(self: Any, model: Any, folder: str, *, exact: bool = False) -> None:
        if "checkpoint-4" in folder:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        real(self, model, folder, exact=exact)

    monkeypatch.setattr(room.Lora, "save", full)
    it = start(root, save_strategy="steps", save_steps=4)
    assert run(it).status == "finished"
    assert any("No space left" in e.message for e in journal(it, events.Warned))


def test_every_command_is_answered_when_a_run_ends(root: Path) -> None:
    it = start(root)
    inbox = Inbox(it.inbox)

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == 4 and total:
                for command in (Save(), StopNow(), SetLearningRate(1e-5)):
                    sent.append(inbox.send(command))

        session.stepped = stepped  # type: ignore[method-assign]

    sent: list[str] = []
    run(it, on_session=watch)
    answers = {e.id: e.outcome for e in journal(it, events.CommandDone)}
    assert set(sent) <= set(answers)
    assert sorted(answers[i] for i in sent) == ["done", "failed", "refused"]


def test_a_failing_reply_ends_itself_and_not_the_training(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuitune.engine.control as room
    from tuitune.run.inbox import Generate

    monkeypatch.setattr(room, "reply", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    it = start(root)
    Inbox(it.inbox).send(Generate([{"role": "user", "content": "hello"}]))
    assert run(it).status == "finished"
    assert "No space left" in journal(it, events.ReplyFinished)[0].error


def test_a_mixture_of_experts_is_trained_flat_and_resumes_with_all_its_experts(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=512, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4, max_position_embeddings=256, sliding_window=None,
        bos_token_id=0, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    data_folder(tmp_path)
    more = {"finetuning_type": "full", "learning_rate": 1e-2, "max_steps": 6}
    whole, broken = start(tmp_path, "whole", **more), start(tmp_path, "broken", **more)
    run(whole)
    assert "path: flat" in whole.resolved.read_text()
    run(broken, on_session=stop_after(3))
    assert run(broken).status == "finished"
    assert same(weights(broken.final), weights(whole.final))
    assert losses(broken) == losses(whole)
    plain = AutoModelForCausalLM.from_pretrained(whole.final)
    assert any("experts" in name for name, _ in plain.named_parameters())


def test_a_paused_run_can_be_saved_in_the_middle_of_a_step_and_nothing_changes(root: Path) -> None:
    from tests.engine.test_live import at_parts
    from tuitune.run.inbox import Continue, Pause

    more = {"lora_dropout": 0.3, "tokens_per_batch": 60}
    whole, it = start(root, "whole", **more), start(root, "paused", **more)
    run(whole)
    inbox = Inbox(it.inbox)
    sent = [lambda: inbox.send(Pause()), lambda: inbox.send(Save()), lambda: inbox.send(Continue())]
    run(it, on_session=at_parts(it, {11: sent}))
    [saved] = journal(it, events.CheckpointSaved)
    assert 0 < saved.step < 10
    assert same(weights(it.final), weights(whole.final))
    # What was saved in the middle of a step is the state between two steps.
    again = start(root, "again", **more, resume_from_checkpoint=saved.path)
    run(again)
    assert same(weights(again.final), weights(whole.final))


def test_weights_that_are_no_numbers_replace_no_checkpoint(root: Path) -> None:
    it = start(root, save_strategy="steps", save_steps=2, lr_scheduler_type="constant", max_grad_norm=0)

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == 4 and total:
                session.ask(SetLearningRate(1e30))

        session.stepped = stepped  # type: ignore[method-assign]

    assert run(it, on_session=watch).status == "finished"
    assert [p.name for p in it.checkpoints] == ["checkpoint-2", "checkpoint-4"]
    said = " ".join(e.message for e in journal(it, events.Warned))
    assert "not finite" in said
    assert "of no use" in said


def test_a_longer_schedule_takes_effect_with_the_first_step_after_the_resume(root: Path) -> None:
    more = {"lr_scheduler_type": "linear", "warmup_steps": 0, "save_strategy": "steps", "save_steps": 5}
    it, long = start(root, max_steps=5, **more), start(root, "long", max_steps=10, **more)
    run(it)
    run(long)
    it.replace_recipe(recipe_text(root, max_steps=10, **more))
    run(it, on_session=lambda session: None)
    rates = [{e.step: e.learning_rate for e in journal(r, events.StepLogged) if e.step > 5} for r in (it, long)]
    assert rates[0] == pytest.approx(rates[1])


def test_fewer_steps_than_are_done_are_refused(root: Path) -> None:
    more = {"save_strategy": "steps", "save_steps": 5}
    it = start(root, max_steps=5, **more)
    run(it)
    it.replace_recipe(recipe_text(root, max_steps=3, **more))
    outcome = run(it)
    assert outcome.exit_code == 2
    assert "5 steps already" in outcome.message


def test_other_rows_after_a_resume_are_announced(root: Path) -> None:
    it = start(root)
    run(it, on_session=stop_after(4))
    rows = json.loads((root / "data" / "rows.json").read_text())
    rows[5]["output"] = "something else"
    (root / "data" / "rows.json").write_text(json.dumps(rows))
    run(it)
    assert any("not bit-equal: the rows" in e.message for e in journal(it, events.Warned))


def test_a_relative_model_path_means_the_same_from_another_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuitune.run.origin import Origin

    monkeypatch.chdir(root)
    it = start(root, model_name_or_path="./tiny")
    Origin.here(None).keep(it)
    run(it, on_session=stop_after(4))
    monkeypatch.chdir("/")
    assert run(it).status == "finished"
