"""The weights of a run that is training: asked through its inbox, read from its replies."""

from __future__ import annotations

import codecs
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Unpack

from tuitune.chat.base import Answer, Asking, Question, Turn, told_apart
from tuitune.errors import RunError
from tuitune.run import Inbox, JournalReader, RunDir, State, events, liveness
from tuitune.run.inbox import OPTIONS, CancelReply, Generate
from tuitune.run.state import refuse_suspended

_GAP = 0.05  # seconds between two looks


class LiveChat:
    """A conversation partner that learns while it answers."""

    def __init__(self, run: RunDir, *, base: bool = False) -> None:
        self.run, self._base = run, base
        self._reader = JournalReader(run.events)

    @property
    def title(self) -> str:
        """The run and how far it is."""
        if self._base:
            return f"{self.run.name}, before training"
        state = State.read(self.run.state)
        return f"{self.run.name}, live at step {state.step}" if state else self.run.name

    def reply(self, turns: Sequence[Turn], **asked: Unpack[Asking]) -> Answer:
        """Ask the engine and stream its reply file; raises RunError when the run ends or refuses."""
        question = Question(turns, **asked)
        self._reader.read()
        options = {name: value for name, value in question.sampling.items() if name in OPTIONS}
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        attempt = self._attempt()
        command = Generate(messages, question.system, options, self._base, question.tools, attempt=attempt)
        Inbox(self.run.inbox).send(command)
        return _Reading(self.run, self._reader, command, question.on_text).until_end(question.stop)

    def _attempt(self) -> int:
        state = State.read(self.run.state)
        if state is None or liveness(state) != "live":
            raise RunError(
                f"{self.run.name} is not training any more",
                f"ask what it has saved: tuitune chat --run {self.run.name}",
            )
        refuse_suspended(state, self.run.name)
        return state.attempt


class _Reading:
    """One reply on its way."""

    def __init__(self, run: RunDir, reader: JournalReader, command: Generate, on_text: Callable[[str], None]) -> None:
        self._run, self._reader, self._command, self._on_text = run, reader, command, on_text
        self._path = run.reply(command.id)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0
        self._text = ""
        self._started: events.ReplyStarted | None = None

    def until_end(self, stop: Callable[[], bool]) -> Answer:
        """Return the answer."""
        cancelled = False
        while True:
            live = liveness(State.read(self._run.state)) == "live"
            found = self._reader.read()
            self._more()
            answer = self._ended(found)
            if answer is not None:
                return answer
            if not live:
                raise RunError(f"{self._run.name} ended before the reply did")
            # Asked every time: an answer that is waited for in vain can still be given up by raising.
            if stop() and not cancelled:
                Inbox(self._run.inbox).send(CancelReply(self._command.id, attempt=self._command.attempt))
                cancelled = True
            time.sleep(_GAP)

    def _more(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
            self._offset += len(data)
            piece = self._decoder.decode(data)
            if piece:
                self._text += piece
                self._on_text(piece)

    def _ended(self, found: Sequence[events.Event]) -> Answer | None:
        for event in found:
            match event:
                case events.ReplyStarted(id=self._command.id):
                    self._started = event
                case events.ReplyFinished(id=self._command.id, reason="error", error=error):
                    raise RunError(f"{self._run.name} cannot answer: {error}")
                case events.ReplyFinished(id=self._command.id):
                    self._more()
                    return self._answer(event)
                case events.CommandDone(id=self._command.id, outcome="refused" | "failed", message=message):
                    raise RunError(f"{self._run.name} does not answer: {message}")
        return None

    def _answer(self, event: events.ReplyFinished) -> Answer:
        started = self._started or events.ReplyStarted(event.id)
        step = None if self._command.base else event.step  # before training there are no steps
        made = Answer(
            self._text, event.tokens, event.seconds, event.reason, step,  # type: ignore[arg-type]
            prompt_tokens=started.prompt_tokens,
        )  # fmt: skip
        if not (self._command.tools and started.tool_form):
            return told_apart(made, None)
        from tuitune.data.templates.tools import tool_format

        return told_apart(made, tool_format(started.tool_form))
