"""predict_with_generate: the greedy answers of the weights in training, beside the data's, and how alike they are."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import data_folder, journal, losses, model_folder, same, start, weights
from tests.methods.cycle import train
from tests.tiny import tiny_tokenizer
from tuitune.data import Example, build
from tuitune.engine.run import run
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.inbox import Inbox, Stop
from tuitune.stages import likeness
from tuitune.stages.predict import last_answer

ASKED = {"template": "chatml", "val_size": 6, "eval_strategy": "steps", "eval_steps": 2, "max_steps": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model_folder(tmp_path)
    data_folder(tmp_path)
    return tmp_path


def predictions(made: Any, step: int) -> list[dict[str, str]]:
    return [json.loads(line) for line in (made.path / f"predictions-{step}.jsonl").read_text().splitlines()]


def greedy(folder: Path, root: Path, prompt: list[int]) -> str:
    """Return what plain transformers answers with a run's adapter, one prompt at a time."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32, attn_implementation="eager")
    model = PeftModel.from_pretrained(base, str(folder)).eval()
    out = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=8, do_sample=False)
    return words(out[0, len(prompt) :].tolist())


def words(ids: list[int]) -> str:
    return str(tiny_tokenizer().decode(ids, skip_special_tokens=True))


def test_held_out_prompts_are_answered_and_the_training_does_not_notice(root: Path) -> None:
    silent = train(root, "silent", **ASKED)
    made = train(root, "answered", **ASKED, predict_with_generate=True, save_strategy="steps", save_steps=2)
    assert losses(made) == losses(silent)
    assert same(weights(made.final), weights(silent.final))
    held_out = build(load(made.recipe), tiny_tokenizer()).evaluation
    assert held_out is not None
    for step in (2, 4):
        found = predictions(made, step)
        assert stat.S_IMODE((made.path / f"predictions-{step}.jsonl").stat().st_mode) == 0o600
        for one, row in zip(found, held_out.rows, strict=True):
            cut = row["labels"].count(-100)
            assert one["prompt"] == words(row["input_ids"][:cut])
            assert one["reference"] == words(row["input_ids"][cut:])
            assert one["prediction"] == greedy(made.checkpoint(step), root, row["input_ids"][:cut])
    assert predictions(made, 2) != predictions(made, 4)
    evals = journal(made, events.EvalLogged)
    assert {"eval_exact_match", "eval_bleu-4", "eval_rouge-1", "eval_rouge-2", "eval_rouge-l"} <= evals[
        0
    ].metrics.keys()
    samples = journal(made, events.Sampled)
    assert [event.step for event in samples] == [2] * 3 + [4] * 3
    assert samples[0].answers == [predictions(made, 2)[0]["prediction"]]
    assert samples[0].reference == predictions(made, 2)[0]["reference"]


def test_a_stop_is_obeyed_while_it_answers(root: Path) -> None:
    made = start(root, "run", **ASKED | {"max_new_tokens": 60}, predict_with_generate=True, save_strategy="steps")
    sent: list[str] = []

    def watch(session: Any) -> None:
        told = session.progress

        def progress(phase: str, done: int, total: int | None) -> None:
            told(phase, done, total)
            if phase == "predict" and not sent:
                sent.append(Inbox(made.inbox).send(Stop()))

        session.progress = progress

    assert run(made, on_session=watch).status == "stopped"
    assert sent
    assert run(made).status == "finished"  # the evaluation that was cut off is made up for
    assert len(predictions(made, 2)) == 6


def test_a_missing_package_is_said_and_its_figures_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "find_spec", lambda name: None)
    made = train(root, "run", **ASKED, predict_with_generate=True)
    warned = [event for event in journal(made, events.Warned) if "is not computed" in event.message]
    assert [event.message.split()[0] for event in warned] == ["BLEU", "ROUGE"]
    assert "tuitune[metrics]" in warned[0].hint
    assert "eval_exact_match" in journal(made, events.EvalLogged)[0].metrics
    assert not any("bleu" in name for name in journal(made, events.EvalLogged)[0].metrics)
    best = {"metric_for_best_model": "bleu-4", "early_stopping_steps": 1}
    failed = start(root, "failed", **ASKED | best, predict_with_generate=True)
    assert run(failed).status == "failed"
    assert "no eval_bleu-4" in journal(failed, events.RunFailed)[0].message


def test_the_last_answer_of_a_row_is_predicted_from_all_before_it() -> None:
    ids = [5, 6, 7, 8, 9, 10, 11]
    several = Example.of(ids, [-100, 6, -100, -100, 9, 10, -100]).sequences[0]
    found = last_answer(several)
    assert found is not None
    assert (found.prompt, found.answer) == (ids[:4], [9, 10])
    assert last_answer(Example.of(ids, ids).sequences[0]) is None
    assert last_answer(Example.of(ids, [-100] * 7).sequences[0]) is None


def test_likeness_is_that_of_the_packages_and_of_whole_answers() -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    same_words = ["the river runs through a town", "a pear"]
    found = likeness.likeness([" the river runs through a town\n", "a pear"], same_words)
    assert found == {"exact_match": 1.0, "bleu-4": pytest.approx(100), "rouge-1": 100, "rouge-2": 100, "rouge-l": 100}
    half = likeness.likeness(["the river sleeps", "a plum"], same_words)
    assert half["exact_match"] == 0
    # 2 of 3 words against 2 of 6, and 1 of 2 against 1 of 2; pairs of words: 1 of 2 against 1 of 5, and none
    assert half["rouge-1"] == pytest.approx(100 * (4 / 9 + 1 / 2) / 2)
    assert half["rouge-2"] == pytest.approx(100 * (2 / 7) / 2)
    assert half["rouge-l"] == half["rouge-1"]
    assert 0 <= half["bleu-4"] < 20


def test_letters_outside_the_alphabet_count_too() -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    found = likeness.likeness(["今天天气很好啊", "über Straße"], ["今天天气很好", "über Straße"])
    assert found["rouge-1"] == pytest.approx(100 * (12 / 13 + 1) / 2)
    assert found["bleu-4"] > 50
