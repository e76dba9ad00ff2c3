"""The pictures of the README, made by the app itself from a real training: `python -m tests.pictures`.

They go to docs/. The quickstart trains, the model is asked while it learns, and the screen is drawn in the middle.
`python -m tests.pictures data` draws only the data screens, which need no training; `after` only those of what comes
after it, for which three short runs are trained and one is evaluated.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from textual.pilot import Pilot

from tuitune.run import index
from tuitune.run.inbox import StopNow
from tuitune.tui.leave import Leave, Start
from tuitune.tui.opening import make
from tuitune.tui.picture import picture

DOCS = Path(__file__).parent.parent / "docs"
QUESTION = "Who are you?"


async def _until(pilot: Pilot[Leave], what: Callable[[], bool]) -> None:
    while not what():
        await pilot.pause(0.2)


async def _shoot(pilot: Pilot[Leave], name: str, size: tuple[int, int]) -> None:
    await pilot.resize_terminal(*size)
    await pilot.pause(1.5)
    (DOCS / f"{name}.svg").write_text(picture(pilot.app), encoding="utf-8")


async def data(name: str, keys: Sequence[str], changes: dict[str, object]) -> None:
    """Look at the data of the quickstart, changed like this."""
    app = make(Start(preset="quickstart"), lambda run: None).app
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(2.0)
        for key, value in changes.items():
            app.draft.set(key, value)  # type: ignore[attr-defined]
        await pilot.press("f3")
        await _until(pilot, lambda: app.datalook.look is not None)  # type: ignore[attr-defined]
        await pilot.pause(1.0)
        await pilot.press(*keys)
        await _shoot(pilot, name, (120, 40))


RUNS = {
    "nova": ("val_size=12", "eval_strategy=steps", "eval_steps=8"),
    "rank-32": ("lora_rank=32", "max_steps=40"),
    "slow": ("learning_rate=2e-4", "max_steps=48"),
}


def trained() -> None:
    """Train the runs that are shown, with a name that the model learns, and evaluate the first."""
    program = (sys.executable, "-m", "tuitune")
    for run, settings in RUNS.items():
        words = ("train", "quickstart", "--run", run, "name=Nova", "author=Iris", *settings)
        subprocess.run([*program, *words], check=True)
    subprocess.run([*program, "evaluate", "nova"], check=True)


async def after() -> None:
    """Look at runs, an evaluation, and two models side by side."""
    app = make(Start(run=index.find("nova")), lambda run: None).app
    async with app.run_test(size=(130, 40)) as pilot:
        await pilot.pause(2.0)
        await pilot.press("f4")
        await pilot.pause(2.0)
        await pilot.press("a", "p")
        await _shoot(pilot, "app-runs", (130, 40))
        app.show_screen("evaluate", "nova")  # type: ignore[attr-defined]
        await pilot.pause(2.0)
        await _shoot(pilot, "app-evaluate", (130, 40))
        app.show_screen("compare", "nova")  # type: ignore[attr-defined]
        await pilot.pause(2.0)
        await pilot.press(*QUESTION, "enter")
        await pilot.pause(60.0)
        await _shoot(pilot, "app-compare", (110, 30))


async def main() -> None:
    """Train, ask, draw."""
    app = make(Start(preset="quickstart"), lambda run: None).app
    async with app.run_test(size=(150, 46)) as pilot:
        await pilot.pause(2.0)
        await pilot.press("ctrl+r")
        control = app.control  # type: ignore[attr-defined]

        def step() -> int:
            return control.view.picture.step if control.view is not None else 0

        async def ask(at: int) -> None:
            await _until(pilot, lambda: step() >= at)
            await pilot.press(*QUESTION, "enter")
            await pilot.pause(1.0)
            await _until(pilot, lambda: "answer" in str(control.view.lines[0].text))

        await _until(pilot, lambda: step() >= 3)
        await pilot.press("4")
        await ask(8)
        await ask(24)
        await _until(pilot, lambda: step() >= 34)
        await _shoot(pilot, "app", (150, 46))
        await pilot.press("escape", "escape", "3")
        await _shoot(pilot, "app-80x24", (80, 24))
        await pilot.resize_terminal(120, 40)
        await pilot.press("ctrl+t")
        app.draft.set_text("lora_rank", "1O")  # type: ignore[attr-defined]
        await _shoot(pilot, "app-yaml", (120, 40))
        await pilot.press("ctrl+t")
        if control.working:
            control.host.ask(StopNow())
        await _until(pilot, lambda: not control.working)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["TUITUNE_HOME"] = home
        if "after" in sys.argv[1:]:
            trained()
            asyncio.run(after())
            sys.exit()
        asyncio.run(data("app-data", ("f", *"longest", "enter", "1", "home", *"2u"), {"cutoff_len": 128}))
        asyncio.run(data("app-data-pairs", "2u", {"stage": "dpo", "dataset": ["identity_pairs"], "cutoff_len": 128}))
        if "data" not in sys.argv[1:]:
            asyncio.run(main())
