"""One model on the rows: what has not been measured yet is, and written down as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuitune.data.options import KINDS
from tuitune.evaluate import answers, heldout, likelihood, rewards
from tuitune.evaluate.figures import Further
from tuitune.evaluate.texts import Written, written
from tuitune.run.evaluation import DATA, Item, Reply
from tuitune.stages.likeness import missing, one
from tuitune.stages.preference import Preference
from tuitune.stages.reference_sums import plain

if TYPE_CHECKING:
    from tuitune.evaluate.heldout import Choice, Held
    from tuitune.evaluate.own_metrics import OwnMetric
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.request import Request
    from tuitune.evaluate.scores import Around
    from tuitune.evaluate.sheet import Sheet
    from tuitune.stages.online.rewards import Rewards

Row = Callable[[str, str, str], None]
_ANSWERED = ("answer", "prompt")  # kinds of rows whose prompts are put to the models


@dataclass
class HeldOut:
    """The rows of an evaluation and what is done with them; `begin` must be called with the first model."""

    request: Request
    choice: Choice
    own: Sequence[OwnMetric]
    around: Around
    sheet: Sheet
    row: Row
    held: Held | None = None
    texts: Mapping[str, Written] = field(default_factory=dict)
    _read: dict[str, Held] = field(default_factory=dict)  # by language
    _tokens: dict[str, Mapping[str, bytes]] = field(default_factory=dict)  # by language, of the chosen rows
    _languages: dict[str, str] = field(default_factory=dict)  # by the models' keys
    _rewards: Rewards | None = None
    _longest: int = 0  # tokens of the data's longest answer, for the first tokenizer: one limit for all models

    @property
    def kind(self) -> str:
        """What a row is: text, answer, pair, label or prompt."""
        return KINDS[self.request.recipe.stage]

    @property
    def answered(self) -> bool:
        """Whether the models are to answer the prompts."""
        return self.request.answers and self.kind in _ANSWERED

    def begin(self, partner: Partner) -> Held:
        """Read the rows, choose among them, and say what is not going to be measured."""
        whole = heldout.read(self.choice, partner.tokenizer, partner.template, self.around)
        self._read[partner.language] = whole
        recipe = self.request.recipe
        self.held = heldout.sampled(whole, self.choice, self.request.rows, recipe.seed)
        self.texts = written(self.choice, self.held, self.around)
        asked, self._longest = _questions(partner, self.held)
        references = {question.id: question.reference for question in asked}
        self.sheet.plan([
            Item(DATA, name, prompt=self._text(name), reference=references.get(name, "")) for name in self.held.ids
        ])  # fmt: skip
        self._say(len(self.held.ids) - len(asked))
        self._try_metrics(references)
        if self.answered and self.kind == "prompt":
            self._rewards = rewards.wanted(partner, self.around)
        return self.held

    def _text(self, name: str) -> str:
        return self.texts[name].prompt if name in self.texts else ""

    def _say(self, unasked: int) -> None:
        note, kind = self.around.note, self.kind
        if self.choice.why:
            note(f"{self.choice.why}{'; ' + self.choice.hint if self.choice.hint else ''}")
        if self.request.answers and not self.answered:
            what = "texts without prompts" if kind == "text" else "judged by how likely their answers are"
            note(f"answers are not asked for: rows of stage {self.request.recipe.stage} are {what}")
        elif self.answered and unasked:
            note(f"{unasked} rows have no prompt before their answer and are not asked")
        if self.answered and kind == "answer":
            for words in missing():
                note(f"{words}: pip install 'tuitune[metrics]'")
        if kind == "prompt":
            note(f"rows of stage {self.request.recipe.stage} are prompts: there is no loss to measure, answers are")

    def _try_metrics(self, references: Mapping[str, str]) -> None:
        """Call each metric with the data's own answer to the first row: what is wrong with it shows at once."""
        for name, reference in list(references.items())[:1] if self.answered else ():
            for metric in self.own:
                metric(name, reference, self._text(name), reference, self._columns(name))

    def _columns(self, name: str) -> Mapping[str, object]:
        return self.texts[name].columns if name in self.texts else {}

    def alike(self, one: str, other: str) -> bool:
        """Tell whether two models, by their keys, read the same tokens in every row that both can read."""
        first, second = (self._tokens.get(self._languages.get(key, ""), {}) for key in (one, other))
        return all(second.get(name, tokens) == tokens for name, tokens in first.items())

    def of(self, partner: Partner) -> Held:
        """Return the chosen rows as this model reads them."""
        assert self.held is not None
        self._languages[partner.key] = partner.language
        if partner.language not in self._read:
            found = heldout.read(self.choice, partner.tokenizer, partner.template, self.around)
            self._read[partner.language] = found
        own = self._read[partner.language].only(self.held.ids)
        if partner.language not in self._tokens:
            self._tokens[partner.language] = heldout.tokens_of(own, partner.tokenizer)
        if len(own.ids) < len(self.held.ids):
            self.around.note(f"{partner.key} cannot read {len(self.held.ids) - len(own.ids)} of the rows; differences "
                             "are taken over those that both can")  # fmt: skip
        return own

    # What is measured

    def measure(self, partner: Partner) -> None:
        """Measure what is not there yet. Raises TuiTuneError."""
        held = self.of(partner)
        if self.request.recipe.stage == "rm":
            self._judge(partner, held)
        elif self.kind != "prompt":
            self._likelihood(partner, held)
        if self.answered:
            self._answers(partner, held)

    def _add(self, partner: Partner, name: str, reply: Reply) -> None:
        self.sheet.add(Item(DATA, name, answers={partner.key: reply}))
        self.row(DATA, name, partner.key)

    def _left(self, partner: Partner, held: Held, score: str) -> list[int]:
        return [place for place, name in enumerate(held.ids)
                if score not in self.sheet.reply(DATA, name, partner.key).scores]  # fmt: skip

    def _likelihood(self, partner: Partner, held: Held) -> None:
        stage, score = self._stage()
        left = self._left(partner, held, score)
        if left:
            examples = [held.examples[place] for place in left]
            likelihood.read(
                partner, stage, examples, self.around,
                lambda place, scores: self._add(partner, held.ids[left[place]], Reply(scores=scores)),
            )  # fmt: skip

    def _stage(self) -> tuple[likelihood.Plain | likelihood.Pairs, str]:
        match self.kind:
            case "pair":
                return likelihood.Pairs(Preference(self.request.recipe).sums), "logp_chosen"
            case "label":
                return likelihood.Pairs(plain), "logp_chosen"
        return likelihood.Plain(), "loss"

    def _judge(self, partner: Partner, held: Held) -> None:
        if partner.judge is None:
            self.around.note(f"{partner.key} is no reward model: it has no score to give and is left out")
            return
        left = self._left(partner, held, "score_chosen")
        stage = f"scores, {partner.key}"
        for done, place in enumerate(left):
            self.around.check()
            rows = [row["input_ids"] for row in held.examples[place].sequences]
            chosen, rejected = partner.judge.score_ids(rows)
            self._add(partner, held.ids[place], Reply(scores={"score_chosen": chosen, "score_rejected": rejected}))
            self.around.progress(stage, done + 1, len(left))

    def _answers(self, partner: Partner, held: Held) -> None:
        asked, _ = _questions(partner, held)
        if not asked:
            return
        left = [place for place, question in enumerate(asked)
                if self.sheet.reply(DATA, question.id, partner.key).text is None]  # fmt: skip
        sampling = answers.sampling_of(self.request.recipe, self._longest, sample=self.request.sample)
        sampling = answers.fitting(sampling, asked, partner, self.around)
        answers.ask(
            partner, asked, left, sampling, self.around,
            lambda question, said: self._answered(partner, question, said),
        )  # fmt: skip

    def _answered(self, partner: Partner, question: answers.Question, said: answers.Said) -> None:
        # The reference of the sheet is that of the first tokenizer: all models are compared with the same text.
        reference = self.sheet.reference(DATA, question.id)
        scores = one(said.text, reference) if self.kind == "answer" else {}
        self._add(partner, question.id, Reply(said.text, scores, said.tokens, said.ended))

    # What is said of answers that are there: anew after a resume, for a function may have been mended

    @property
    def further(self) -> dict[str, Further]:
        """What there is to say of answers beside how like the data's they are, by name."""
        found = {metric.name: Further(metric.better, metric.is_share) for metric in self.own}
        return found | dict.fromkeys(rewards.names_of(self._rewards) if self._rewards else (), Further())

    def judge_answers(self, partner: Partner) -> None:
        """Call the user's metrics and the recipe's rewards on every answer of this model."""
        items = [item for item in self.sheet.items(DATA)
                 if partner.key in item.answers and item.answers[partner.key].text is not None]  # fmt: skip
        for done, item in enumerate(items if self.own else ()):
            self.around.check()
            said = item.answers[partner.key].text or ""
            scores = {metric.name: metric(item.id, said, item.prompt, item.reference, self._columns(item.id))
                      for metric in self.own}  # fmt: skip
            self.sheet.score(DATA, item.id, partner.key, scores)
            self.around.progress(f"own metrics, {partner.key}", done + 1, len(items))
        if self._rewards is not None and items:
            self.around.progress(f"rewards, {partner.key}", 0, None)
            assert self.held is not None
            columns = {name: each.columns for name, each in zip(self.held.ids, self.held.examples, strict=True)}
            for item, scores in zip(items, rewards.judged(self._rewards, items, columns, partner), strict=True):
                self.sheet.score(DATA, item.id, partner.key, scores)


def _questions(partner: Partner, held: Held) -> tuple[list[answers.Question], int]:
    stop = partner.template.stop_ids(partner.tokenizer)
    return answers.questions(list(held.examples), held.ids, partner.tokenizer, stop)
