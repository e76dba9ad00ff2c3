"""The whole way of an export: merge, write, change the form, read again and compare, and only then give it its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.export import bits, calibration, record, shares
from tuitune.export.about import About, evaluated, trained_in
from tuitune.export.agree import EXACT, WHOLE, Agreement, Bound, hold, logits, probe
from tuitune.export.ahead import refuse_place, refuse_quantised
from tuitune.export.beside import beside
from tuitune.export.folder import made_whole, refuse_existing, refuse_full
from tuitune.export.forms import changed
from tuitune.export.history import Done, remember
from tuitune.export.memory import Ends, device_for, ends_of, more_room, on_disk, shape_of_source
from tuitune.export.merge import kept_as, load_whole, merged, read_whole, rounded, settle_generation, speech
from tuitune.export.order import BYTES, Dtype, Order
from tuitune.export.progress import growing
from tuitune.fit.files import read_object
from tuitune.fit.models import resolve
from tuitune.methods.adapters import refuse_unmergeable
from tuitune.models import valued
from tuitune.models.depths import is_routed_folder
from tuitune.models.prepare import prepare
from tuitune.stages.scorer import head_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]
# How far a number format alone may move the answers: far less than any fault would, and more than bfloat16 does.
_FORMAT = Bound(relative=0.15, kl=0.1)
_SCRATCH = ".merged"


@dataclass(frozen=True)
class Exported:
    """What was written. size: bytes of all files. dtype: of the merged weights; number: how they are kept.

    difference: how far merged logits were from those of the model with its adapter. checks: all that was compared.
    file: the GGUF file's name. address: where it was pushed to.
    """

    path: Path
    form: str
    number: str
    size: int
    dtype: Dtype
    difference: float
    checks: tuple[Agreement, ...] = ()
    file: str | None = None
    address: str | None = None

    @property
    def form_words(self) -> str:
        """The form in a few words."""
        return f"GGUF {self.number}" if self.form == "gguf" else f"{self.form}, {self.number}"


@dataclass
class _Work:
    """One export under way."""

    order: Order
    progress: Progress
    note: Note
    folder: Path = field(default_factory=Path)  # of the source
    device: str = "cpu"
    checks: list[Agreement] = field(default_factory=list)
    file: str | None = None

    # What is known before anything is loaded

    def prepare(self) -> None:
        order, weights = self.order, self.order.weights
        refuse_existing(order.out)
        refuse_place(order.out)
        for adapter in weights.adapters:
            refuse_unmergeable(adapter)
        if order.shared:
            shares.refuse(weights.adapters, order.shares, chained=order.chained)
        bits.refuse_impossible(order)
        calibration.check(order)
        if order.repo is not None:
            from tuitune.export.push import refuse_impossible

            refuse_impossible(order.repo)
        source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
        self.folder = prepare(
            source, progress=self.progress, trust_remote_code=weights.trust_remote_code, cache_dir=weights.cache_dir
        )
        refuse_quantised(order, self.folder)
        self._refuse_form()
        shape = shape_of_source(order, self.folder)
        if shape is not None and (parameters := shape.parameters) is not None:
            refuse_full(order.out, *self._room(parameters, ends_of(shape)))
        self.device = device_for(order, self.folder, self.note)

    def _room(self, parameters: int, ends: Ends) -> tuple[int, str]:
        """Return the bytes that the disk must have free, and what to do where it has not."""
        rest = beside(self.order, parameters, ends.tokens, self.folder).room
        return on_disk(self.order, parameters, ends, rest), more_room(self.order, parameters, rest)

    def _refuse_form(self) -> None:
        order = self.order
        if order.quantised is not None:
            bits.refuse_routed(self.folder)
        if order.form == "gguf":
            from tuitune.export.gguf import refuse_family

            if self._head() is not None:
                raise ModelError("a GGUF file has no place for the value head of a reward model", "write safetensors")
            refuse_family(read_object(self.folder / "config.json"), self.note, order.gguf_type)

    def _head(self) -> Path | None:
        path = head_folder(self.folder, self.order.weights.adapters) / valued.FILE
        return path if path.is_file() else None

    # The work

    def run(self) -> Exported:
        self.prepare()
        order = self.order
        self.progress("load", 0, None)
        model = load_whole(self.folder, order.weights, self.device, self.note)
        model, merging = merged(model, order, self.progress)
        if merging is not None:
            self.checks.append(merging)
        tokenizer, template = speech(self.folder, order.weights, self.note)
        settle_generation(model, template, tokenizer, order, self.note)
        dtype: Dtype = "float32" if order.form == "gguf" else order.dtype
        ids = probe(tokenizer)
        whole = logits(model, ids)
        size = rounded(model, dtype)
        if dtype != "float32":  # else nothing was rounded
            self.checks.append(hold(logits(model, ids), whole, _FORMAT, f"the model in {dtype}", WHOLE))
        truth, ends = logits(model), _ends(model)
        parameters = size // BYTES[dtype]
        with made_whole(order.out, *self._room(parameters, ends)) as folder:
            first = folder / _SCRATCH if order.form == "gguf" or order.quantised else folder
            self._write(model, tokenizer, first, dtype, size)
            del model  # two copies need not fit
            self._check_written(first, truth)
            if first is not folder:
                about = self._about(tokenizer, template)
                checks, self.file = changed(order, first, folder, about, whole, ids, self.progress, self.note)
                self.checks += checks
                shutil.rmtree(first)
            self._describe(folder, self._about(tokenizer, template))
            record.write(folder, order, self.checks, self.progress)
        if is_routed_folder(order.out):
            self.note(
                "a model with Mixture-of-Depths is loaded by TuiTune only: other programs do not know its routers"
            )
        return self._finish(merging.difference if merging else 0.0)

    def _write(self, model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, dtype: Dtype, size: int) -> None:
        folder.mkdir(exist_ok=True)
        kept_as(model, dtype)
        with growing(folder, "write", size, self.progress):
            model.save_pretrained(folder, max_shard_size=self.order.shard)
        tokenizer.save_pretrained(folder)
        if (head := self._head()) is not None:  # it stays a reward model
            shutil.copyfile(head, folder / valued.FILE)

    def _check_written(self, folder: Path, truth: Tensor) -> None:
        self.progress("check", 0, None)
        read = read_whole(folder, self.order.weights, self.device, self.note)
        self.checks.append(
            hold(logits(read), truth, EXACT, "the model in the files, read again,", "the model that was written")
        )

    def _about(self, tokenizer: PreTrainedTokenizerBase, template: Template) -> About:
        order = self.order
        run, recipe = trained_in(order.weights)
        return About(
            order.weights, template, tokenizer, order.form, order.number, order.out, recipe, run,
            evaluated(run, order.weights), order.shares, tuple(self.checks),
            dict(order.generation), order.repo,
        )  # fmt: skip

    def _describe(self, folder: Path, about: About) -> None:
        order = self.order
        if order.ollama and (order.form == "gguf" or order.quantised is None) and self._head() is None:
            from tuitune.export.ollama import write as write_modelfile

            write_modelfile(folder, about, self.note)
        if order.card:
            from tuitune.export.card import write as write_card

            write_card(folder, about)

    def _finish(self, difference: float) -> Exported:
        order = self.order
        size = sum(path.stat().st_size for path in order.out.rglob("*") if path.is_file())
        remember(Done(str(order.out), order.source, order.weights.title, order.form, order.number, size))
        address = None
        if order.repo is not None:
            from tuitune.export.push import push

            address = push(order.out, order.repo, private=order.private, progress=self.progress, note=self.note)
        return Exported(
            order.out, order.form, order.number, size, order.dtype, difference, tuple(self.checks), self.file, address
        )


def _ends(model: Any) -> Ends:
    head = model.get_output_embeddings()
    ends = {id(end.weight): end.weight for end in (model.get_input_embeddings(), head) if end}
    tokens = int(model.get_input_embeddings().weight.shape[0])
    return Ends(sum(int(weight.numel()) for weight in ends.values()), int(head.weight.numel()) if head else 0, tokens)


def export(
    order: Order,
    *,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> Exported:
    """Write what is ordered to its new folder, whole or not at all.

    Raises ModelError where an adapter cannot be merged, what was made answers otherwise, or there is no room for it in
    memory or on the disk; DataError where there are no texts to calibrate on; UsageError where the folder exists.
    """
    return _Work(order, progress, note).run()
