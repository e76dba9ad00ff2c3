"""`tuitune export`: a run's result, an adapter or a model as ordinary files, merged, quantised or for llama.cpp."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tuitune.cli.telling import Teller, telling
from tuitune.errors import Stopped, UsageError
from tuitune.export.history import commands
from tuitune.export.order import READ_TOO
from tuitune.export.outline import Outline, outline
from tuitune.face import words
from tuitune.face.exporting import order_of, split
from tuitune.face.host import prepare_for
from tuitune.run import places
from tuitune.run.packing import record

if TYPE_CHECKING:
    from tuitune.export.order import Order
    from tuitune.export.pipeline import Exported

_CANCELLED = "cancelled: nothing was written"
_ALIKE = 1e-3  # of the largest logit: sums in another order
_OPTIONS = {"export_adapter_weights": "--weights", "export_dtype": "--dtype", "export_format": "--gguf",
            "export_gguf_type": "--gguf", "export_quantization_bit": "--bits"}  # fmt: skip


def export(
    what: str,
    rest: Sequence[str],
    *,
    model: str | None,
    more: Sequence[str],
    given: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write it; say where it is, how near it answers, and how it is used. given: settings that came as options."""
    with telling(places.home() / "export.log", as_json=as_json, cancelled=_CANCELLED) as tell:
        out, settings = split(rest)
        order = order_of(what, out, [*settings, *_once(given, settings)], model=model, more=more)
        for warning in order.recipe.warnings if order.recipe is not None else ():
            if warning.key in map(_key, given):
                raise UsageError(f"{_OPTIONS[warning.key]} {warning.reason}", warning.hint)
            if warning.key not in READ_TOO:
                tell.note(str(warning))
        if dry_run:
            _plan(order, tell)
            return 0
        prepare_for(order.device)
        from tuitune.export.pipeline import export as work

        try:
            done = work(order, progress=tell.progress, note=tell.note)
        except KeyboardInterrupt:
            raise Stopped(*_left(order)) from None
        tell.result(_values(done), *_sentences(done))
    return 0


def _left(order: Order) -> tuple[str, str]:
    """Return what is said of a cancelled export, and what to do: it is there whole or not at all."""
    if not order.out.exists():
        return _CANCELLED, ""
    push = shlex.join(["tuitune", "push", str(order.out), order.repo]) if order.repo is not None else ""
    return f"cancelled; {order.out} is written whole", push and f"push it with: {push}"


def _once(given: Sequence[str], settings: Sequence[str]) -> list[str]:
    for key, _, value in (word.partition("=") for word in given):
        if key == "export_adapter_weights" and not value.strip(", "):
            raise UsageError(f"--weights {value!r:.40} names no number", "one for each adapter: --weights 0.7,0.3")
    keys, asked = set(map(_key, settings)), set(map(_key, given))
    for key in sorted(keys & asked):
        raise UsageError(f"{key} is given twice, as an option and as key=value", "keep one")
    for key in ("export_dtype", "export_quantization_bit"):
        if "export_format" in asked and key in asked:
            raise UsageError(
                f"{_OPTIONS[key]} and --gguf do not go together",
                "--gguf names the number format: F16, BF16, Q8_0 (8.5 bits of a weight) or Q4_0 (4.5 bits)",
            )
    unsaid = "export_quantization_bit" in asked and "export_quantization_method" not in keys
    return [*given, *(["export_quantization_method=bnb"] if unsaid else [])]  # it needs no texts


def _key(setting: str) -> str:
    return setting.partition("=")[0]


def _values(done: Exported) -> dict[str, object]:
    return {
        **record(done),
        "checks": [record(check) for check in done.checks],
        "use": list(commands(done.path)),
        "sentences": list(_sentences(done)),
    }


def _sentences(done: Exported) -> Iterator[str]:
    yield f"{done.path}: {words.size(done.size)}, {done.form_words}"
    exact = [check for check in done.checks if check.largest <= _ALIKE]
    if exact:
        most = max(check.difference for check in exact)
        yield f"checked: merged and read again it answers alike, logits within {most:.1g}"
    for check in done.checks:
        if check not in exact:
            yield f"checked: {check.said}: {check.words()} ({check.bound})"
    for line in commands(done.path):
        yield f"use it: {line}"
    if done.address:
        yield f"pushed to {done.address}"


def _plan(order: Order, tell: Teller) -> None:
    planned = outline(order)
    pushed: tuple[str, ...] = ()
    if order.repo is not None:
        from tuitune.export.push import plan

        pushed = plan(order.repo, order.private, planned.files)
    values = {**record(planned), "dry_run": True, "problems": planned.problems, "push": pushed}
    tell.result(values, *_planned(order, planned), *pushed)


def _planned(order: Order, planned: Outline) -> Iterator[str]:
    yield f"{order.weights.title} would become {planned.path}: {planned.form}"
    if planned.size is None or planned.disk is None or planned.memory is None:
        yield "its size is not known: the model has to be fetched first"
    else:
        free = "unknown" if planned.disk_free is None else words.size(planned.disk_free)
        yield f"about {words.size(planned.size)}; disk: {words.size(planned.disk)} at the most, {free} free"
        yield f"memory: {words.size(planned.memory)} at the most, {words.size(planned.memory_free)} free"
    for number, path in enumerate(order.weights.adapters):
        share = order.shares[number] if order.shares else 1
        yield f"merged: {path}" + ("" if share == 1 else f", {share:g} times what it changes")
    yield "files: " + ", ".join(f"{name} ({words.size(size)})" if size else name for name, size in planned.files)
    for problem in planned.problems:
        yield f"it would be refused: {problem}"
