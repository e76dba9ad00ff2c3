"""The JSON schema of a recipe, for editors that complete and check YAML."""

from __future__ import annotations

from tuitune.recipe.field import FIELDS, Field
from tuitune.recipe.foreign import ABSENT, INERT, RENAMED

_TYPES = {"flag": "boolean", "whole": "integer", "number": "number", "share": "number", "text": "string"}


def schema() -> dict[str, object]:
    """Return the schema (draft 2020-12): every key with help, default, choices and range; no other keys."""
    properties: dict[str, object] = {name: _property(field) for name, field in FIELDS.items()}
    for name, renamed in RENAMED.items():
        properties[name] = {"deprecated": True, "description": f"Another name for {renamed.key}."}
    for name, (feature, defaults) in ABSENT.items():
        off = [None, False, *defaults] if not any(value is True for value in defaults) else [None, *defaults]
        properties[name] = {"enum": _unique(off), "deprecated": True, "description": f"Not supported yet: {feature}."}
    for name, (why, _) in INERT.items():
        properties[name] = {"deprecated": True, "description": f"Has no effect: {why}."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "TuiTune recipe",
        "description": "What one run is asked for; the keys are LLaMA-Factory's and a few of TuiTune's own.",
        "type": "object",
        "properties": properties,
        "required": [name for name, field in FIELDS.items() if field.required],
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, object]:
    made: dict[str, object] = {**_type(field), **_limits(field), "description": _description(field)}
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    if not field.required:
        made["default"] = default
    if field.inert:
        made["deprecated"] = True
    return made


def _type(field: Field) -> dict[str, object]:
    """Return the type; null always means 'not given'."""
    if field.kind == "choice":
        return {"enum": [*field.choices, *(field.read_as or ()), None, *_booleans(field)]}
    if field.kind == "names":
        return {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "string"}}]}
    if field.kind == "settings":
        return {"type": ["object", "null"]}
    if field.kind == "flag" and field.planned:
        return {"enum": [value for value in (True, False) if value not in field.planned] + [None]}
    return {"type": [_TYPES[field.kind], "null"]}


def _booleans(field: Field) -> list[bool]:
    """Return the booleans that a choice reads as words: YAML 1.1's bare no, and counters that were flags once."""
    if "all" in field.choices:
        return [False, True]
    return [False] if "no" in field.choices else []


def _limits(field: Field) -> dict[str, object]:
    limits: dict[str, object] = {}
    if field.range.low is not None:
        limits["exclusiveMinimum" if field.range.low_open else "minimum"] = field.range.low
    if field.range.high is not None:
        limits["exclusiveMaximum" if field.range.high_open else "maximum"] = field.range.high
    return limits


def _description(field: Field) -> str:
    parts = [field.help]
    if field.unit:
        parts.append(f"Unit: {field.unit}.")
    if field.when:
        parts.append(f"Applies when {field.condition()}.")
    if field.inert:
        parts.append(f"Has no effect here: {field.inert}.")
    return " ".join(parts)


def _unique(values: list[object]) -> list[object]:
    """Return the values without repeats; JSON schema tells 1 from true, Python's equality does not."""
    found: list[object] = []
    for value in values:
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return found
