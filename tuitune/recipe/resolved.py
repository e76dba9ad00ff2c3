"""Every value in force, written out."""

from __future__ import annotations

from tuitune.recipe.field import FIELDS, Field
from tuitune.recipe.fields import GROUPS
from tuitune.recipe.recipe import Recipe
from tuitune.recipe.yamltext import dump

# Read as warmup_steps, and so written as that.
_SPELT_OTHERWISE = frozenset({"warmup_ratio"})


def resolved(recipe: Recipe) -> str:
    """Return a recipe, as YAML, that gives every applicable key the value it has in this one.

    Keys under a condition that does not hold, and keys without an effect, are left out.
    """
    values: dict[str, object] = {name: getattr(recipe, name) for name in FIELDS}
    lines: list[str] = []
    for group in GROUPS:
        fields = [field for field in FIELDS.values() if field.group == group.GROUP and _counts(field, values)]
        if fields:
            lines += ["", f"### {group.GROUP}"]
            lines += [f"{field.name}: {_written(field, values[field.name])}" for field in fields]
    return "\n".join(lines[1:]) + "\n"


def _counts(field: Field, values: dict[str, object]) -> bool:
    read = field.purpose == "train" and field.name not in _SPELT_OTHERWISE
    return read and not field.inert and field.applies(values)


def _written(field: Field, value: object) -> str:
    if field.kind == "share" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple) and value and not any("," in name for name in value):
        return dump(",".join(value))
    return "null" if value == () else dump(value)
