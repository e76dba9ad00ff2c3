"""What the Export screen asks for: the forms to choose from, and what an export will take. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuitune.errors import RecipeError, TuiTuneError
from tuitune.export.history import Done, commands, known, told
from tuitune.export.memory import GGUF_BITS, SCALES, gguf_size, size_in
from tuitune.export.order import Order
from tuitune.export.outline import Outline, outline
from tuitune.export.push import refuse_impossible
from tuitune.face.exporting import order_of
from tuitune.recipe import FIELDS
from tuitune.run import places
from tuitune.tui.subjects import named, run_of

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Preset:
    """A form to choose: its name, what it is good for, the keys that it sets, and the bits of a weight."""

    slug: str
    name: str
    good: str
    values: Values
    bits: float
    calibrated: bool = False

    def size(self, made: Outline) -> int | None:
        """Return about how many bytes the model takes in this form."""
        if made.parameters is None:
            return None
        if (kind := self.values.get("export_gguf_type")) is not None:
            return gguf_size(str(kind), made.parameters, made.head, made.tokens)
        whole = "export_quantization_bit" in self.values
        return size_in(self.bits, made.parameters, made.embedded if whole else 0) + made.beside


def _gguf(kind: str, good: str) -> Preset:
    values = {"export_format": "gguf", "export_gguf_type": kind}
    return Preset(kind.lower(), f"GGUF {kind}", good, values, GGUF_BITS[kind])


def _bits(slug: str, name: str, good: str, bits: int, method: str) -> Preset:
    values = {"export_quantization_bit": bits, "export_quantization_method": method}
    return Preset(slug, name, good, values, bits + SCALES, method != "bnb")


PRESETS = (
    Preset("bf16", "merged, bfloat16", "transformers, vLLM, SGLang", {}, 16),
    Preset("fp32", "merged, float32", "no rounding, to go on from", {"export_dtype": "float32"}, 32),
    Preset("fp16", "merged, float16", "older GPUs", {"export_dtype": "float16"}, 16),
    _gguf("Q8_0", "Ollama and llama.cpp, nearly exact"),
    _gguf("Q4_0", "Ollama and llama.cpp, small"),
    _gguf("F16", "llama.cpp, to quantise further there"),
    _gguf("BF16", "llama.cpp, as exact as bfloat16"),
    _bits("bnb4", "4-bit bitsandbytes", "transformers, little memory", 4, "bnb"),
    _bits("bnb8", "8-bit bitsandbytes", "transformers, nearly exact", 8, "bnb"),
    _bits("gptq4", "4-bit GPTQ", "vLLM and SGLang; needs texts", 4, "gptq"),
    _bits("awq4", "4-bit AWQ", "vLLM and SGLang; needs texts", 4, "awq"),
)
FORM_KEYS = (
    "export_format", "export_dtype", "export_gguf_type", "export_quantization_bit", "export_quantization_method",
)  # fmt: skip
HUB_KEYS = ("export_hub_model_id", "export_hub_private")  # of one model: another one goes elsewhere


def preset_of(values: Values) -> Preset | None:
    """Return the form that settings ask for, None where they ask for another one."""
    form = {key: values[key] for key in FORM_KEYS if values.get(key) is not None and _means(key, values)}
    return next((preset for preset in PRESETS if _whole(preset.values) == _whole(form)), None)


def _means(key: str, values: Values) -> bool:
    return FIELDS[key].applies({name: values.get(name, FIELDS[name].default) for name in FIELDS})


def _whole(values: Values) -> dict[str, object]:
    """Return values without those that change nothing."""
    kept = {key: value for key, value in values.items() if value != FIELDS[key].default}
    method = kept.get("export_quantization_bit") and values.get("export_quantization_method", "gptq")
    return kept | ({"export_quantization_method": method} if method else {})


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the settings. more: further adapters; shares: how much of an adapter, by its folder.

    out: the folder that the user named, None for one that is found.
    """

    subject: str | None = None
    more: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    out: str | None = None


@dataclass(frozen=True)
class Earlier:
    """An export that was made, what was checked then, and commands that use it."""

    done: Done
    checks: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What would happen. trouble: why nothing would, in words; then there may be neither order nor outline."""

    argv: tuple[str, ...] = ()
    order: Order | None = None
    outline: Outline | None = None
    trouble: tuple[str, ...] = ()
    earlier: tuple[Earlier, ...] = ()

    @property
    def command(self) -> str:
        """The command that does the same, as a shell takes it."""
        return shlex.join(["tuitune", *self.argv])


def plan(asked: Asked, settings: Sequence[str], slug: str) -> Plan:
    """Return what an export would take; reads heads of files. slug: the form, for the folder's name."""
    if asked.subject is None:
        return Plan(trouble=("choose what to export: w",))
    out = asked.out or str(place_for(asked.subject, slug))
    words = list(settings)
    try:
        order = order_of(asked.subject, out, settings, more=asked.more)
        shares = [asked.shares.get(str(path), 1.0) for path in order.weights.adapters]
        if any(share != 1 for share in shares):
            words.append("export_adapter_weights=" + ",".join(f"{share:g}" for share in shares))
            order = replace(order, shares=tuple(shares))
    except RecipeError as error:
        return Plan(_argv(asked, out, words), trouble=tuple(str(each) for each in error.problems))
    except TuiTuneError as error:
        return Plan(_argv(asked, out, words), trouble=tuple(filter(None, (error.message, error.hint))))
    made = outline(order)
    return Plan(_argv(asked, out, words), order, made, (*made.problems, *_unpushed(order)), tuple(earlier(order)))


def _unpushed(order: Order) -> Iterator[str]:
    """Yield why it could not be pushed from here, and what helps: before the work, which takes minutes."""
    if order.repo is not None:
        try:
            refuse_impossible(order.repo)
        except TuiTuneError as error:
            yield f"it cannot be pushed to {order.repo}: {error.message}"
            yield error.hint


def _argv(asked: Asked, out: str, words: Sequence[str]) -> tuple[str, ...]:
    more = [word for each in asked.more for word in ("--with", each)]
    return ("export", asked.subject or "RUN", out, *words, *more)


def place_for(subject: str, slug: str) -> Path:
    """Return a folder that is not there yet."""
    name = named(subject).replace("/", "-") or "model"
    folder = places.home() / "exports"
    first = folder / f"{name}-{slug}"
    return next(path for n in range(1, 10_000) if not (path := _numbered(first, n)).exists())


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.name}-{number}")


def earlier(order: Order) -> list[Earlier]:
    """Return the exports of what is ordered, the newest first; of a run those of all its weights."""
    run = run_of(order.subject)
    whole = run is not None and (not Path(order.subject).is_absolute() or Path(order.subject) == run.path)
    within = f"{run.path.resolve()}/" if run is not None and whole else None
    found = [done for done in known() if done.subject == order.source or (within and done.subject.startswith(within))]
    return [Earlier(done, tuple(_checks(Path(done.path))), tuple(commands(Path(done.path)))) for done in found]


def _checks(folder: Path) -> Iterator[str]:
    """Yield what export.json says was compared."""
    made = told(folder).get("checks")
    for check in made if isinstance(made, list) else []:
        if isinstance(check, dict) and isinstance(check.get("relative"), float):
            against = f", against {check['against']}" if check.get("against") else ""
            what = f"{check.get('what')}".rstrip(",") + against
            yield f"{what}: relative error {check['relative']:.2g} ({check.get('bound')})"
