"""The declarations, read: one `Field` per key, for the validator, forms, help and the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from tuitune.recipe.fields import GROUPS
from tuitune.recipe.option import Meta, Options, Purpose, When
from tuitune.recipe.shapes import Kind


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers allowed; an open end is not itself allowed."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False

    def __bool__(self) -> bool:
        """Return whether there is a limit at all."""
        return self.low is not None or self.high is not None

    def words(self) -> str:
        """Return the range as the end of a sentence that starts with 'must be'."""
        low = "" if self.low is None else f"{'more than' if self.low_open else 'at least'} {self.low:.10g}"
        high = "" if self.high is None else f"{'less than' if self.high_open else 'at most'} {self.high:.10g}"
        return " and ".join(part for part in (low, high) if part)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a recipe.

    `kind` is flag, number, whole, share, text, names, settings or choice. `planned` are values of LLaMA-Factory that
    TuiTune refuses as not built yet, `inert` says why a key is accepted without an effect. `essential` ones stand in a
    form even when the recipe leaves them out; `fixed` ones cannot change while a run is under way. `purpose` says which
    command reads it, `also` which others do.
    """

    name: str
    kind: str
    default: object
    help: str
    group: str
    choices: tuple[str, ...] = ()
    range: Range = Range()
    unit: str = ""
    nullable: bool = False
    required: bool = False
    essential: bool = False
    fixed: bool = False
    inert: str = ""
    planned: Mapping[object, str] | None = None
    when: tuple[When, ...] = ()
    read_as: Mapping[object, tuple[str, str]] | None = None
    purpose: Purpose = "train"
    also: tuple[Purpose, ...] = ()

    def applies(self, values: Mapping[str, object]) -> bool:
        """Return whether the key means anything in a recipe with these values; keys that it lacks count as default."""
        known = {key: FIELDS[key].default for condition in self.when for key in condition.keys}
        known.update({key: value for key in known if (value := values.get(key)) is not None})
        return all(condition.holds(known) for condition in self.when)

    def condition(self) -> str:
        """Return in words when the key applies; empty when always."""
        return " and ".join(condition.words() for condition in self.when)


def _parts(annotation: object) -> Iterator[object]:
    """Yield an annotation, and everything nested in it."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _parts(part)


def _range(info: FieldInfo) -> Range:
    low = high = None
    low_open = high_open = False
    for limit in info.metadata:
        if isinstance(limit, annotated_types.Ge | annotated_types.Gt):
            low_open = isinstance(limit, annotated_types.Gt)
            low = _number(limit.gt if isinstance(limit, annotated_types.Gt) else limit.ge)
        if isinstance(limit, annotated_types.Le | annotated_types.Lt):
            high_open = isinstance(limit, annotated_types.Lt)
            high = _number(limit.lt if isinstance(limit, annotated_types.Lt) else limit.le)
    return Range(low, high, low_open, high_open)


def _number(limit: object) -> float:
    assert isinstance(limit, int | float)
    return limit


def _field(group: type[Options], name: str, info: FieldInfo) -> Field:
    extra = info.json_schema_extra
    meta = extra.get("meta") if isinstance(extra, dict) else None
    assert isinstance(meta, Meta), f"{name} is declared without option()"
    annotation: object = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    parts = list(_parts(annotation))
    literals = [part for part in parts if get_origin(part) is Literal]
    kinds = [part.name for part in parts if isinstance(part, Kind)]
    return Field(
        name=name,
        kind="choice" if literals else kinds[0],
        default=info.default,
        help=info.description or "",
        group=group.GROUP,
        choices=get_args(literals[0]) if literals else (),
        range=_range(info),
        unit=meta.unit,
        nullable=type(None) in parts,
        required=meta.required,
        essential=meta.essential,
        fixed=group.FIXED if meta.fixed is None else meta.fixed,
        inert=meta.inert,
        planned=meta.planned,
        when=group.WHEN + meta.when,
        read_as=meta.read_as,
        purpose=group.PURPOSE,
        also=meta.also,
    )


FIELDS: dict[str, Field] = {
    name: _field(group, name, info) for group in GROUPS for name, info in group.model_fields.items()
}
