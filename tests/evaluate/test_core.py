"""Whole evaluations of tiny runs: the figures are those of training and of plain transformers, and nothing is lost."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal
from tests.evaluate.given import measured, root_of, trained
from tests.tiny import tiny_tokenizer
from tuitune.data import build
from tuitune.errors import DataError, Stopped, TrainingError, UsageError
from tuitune.evaluate.statistics import wilson
from tuitune.face.about import evaluated
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.evaluation import Evaluation
from tuitune.run.evaluations import evaluations_of, latest, predictions, read
from tuitune.stages.predict import last_answer


def value(found: Evaluation, key: str, model: str = "tuned") -> float:
    metric = found.metric(key)
    assert metric is not None, [each.key for each in found.metrics]
    return metric.values[model].value


def plain_model(root: Path, adapter: Path | None) -> Any:
    """Return what plain transformers and peft load."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32, attn_implementation="eager")
    return base.eval() if adapter is None else PeftModel.from_pretrained(base, str(adapter)).eval()


@torch.no_grad()
def plain_loss(model: Any, rows: Any) -> tuple[float, int]:
    """Return the summed loss of the labelled tokens, row by row and without any path of ours, and their number."""
    total, count = 0.0, 0
    for row in rows:
        labels = torch.tensor([row.sequences[0]["labels"]])
        logits = model(input_ids=torch.tensor([row.sequences[0]["input_ids"]])).logits
        total += float(torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum"))
        count += int((labels[0, 1:] != -100).sum())
    return total, count


def test_loss_is_eval_loss_and_that_of_plain_transformers_for_both_models(run: RunDir) -> None:
    found = measured(run.path)
    held = build(load(run.recipe), tiny_tokenizer()).evaluation
    assert held is not None
    assert value(found, "loss") == pytest.approx(journal(run, events.EvalLogged)[-1].loss, rel=1e-6)
    for key, adapter in (("tuned", run.final), ("base", None)):
        total, count = plain_loss(plain_model(root_of(run), adapter), held)
        assert value(found, "loss", key) == pytest.approx(total / count, rel=1e-5)
        assert value(found, "perplexity", key) == pytest.approx(math.exp(total / count), rel=1e-5)
    assert value(found, "loss") < value(found, "loss", "base")
    assert found.data is not None
    assert (found.data.kind, found.data.rows, found.status) == ("held_out", 6, "done")


def test_answers_are_the_greedy_ones_of_plain_transformers(run: RunDir) -> None:
    found = measured(run.path)
    items = predictions(found.path)
    raw = json.loads((root_of(run) / "data" / "rows.json").read_text())
    held, tokenizer = build(load(run.recipe), tiny_tokenizer()).evaluation, tiny_tokenizer()
    assert held is not None
    for key, adapter in (("tuned", run.final), ("base", None)):
        model = plain_model(root_of(run), adapter)
        for item, example in zip(items, held, strict=True):
            row = raw[int(item.id.rpartition(":")[2]) - 1]
            assert item.prompt == row["instruction"]
            assert row["output"].startswith(item.reference)
            asked = last_answer(example.sequences[0])
            assert asked is not None
            out = model.generate(input_ids=torch.tensor([asked.prompt]), max_new_tokens=8, do_sample=False)
            said = out[0, len(asked.prompt) :]
            assert item.answers[key].text == tokenizer.decode(said, skip_special_tokens=True)
            assert item.answers[key].tokens == len(said)


def test_answers_that_are_being_made_tell_each_token_and_those_that_have_ended(run: RunDir) -> None:
    told: list[str | tuple[int, int | None]] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "answers, tuned":
            told.append((done, total))

    measured(run.path, "max_new_tokens=12", base=False, progress=progress, within=told.append)
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    tokens = [each for each in told if isinstance(each, str)]
    assert tokens[:2] == ["token 1 of up to 12", "token 2 of up to 12"]
    assert set(tokens) <= {f"token {n} of up to 12" for n in range(1, 13)}


def test_everything_is_written_and_read_back_the_same(run: RunDir) -> None:
    found = measured(run.path, rows=4)
    again = read(found.path)
    assert (again.metrics, again.models, again.data) == (found.metrics, found.models, found.data)
    assert latest(run) == again
    assert evaluations_of(run) == [found.path]
    assert "| loss |" in (found.path / "results.md").read_text()
    assert len((found.path / "predictions.jsonl").read_bytes().splitlines()) == 4
    assert (found.path / "predictions.jsonl").stat().st_mode & 0o077 == 0
    # The same rows, the same seed: the same figures, intervals too.
    assert measured(run.path, rows=4).metrics == found.metrics


def test_a_run_that_held_nothing_back_is_measured_on_what_it_learnt_and_says_so(root: Path) -> None:
    run = trained(root, val_size=0, eval_strategy="no")
    notes: list[str] = []
    found = measured(run.path, answers=False, note=notes.append)
    assert found.data is not None
    assert (found.data.kind, found.data.rows, found.name) == ("trained_on", 40, "trained-on")
    [told] = evaluated(run)
    assert told.name == "trained-on"
    assert told.headline.endswith("on rows that it was trained on")
    assert any("learnt from" in note and "--data" in note for note in notes)
    assert [metric.key for metric in found.metrics] == ["loss", "perplexity", "accuracy"]


def test_other_rows_can_be_named_by_file(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"instruction": "name fruits", "output": "the river"}, {"instruction": "a town", "output": "where"}]
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    monkeypatch.chdir(tmp_path)
    found = measured(run.path, data="mine.json")
    assert found.data is not None
    assert (found.data.kind, found.data.rows) == ("given", 2)
    assert [item.prompt for item in predictions(found.path)] == ["name fruits", "a town"]
    with pytest.raises(DataError):
        measured(run.path, data="nothing.json")
    assert len(evaluations_of(run)) == 1  # what came to nothing leaves nothing


def test_an_interrupted_evaluation_keeps_what_it_has_and_goes_on_without_doing_it_again(run: RunDir) -> None:
    whole = measured(run.path)
    seen: list[str] = []

    def cancel(kind: str, values: Any) -> None:
        if kind == "row":
            seen.append(values["model"])
            if len(seen) == 15:  # six losses and six answers of one model, three losses of the other
                raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        measured(run.path, line=cancel)
    assert "--resume" in stopped.value.hint
    kept = evaluations_of(run)[0]
    assert read(kept).status == "interrupted"
    assert all(item.prompt and item.reference for item in predictions(kept))  # rows are browsed meanwhile
    (kept / "predictions.jsonl").open("ab").write(b'\n{"task": "data", "id": "torn')  # as by a kill
    again: list[str] = []
    elsewhere = os.path.relpath(run.path)  # whatever it is called, it is this run
    done = measured(elsewhere, resume=True, line=lambda kind, values: again.append(kind) if kind == "row" else None)
    assert done.path.samefile(kept)
    assert len(again) == 24 - 15
    assert done.metrics == whole.metrics
    assert predictions(kept) == predictions(whole.path)
    with pytest.raises(UsageError, match="no interrupted evaluation"):
        measured(run.path, resume=True)


def test_a_resume_with_other_weights_is_refused(run: RunDir, tmp_path: Path) -> None:

    def cancel(kind: str, values: Any) -> None:
        if kind == "row":
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, line=cancel)
    file = run.final / "adapter_model.safetensors"
    shutil.copy(file, tmp_path / "same")
    (tmp_path / "same").replace(file)  # another time of change
    with pytest.raises(UsageError, match="models"):
        measured(run.path, resume=True)


def test_a_lack_of_memory_halves_the_batch_and_changes_no_figure(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(run.path)
    from tuitune.evaluate import likelihood

    real, failed = likelihood._first, list[int]()

    def first(partner: Any, stage: Any, left: Any, around: Any) -> Any:
        if around.tokens_per_batch() > 100:
            failed.append(around.tokens_per_batch())
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(partner, stage, left, around)

    monkeypatch.setattr(likelihood, "_first", first)
    notes: list[str] = []
    small = measured(run.path, note=notes.append)
    assert failed
    assert any("memory ran out" in note for note in notes)
    for key in ("loss", "accuracy"):
        assert value(small, key) == pytest.approx(value(whole, key), rel=1e-6)


def test_a_whole_model_and_checkpoints_stand_beside_each_other(root: Path) -> None:
    run = trained(root, finetuning_type="full", save_strategy="steps", save_steps=2)
    found = measured(run.path, others=(str(run.checkpoint(2)),), answers=False)
    assert [model.key for model in found.models] == ["run", "base", "checkpoint-2"]  # beside others by its own name
    losses = [value(found, "loss", key) for key in ("run", "checkpoint-2", "base")]
    assert losses == sorted(losses)
    alone = measured(run.path, others=(str(run.checkpoint(2)),), answers=False, base=False)
    metric = alone.metric("loss")
    assert metric is not None
    assert metric.differences["checkpoint-2"].against == "run"


def test_models_that_read_other_tokens_are_compared_by_their_answers_only(run: RunDir, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(root_of(run) / "tiny", other)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["river"])
    tokenizer.save_pretrained(other)
    notes: list[str] = []
    found = measured(run.path, others=(str(other),), note=notes.append)
    assert any(note.startswith("other and base read different tokens") for note in notes)
    loss, rouge = found.metric("loss"), found.metric("rouge-1")
    assert loss is not None
    assert rouge is not None
    assert len(loss.values) == 3
    assert list(loss.differences) == ["run"]  # it reads what its base does, whoever stands beside them
    assert set(rouge.differences) == {"run", "other"}


def differs(run: RunDir, other: Path) -> tuple[bool, list[str]]:
    """Evaluate a run beside a model by its folder; return whether their losses are compared, and what was noted."""
    notes: list[str] = []
    found = measured(run.path, others=(str(other),), base=False, answers=False, note=notes.append)
    loss = found.metric("loss")
    assert loss is not None
    return other.name in loss.differences, notes


@pytest.mark.parametrize("template", [None, "chatml"])
def test_a_run_is_compared_by_its_loss_with_its_base_by_name(template: str | None, root: Path) -> None:
    """A model alone has no recipe, so no template and no style are named; it reads the same tokens for all that."""
    run = trained(root, template=template)
    compared, notes = differs(run, root / "tiny")
    assert compared
    assert not notes


def test_words_that_no_row_has_change_nothing_and_another_template_does(run: RunDir, tmp_path: Path) -> None:
    more, own = (Path(shutil.copytree(root_of(run) / "tiny", tmp_path / name)) for name in ("more", "own"))
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["hippopotamus"])
    tokenizer.save_pretrained(more)
    assert differs(run, more) == (True, [])
    tiny_tokenizer("{% for m in messages %}[{{ m.role }}] {{ m.content }}<|im_end|>{% endfor %}").save_pretrained(own)
    compared, notes = differs(run, own)
    assert not compared
    assert any("cannot be compared" in note for note in notes)


def test_the_same_words_joined_by_other_rules_are_other_tokens(run: RunDir, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root_of(run) / "tiny", tmp_path / "other"))
    rules = json.loads((other / "tokenizer.json").read_text())
    rules["model"]["merges"] = rules["model"]["merges"][:5]
    (other / "tokenizer.json").write_text(json.dumps(rules))
    compared, notes = differs(run, other)
    assert not compared
    assert any("cannot be compared" in note for note in notes)


def test_sampled_answers_come_from_the_seed_and_not_from_the_batch(run: RunDir) -> None:
    texts = [
        [item.answers["tuned"].text for item in predictions(measured(run.path, *more, sample=True, base=False).path)]
        for more in ([], [], ["tokens_per_batch=30"], ["seed=7"])
    ]
    assert texts[0] == texts[1] == texts[2]
    greedy = [item.answers["tuned"].text for item in predictions(measured(run.path, base=False).path)]
    assert texts[0] != greedy


def test_metrics_of_the_users_own_see_the_row_and_faults_are_named(run: RunDir, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def metric_length(prediction, prompt, reference):\n    return len(prediction)\n\n"
        "def metric_words(instruction, **row):\n    return len(instruction.split())\n"
        "metric_words.better = 'less'\n\n"
        "def metric_long(prediction):\n    return len(prediction) > 3\n"
    )
    notes: list[str] = []
    found = measured(run.path, metrics=(str(file),), note=notes.append)
    assert any("your permissions" in note for note in notes)
    items = predictions(found.path)
    lengths = [len(item.answers["tuned"].text or "") for item in items]
    assert value(found, "length") == pytest.approx(sum(lengths) / len(lengths))
    long = found.metric("long")
    assert long is not None
    low, high = wilson(sum(length > 3 for length in lengths), len(lengths))
    assert (long.values["tuned"].low, long.values["tuned"].high) == pytest.approx((100 * low, 100 * high))
    assert items[0].answers["base"].scores["words"] == len(items[0].prompt.split())
    file.write_text("def metric_bad(prediction, reference):\n    assert prediction == reference, 'no'\n    return 1\n")
    with pytest.raises(TrainingError, match=r"metric_bad in .*mine.py, line 2, at row rows.json:\d+: AssertionError"):
        measured(run.path, metrics=(str(file),))
    file.write_text("def metric_bad(nowhere):\n    return 1\n")
    with pytest.raises(UsageError, match="asks for nowhere"):
        measured(run.path, metrics=(str(file),))
    file.write_text("def metric_loss(**row):\n    return 1\n")
    with pytest.raises(UsageError, match="taken"):
        measured(run.path, metrics=(str(file),))


def test_texts_are_measured_by_loss_alone(root: Path) -> None:
    run = trained(root, stage="pt", dataset="texts")
    notes: list[str] = []
    found = measured(run.path, note=notes.append)
    assert value(found, "loss") == pytest.approx(journal(run, events.EvalLogged)[-1].loss, rel=1e-6)
    assert found.metric("exact_match") is None
    assert any("texts without prompts" in note for note in notes)


def test_rows_that_were_learnt_from_are_never_called_held_back(run: RunDir) -> None:
    for more in ({"data": "rows"}, {"settings": ("val_size=0", "eval_dataset=rows")}):
        settings = more.pop("settings", ())
        found = measured(run.path, *settings, **more, rows=5, answers=False, base=False)
        assert found.data is not None
        assert found.data.kind == "trained_on"
        assert "learnt from" in found.data.words
        assert found.name == ("rows" if "data" in more else "trained-on")
