"""What an evaluation has found: figures of several models with their intervals, and what each made of every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

DATA = "data"  # the task that is the rows of a data set
_TITLES = {"accuracy": "tokens right", "exact_match": "exact match", "bleu-4": "BLEU-4"}

Status = Literal["running", "interrupted", "done"]
Role = Literal["tuned", "base", "other"]
Better = Literal["less", "more", ""]
Verdict = Literal["better", "worse", "unclear", "differs"]


def title_of(score: str) -> str:
    """Return what a score of a row is called, as its figure is; names of the user's own metrics stay."""
    return _TITLES.get(score) or (score.upper() if score.startswith("rouge-") else score)


@dataclass(frozen=True)
class Model:
    """Who was measured; `key` is short and unique, `title`, `model` and `adapters` are foreign text."""

    key: str
    title: str
    role: Role
    model: str
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """On what: `kind` is held_out, trained_on or given; `rows` of the `of` there are; `words` says it in a sentence."""

    name: str
    kind: Literal["held_out", "trained_on", "given"]
    rows: int
    of: int
    words: str
    stage: str


@dataclass(frozen=True)
class Estimate:
    """A figure of one model with its 95 % interval (None: too few rows, or nobody knows), over `n` rows."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """How much more a model has than `against`, with the 95 % interval of that difference, row by row."""

    against: str
    value: float
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Metric:
    """One figure of all models, by their keys. how: what it is and how its interval was found."""

    group: str
    key: str
    title: str
    unit: str
    better: Better
    how: str
    values: dict[str, Estimate]
    differences: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a model makes of one row. scores: by name; tokens: of its answer; ended: whether it ended it by itself."""

    text: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    tokens: int | None = None
    ended: bool | None = None

    def joined(self, more: Reply) -> Reply:
        """Return this with what `more` says."""
        own = self if more.text is None else more
        return Reply(own.text, self.scores | more.scores, own.tokens, own.ended)


@dataclass(frozen=True)
class Item:
    """One row or question; all its texts are foreign."""

    task: str
    id: str
    group: str = ""
    prompt: str = ""
    reference: str = ""
    answers: dict[str, Reply] = field(default_factory=dict)

    def joined(self, more: Item) -> Item:
        """Return this with the answers and texts of `more`."""
        answers = dict(self.answers)
        for model, reply in more.answers.items():
            answers[model] = answers[model].joined(reply) if model in answers else reply
        return replace(
            self, group=self.group or more.group, prompt=self.prompt or more.prompt,
            reference=self.reference or more.reference, answers=answers,
        )  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """One evaluation; `path` is its folder. settings: what its figures depend on; asked: how to ask for it again."""

    path: Path
    subject: str
    name: str
    created: float
    status: Status
    models: tuple[Model, ...]
    data: Data | None = None
    tasks: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    notes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    seconds: float = 0.0
    settings: Mapping[str, object] = field(default_factory=dict)
    asked: Mapping[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name

    def metric(self, key: str, group: str = DATA) -> Metric | None:
        """Return one figure, None where it was not measured."""
        return next((each for each in self.metrics if (each.group, each.key) == (group, key)), None)
