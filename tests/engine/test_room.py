"""A disk with too little room: said before the first step, and in words where the result does not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from tests.engine.given import journal, start
from tuitune.engine.run import run
from tuitune.methods.lora import Lora
from tuitune.run import events, manifest

_FULL = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def full_where(monkeypatch: pytest.MonkeyPatch, *, exact: bool) -> None:
    """Let the disk be full for checkpoints (`exact`) too, or for the result alone."""
    real = Lora.save

    def save(self: Any, model: Any, folder: str, *, exact: bool = False) -> None:
        (Path(folder) / "torn").write_bytes(b"half")
        if exact and not everything:
            (Path(folder) / "torn").unlink()
            return real(self, model, folder, exact=exact)
        raise _FULL

    everything = exact
    monkeypatch.setattr(Lora, "save", save)


def test_a_disk_that_is_full_for_the_result_is_said_with_what_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = start(root, max_steps=3, save_strategy="steps", save_steps=2)
    with monkeypatch.context() as patch:
        full_where(patch, exact=False)
        ended = run(it)
    assert ended.status == "failed"
    assert re.match(r"the disk is full: the result takes about \d+\.\d kB, and ", ended.message)
    assert ended.message.endswith("the weights of step 3 are in checkpoint-3")
    assert ended.hint == f"free some space, then `tuitune resume {it.path}`: it goes on from checkpoint-3"
    assert not list(it.path.glob(".tmp-*"))
    assert run(it).status == "finished"
    assert [event.step for event in journal(it, events.RunStarted)] == [0, 3]
    assert manifest.verify(it.final).valid


def test_a_disk_that_is_full_for_all_says_that_nothing_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = start(root, max_steps=2, save_strategy="steps", save_steps=1)
    full_where(monkeypatch, exact=True)
    ended = run(it)
    assert ended.message.endswith("the weights of step 2 are not written")
    assert ended.hint.endswith("it begins anew, for no checkpoint was kept")
    assert not list(it.path.glob(".tmp-*"))


def test_other_faults_of_the_result_stay_what_they_are(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: Any, model: Any, folder: str, *, exact: bool = False) -> None:
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(Lora, "save", save)
    it = start(root, max_steps=1, save_strategy="no")
    assert run(it).message == "RuntimeError: no such tensor"
    assert not list(it.path.glob(".tmp-*"))


@pytest.mark.parametrize(("strategy", "part"), [("steps", " and a checkpoint about "), ("no", "; ")])
def test_too_little_room_is_said_before_the_first_step(
    strategy: str, part: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "free_space", lambda path: 8_000_000)
    it = start(root, max_steps=1, save_strategy=strategy)
    run(it)
    told = journal(it)
    [at] = [place for place, event in enumerate(told) if "may be full" in getattr(event, "message", "")]
    assert re.search(rf"the result takes about \d+\.\d kB{part}", told[at].message)
    assert "8.0 MB are free for" in told[at].message
    assert at < next(place for place, event in enumerate(told) if isinstance(event, events.StepLogged))
    assert "output_dir" in told[at].hint


def test_where_there_is_room_nothing_is_said(root: Path) -> None:
    it = start(root, max_steps=1, save_strategy="no")
    assert run(it).status == "finished"
    assert not any("may be full" in event.message for event in journal(it, events.Warned))
