"""How much learns is told when a run begins, as it is in the model that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import data_folder, journal, model_folder, start
from tests.tiny import tiny_model
from tuitune.engine.run import run
from tuitune.face import words
from tuitune.methods.counting import blocks_of, count_of
from tuitune.run import events


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "trains 16,384 of 123,200 parameters (13.3 %)"),
        ({"quantization_bit": 4}, "trains 16,384 of 123,200 parameters (13.3 %)"),
        ({"finetuning_type": "full"}, "trains 106,816 of 106,816 parameters (100 %)"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 1}, "trains 36,992 of 106,816 parameters (34.6 %)"),
    ],
)
def test_a_run_tells_how_much_learns_before_its_first_step(more: dict[str, Any], told: str, tmp_path: Path) -> None:
    model_folder(tmp_path)
    data_folder(tmp_path)
    made = start(tmp_path, "counted", max_steps=1, **more)
    assert run(made).status == "finished", journal(made, events.RunFailed)
    notes = [event for event in journal(made, events.Noted) if event.text.startswith("trains ")]
    assert [event.text for event in notes] == [told]
    assert words.remark(notes[0]) == (told, "")
    told_in_order = journal(made)
    first_step = next(event for event in told_in_order if isinstance(event, events.StepLogged))
    assert told_in_order.index(notes[0]) < told_in_order.index(first_step)


def test_tied_tensors_count_once_and_tables_are_told_apart() -> None:
    model = tiny_model()
    assert count_of(model).total == sum(p.numel() for p in model.parameters())
    tables = [block.name for block in blocks_of(model) if block.embedding]
    assert tables == ["model.embed_tokens.weight"]
    model.model.layers.requires_grad_(False)
    assert {block.name for block in blocks_of(model)} == {"model.embed_tokens.weight", "model.norm.weight"}
    assert count_of(model).trained == 512 * 64 + 64
