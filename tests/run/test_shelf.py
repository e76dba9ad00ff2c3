from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.given import Engine, finished, plant, story
from tuitune.run import events, places, shelf, summary
from tuitune.run.ledger import Ledger
from tuitune.run.remarks import edit
from tuitune.run.shelf import Shelf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))


def evaluated(*losses: float) -> list[events.Event]:
    return [events.EvalLogged(n, 0.1, loss, {"eval_acc": 1 - loss}, t=1000.0 + n) for n, loss in enumerate(losses, 1)]


def test_an_entry_says_what_the_journal_comes_to() -> None:
    found = [*story(), *evaluated(0.9, 0.5, 0.7), finished()]
    recipe = "model_name_or_path: x\ndataset: a, b # c\n"
    plant("done", found, recipe=recipe, status="finished", step=3, total_steps=3)
    (entry,) = Shelf().entries()
    facts = entry.facts
    assert (entry.status, entry.step, entry.total_steps, entry.data) == ("finished", 3, 3, "a,b")
    assert (facts.stage, facts.method, facts.model, facts.ending) == ("sft", "lora", "tiny", "finished")
    assert facts.loss == pytest.approx(2 / 3)
    assert (facts.evals, facts.eval_loss, facts.best["loss"]) == (3, 0.7, (0.5, 2, 0.9, 1))
    assert facts.best["acc"] == (pytest.approx(0.1), 1, 0.5, 2)
    assert facts.seconds == 30.0


def test_the_state_counts_more_than_the_journal_and_dead_processes_have_crashed() -> None:
    plant("dead", story(steps=2), status="running", step=2, total_steps=9, pid=2**22 + 1)
    plant("copied", story(steps=2))
    plant("failed", [*story(steps=1), events.RunFailed("no room", t=2000.0)])
    plant("new")
    with Engine(plant("live")):
        found = {entry.run.name: entry for entry in Shelf().entries()}
    states = {name: str(entry.status) for name, entry in found.items()}
    assert states == {
        "dead": "crashed", "copied": "crashed", "failed": "failed", "new": "created", "live": "running",
    }  # fmt: skip
    assert found["live"].live
    assert found["failed"].facts.message == "no room"
    assert found["dead"].total_steps == 9


def test_what_is_known_is_not_read_again_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [plant(f"r{n}", [*story(), finished()]) for n in range(3)]
    for n, run in enumerate(runs):
        os.utime(run.events, (1000 + n, 1000 + n))  # the order does not depend on the clock's ticks
    before = Shelf().entries()
    read: list[Path] = []

    class Counted(Ledger):
        def __init__(self, path: Path, *more: Any) -> None:
            read.append(path)
            super().__init__(path, *more)

    monkeypatch.setattr(shelf, "Ledger", Counted)
    another = Shelf()  # of another process: what it knows comes from the file
    assert another.entries() == before
    assert read == []
    with runs[1].events.open("ab") as stream:
        stream.write(events.encode(events.StepLogged(4, loss=0.1, t=3000.0)))
    assert another.entries()[0].facts.loss == 0.1
    assert read == [runs[1].events]


def test_remarks_and_recipes_are_followed() -> None:
    run = plant("one", story())
    kept = Shelf()
    kept.entries()
    edit(run, lambda before: before.tagged(["x"]).noted("n"))
    run.recipe.write_text("dataset:\n  - one\n  - 'two'  # the second\n")
    (entry,) = kept.entries()
    assert (entry.remarks.tags, entry.remarks.note, entry.data) == (("x",), "n", "one,two")


@pytest.mark.parametrize(
    ("recipe", "data"),
    [("dataset: [a, 'b']\n", "a,b"), ('{"dataset": "a,b"}', "a,b"), ("eval_dataset: e\n", ""), ("dataset: 'x'\n", "x")],
)
def test_data_names_need_no_yaml_reader(recipe: str, data: str) -> None:
    assert shelf.data_of(plant("one", recipe=recipe)) == data


def test_a_long_journal_is_skimmed_first_and_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_AT_ONCE", 100)
    plant("long", [*story(), *evaluated(0.9, 0.5, 0.7), finished()])
    kept = Shelf()
    (quick,) = kept.entries()
    assert not quick.facts.whole
    assert quick.facts.best == {}
    assert quick.facts.tokens is None
    assert (quick.facts.loss, quick.status) == (pytest.approx(2 / 3), "finished")
    assert kept.deepen()
    (whole,) = kept.entries()
    assert whole.facts.best["loss"][0] == 0.5
    assert not kept.deepen()
    assert Shelf().entries() == [whole]


def test_a_broken_cache_is_no_cache() -> None:
    plant("one", [*story(), finished()])
    before = Shelf().entries()
    for text in (b"", b"{}", b'{"format": 1, "runs": {"x": {}}}', b'{"format": 99, "runs": {}}', b"\xff"):
        (places.cache() / "runs.json").write_bytes(text)
        assert Shelf().entries() == before


def test_deleted_runs_are_forgotten() -> None:
    run = plant("one", story())
    kept = Shelf()
    assert len(kept.entries()) == 1
    os.rename(run.path, run.path.with_name("elsewhere"))
    (entry,) = kept.entries()
    assert entry.run.name == "elsewhere"
    assert list(Shelf()._known) == [str(entry.run.path)]


def test_a_summary_of_an_entry_is_the_summary_of_its_run() -> None:
    run = plant("one", [*story(), finished()], status="finished", step=3, total_steps=3)
    (entry,) = Shelf().entries()
    assert entry.summary() == summary(run)
