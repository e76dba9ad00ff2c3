"""Which lines the recipe form has: the groups, and of each the fields that mean something now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tuitune.recipe import FIELDS, Field, Problem, Recipe
from tuitune.recipe.check import examine
from tuitune.recipe.option import Purpose
from tuitune.text import clean_line
from tuitune.tui.edited import Sections
from tuitune.tui.panes.form_words import LEFT, note_words, value_words

# The form's groups in the order of a decision; each holds one or several groups of the declarations.
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Model", ("model",)),
    ("Data", ("data",)),
    ("Method", ("method", "lora", "oft", "freeze", "adapter", "quantisation")),
    ("Preferences", ("preference",)),
    ("Answers and rewards", ("online",)),
    ("Full training", ("galore", "apollo", "badam", "muon")),
    ("Loss and noise", ("loss",)),
    ("Shape of the model", ("structure",)),
    ("Training", ("batch", "optimizer", "schedule", "precision")),
    ("Evaluation", ("evaluation",)),
    ("Logging and saving", ("logging", "trackers", "saving")),
    ("Answers", ("generation",)),
    ("Run", ("run",)),
    ("After training", ("export", "benchmark", "serving")),
)
OTHER = "Other keys"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the form: a field with its value in words; without a key a group's title, or a hint in its note.

    left: what is taken in place of the recipe's default where nothing is given, if the command has a word of its own.
    """

    key: str
    name: str
    value: str = ""
    note: str = ""
    given: bool = False
    changed: bool = False
    problem: Problem | None = None
    left: str = ""

    @property
    def level(self) -> str:
        """How bad the problem is: error, warning, or empty."""
        return self.problem.level if self.problem else ""


@dataclass(frozen=True, slots=True)
class View:
    """How much of the recipe to show: what is essential or given, all that applies, or what a search finds."""

    everything: bool = False
    query: str = ""
    revealed: frozenset[str] = frozenset()


def settled(field: Field) -> bool:
    """Return whether there is nothing to decide: one value only is possible so far, or none has an effect."""
    return bool(field.inert) or (field.kind == "flag" and bool(field.planned)) or len(field.choices) == 1


def form_lines(
    values: Mapping[str, object],
    problems: Sequence[Problem],
    changed: Set[str],
    view: View = View(),
    *,
    sections: Sections | None = None,
    purpose: Purpose = "train",
) -> list[Line]:
    """Return the lines of the form for these raw values; the last one says how much it leaves out.

    sections: the only keys to show, for a command that does something else than to train; all that apply are.
    """
    recipe = examine(values, purpose=purpose)[0]
    view = view if sections is None else replace(view, everything=True)
    worst: dict[str, Problem] = {}
    for problem in problems:
        known = worst.get(problem.key)
        if known is None or (known.level, problem.level) == ("warning", "error"):
            worst[problem.key] = problem
    lines: list[Line] = []
    hidden = 0
    for title, names in _sections(values) if sections is None else sections:
        fields = [_line(name, values, recipe, worst.get(name), name in changed, purpose) for name in names]
        shown = [line for line in fields if _visible(line, recipe, view, purpose)]
        hidden += sum(1 for line in fields if line not in shown and _offered(FIELDS.get(line.key), recipe, purpose))
        lines += [Line("", title), *shown] if shown else []
    if hidden and not view.query:
        lines.append(Line("", "", note=f"{hidden} more apply: a shows all, / finds"))
    return lines


def _sections(values: Mapping[str, object]) -> Iterator[tuple[str, Sequence[str]]]:
    for title, groups in SECTIONS:
        yield title, [field.name for group in groups for field in FIELDS.values() if field.group == group]
    yield OTHER, [key for key in values if key not in FIELDS]


def _line(
    key: str, values: Mapping[str, object], recipe: Recipe, problem: Problem | None, changed: bool, purpose: Purpose
) -> Line:
    field, raw, left = FIELDS.get(key), values.get(key), LEFT.get(purpose, {}).get(key, "")
    given = raw is not None
    line = Line(key, clean_line(key) or "''", given=given, changed=changed, problem=problem, left=left)
    if field is None:
        return replace(line, value=value_words(key, raw))
    if left and not given:
        return replace(line, value=left)
    value = raw if given else field.default
    if key == "lora_alpha" and not given:
        value = recipe.alpha
    note = note_words(field, value, recipe) or ("" if given else "default")
    return replace(line, value=value_words(key, value), note=note)


def _visible(line: Line, recipe: Recipe, view: View, purpose: Purpose) -> bool:
    field = FIELDS.get(line.key)
    if view.query:
        return _found(line, field, view.query) and (field is None or line.given or _offered(field, recipe, purpose))
    if field is None or line.level == "error" or line.key in view.revealed:
        return True
    if field.purpose not in ("train", purpose):
        return line.given
    if not _applies(field, recipe):
        return False
    wanted = view.everything or field.essential or _switched_on(field, recipe)
    return line.given or (wanted and not settled(field))


def _applies(field: Field, recipe: Recipe) -> bool:
    return field.applies(recipe.model_dump(include={key for each in field.when for key in each.keys}))


def _switched_on(field: Field, recipe: Recipe) -> bool:
    """Return whether the recipe has switched on what the field belongs to, such as use_galore."""
    switches = [FIELDS[key] for each in field.when for key in each.keys if key in recipe.asked]
    return any(each.kind == "flag" or each.default is None for each in switches)


def _offered(field: Field | None, recipe: Recipe, purpose: Purpose) -> bool:
    return field is not None and field.purpose in ("train", purpose) and not settled(field) and _applies(field, recipe)


def elsewhere(query: str, most: int) -> list[str]:
    """Return in words when the fields that a search means would apply, two lines for each, `most` at most."""
    plain = query.lower()
    found = [field for field in FIELDS.values() if field.when and plain in field.name]
    return [line for field in found[: most // 2] for line in (field.name, f"  {field.condition()}")]


def _found(line: Line, field: Field | None, query: str) -> bool:
    text = f"{line.key} {field.help if field else ''}".lower()
    return all(word in text for word in query.lower().replace(" ", " ").split())
