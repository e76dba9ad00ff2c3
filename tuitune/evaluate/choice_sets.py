"""A benchmark read from its folder: the questions of one split by subject, and the answered examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuitune.errors import UsageError
from tuitune.evaluate.choice_files import File, files_of, split_name
from tuitune.evaluate.choice_rows import Question, questions_of
from tuitune.evaluate.choice_subjects import Subject, plain, subjects_of

_EXAMPLES = ("dev", "train", "validation")  # where examples come from: the first of these that a subject has

BySubject = dict[str, list[Question]]


@dataclass(frozen=True)
class QuestionSet:
    """Questions with answers, and the examples that may stand before them, by subject. notes: what was left out."""

    name: str
    questions: Mapping[str, Sequence[Question]]
    examples: Mapping[str, Sequence[Question]]
    mapping: Mapping[str, Subject]
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def read(cls, name: str, task_dir: Path, lang: str, *, shots: int) -> QuestionSet:
        """Read a benchmark such as mmlu_test from task_dir/mmlu. Raises UsageError or DataError."""
        task, split = split_name(name)
        folder = task_dir / task
        files, mapping = files_of(folder), subjects_of(folder, lang)
        there = sorted({file.split for file in files})
        if split not in there:
            raise UsageError(f"{folder} has no questions of the split {split}", f"it has {', '.join(there)}")
        found, notes = _mapped(_read(files, split), mapping, name)
        questions = _answered(found)
        left_out = _count(found) - _count(questions)
        if not questions:
            other = f", such as {task}_validation" if split == "test" else ""
            raise UsageError(f"{name} holds no answers: only its makers can score it", f"take another split{other}")
        if left_out:
            notes.append(f"{name}: {left_out} of {_count(found)} questions have no answer, and are left out")
        return cls(name, questions, _examples(files, split) if shots else {}, mapping, tuple(notes))

    def subject(self, key: str) -> Subject:
        """Return what a subject is called, and its category; the benchmark's name where it has no subjects."""
        return self.mapping.get(key) or plain(key or split_name(self.name)[0])

    def __len__(self) -> int:
        return _count(self.questions)


def _read(files: Iterable[File], split: str) -> BySubject:
    found: BySubject = {}
    for file in files:
        for question in questions_of(file) if file.split == split else ():
            own = found.setdefault(question.subject, [])
            own.append(replace(question, number=len(own) + 1))  # a subject may lie in several files
    return found


def _examples(files: Sequence[File], split: str) -> BySubject:
    found: BySubject = {}
    for kind in reversed(_EXAMPLES):
        if kind != split:
            found |= _answered(_read(files, kind))
    return found


def _answered(found: BySubject) -> BySubject:
    known = {key: [question for question in each if question.answer] for key, each in found.items()}
    return {key: each for key, each in known.items() if each}


def _mapped(found: BySubject, mapping: Mapping[str, Subject], name: str) -> tuple[BySubject, list[str]]:
    """Return the subjects that a mapping names, in its order, and what is to be said of the others."""
    if not mapping or found.keys() <= {""}:
        return found, []
    missing = [key for key in mapping if key not in found]
    strange = [key for key in found if key not in mapping]
    notes = [f"{name}: there are no questions for {listed(missing)}"] if missing else []
    notes += [f"{name}: {listed(strange)} not in its mapping.json, and left out"] if strange else []
    return {key: found[key] for key in mapping if key in found}, notes


def _count(found: Mapping[str, Sequence[Question]]) -> int:
    return sum(map(len, found.values()))


def listed(names: Sequence[str]) -> str:
    """Return the first of some names in words."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
