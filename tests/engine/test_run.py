"""Whole runs on a tiny model: the same numbers as a plain Trainer, exact resume, a result that others can load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, losses, recipe_text, same, start, weights
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Inbox, Save, SetLearningRate, Stop, StopNow


def plain_trainer(
    root: Path, run_dir: RunDir, method: str
) -> tuple[dict[int, tuple[float, float]], dict[str, torch.Tensor]]:
    """Train the same rows with transformers' own Trainer: padded batches of two, accumulation two, nothing of ours."""
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from tuitune.data import build

    recipe = load(run_dir.recipe)
    tokenizer = AutoTokenizer.from_pretrained(root / "tiny")
    rows = list(build(recipe, tokenizer).train.rows)
    set_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32)
    if method == "lora":
        model = get_peft_model(
            model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        )
    args = TrainingArguments(
        output_dir=str(root / "plain"), per_device_train_batch_size=2, gradient_accumulation_steps=2,
        learning_rate=5e-3, lr_scheduler_type="cosine", warmup_steps=2, max_steps=10, logging_steps=1,
        save_strategy="no", max_grad_norm=0.5, use_cpu=True, report_to=[], disable_tqdm=True, seed=recipe.seed,
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=rows, data_collator=DataCollatorForSeq2Seq(tokenizer))
    trainer.train()
    trainer.save_model(str(root / "plain" / "final"))
    history = {e["step"]: (e["loss"], e["grad_norm"]) for e in trainer.state.log_history if "loss" in e}
    return history, weights(root / "plain" / "final")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_equals_a_plain_trainer(root: Path, method: str) -> None:
    mine = start(root, finetuning_type=method)
    assert run(mine).status == "finished"
    history, final = plain_trainer(root, mine, method)
    assert losses(mine).keys() == history.keys()
    for step, (loss, norm) in losses(mine).items():
        assert loss == pytest.approx(history[step][0], rel=2e-5)
        assert norm == pytest.approx(history[step][1], rel=2e-4)
    got = weights(mine.final)
    assert got.keys() == final.keys()
    moved = torch.cat([(got[k] - final[k]).flatten() for k in got]).norm()
    assert moved / torch.cat([v.flatten() for v in final.values()]).norm() < 1e-3


HARD = {
    "lora_dropout": 0.2,
    "save_steps": 3,
    "save_strategy": "steps",
    "logging_steps": 2,
    "num_train_epochs": 2.0,
    "max_steps": -1,
}


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("lora", HARD),
        ("full", {**HARD, "lora_dropout": 0.0}),
        ("lora", {**HARD, "loraplus_lr_ratio": 16.0, "use_dora": True}),
    ],
    ids=["lora", "full", "lora+ dora"],
)
def test_a_run_stopped_and_resumed_ends_bit_equal(root: Path, method: str, more: dict[str, object]) -> None:
    whole, broken = (start(root, name, finetuning_type=method, **more) for name in ("whole", "broken"))
    sessions: list[Session] = []
    assert run(whole, on_session=sessions.append).status == "finished"
    for step in (4, 10, 13):  # inside the first epoch, at its end, inside the second
        assert run(broken, on_session=stop_after(step)).status == "stopped"
    assert run(broken).status == "finished"
    assert same(weights(broken.final), weights(whole.final))
    assert losses(broken) == losses(whole)
    attempts = journal(broken, events.RunStarted)
    assert [(e.attempt, e.step) for e in attempts] == [(1, 0), (2, 4), (3, 10), (4, 13)]
    # The journal begins when the clock of the run does, not when all is imported.
    assert journal(whole, events.RunStarted)[0].t == sessions[0].began


def stop_after(step: int, command: type[Stop] | type[StopNow] = Stop):  # type: ignore[no-untyped-def]
    """Return an on_session that asks for a stop once `step` steps are done."""

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == step and total is not None:
                session.ask(command())

        session.stepped = stepped  # type: ignore[method-assign]

    return watch


def test_a_stop_in_the_middle_of_a_step_saves_the_last_whole_one(root: Path) -> None:
    """The third micro-batch of step 6 sees the stop: checkpoint 5 is written, with the random state of its end."""
    more = {"tokens_per_batch": 20, "lora_dropout": 0.3}
    whole, broken = start(root, "whole", **more), start(root, "broken", **more)
    run(whole)
    seen = [0]

    def watch(session: Session) -> None:
        taken = session.commands

        def commands():  # type: ignore[no-untyped-def]
            seen[0] += session.step == 5
            return [Stop()] if seen[0] == 3 else taken()

        session.commands = commands  # type: ignore[method-assign]

    assert run(broken, on_session=watch).exit_code == 3
    assert [p.name for p in broken.checkpoints] == ["checkpoint-5"]
    seen[0] = 99
    assert run(broken).status == "finished"
    assert same(weights(broken.final), weights(whole.final))


def test_stop_now_saves_nothing(root: Path) -> None:
    it = start(root)
    assert run(it, on_session=stop_after(3, StopNow)).status == "stopped"
    assert it.checkpoints == []
    assert journal(it, events.RunFinished)[-1].reason == "stopped_now"


def test_a_damaged_checkpoint_is_named_and_an_older_one_used(root: Path) -> None:
    more = {"save_steps": 2, "save_strategy": "steps"}
    whole, it = start(root, "whole", **more), start(root, "broken", **more)
    run(whole)
    run(it, on_session=stop_after(7))
    file = it.checkpoint(7) / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-10])
    (it.checkpoint(6) / "MANIFEST.json").unlink()
    assert run(it).status == "finished"
    said = [e.message for e in journal(it, events.Warned)]
    assert any("checkpoint-7" in m and "optimizer.pt" in m for m in said)
    assert any("checkpoint-6" in m and "MANIFEST.json" in m for m in said)
    assert journal(it, events.RunStarted)[-1].step == 4
    assert same(weights(it.final), weights(whole.final))


def test_the_result_gives_the_same_logits_in_plain_peft(root: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    it = start(root)
    grabbed: list[torch.Tensor] = []
    ids = torch.arange(3, 40)[None]

    import tuitune.engine.build as room

    final = room.Build._final

    def keep(self: room.Build, trainer):  # type: ignore[no-untyped-def]
        trainer.model.eval()
        with torch.no_grad():
            grabbed.append(trainer.model(input_ids=ids).logits)
        return final(self, trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.Build, "_final", keep)
        run(it)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32), it.final
    )
    with torch.no_grad():
        assert (model.eval()(input_ids=ids).logits - grabbed[0]).abs().max() < 1e-6
    assert AutoTokenizer.from_pretrained(it.final).chat_template
    assert "attn_implementation" not in (it.final / "adapter_config.json").read_text()
    for folder in (it.final, *it.path.glob("checkpoint-*")):
        card = (folder / "README.md").read_text()
        assert "Adapter for tiny" in card
        assert str(root) not in card
        assert "More Information Needed" not in card


def test_a_full_result_is_a_plain_model_without_our_names(root: Path) -> None:
    from transformers import AutoModelForCausalLM

    it = start(root, finetuning_type="full", max_steps=2)
    run(it)
    assert "tuitune" not in (it.final / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(it.final).config._attn_implementation != "tuitune"
    assert not list(it.path.rglob("training_args.bin"))


def test_the_learning_rate_can_be_changed_and_the_change_survives_a_resume(root: Path) -> None:
    it = start(root, lr_scheduler_type="constant", warmup_steps=0)

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if session.attempt == 1 and done == 3:
                Inbox(it.inbox).send(SetLearningRate(1e-4, attempt=1))
            if session.attempt == 1 and done == 5:
                session.ask(Stop())

        session.stepped = stepped  # type: ignore[method-assign]

    run(it, on_session=watch)
    run(it)
    rates = {e.step: e.learning_rate for e in journal(it, events.StepLogged)}
    assert rates == pytest.approx({s: 5e-3 if s <= 3 else 1e-4 for s in range(1, 11)})


def test_a_checkpoint_on_demand_is_written_at_the_end_of_the_step(root: Path) -> None:
    it = start(root)

    def watch(session: Session) -> None:
        session.ask(Save())
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == 4:
                session.ask(Save())

        session.stepped = stepped  # type: ignore[method-assign]

    run(it, on_session=watch)
    assert [e.step for e in journal(it, events.CheckpointSaved)] == [5]
    assert [(e.command, e.outcome) for e in journal(it, events.CommandDone)] == [("save", "refused"), ("save", "done")]


def test_a_full_disk_is_a_warning_and_the_run_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = start(root, save_steps=4, save_strategy="steps")
    real = torch.save

    def full(thing: object, file: object, *args: object, **kwargs: object) -> None:
        if "checkpoint-4" in str(file) and "optimizer" in str(file):
            raise OSError(28, "No space left on device")
        real(thing, file, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    assert run(it).status == "finished"
    assert [p.name for p in it.checkpoints] == ["checkpoint-8", "checkpoint-10"]
    assert any("No space left" in e.message for e in journal(it, events.Warned))
    assert not list(it.path.glob(".tmp-*"))


def test_losses_that_are_no_numbers_are_shown(root: Path) -> None:
    it = start(root, learning_rate=1e30, lr_scheduler_type="constant", warmup_steps=0, max_grad_norm=0)
    assert run(it).status == "finished"
    text = it.events.read_text()
    assert '"loss":"NaN"' in text
    assert sum("not a finite number" in e.message for e in journal(it, events.Warned)) == 1


def test_evaluation_keeps_the_best_checkpoint_and_ends_with_it(root: Path) -> None:
    it = start(
        root, val_size=0.2, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        save_total_limit=2,
        load_best_model_at_end=True, compute_accuracy=True, learning_rate=0.05, lr_scheduler_type="constant",
    )  # fmt: skip
    assert run(it).status == "finished"
    scored = {e.step: e.loss for e in journal(it, events.EvalLogged)}
    assert sorted(scored) == [2, 4, 6, 8, 10]
    assert 0 <= journal(it, events.EvalLogged)[0].metrics["eval_accuracy"] <= 1
    best = min(scored, key=lambda step: scored[step])
    assert same(weights(it.final), weights(it.checkpoint(best)))
    kept = {p.name for p in it.checkpoints}
    assert {f"checkpoint-{best}", "checkpoint-10"} <= kept
    assert len(kept) == 2


def test_a_failure_is_told_in_words_and_its_traceback_kept_in_the_log(root: Path) -> None:
    it = start(root, lora_target="no_such_layer")
    outcome = run(it)
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    assert "no_such_layer" in outcome.message
    assert "q_proj" in outcome.hint
    assert "Traceback" in it.console.read_text()
    failed = journal(it, events.RunFailed)[-1]
    assert "Traceback" not in failed.message
    assert failed.attempt == 1  # so that one which never began is not taken for the one before it
    assert json.loads(it.state.read_text())["status"] == "failed"


def test_rows_that_cannot_be_used_are_named(root: Path) -> None:
    rows = json.loads((root / "data" / "rows.json").read_text())
    rows[3] = {"instruction": "x"}
    (root / "data" / "rows.json").write_text(json.dumps(rows))
    it = start(root)
    run(it)
    said = " ".join(e.message for e in journal(it, events.Warned))
    assert "1 of 40 rows" in said
    assert "row 4" in said


def test_the_run_writes_what_it_chose(root: Path) -> None:
    it = start(root)
    run(it)
    assert "tokens_per_batch: 160" in it.resolved.read_text()
    assert load(it.resolved).learning_rate == 5e-3
    assert it.recipe.read_text() == recipe_text(root)


def test_a_resume_applies_what_changed_in_the_recipe(root: Path) -> None:
    more = {"lr_scheduler_type": "constant", "warmup_steps": 0}
    it = start(root, **more)
    run(it, on_session=stop_after(4))
    it.replace_recipe(recipe_text(root, **more, learning_rate=1e-4, weight_decay=0.3, adam_beta2=0.9, max_steps=12))
    seen: list[dict[str, Any]] = []

    import tuitune.engine.trainer as room

    real = room.StepTrainer.at_boundary

    def look(self: room.StepTrainer) -> None:
        real(self)
        seen.append({k: v for k, v in self.optimizer.param_groups[0].items() if k != "params"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.StepTrainer, "at_boundary", look)
        assert run(it).status == "finished"
    assert {(g["lr"], g["weight_decay"], g["betas"]) for g in seen} == {(1e-4, 0.3, (0.9, 0.9))}
    assert max(losses(it)) == 12


def test_a_resume_refuses_what_cannot_change(root: Path) -> None:
    it = start(root)
    run(it, on_session=stop_after(4))
    it.replace_recipe(recipe_text(root, lora_rank=4, optim="sgd", learning_rate=1e-4))
    outcome = run(it)
    assert outcome.exit_code == 2
    assert "lora_rank" in outcome.message
    assert "optim" in outcome.message
    assert "learning_rate" not in outcome.message


def test_a_resume_with_another_plan_says_so(root: Path) -> None:
    it = start(root)
    run(it, on_session=stop_after(4))
    it.replace_recipe(recipe_text(root, tokens_per_batch=50))
    run(it)
    said = " ".join(e.message for e in journal(it, events.Warned))
    assert "not bit-equal: tokens_per_batch was 160, it is 50" in said
    assert "tokens_per_batch: 50" in it.resolved.read_text().partition("# plan")[2]


def test_a_resume_with_other_versions_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuitune.engine.plan as room

    it = start(root)
    run(it, on_session=stop_after(4))
    monkeypatch.setattr(room, "versions", lambda: {"torch": "9.9"})
    run(it)
    assert any("torch was" in e.message and "9.9" in e.message for e in journal(it, events.Warned))


def test_recomputation_gives_the_same_run(root: Path) -> None:
    plain, again = (
        start(root, "plain", lora_dropout=0.2),
        start(root, "again", lora_dropout=0.2, gradient_checkpointing=True),
    )
    run(plain)
    run(again)
    assert "recompute: True" in again.resolved.read_text()
    for step, (loss, norm) in losses(plain).items():
        assert losses(again)[step][0] == pytest.approx(loss, rel=1e-5)
        assert losses(again)[step][1] == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("more", [{"bf16": True}, {"pure_bf16": True}], ids=["mixed", "pure"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_bf16_trains_close_to_fp32_and_resumes_exactly(root: Path, method: str, more: dict[str, Any]) -> None:
    exact, whole, broken = (
        start(root, n, finetuning_type=method, **m) for n, m in (("e", {}), ("w", more), ("b", more))
    )
    run(exact)
    assert run(whole).status == "finished"
    run(broken, on_session=stop_after(5))
    assert run(broken).status == "finished"
    assert losses(broken) == losses(whole)
    assert same(weights(broken.final), weights(whole.final))
    for step, (loss, _) in losses(exact).items():
        assert losses(whole)[step][0] == pytest.approx(loss, rel=0.05)


def test_an_adapter_is_trained_further_or_merged_into_a_new_one(root: Path) -> None:
    first = start(root, "first", learning_rate=0.02)
    run(first)
    further = start(root, "further", adapter_name_or_path=str(first.path), max_steps=1, learning_rate=1e-9)
    run(further)
    a, b = weights(first.final), weights(further.final)
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)
    anew = start(
        root, "anew", adapter_name_or_path=str(first.final), create_new_adapter=True, max_steps=1, warmup_steps=0
    )
    run(anew)
    assert losses(anew)[1][0] == pytest.approx(losses(further)[1][0], rel=1e-5)
    assert not torch.allclose(weights(anew.final)[next(iter(a))], a[next(iter(a))])
