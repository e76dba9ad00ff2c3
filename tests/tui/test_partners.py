from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.given import Engine, plant
from tests.engine.given import model_folder
from tests.tui.panes.chatting import say, table, until
from tuitune.chat.base import Turn
from tuitune.chat.live import LiveChat
from tuitune.chat.loading import silent
from tuitune.errors import RunError, Stopped, UsageError
from tuitune.recipe import Recipe
from tuitune.run import RunDir, manifest
from tuitune.tui.partners import Partners, Who
from tuitune.tui.sides import Sides

ASKED = [Turn("user", "Name three fruits.")]
GREEDY = {"temperature": 0, "max_new_tokens": 6}


def partners(recipe: Recipe | None = None, run: RunDir | None = None, live: bool = False) -> Partners:
    return Partners(lambda: recipe, lambda: run, lambda: live)


def recipe_of(folder: Path, **more: Any) -> Recipe:
    return Recipe.of(
        {
            "model_name_or_path": str(folder),
            "dataset": "identity",
            "name": "A",
            "author": "B",
            "device": "cpu",
            "threads": 1,
            **more,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


def trained(folder: Path, name: str = "run") -> RunDir:
    """Return a run that has saved an adapter of the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tests.tiny import tiny_model

    run = plant(
        name, recipe=f"model_name_or_path: {folder}\ndataset: identity\nname: A\nauthor: B\ndevice: cpu\nthreads: 1\n"
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        folder = manifest.temporary(run.path, 3)
        get_peft_model(tiny_model(), config).save_pretrained(folder)
    manifest.seal(folder, run.final, {}, step=3, attempt=1)
    return run


def test_nobody_can_be_asked_without_a_recipe_or_a_run() -> None:
    found = partners().options()
    assert [(who.kind, who.available) for who in found] == [("base", False), ("live", False), ("tuned", False)]
    assert all(who.why_not for who in found)


def test_what_a_run_lacks_is_said(folder: Path) -> None:
    found = {who.kind: who for who in partners(recipe_of(folder), plant("empty")).options()}
    assert found["base"].available
    assert "no weights yet" in found["tuned"].why_not


def test_a_live_run_is_named_with_its_step_and_asked_through_its_inbox(folder: Path) -> None:
    run = plant("live", recipe=f"model_name_or_path: {folder}\ndataset: identity\nname: A\nauthor: B\n")
    with Engine(run):
        there = partners(recipe_of(folder), run, live=True)
        assert Who("live", "live @4") in there.options()
        live, base = there.partner("live"), there.partner("base")
    assert isinstance(live, LiveChat)
    assert isinstance(base, LiveChat)
    assert base._base
    assert not live._base


def test_another_base_than_that_of_the_live_run_is_loaded(folder: Path) -> None:
    full = plant(
        "full", recipe=f"model_name_or_path: {folder}\ndataset: identity\nname: A\nauthor: B\nfinetuning_type: full\n"
    )
    notes: list[str] = []
    with Engine(full):
        base = partners(recipe_of(folder), full, live=True).partner("base", note=notes.append)
    assert not isinstance(base, LiveChat)
    assert "loaded beside the training" in notes[0]


def test_a_real_model_is_loaded_once_for_base_and_tuned(folder: Path) -> None:
    run, loaded = trained(folder), []
    there = partners(recipe_of(folder), run)
    tell = lambda stage, done, total: loaded.append(stage) if not done else None  # noqa: E731
    base = there.partner("base", progress=tell)
    tuned = there.partner("tuned", progress=tell)
    assert loaded.count("load") == 1
    texts = [chat.reply(ASKED, sampling=GREEDY).text for chat in (base, tuned, base)]
    assert texts[0] == texts[2] != texts[1]
    there.release()
    there.partner("tuned", progress=tell)
    assert loaded.count("load") == 2


def test_a_model_that_was_loaded_for_itself_is_not_loaded_again_for_base(folder: Path) -> None:
    loaded: list[str] = []
    there = partners(recipe_of(folder))
    for _ in range(2):
        there.partner("base", progress=lambda stage, done, total: loaded.append(stage) if not done else None)
    assert loaded.count("load") == 1


def test_whoever_was_chosen_is_the_fourth(folder: Path) -> None:
    run = trained(folder, "other")
    there = partners(recipe_of(folder))
    there.choose(model=str(folder), adapter=run.final)
    assert there.options()[3] == Who("other", "final")
    assert there.partner("other").title == "other, final"
    there.choose(run=run.path)
    assert there.options()[3].label == "other"
    there.choose(run=folder / "runs" / "tuned")
    assert there.options()[3] == Who("other", "run tuned")  # another one is called tuned already
    there.choose(run=run.path)
    assert there.partner("other").title == "other, final"
    there.choose(model="org/[x]\x1b[2J")
    assert there.options()[3].label == "[x]"


def test_loading_is_given_up_when_its_memory_is_needed(folder: Path) -> None:
    there = partners(recipe_of(folder))
    with pytest.raises(Stopped, match="given up"):
        there.partner("base", progress=lambda stage, done, total: there.make_room())


def test_loading_for_a_comparison_is_given_up_too_and_can_be_begun_again(folder: Path) -> None:
    sides = Sides(str(folder), str(folder))
    with pytest.raises(Stopped, match="given up"):
        sides.partner("0", progress=lambda stage, done, total: sides.release(), note=print)
    left, right = (sides.partner(kind, progress=silent, note=print) for kind in "01")
    assert left.reply(ASKED, sampling=GREEDY).text == right.reply(ASKED, sampling=GREEDY).text


def test_questions_to_nobody_are_refused() -> None:
    with pytest.raises(UsageError, match="nobody called"):
        partners().partner("someone")
    with pytest.raises(RunError, match="no run to ask"):
        partners().partner("tuned")
    with pytest.raises(UsageError, match="problems"):
        partners().partner("base")


def test_answers_are_drawn_as_the_recipe_says(folder: Path) -> None:
    assert partners().sampling()["temperature"] == 0.95
    assert partners(recipe_of(folder, temperature=0.5)).sampling()["temperature"] == 0.5


def test_a_real_model_answers_in_the_pane(folder: Path) -> None:
    async def go() -> None:
        there = partners(recipe_of(folder, max_new_tokens=6), trained(folder, "shown"))
        app, pane = table(there)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await until(pilot, lambda: pane.who.kind == "tuned" and pane.who.available)
            pane.focus_first()
            await say(pilot, pane, "Name three fruits.")
            await pilot.press("escape", "b", "i")
            await say(pilot, pane, "And three more?")
            said = pane.talk.turns
            assert [turn.by for turn in said] == ["", "tuned", "", "base"]
            assert all(turn.content for turn in said)
            assert pane.beside.row[0][0].strip().startswith("6 tokens")

    asyncio.run(go())


def test_nothing_heavy_is_loaded_until_somebody_is_asked() -> None:
    code = (
        "import sys, tuitune.tui.panes.chat; print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
