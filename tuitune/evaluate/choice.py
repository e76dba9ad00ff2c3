"""Multiple-choice benchmarks in the form of MMLU, C-Eval and CMMLU: which letter does the model think likeliest?

As in Hendrycks et al. (arXiv 2009.03300) and LLaMA-Factory's evaluator: some answered examples of the subject, the
question, and the likeliest of the letters A, B, C, D as the next token. The examples are the first ones of the
benchmark's dev split, the same before every question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tuitune.errors import DataError
from tuitune.evaluate.choice_prompts import Letters, asked, messages
from tuitune.evaluate.choice_rows import Question
from tuitune.evaluate.choice_sets import QuestionSet, listed
from tuitune.evaluate.scores import Series
from tuitune.run.evaluation import Item, Reply

if TYPE_CHECKING:
    from tuitune.evaluate.choice_asking import Answered, Asker, Prompt
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around, Kept
    from tuitune.recipe import Recipe

AVERAGE = "average"
_RIGHT = "right"
_ORDER = ("STEM", "Social Sciences", "Humanities", "Other")


class Choice:
    """A benchmark by its name in task_dir, such as mmlu_test; its questions are read at once."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        """Read the files. Raises UsageError or DataError."""
        self.name, self._recipe = name, recipe
        self.set = QuestionSet.read(name, recipe.locate(recipe.task_dir), recipe.lang, shots=recipe.n_shot)

    def run(self, partner: Partner, around: Around, kept: Kept) -> list[Series]:
        """Ask every question that is not answered yet.

        Raises ModelError where letters are no tokens, DataError where no question fits.
        """
        from tuitune.evaluate.choice_asking import Asker

        for note in self.set.notes:
            around.note(note)
        most = max(len(question.options) for each in self.set.questions.values() for question in each)
        letters = Letters.of(partner.template, partner.tokenizer, most)
        asker = Asker(partner, around, letters, self._recipe.batch_size)
        answered: list[Item] = []
        fewest: dict[str, int] = {}
        passed = 0
        for key, questions in self.set.questions.items():
            around.check()
            prompts = [made for each in questions if (made := self._prompt(each, partner, letters)) is not None]
            passed += len(questions) - len(prompts)
            fewest[key] = min((prompt.shots for prompt in prompts), default=self._recipe.n_shot)
            for done in self._answered(asker, prompts, partner.key, kept):
                answered += done
                around.progress(f"{self.name}, {partner.key}", len(answered) + passed, len(self.set))
        self._tell(fewest, passed, around)
        if not answered:
            raise DataError(f"no question of {self.name} fits into the {partner.context} tokens of {partner.title}")
        return self._series(answered, partner.key)

    def _answered(self, asker: Asker, prompts: Sequence[Prompt], model: str, kept: Kept) -> Iterator[list[Item]]:
        """Yield the items in the order of the prompts, batch by batch; those from before are taken as they are."""
        for before, several in groupby(prompts, lambda prompt: _id(prompt.question) in kept.before):
            if before:
                yield [kept.before[_id(prompt.question)] for prompt in several]
                continue
            for done in asker.ask(list(several)):
                items = [_item(self.name, each, model, self._recipe.lang) for each in done]
                for item in items:
                    kept.add(item)
                yield items

    def _prompt(self, question: Question, partner: Partner, letters: Letters) -> Prompt | None:
        """Return a question as tokens, with as many examples before it as fit; None where even none do not help."""
        from tuitune.evaluate.choice_asking import Prompt

        examples = self.set.examples.get(question.subject, ())[: self._recipe.n_shot]
        for count in range(len(examples), -1, -1):
            talk = messages(question, examples[:count], self.set.subject(question.subject).name, self._recipe.lang)
            ids = [*partner.template.prompt_ids(talk, partner.tokenizer), *letters.before]
            if partner.context is None or len(ids) < partner.context:
                return Prompt(question, ids, count)
        return None

    def _tell(self, fewest: dict[str, int], passed: int, around: Around) -> None:
        wanted = self._recipe.n_shot
        short = [key or self.name for key, count in fewest.items() if count < wanted]
        if short:
            around.note(
                f"{self.name}: fewer than {wanted} examples (at least {min(fewest.values())}) stand before questions "
                f"of {listed(short)}: there are no more, or no more fit into the model's context"
            )
        if passed:
            around.note(f"{self.name}: {passed} questions are longer than the model's context, and are left out")

    def _series(self, answered: Sequence[Item], model: str) -> list[Series]:
        groups: dict[str, list[Item]] = {AVERAGE: list(answered)}
        categories = {self.set.subject(each.group).category for each in answered} - {""}
        for category in sorted(categories, key=_place):
            groups[category] = [each for each in answered if self.set.subject(each.group).category == category]
        if len(self.set.questions) > 1:
            for key in self.set.questions:
                own = [each for each in answered if each.group == key]
                groups |= {f"subject {key}" if key in groups else key: own} if own else {}
        return [_series(name, each, model) for name, each in groups.items()]


def _place(category: str) -> tuple[int, str]:
    return (_ORDER.index(category) if category in _ORDER else len(_ORDER)), category


def _id(question: Question) -> str:
    return f"{question.subject}:{question.number}" if question.subject else str(question.number)


def _series(name: str, answered: Sequence[Item], model: str) -> Series:
    values = [each.answers[model].scores[_RIGHT] for each in answered]
    return Series(name, name.replace("_", " "), values, [each.id for each in answered], unit="%", scale=100)


def _item(task: str, each: Answered, model: str, lang: str) -> Item:
    question = each.question
    scores = {_RIGHT: float(each.right), "share": each.shares[question.letters.index(question.answer)]}
    reply = Reply(each.said, scores)
    return Item(task, _id(question), question.subject, asked(question, lang), question.answer, {model: reply})
