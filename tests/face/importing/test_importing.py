from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.face.importing import given
from tuitune.chat import weights
from tuitune.errors import RunError, UsageError
from tuitune.face.about import about
from tuitune.face.importing import Refused, Taken, outputs, take_each, take_in
from tuitune.face.meant import of_name
from tuitune.face.subject import subject_of
from tuitune.recipe import Document
from tuitune.run import JournalReader, RunDir, events, index, summary
from tuitune.run.imported import Imported
from tuitune.run.ledger import Ledger


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def journal(run: RunDir) -> list[events.Event]:
    return JournalReader(run.events).read()


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_log_of_llamafactory_becomes_a_run_and_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    before = digest(folder)
    taken = take_in(folder)
    assert (taken.new, taken.steps, taken.run.name) == (True, 300, "train_1")
    assert digest(folder) == before
    found = summary(taken.run)
    assert (found.status, found.step, found.total_steps) == ("finished", 300, 300)
    assert (found.model, found.stage, found.method) == ("Qwen/Qwen2.5-0.5B-Instruct", "sft", "lora")
    assert found.loss == given.loss_at(300)
    ledger = Ledger(taken.run.events)
    ledger.read()
    assert list(ledger.columns.step) == list(range(10, 301, 10))
    assert list(ledger.columns.values) == [given.loss_at(step) for step in range(10, 301, 10)]
    assert list(ledger.columns.seconds) == pytest.approx([step * 2.0 for step in range(10, 301, 10)])
    assert ledger.columns.tokens[-1] == 300 * 4096
    assert [each.event.loss for each in ledger.evals] == [given.loss_at(step) + 0.02 for step in (100, 200, 300)]


def test_what_only_the_trainer_logged_is_joined_and_times_end_with_the_log(tmp_path: Path) -> None:
    found = journal(take_in(given.factory(tmp_path)).run)
    steps = [event for event in found if isinstance(event, events.StepLogged)]
    assert {step.grad_norm for step in steps} == {0.7}
    assert steps[4].metrics == {"rewards/margins": 5.0}
    assert steps[1].tokens_per_second == pytest.approx(40960 / 20)
    evals = [event for event in found if isinstance(event, events.EvalLogged)]
    assert evals[0].metrics == {"eval_rewards/accuracies": 0.8}
    end = found[-1]
    assert isinstance(end, events.RunFinished)
    assert (end.t, end.metrics["train_loss"]) == (given.ENDED, 0.8)
    saved = [event for event in found if isinstance(event, events.CheckpointSaved)]
    assert [(each.step, each.best) for each in saved] == [(100, False), (200, True), (300, False)]
    assert [event.t for event in found] == sorted(event.t for event in found)


def test_its_recipe_can_be_run_and_the_rest_stays_as_comments(tmp_path: Path) -> None:
    run = take_in(given.factory(tmp_path)).run
    text = run.recipe.read_text()
    document = Document.parse(text)
    assert document.recipe().learning_rate == 1e-4
    assert document.values()["dataset"] == "identity,alpaca_en_demo"
    assert "# use_unsloth: true  (Unsloth" in text
    assert "# output_dir: saves/Qwen/lora/train_1" in text
    assert "# trust_remote_code: true" in text
    assert "verysecret" not in "".join(path.read_text() for path in run.path.iterdir() if path.is_file())
    assert (run.path / "recipe.yaml").stat().st_mode & 0o777 == 0o600
    assert json.loads((run.path / "origin.json").read_text())["cwd"] == str(tmp_path)


def test_a_second_import_says_so_and_makes_nothing(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    first = take_in(folder)
    second = take_in(folder / ".." / "train_1", name="train_1", given={"stage": "sft"})
    assert (second.new, second.run, second.notes) == (False, first.run, ())
    assert len(index.all_runs()) == 1
    with (folder / "trainer_log.jsonl").open("a") as log:
        log.write("{}\n")
    assert "has grown since" in take_in(folder).notes[0]


def test_a_second_import_with_another_name_or_other_values_is_refused(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    run = take_in(folder).run
    before = digest(run.path)
    with pytest.raises(UsageError, match="as train_1, not called other and without this cutoff_len") as refused:
        take_in(folder, name="other", given={"cutoff_len": 99, "stage": "sft"})
    assert "runs delete train_1" in refused.value.hint
    assert digest(run.path) == before


def test_its_checkpoints_are_listed_and_go_by_name_or_by_path(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "checkpoint-200" / "adapter_model.safetensors").rename(folder / "checkpoint-200" / "adapter_model.bin")
    run = take_in(folder).run
    found = {each.name: each for each in about(run).checkpoints}
    assert list(found) == ["checkpoint-100", "checkpoint-200", "checkpoint-300", "final"]
    assert [each.step for each in found.values()] == [100, 200, 300, 300]
    assert [name for name, each in found.items() if each.trouble] == ["checkpoint-200"]
    assert found["checkpoint-100"].size > 0
    named, placed = of_name("train_1/checkpoint-100"), of_name(str(folder / "checkpoint-100"))
    assert named == placed
    assert (named.adapters, named.template, named.title) == (
        (folder / "checkpoint-100",), "qwen", "train_1, checkpoint-100",
    )  # fmt: skip
    assert of_name("train_1/final").adapters == (folder,)
    measured = subject_of("train_1/checkpoint-100")
    assert (measured.run, measured.weights) == (run, named)
    assert weights.run_of(folder) == weights.run_of(folder / "checkpoint-300") == run
    assert weights.run_of(tmp_path) is None
    with pytest.raises(UsageError, match="train_1 has no checkpoint-150") as refused:
        of_name("train_1/checkpoint-150")
    assert "train_1/checkpoint-100" in refused.value.hint


def test_its_weights_can_be_asked_and_exported_by_name(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    run = take_in(folder).run
    assert weights.newest(run) == folder
    found = of_name(run.name)
    assert found.model == "Qwen/Qwen2.5-0.5B-Instruct"
    assert found.adapters == (folder,)
    assert found.template == "qwen"
    assert not found.trust_remote_code
    os.rename(folder, tmp_path / "gone")
    with pytest.raises(RunError, match="not there any more"):
        of_name(run.name)


def test_nothing_is_trained_in_it(tmp_path: Path) -> None:
    from tuitune.engine.run import run as train

    run = take_in(given.factory(tmp_path)).run
    before = digest(run.path)
    with pytest.raises(RunError, match="imported from LLaMA-Factory"):
        train(run)
    assert digest(run.path) == before


def test_a_plain_trainer_has_no_times_and_its_card_tells_the_recipe(tmp_path: Path) -> None:
    folder = given.plain(tmp_path)
    taken = take_in(folder)
    assert taken.run.name == "mine-output"
    assert "spread evenly" in taken.notes[0]
    imported = Imported.of(taken.run)
    assert imported is not None
    assert (imported.trainer, imported.adapter, imported.weights) == (
        "transformers", False, str(folder / "checkpoint-300"),
    )  # fmt: skip
    found = summary(taken.run)
    assert (found.status, found.step, found.total_steps) == ("stopped", 300, 400)
    values = Document.parse(taken.run.recipe.read_text()).values()
    assert values["model_name_or_path"] == "org/base"
    assert (values["learning_rate"], values["per_device_train_batch_size"], values["seed"]) == (5e-05, 4, 7)
    assert values["dataset"] == "identity,alpaca"
    ledger = Ledger(taken.run.events)
    ledger.read()
    assert list(ledger.columns.seconds) == pytest.approx([step * 2.0 for step in range(10, 301, 10)])
    assert of_name(taken.run.name).model == str(folder / "checkpoint-300")


def test_attempts_that_went_on_do_not_count_twice(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "trainer_state.json").unlink()
    rows = [given.log_row(step, step * 2, loss=float(step)) for step in (10, 20, 30, 40)]
    rows += [given.log_row(step, (step - 20) * 3, loss=-float(step)) for step in (30, 40, 50)]
    given.put(folder, "trainer_log.jsonl", rows)
    (folder / "all_results.json").unlink()
    run = take_in(folder).run
    ledger = Ledger(run.events)
    ledger.read()
    assert list(ledger.columns.step) == [10, 20, 30, 40, 50]
    assert list(ledger.columns.values) == [10, 20, -30, -40, -50]
    seconds = list(ledger.columns.seconds)
    assert seconds[:2] == pytest.approx([20, 40])
    assert seconds[-1] - seconds[-2] == pytest.approx(30)
    assert summary(run).status == "stopped"


def test_an_evaluation_that_only_the_trainer_logged_is_taken_in(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    given.put(folder, "trainer_log.jsonl", [row for row in given.log_rows() if "eval_loss" not in row])
    evals = [event for event in journal(take_in(folder).run) if isinstance(event, events.EvalLogged)]
    assert [(each.step, each.loss) for each in evals] == [(s, given.loss_at(s) + 0.02) for s in (100, 200, 300)]
    assert evals[0].metrics == {"eval_rewards/accuracies": 0.8}
    started = given.ENDED - 600.0
    assert [each.t - started for each in evals] == pytest.approx([200.0, 400.0, 600.0])


def test_the_evaluation_after_the_training_stands_in_the_results_only(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    given.put(folder, "trainer_log.jsonl", [row for row in given.log_rows() if "eval_loss" not in row])
    given.put(folder, "trainer_state.json", given.state(log_history=[]))
    results = {"train_loss": 0.8, "eval_loss": 0.7, "eval_accuracy": 0.5, "eval_runtime": 2.0, "eval_samples": 9}
    given.put(folder, "all_results.json", results)
    evals = [event for event in journal(take_in(folder).run) if isinstance(event, events.EvalLogged)]
    assert [(each.step, each.loss, each.metrics) for each in evals] == [(300, 0.7, {"eval_accuracy": 0.5})]


def test_an_evaluation_of_a_training_that_went_on_stands_where_its_step_counts(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    rows = [given.log_row(step, step * 2, loss=float(step)) for step in (10, 20, 30, 40)]
    rows += [given.log_row(step, (step - 20) * 3, loss=-float(step)) for step in (30, 40, 50)]
    given.put(folder, "trainer_log.jsonl", rows)
    history = [{"step": 20, "eval_loss": 0.2}, {"step": 40, "eval_loss": 0.4}, {"step": 50, "eval_loss": 0.5}]
    given.put(folder, "trainer_state.json", given.state(log_history=history))
    ledger = Ledger(take_in(folder).run.events)
    ledger.read()
    assert list(ledger.columns.values) == [10, 20, -30, -40, -50]
    assert [(each.event.step, each.event.loss) for each in ledger.evals] == [(20, 0.2), (40, 0.4), (50, 0.5)]


def test_not_a_number_and_torn_lines_survive(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "trainer_state.json").unlink()
    good = json.dumps(given.log_row(20, 40, loss=1.5))
    (folder / "trainer_log.jsonl").write_text(
        f'{{"current_steps": 10, "total_steps": 300, "loss": NaN, "elapsed_time": "1 day, 0:00:20"}}\n[]\n{good[:30]}\n'
        f'"x"\n{{"current_steps": 12, "percentage": 3.0}}\n{good}\n{good[:40]}'
    )
    found = [event for event in journal(take_in(folder).run) if isinstance(event, events.StepLogged)]
    assert [event.step for event in found] == [10, 20]
    assert found[0].loss != found[0].loss


def test_llamaboards_own_file_tells_the_recipe_where_no_other_does(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "training_args.yaml").unlink()
    given.put(folder, "llamaboard_config.yaml", (
        "top.finetuning_type: lora\ntop.model_path: org/model\ntop.quantization_bit: '4'\ntop.template: qwen\n"
        "train.training_stage: DPO\ntrain.dataset:\n- dpo_en_demo\ntrain.learning_rate: 5e-6\ntrain.batch_size: 2\n"
        "train.compute_type: bf16\ntrain.lora_rank: 16\ntrain.neat_packing: false\ntrain.swanlab_api_key: s3cret\n"
    ))  # fmt: skip
    run = take_in(folder).run
    values = Document.parse(run.recipe.read_text()).values()
    expected = {"stage": "dpo", "dataset": "dpo_en_demo", "learning_rate": 5e-6, "lora_rank": 16, "bf16": True,
                "model_name_or_path": "org/model", "quantization_bit": 4, "per_device_train_batch_size": 2}  # fmt: skip
    assert {key: values[key] for key in expected} == expected
    assert summary(run).stage == "dpo"
    assert "s3cret" not in run.recipe.read_text()


def test_what_the_user_knows_counts_most(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    run = take_in(folder, name="mine", given={"stage": "pt", "dataset": "c4"}).run
    assert run.name == "mine"
    assert Document.parse(run.recipe.read_text()).values()["dataset"] == "c4"
    assert summary(run).stage == "pt"


def test_weights_that_are_no_safetensors_are_said_to_be_missing(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    for path in folder.rglob("adapter_model.safetensors"):
        path.rename(path.with_name("adapter_model.bin"))
    taken = take_in(folder)
    assert any("no safetensors" in note for note in taken.notes)
    with pytest.raises(RunError, match="without weights"):
        weights.newest(taken.run)


def test_all_below_a_folder_are_found_and_none_is_refused(tmp_path: Path) -> None:
    one, two = given.factory(tmp_path), given.factory(tmp_path, "saves/Qwen/lora/train_2")
    assert outputs(tmp_path / "saves") == [one, two]
    assert outputs(one) == [one]
    (tmp_path / "empty").mkdir()
    for folder, word in ((tmp_path / "empty", "no training log"), (tmp_path / "nowhere", "there is no folder")):
        with pytest.raises(UsageError, match=word):
            outputs(folder)


def test_a_folder_without_a_step_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "trainer_state.json").unlink()
    given.put(folder, "trainer_log.jsonl", [{"current_steps": 5, "total_steps": 9, "percentage": 3.0}])
    with pytest.raises(UsageError, match="no logged step"):
        take_in(folder)
    assert index.all_runs() == []
    assert list((tmp_path / "home" / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_read_keeps_none_of_the_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("saves/a", "saves/closed", "saves/z"):
        given.factory(tmp_path, name)
    closed = tmp_path / "saves" / "closed"
    whole = Path.iterdir

    def refused(self: Path) -> Iterator[Path]:
        if self == closed:
            raise PermissionError(13, "Permission denied")
        return whole(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    (closed / "trainer_log.jsonl").unlink()
    (closed / "trainer_state.json").unlink()
    found = list(take_each(outputs(tmp_path / "saves")))
    assert [each.run.name for each in found if isinstance(each, Taken)] == ["a", "z"]
    assert [str(each) for each in found if isinstance(each, Refused)] == [
        f"not imported: {closed} cannot be read: Permission denied"
    ]


def test_a_broken_number_of_bits_is_a_comment_and_no_end(tmp_path: Path) -> None:
    folder = given.factory(tmp_path)
    (folder / "training_args.yaml").unlink()
    given.put(folder, "llamaboard_config.yaml", "top.model_path: org/base\ntop.quantization_bit: four\n")
    taken = take_in(folder)
    assert any("quantization_bit" in note for note in taken.notes)
    assert "# quantization_bit: four" in taken.run.recipe.read_text()
