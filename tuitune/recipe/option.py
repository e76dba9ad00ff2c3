"""The declaration of one recipe key: `rank: Whole = option(8, "...", ge=1)` in a mixin of its group.

Everything else (validation, form, help, schema, reference) is made from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict
from pydantic import Field as pydantic_field

if TYPE_CHECKING:
    from pydantic.config import JsonDict

    from tuitune.recipe.recipe import Recipe

_ANYTHING = ("anything",)
Purpose = Literal["train", "export", "evaluate", "serve"]
"""What a recipe is read for: the keys of other commands mean nothing to it."""


@dataclass(frozen=True, slots=True)
class When:
    """A condition on another key: it has one of `values`, or any value at all; or else another condition holds."""

    key: str
    values: tuple[object, ...] = _ANYTHING
    other: When | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that decide."""
        return (self.key, *(self.other.keys if self.other else ()))

    def holds(self, values: Mapping[str, object]) -> bool:
        """Return whether the condition holds for these values, which must include defaults."""
        value = values.get(self.key)
        own = bool(value) if self.values is _ANYTHING else value in self.values
        return own or (self.other is not None and self.other.holds(values))

    def words(self) -> str:
        """Return the condition as a recipe writes it."""
        either = f" or {self.other.words()}" if self.other else ""
        if self.values is _ANYTHING:
            return f"{self.key} is set{either}"
        values = [str(value).lower() for value in self.values]
        most = values if len(values) < 4 else [", ".join(values[:-1]), values[-1]]
        return f"{self.key}: {' or '.join(most)}{either}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement about several keys; `when` says that it is broken, `reason` and `hint` say what to do.

    The problem is filed under the first of `keys` that was asked for. A rule is skipped while one of its keys has a
    problem of its own, because its value is not known then. `training` ones hold only where a recipe is to be trained.
    """

    keys: tuple[str, ...]
    when: Callable[[Recipe], bool]
    reason: str
    hint: str = ""
    level: Literal["error", "warning"] = "error"
    training: bool = False


@dataclass(frozen=True, slots=True)
class Meta:
    """What pydantic has no place for."""

    unit: str = ""
    when: tuple[When, ...] = ()
    planned: Mapping[object, str] = field(default_factory=dict)
    inert: str = ""
    required: bool = False
    essential: bool = False
    fixed: bool | None = None
    read_as: Mapping[object, tuple[str, str]] = field(default_factory=dict)
    also: tuple[Purpose, ...] = ()


class Options(BaseModel):
    """The base of the groups; `GROUP` heads them in forms, `WHEN` holds for all keys of one.

    `FIXED` says that a run which was begun cannot go on with other values of the keys of this group; `PURPOSE` which
    command reads them.
    """

    # A group is validated as a part of the recipe, never by itself, so it needs no validator of its own.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    GROUP: ClassVar[str]
    WHEN: ClassVar[tuple[When, ...]] = ()
    FIXED: ClassVar[bool] = False
    PURPOSE: ClassVar[Purpose] = "train"


def option(
    default: object,
    text: str,
    *,
    unit: str = "",
    when: When | tuple[When, ...] = (),
    planned: Mapping[object, str] | None = None,
    inert: str = "",
    required: bool = False,
    essential: bool = False,
    fixed: bool | None = None,
    read_as: Mapping[object, tuple[str, str]] | None = None,
    also: tuple[Purpose, ...] = (),
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:  # as pydantic's own Field: the annotation beside it decides
    """Declare a key.

    `text` is its help; `unit` names what a number counts; `when` says for which recipes the key means anything;
    `planned` holds values that LLaMA-Factory knows and TuiTune does not yet, each with a hint; `inert` says why the key
    is accepted without an effect; `essential` keys stand in the form of a recipe that leaves them out; `fixed` says
    whether a run keeps the value it began with (unset: what its group says); `read_as` holds other spellings with the
    value they mean and a word on why; `also` names commands that read it beside that of its group.
    """
    conditions = (when,) if isinstance(when, When) else when
    meta = Meta(unit, conditions, planned or {}, inert, required, essential, fixed, read_as or {}, also)
    extra = cast("JsonDict", {"meta": meta})
    return pydantic_field(default, description=text, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra)
