"""The chat with a reward model: answers of the user's own, and their scores."""

from __future__ import annotations

from tuitune.chat.base import NotWriting
from tuitune.errors import TuiTuneError
from tuitune.tui.panes.chatcore import ChatCore
from tuitune.tui.panes.job import Job

ANSWER = "/answer"


class Judging(ChatCore):
    """A conversation in which `/answer TEXT` has an answer scored that the user wrote."""

    def ask(self, text: str) -> None:
        """Ask a question, or have an answer scored."""
        word, _, rest = text.strip().partition(" ")
        if word == ANSWER and not self.busy:
            self._score(rest.strip())
            return
        if not self.busy and self.who.available and self.talk.turns and not self.talk.turns[-1].is_answer:
            self.talk.take_back()  # it was never answered
        super().ask(text)

    def _score(self, answer: str) -> None:
        """Have an answer to the last question scored; it takes the place of one that is there."""
        turns = self.talk.turns
        if not answer or not turns:
            self.tell(f"ask a question first, then {ANSWER} and an answer: a reward model scores it")
            return
        if not self.who.available:
            self.tell(f"{self.who.kind} cannot be asked: {self.who.why_not}", error=True)
            return
        self.prompt.remember(f"{ANSWER} {answer}")
        self.prompt.text = ""
        again = turns[-1].is_answer
        if again:
            self.talk.drop()
        self.begin(self.who, {}, again=again, typed=answer)

    def failed(self, job: Job, error: TuiTuneError) -> None:
        if isinstance(error, NotWriting):  # the question waits for an answer of the user's own
            self.talk.close()
            if job.question.again:
                self.talk.undo()
            self.tell(f"{error.message}; {error.hint}")
            return
        super().failed(job, error)

    def give_back(self, job: Job) -> None:
        if job.question.typed is None:
            super().give_back(job)
            return
        self.talk.close()
        if job.question.again:
            self.talk.undo()
        if not self.prompt.text.strip():
            self.prompt.fill(f"{ANSWER} {job.question.typed}")
