"""How fast runs are listed, and how fast their curves lie over each other.

python -m tests.benchmarks.runs [--runs 500] [--curves 8] [--steps 20000]

Prints milliseconds: the list of so many runs with nothing known and with everything known; the overlay of so many long
curves for the first time (read, smoothed, drawn into 120x40) and again (drawn only, and with another window).
"""

from __future__ import annotations

import argparse
import math
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--curves", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20_000)
    return parser.parse_args()


def _plant(name: str, steps: int, every: int) -> None:
    from tuitune.run import RunDir, events, places
    from tuitune.run.events import encode

    run = RunDir.create(places.runs() / name, f"model_name_or_path: smollm2-135m\nstage: sft\ndataset: d{steps}\n")
    rng = random.Random(name)
    lines = [encode(events.RunStarted(1, 0, steps, name, "smollm2-135m", "sft", "lora", t=1e9))]
    lines.append(encode(events.PhaseStarted("train", t=1e9)))
    for step in range(1, steps + 1):
        t = 1e9 + step / 2
        loss = 3 * math.exp(-3 * step / steps) + 0.5 + rng.gauss(0, 0.1)
        lines.append(encode(events.StepLogged(
            step, step / 1000, loss, 1e-4, rng.random(), 8192, 4000, 1.6e4, 8e3, 0.5,
            {"allocated": 123456789, "peak": 987654321}, 0.4, t=t,
        )))  # fmt: skip
        if step % every == 0:
            lines.append(encode(events.EvalLogged(step, step / 1000, loss + 0.1, t=t)))
    lines.append(encode(events.RunFinished(steps, steps / 2, t=1e9 + steps / 2)))
    run.events.write_bytes(b"".join(lines))


def _timed(work: Callable[[], object], times: int = 1) -> float:
    """Return the least of several times, in milliseconds."""
    best = math.inf
    for _ in range(times):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def _list(count: int) -> None:
    from tuitune.run.shelf import Shelf

    print(f"list of {count} runs, nothing known: {_timed(lambda: Shelf().entries()):.0f} ms")
    print(f"list of {count} runs, known: {_timed(lambda: Shelf().entries(), 5):.0f} ms")


def _overlay(names: list[str]) -> None:
    from tuitune.run import RunDir, places
    from tuitune.tui.panes.runs_curve import Curve
    from tuitune.tui.panes.runs_look import lines_of
    from tuitune.tui.panes.runs_overlay import OverlayPane
    from tuitune.tui.screens.runs_data import Desk

    runs = [RunDir(places.runs() / name) for name in names]
    pane, curves = OverlayPane(), dict[str, Curve]()
    pane.redraw = lambda: None  # type: ignore[method-assign]  # no app: only the rows are wanted
    begun = time.perf_counter()
    Desk().curves(runs, None, lambda curve: curves.update({str(curve.run.path): curve}))
    read = time.perf_counter() - begun
    pane.show(lines_of([(str(run.path), run.name) for run in runs], curves))
    drawn = _timed(lambda: pane.body(118, 24))
    print(f"overlay of {len(runs)}, first time: {read * 1e3 + drawn:.0f} ms ({read * 1e3:.0f} to read in a thread)")
    print(f"overlay of {len(runs)}, again: {_timed(lambda: pane.body(118, 24), 5):.0f} ms")
    pane.action_zoom(3)
    print(f"overlay of {len(runs)}, another window: {_timed(lambda: pane.body(118, 24), 5):.0f} ms")
    pane.turn_smoothing()
    print(f"overlay of {len(runs)}, another smoothing: {_timed(lambda: pane.body(118, 24)):.0f} ms")


def main() -> None:
    """Plant runs in a home of their own and measure."""
    wanted = _parsed()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TUITUNE_HOME"], os.environ["TUITUNE_CACHE"] = (
            str(Path(folder) / "home"),
            str(Path(folder) / "cache"),
        )
        for number in range(wanted.runs):
            _plant(f"run-{number:04}", 100 + number % 7 * 100, 50)
        _list(wanted.runs)
        names = [f"long-{number}" for number in range(wanted.curves)]
        for name in names:
            _plant(name, wanted.steps, wanted.steps // 20)
        _overlay(names)


if __name__ == "__main__":
    main()
