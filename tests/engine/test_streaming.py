"""Training on a stream, on packs and on kept rows: exact after a stop, and the same as on prepared rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.given import data_folder, journal, losses, model_folder, start
from tests.methods.cycle import resumes_exactly, train
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.run import events
from tuitune.run.inbox import Stop

STREAM = {"streaming": True, "buffer_size": 7, "eval_strategy": "steps", "eval_steps": 6, "max_steps": 14}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model_folder(tmp_path)
    folder = data_folder(tmp_path, 30)
    rows = json.loads((folder / "rows.json").read_text())
    rows.insert(11, {"instruction": "?", "output": ""})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "texts.json").write_text(json.dumps([{"text": row["output"]} for row in rows if row["output"]]))
    catalog = {
        "rows": {"file_name": "rows.jsonl"},
        "texts": {"file_name": "texts.json", "columns": {"prompt": "text"}},
    }
    (folder / "dataset_info.json").write_text(json.dumps(catalog))
    return tmp_path


def test_a_stopped_stream_goes_on_with_the_same_rows(root: Path) -> None:
    """Through the end of a pass (26 rows, 4 per step), with an unusable row and rows held back."""
    resumes_exactly(root, stops=(3, 9), **STREAM, val_size=4)


def test_a_stream_in_order_trains_what_prepared_rows_train(root: Path) -> None:
    prepared = train(root, "prepared", disable_shuffling=True, max_steps=7)
    streamed = train(root, "streamed", disable_shuffling=True, max_steps=7, streaming=True)
    assert losses(streamed) == losses(prepared)
    epochs = [event.epoch for event in journal(streamed, events.StepLogged)]
    assert epochs[0] == pytest.approx(4 / 31, abs=0.01)  # about: the file has 31 lines
    warned = " ".join(event.message for event in journal(streamed, events.Warned))
    assert "row 12" in warned


def test_passes_of_a_stream_are_epochs(root: Path) -> None:
    made = train(root, "streamed", streaming=True, max_steps=16)
    epochs = {event.step: event.epoch for event in journal(made, events.StepLogged)}
    assert epochs[15] == pytest.approx(2.0)
    assert epochs[16] == pytest.approx(2 + 4 / 30)


@pytest.mark.parametrize("stage", ["dpo", "kto", "rm"])
def test_streams_of_preferences_go_on_too(stage: str, root: Path) -> None:
    words = ["yes", "no, never", "perhaps it is", "the river"]
    rows = [
        {
            "instruction": f"{words[n % 4]} {n}?",
            "chosen": words[n % 3],
            "rejected": words[n % 3 + 1],
            "good": n % 2 == 0,
        }
        for n in range(11)
    ]
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    votes = {"prompt": "instruction", "response": "chosen", "kto_tag": "good"}
    catalog = {
        "r": {"file_name": "r.json", "ranking": True, "columns": columns},
        "v": {"file_name": "r.json", "columns": votes},
    }
    (root / "data" / "r.json").write_text(json.dumps(rows))
    (root / "data" / "dataset_info.json").write_text(json.dumps(catalog))
    dataset = "v" if stage == "kto" else "r"
    resumes_exactly(root, stops=(4,), stage=stage, dataset=dataset, streaming=True, buffer_size=3, max_steps=7)


def test_a_stop_while_rows_are_read_keeps_what_was_learnt(root: Path) -> None:
    made = start(root, "run", streaming=True, buffer_size=4, max_steps=400)
    asked: list[int] = []

    def watch(session: Session) -> None:
        from tuitune.data.encode import Encoder

        plain = Encoder.batches

        def batches(encoder: Encoder, rows):  # type: ignore[no-untyped-def]
            if session.step >= 5 and not asked:
                asked.append(session.step)
                session.ask(Stop())
            return plain(encoder, rows)

        patch.setattr(Encoder, "batches", batches)

    with pytest.MonkeyPatch.context() as patch:
        ended = run(made, on_session=watch)
    assert ended.status == "stopped"
    assert [path.name for path in made.checkpoints] == [f"checkpoint-{asked[0]}"]


@pytest.mark.parametrize(("stage", "dataset"), [("pt", "texts"), ("sft", "rows")])
def test_packs_are_trained_and_resumed(stage: str, dataset: str, root: Path) -> None:
    resumes_exactly(root, stops=(3,), stage=stage, packing=True, max_steps=6, dataset=dataset)


def test_kept_rows_are_taken_in_the_next_run_and_said(root: Path) -> None:
    first, second = train(root, "first"), train(root, "second")
    assert losses(first) == losses(second)
    notes = [" ".join(event.text for event in journal(made, events.Noted)) for made in (first, second)]
    assert "an earlier run has tokenised" not in notes[0]
    assert "30 rows that an earlier run has tokenised" in notes[1]
