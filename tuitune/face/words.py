"""Figures and events as words, the same for every face on a plain terminal."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from tuitune.amounts import size as size
from tuitune.face import figures as own
from tuitune.face.picture import Picture
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.recipe import Recipe


_QUOTED = 60  # characters of a prompt or an answer in a line


def number(value: float, form: str = ".4f") -> str:
    """Return a number, or `nan` and `inf` as they are."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    said = f"{value:.3e}" if form == ".4f" and abs(value) >= 1e4 else f"{value:{form}}"
    return said.removeprefix("-") if float(said) == 0 else said


def duration(seconds: float) -> str:
    """Return seconds as 0:05, 1:02:03 or 2d 03:04."""
    whole = round(seconds)
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24}d {hours % 24:02}:{minutes_left:02}"
    return f"{hours}:{minutes_left:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def steps(picture: Picture) -> str:
    """Return how far a run is: 12/72."""
    return f"{picture.step}/{picture.total}" if picture.total else str(picture.step)


def figures(picture: Picture) -> list[str]:
    """Return what was logged last, one short text per figure, the important ones first."""
    logged, found = picture.logged, []
    if logged is not None:
        known = {own.LOSS: logged.loss, **logged.metrics}
        names = dict.fromkeys([own.main(picture.stage), own.LOSS, *own.telling(picture.stage, known)])
        forms = {own.LOSS: ".4f"}
        found = [f"{own.word(name)} {number(known[name], forms.get(name, '.3g'))}" for name in names if name in known]
        found.append(f"lr {number(logged.learning_rate, '.2e')}")
        if logged.grad_norm is not None:
            found.append(f"grad {number(logged.grad_norm, '.3g')}")
        found.append(f"{logged.tokens_per_second:,.0f} tok/s")
    if picture.evaluated is not None:
        found.append(f"eval {evaluated(picture.evaluated, picture.stage)}")
    return found


def evaluated(event: events.EvalLogged, stage: str) -> str:
    """Return the one figure of an evaluation that counts: its loss, or `reward 0.41`."""
    name = own.main(stage)
    value = event.metrics.get(own.EVAL + name)
    return number(event.loss) if value is None or name == own.LOSS else f"{own.word(name)} {number(value, '.3g')}"


def remark(event: events.Event) -> tuple[str, str] | None:
    """Return an event that deserves a line of its own, with its style, or None."""
    match event:
        case events.Noted(text=text):
            return text, ""
        case events.Warned(message=message, hint=hint):
            return f"warning: {message}" + (f" ({hint})" if hint else ""), "yellow"
        case events.CheckpointSaved(step=step, bytes=count, best=best):
            return f"checkpoint {step} saved, {size(count)}" + (", the best so far" if best else ""), "green"
        case events.EvalLogged(step=step, loss=loss, metrics=metrics):
            more = "".join(f", {name.removeprefix('eval_')} {number(value)}" for name, value in metrics.items())
            return f"step {step}: eval loss {number(loss)}{more}", "cyan"
        case events.Sampled():
            return sampled(event), "dim"
        case events.RunStarted(step=step, resumed_from=str()):
            return f"goes on from step {step}", ""
        case events.Paused(step=step):
            return f"paused at step {step}", "yellow"
        case events.Resumed(step=step):
            return f"goes on at step {step}", ""
        case events.CommandDone(command="set_learning_rate", message=message):
            return message, ""
    return None


def sampled(event: events.Sampled) -> str:
    """Return answers to a prompt in a line: how many, what they are worth, the prompt and the best of them."""
    worth = [value for value in event.rewards if math.isfinite(value)]
    low, high = min(worth, default=math.nan), max(worth, default=math.nan)
    rewards = f"reward {number(high, '.3g')}" + (f" to {number(low, '.3g')}" if low < high else "")
    count = f"{len(event.answers)} answers" if len(event.answers) != 1 else "1 answer"
    best = event.answers[event.rewards.index(high)] if worth and len(event.rewards) == len(event.answers) else ""
    said = f": {_begin(best)}" if best else ""
    return f"step {event.step}: {count}, {rewards}, to {_begin(event.prompt)}{said}"


def _begin(text: str) -> str:
    line = clean_line(text)
    return f'"{line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"}"'


def ending(run: RunDir, picture: Picture) -> list[str]:
    """Return how a run ended, where its result is and which command comes next; nothing for a failure."""
    end = picture.end
    if not isinstance(end, events.RunFinished):
        return []
    took = _took(run, end)
    if end.reason == "finished":
        loss = f", mean loss {number(end.metrics['train_loss'])}" if "train_loss" in end.metrics else ""
        where = [f"the result is in {end.final}"] if end.final else []
        return [f"finished: {end.step} steps, {took}{loss}", *where, f"ask it: tuitune chat --run {called(run)}"]
    kept = newest_checkpoint(run)
    what = f"checkpoint {kept} holds it" if kept is not None else "there is no checkpoint"
    return [f"stopped at step {end.step} after {took}; {what}", f"go on: tuitune resume {called(run)}"]


def _took(run: RunDir, end: events.RunFinished) -> str:
    """Return the time of all attempts: what a face has seen may be the last one alone."""
    from tuitune.run.ledger import Ledger

    ledger = Ledger(run.events)
    ledger.read()
    attempts = ledger.attempts
    several = f" in {attempts.count} attempts" if attempts.count > 1 else ""
    return duration(attempts.seconds if attempts.count else end.seconds) + several


def newest_checkpoint(run: RunDir) -> int | None:
    """Return the step of the newest whole checkpoint, looked at by names and sizes."""
    from tuitune.run import manifest

    path, _ = manifest.newest_valid(run.path, deep=False)
    return int(path.name.rpartition("-")[2]) if path is not None else None


def called(run: RunDir) -> str:
    """Return a run's name as a shell takes it."""
    return shlex.quote(run.name)


def further(run: RunDir, recipe: Recipe) -> str:
    """Return the command that trains a finished run twice as long."""
    more = f"max_steps={2 * recipe.max_steps}" if recipe.max_steps > 0 else _epochs(recipe)
    return f"tuitune resume {called(run)} {more}"


def _epochs(recipe: Recipe) -> str:
    return f"num_train_epochs={2 * recipe.num_train_epochs:g}"
