"""What the Evaluate screen asks the command for, beside the subject and the settings; kept between sessions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import orjson

from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.packing import pack, record, restore
from tuitune.text import clean_line
from tuitune.tui.subjects import named

Answers = Literal["likeliest", "drawn", "none"]
_WORDS = {"likeliest": "the likeliest", "drawn": "drawn at random", "none": "none"}
_NOTES = {"likeliest": "greedy", "drawn": "as in the settings", "none": "loss and benchmarks only"}
_SAMPLED = ("temperature=", "top_p=", "top_k=")
ANSWERS: tuple[Answers, ...] = ("likeliest", "drawn", "none")


@dataclass(frozen=True)
class Asked:
    """With whom the subject is compared, on which rows, whether it answers, and by which files of the user's.

    base: also the model as it was before training. others: more subjects. data: a data set or file in place of the rows
    that the run held back. rows: at most so many.
    """

    base: bool = True
    others: tuple[str, ...] = ()
    data: str = ""
    rows: int | None = None
    answers: Answers = "likeliest"
    metrics: tuple[str, ...] = ()

    def argv(self, subject: str, settings: Sequence[str]) -> list[str]:
        """Return the words after `tuitune` that do it."""
        words = ["evaluate", subject, *settings]
        words += [] if self.base else ["--no-base"]
        words += [word for other in self.others for word in ("--with", other)]
        words += ["--data", self.data] if self.data else []
        words += ["--rows", str(self.rows)] if self.rows is not None else []
        words += {"likeliest": [], "drawn": ["--sample"], "none": ["--no-answers"]}[self.answers]
        if self.answers == "drawn" and any(word.startswith(_SAMPLED) for word in settings):
            words.append("do_sample=true")  # the recipe of the run may say otherwise, and those would mean nothing
        return words + [word for path in self.metrics for word in ("--metric", path)]

    def swapped(self, old: str, new: str) -> Asked:
        """Return it with another model in the place of one."""
        return replace(self, others=tuple(dict.fromkeys(new if each == old else each for each in self.others)))

    def measured_by(self, old: str, path: str) -> Asked:
        """Return it with a file of metrics in the place of another; either may be "": none."""
        kept = [each for each in self.metrics if each not in (old, path)]
        return replace(self, metrics=(*kept, *([path] if path else [])))

    def turned(self, line: Line, by: int) -> Asked:
        """Return it with the next choice of a line, where that has choices."""
        match line.kind:
            case "base":
                return replace(self, base=not self.base)
            case "answers":
                return replace(self, answers=ANSWERS[(ANSWERS.index(self.answers) + by) % len(ANSWERS)])
        return self

    def without(self, line: Line) -> Asked:
        """Return it without what a line names, or with the line's default."""
        match line.kind:
            case "other":
                return replace(self, others=tuple(each for each in self.others if each != line.value))
            case "metric":
                return self.measured_by(line.value, "")
            case "base" | "data" | "rows" | "answers":
                default = getattr(Asked(), line.kind)
                return replace(self, **{line.kind: default})
        return self


def _file() -> Path:
    return places.home() / "options" / "evaluate.json"


def kept() -> Asked:
    """Return what was asked for last."""
    try:
        found: Asked = restore(Asked, orjson.loads(_file().read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return Asked()
    return found if found.answers in ANSWERS else Asked()


def keep(asked: Asked) -> None:
    """Remember what is asked for. A file that cannot be written is no reason to fail."""
    with contextlib.suppress(OSError):
        private_dir(places.home() / "options")
        write_atomic(_file(), pack(record(asked)))


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is about, its words; `value` is the other model or the file, where it is one of several."""

    kind: str
    name: str
    words: str
    note: str = ""
    value: str = ""


def lines_of(asked: Asked, subject: str | None, rows_of: str) -> list[Line]:
    """Return the lines of a form for what is asked; rows_of: which rows are measured where none are named."""
    whom = named(subject) if subject is not None else "choose one"
    lines = [Line("subject", "model", whom, "w" if subject is None else "")]
    lines.append(Line("base", "against", "its base" if asked.base else "no base"))
    lines += [Line("other", "and", named(each), value=each) for each in asked.others]
    lines.append(Line("add", "", "+ another model"))
    lines.append(Line("data", "rows of", clean_line(Path(asked.data).name or asked.data or rows_of)))
    lines.append(Line("rows", "at most", "all" if asked.rows is None else f"{asked.rows:,}", "rows"))
    lines.append(Line("answers", "answers", _WORDS[asked.answers], _NOTES[asked.answers]))
    lines += [Line("metric", "measured by", clean_line(Path(each).name), value=each) for each in asked.metrics]
    lines.append(Line("measure", "", "+ a metric of your own"))
    return lines
