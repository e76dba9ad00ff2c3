"""What every tuning method must do: learn, save, load again to the same logits, and resume as if never stopped.

The tests of a method give a recipe; the recipe here has accumulation, clipping, a schedule and, where the method knows
it, dropout.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, losses, same, start
from tuitune.engine.build import Build
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Stop

PROBE = [[3, 17, 41, 5, 99, 260, 12, 8, 301, 77, 23]]


def train(root: Path, name: str, *, stop_at: int | None = None, **more: Any) -> RunDir:
    """Train the tiny model; stop after that step if one is given."""
    made = RunDir(root / name)
    made = made if made.is_run() else start(root, name, **more)
    ended = run(made, on_session=_stop(stop_at) if stop_at else lambda session: None)
    assert ended.status == ("stopped" if stop_at else "finished"), journal(made, events.RunFailed)
    return made


def _stop(step: int):  # type: ignore[no-untyped-def]
    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if done == step and total is not None:
                session.ask(Stop())

        session.stepped = stepped  # type: ignore[method-assign]

    return watch


def falls(made: RunDir) -> bool:
    """Whether the loss fell: the mean of the last three steps against the first."""
    seen = [loss for loss, _ in losses(made).values()]
    return sum(seen[-3:]) / 3 < seen[0]


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    """Return the logits of the probe in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    return model(input_ids=torch.tensor(PROBE, device=device), use_cache=False).logits.float().cpu()  # type: ignore[no-any-return]


class Ended:
    """Keeps the logits of the model in memory at the end of a training, to compare with what is loaded again."""

    def __init__(self, monkeypatch: Any) -> None:
        self.logits = torch.empty(0)
        plain = Build._final

        def final(build: Build, trainer: Any) -> Path:
            self.logits = logits(trainer.model)
            return plain(build, trainer)

        monkeypatch.setattr(Build, "_final", final)


def loaded_logits(made: RunDir, folder: Path | None = None) -> torch.Tensor:
    """Return the logits of a run's result (or another folder of it) as the chat loads it."""
    from tuitune.chat.local import LocalChat
    from tuitune.chat.weights import of_run
    from tuitune.recipe import load

    chat = LocalChat.load(of_run(made, load(made.recipe), folder))
    return logits(chat._model)


def learns_and_reloads(root: Path, monkeypatch: Any, *, within: float = 1e-5, **more: Any) -> RunDir:
    """Check that the loss falls, and that the saved result has the logits of the end of training."""
    ended = Ended(monkeypatch)
    made = train(root, "learns", **more)
    assert falls(made), losses(made)
    difference = float((loaded_logits(made) - ended.logits).abs().max())
    assert difference <= within, difference
    return made


def resumes_exactly(root: Path, *, stops: tuple[int, ...] = (4, 7), **more: Any) -> RunDir:
    """Check that a run stopped and resumed ends equal in every bit, and that its optimizer's file is no pickle of
    code; return it."""
    whole = train(root, "whole", **more)
    for step in stops:
        broken = train(root, "broken", stop_at=step, **more)
        torch.load(broken.checkpoints[-1] / "optimizer.pt", weights_only=True)
    broken = train(root, "broken", **more)
    assert losses(broken) == losses(whole)
    assert same(_tensors(broken.final), _tensors(whole.final))
    return broken


def mainly(cases: Iterable[str], *chosen: str) -> list[Any]:
    """Return the cases of one method to parametrise with; all but the chosen ones are slow."""
    assert {*chosen} < {*cases}
    return [case if case in chosen else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= {f"{file.name}:{name}": tensor for name, tensor in load_file(file).items()}
    assert found
    return found
