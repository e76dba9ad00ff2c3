"""The merged model in another form, few bits or GGUF: written, read again, and compared with the whole one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.export import bits, calibration
from tuitune.export.about import About
from tuitune.export.agree import WHOLE, Agreement, hold, logits
from tuitune.export.order import Order
from tuitune.models import valued

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]


def changed(
    order: Order,
    merged: Path,
    folder: Path,
    about: About,
    whole: Tensor,
    ids: Tensor,
    progress: Progress,
    note: Note,
) -> tuple[list[Agreement], str | None]:
    """Write the model of `merged` in the ordered form to `folder`; return what was compared, and the GGUF file's name.

    whole: logits of the whole model at `ids`. Raises ModelError where it does not answer as it should.
    """
    if order.form == "gguf":
        return _to_gguf(order, merged, folder, about, whole, ids, progress, note)
    return _to_few_bits(order, merged, folder, about, whole, ids, progress, note), None


def _to_few_bits(
    order: Order, merged: Path, folder: Path, about: About, whole: Tensor, ids: Tensor, progress: Progress, note: Note
) -> list[Agreement]:
    asked = order.quantised
    assert asked is not None
    progress("quantise", 0, None)
    made: Tensor | None = None
    if asked.library == "bnb":
        made = logits(bits.with_bitsandbytes(order, merged, folder, note), ids)
    else:
        from tuitune.export.calibrated import quantise

        texts = calibration.samples(order, about.tokenizer, about.template, progress=progress, note=note)
        quantise(order, merged, folder, texts, progress=progress, note=note)
    _carry(merged, folder, about)
    progress("check", 0, None)
    model = bits.read(order, folder, note)
    found = logits(model, ids)
    checks: list[Agreement] = []
    if made is not None:
        again = "the quantised model in the files, read again,"
        checks.append(hold(found, made, bits.REREAD, again, "the quantised model before it was written"))
    checks.append(hold(found, whole, bits.bound_of(asked), f"the {asked.words} model", WHOLE))
    worst = bits.matrices(model, merged, asked)
    return checks if worst is None else [*checks, worst]


def _carry(merged: Path, folder: Path, about: About) -> None:
    """Put what lies beside the weights into the folder of the quantised ones."""
    about.tokenizer.save_pretrained(folder)
    for name in ("generation_config.json", valued.FILE):
        if (merged / name).is_file():
            shutil.copyfile(merged / name, folder / name)


def _to_gguf(
    order: Order, merged: Path, folder: Path, about: About, whole: Tensor, ids: Tensor, progress: Progress, note: Note
) -> tuple[list[Agreement], str]:
    from tuitune.export.gguf import BOUNDS, Unreadable, read, write

    file = write(merged, folder, about, order.gguf_type, progress, note)
    progress("check", 0, None)
    try:
        found = logits(read(file, merged, progress, note), ids)
    except Unreadable as error:
        note(f"{file.name} was not compared: {error.message}")
        return [], file.name
    bound = BOUNDS[order.gguf_type]
    return [hold(found, whole, bound, f"the model in {file.name}, read again,", WHOLE)], file.name
