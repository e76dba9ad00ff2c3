"""From raw values to a recipe: every problem found, each in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tuitune.errors import RecipeError
from tuitune.recipe.field import FIELDS, Field
from tuitune.recipe.fields import RULES
from tuitune.recipe.foreign import ABSENT, INERT, RENAMED, asks_nothing, is_secret
from tuitune.recipe.option import Purpose, Rule
from tuitune.recipe.problems import Problem, named, shown
from tuitune.recipe.recipe import Recipe
from tuitune.recipe.shapes import as_flag

_NAMES = (*FIELDS, *ABSENT, *INERT, *RENAMED)
_EVALUATES = ("do_predict", "do_eval")  # how LLaMA-Factory's recipes say that they train nothing


class _Check:
    """One pass over the keys of a recipe; `problems` fills on the way."""

    def __init__(self, raw: Mapping[str, object], lines: Mapping[str, int], purpose: Purpose) -> None:
        self.raw = raw
        self.purpose = purpose
        self.lines = lines
        self.problems: list[Problem] = []
        self.values: dict[str, object] = {}
        self.origin: dict[str, str] = {}  # field -> the key it was written as
        self.broken: set[str] = set()

    def say(self, key: str, reason: str, hint: str = "", level: Literal["error", "warning"] = "error") -> None:
        """Add a problem about a key as it was written."""
        value = None if is_secret(key) and key not in FIELDS else self.raw.get(key)
        self.problems.append(Problem(key, value, reason, hint, self.lines.get(key), level))

    def sort(self) -> None:
        """Give each key to the field it belongs to, or say what it is."""
        for key, value in self.raw.items():
            if key in FIELDS:
                self._take(key, value)
            elif key in RENAMED:
                self._rename(key, value)
            elif is_secret(key):
                self._secret(key, value)
            elif key in ABSENT:
                self._absent(key, value)
            elif key in INERT:
                self._inert(key, value)
            else:
                self.say(key, "there is no such key", _nearest(key, _NAMES))

    def _take(self, key: str, value: object, written: str = "") -> None:
        if value is None:
            return
        field = FIELDS[key]
        hint = _planned(field, value)
        if hint is not None:
            self.broken.add(key)
            self.say(written or key, f"{shown(value)} is not supported yet", hint)
            return
        if field.read_as and isinstance(value, str | bool) and value in field.read_as:
            value, why = field.read_as[value]
            self.say(written or key, why, level="warning")
        self.values[key] = value
        self.origin[key] = written or key

    def _rename(self, key: str, value: object) -> None:
        renamed = RENAMED[key]
        try:
            value = None if value is None else renamed.read(value)
        except PydanticCustomError as error:
            self.say(key, error.message())
            return
        if value is None:
            return
        if self.raw.get(renamed.key) is not None:
            self.say(key, f"is another name for {renamed.key}, which is given too", "keep one of them")
            return
        self.say(key, f"is another name for {renamed.key}; read as that", level="warning")
        self._take(renamed.key, value, key)

    def _secret(self, key: str, value: object) -> None:
        if value not in (None, ""):
            self.say(
                key,
                "secrets never go into recipes, which are copied into every run",
                "remove it and set the HF_TOKEN environment variable (or the one of that service)",
            )

    def _absent(self, key: str, value: object) -> None:
        feature, defaults = ABSENT[key]
        if not asks_nothing(value, defaults):
            self.say(key, f"{feature} is not supported yet ({key}: {shown(value)})", "remove the key")

    def _inert(self, key: str, value: object) -> None:
        why, default = INERT[key]
        if not asks_nothing(value, (default,)):
            self.say(key, f"has no effect here: {why}", "remove the key", "warning")

    def build(self) -> Recipe:
        """Return the recipe of all values that are right; say what is wrong with the others."""
        while True:
            try:
                return Recipe.model_validate(self.values)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    self._refuse(detail)

    def _refuse(self, detail: ErrorDetails) -> None:
        key = str(detail["loc"][0])
        if key not in self.values:
            return
        field, value = FIELDS[key], self.values.pop(key)
        self.broken.add(key)
        self.say(self.origin[key], *_words(field, value, detail))

    def relate(self, recipe: Recipe) -> None:
        """Add what can only be said about the recipe as a whole."""
        values = recipe.model_dump()
        for rule in RULES:
            meant = self.purpose == "train" or not rule.training
            if meant and self.broken.isdisjoint(rule.keys) and rule.when(recipe):
                self.say(self._blamed(rule), rule.reason, rule.hint, rule.level)
        # What is refused needs no second word on where it would have an effect.
        refused = {problem.key for problem in self.problems if problem.level == "error"}
        for key in recipe.asked:
            if self.origin[key] not in refused:
                self._placed(FIELDS[key], values)

    def redirect(self) -> None:
        """Name the command that a recipe without data is for, where its keys tell: its other keys are right there."""
        meant = self._meant_for()
        if self.purpose != "train" or "dataset" in self.origin or meant is None:
            return
        moot = {"dataset", *_EVALUATES}
        self.problems = [each for each in self.problems if each.level == "error" and each.key not in moot]
        told = f"is missing: this reads like a recipe for `tuitune {meant}`, not for training"
        self.say("dataset", told, "give it to that command, or name the data to train on")

    def _meant_for(self) -> Purpose | None:
        if any(self.raw.get(key) is True for key in _EVALUATES):
            return "evaluate"
        return next((FIELDS[key].purpose for key in self.origin if FIELDS[key].purpose != "train"), None)

    def _placed(self, field: Field, values: Mapping[str, object]) -> None:
        key = self.origin[field.name]
        if values[field.name] is False or values[field.name] == field.default:
            return  # what is off, or as it would be anyway, has no effect anywhere
        if field.purpose not in ("train", self.purpose) and self.purpose not in field.also:
            self.say(key, f"has no effect here: `tuitune {field.purpose}` reads it", level="warning")
            return
        if not field.applies(values) and self.broken.isdisjoint(key for each in field.when for key in each.keys):
            self.say(key, f"has no effect here: it applies when {field.condition()}", level="warning")
        elif field.inert and values[field.name] != field.default:
            self.say(key, f"has no effect here: {field.inert}", "remove the key", "warning")

    def _blamed(self, rule: Rule) -> str:
        return next((self.origin[key] for key in rule.keys if key in self.origin), rule.keys[0])


def _planned(field: Field, value: object) -> str | None:
    planned = field.planned or {}
    if field.kind == "flag":
        try:
            value = as_flag(value)
        except PydanticCustomError:
            return None
    return planned.get(value) if isinstance(value, str | bool) else None


def _words(field: Field, value: object, detail: ErrorDetails) -> tuple[str, str]:
    context = detail.get("ctx", {})
    if detail["type"] == "recipe":
        return str(context["reason"]), str(context["hint"])
    if field.choices:
        found = f"{shown(value)} is not one of: {', '.join(field.choices)}"
        return found, _nearest(value, field.choices) if isinstance(value, str) else ""
    if field.range:
        unit = f" ({field.unit})" if field.unit else ""
        return f"{shown(value)} is out of range: must be {field.range.words()}{unit}", ""
    return f"{shown(value)} is not possible here", ""


def _nearest(word: str, known: tuple[str, ...]) -> str:
    plain = word.lower().replace("-", "_").replace(" ", "_")
    begun = [name for name in known if plain and name.startswith(plain)]
    close = begun or difflib.get_close_matches(plain, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""


def examine(
    raw: Mapping[str, object],
    lines: Mapping[str, int] | None = None,
    source: Path | None = None,
    purpose: Purpose = "train",
) -> tuple[Recipe, list[Problem]]:
    """Return the recipe of all values that are right, and all problems in the order of the file.

    purpose: the command that reads it; only training needs data.
    """
    check = _Check(raw, lines or {}, purpose)
    check.sort()
    recipe = check.build()
    check.relate(recipe)
    check.redirect()
    problems = sorted(check.problems, key=lambda problem: problem.line or len(check.lines) + 10**6)
    warnings = tuple(problem for problem in problems if problem.level == "warning")
    return recipe._with_origin(source, warnings), problems


def checked(
    raw: Mapping[str, object],
    lines: Mapping[str, int] | None = None,
    source: Path | None = None,
    purpose: Purpose = "train",
) -> Recipe:
    """Return the recipe. Raises RecipeError with all problems if one of them is an error."""
    recipe, problems = examine(raw, lines, source, purpose)
    if any(_errors(problems)):
        raise RecipeError(problems, named(source))
    return recipe


def _errors(problems: list[Problem]) -> Iterator[Problem]:
    return (problem for problem in problems if problem.level == "error")
