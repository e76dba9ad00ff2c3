"""Obey the inbox between micro-batches: pause, learning rate, save, stop, and replies with the weights as they are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tuitune.data.templates.reading import form_of, kept_ids, opened
from tuitune.engine.session import Halt, Session
from tuitune.methods.original import original
from tuitune.models.generate import Sampling, reply
from tuitune.run import events
from tuitune.run.inbox import CancelReply, Command, Continue, Generate, Pause, Save, SetLearningRate, Stop, StopNow
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template
    from tuitune.engine.trainer import StepTrainer

_PAUSE_NAP = 0.1  # seconds between two looks into the inbox while paused


class Controls:
    """Called by the trainer before every micro-batch; may raise Halt, may wait while paused."""

    def __init__(
        self,
        session: Session,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        system: str | None,
        sampling: Sampling,
    ) -> None:
        self._session, self._tokenizer, self._template = session, tokenizer, template
        self._system, self._sampling = system, sampling
        self._paused = False
        self._save: list[Command] = []
        # Seconds spent on replies and pauses, which no throughput figure should contain.
        self.seconds_away = 0.0

    @property
    def save_wanted(self) -> bool:
        """Whether somebody asked for a checkpoint at the end of this step."""
        return bool(self._save)

    def saved(self, *, failed: str = "") -> None:
        """Answer those who asked for a checkpoint."""
        for command in self._save:
            self._session.done(command, "failed" if failed else "done", failed)
        self._save.clear()

    def end(self) -> None:
        """Answer those whose checkpoint never came."""
        if self._save:
            self.saved(failed="the run ended before the end of that step")

    def attend(self, trainer: StepTrainer) -> None:
        """Look into the inbox and obey; returns when training may go on."""
        begun = time.monotonic()
        busy = self._obey_all(trainer)
        while self._paused:
            time.sleep(_PAUSE_NAP)
            busy = self._obey_all(trainer) or True
        if busy:
            self.seconds_away += time.monotonic() - begun

    def _obey_all(self, trainer: StepTrainer) -> bool:
        session, busy = self._session, False
        while commands := session.commands():
            busy = True
            # The others go back first: while a reply is written, it is from there that a cancel or a stop reaches it.
            for other in commands[1:]:
                session.later(other)
            self._obey(commands[0], trainer)
        return busy

    def _obey(self, command: Command, trainer: StepTrainer) -> None:
        session = self._session
        match command:
            case Pause():
                self._pause(command)
            case Continue():
                self._go_on(command)
            case Save():
                self._save.append(command)
                if self._paused:  # nobody knows when the step will end, and a shutdown may be behind the wish
                    trainer.save_paused()
            case Stop() | StopNow():
                now = isinstance(command, StopNow)
                session.status("stopping")
                session.done(command)
                raise Halt(save=not now and getattr(command, "save", True), now=now)
            case SetLearningRate(value=value):
                before = trainer.peak_learning_rate
                trainer.set_learning_rate(value)
                session.done(command, "done", f"the peak learning rate was {before:g}, it is {value:g}")
            case Generate():
                self._answer(command, trainer)
            case CancelReply():
                session.done(command, "refused", "that reply is not being written")

    def _pause(self, command: Command) -> None:
        if not self._paused:
            self._paused = True
            self._session.status("paused")
            self._session.emit(events.Paused(self._session.step))
        self._session.done(command)

    def _go_on(self, command: Command) -> None:
        if self._paused:
            self._paused = False
            self._session.status("running")
            self._session.emit(events.Resumed(self._session.step))
        self._session.done(command)

    def _answer(self, command: Generate, trainer: StepTrainer) -> None:
        session, text = self._session, ""
        try:
            prompt = self._prompt(command)
            with self._weights(command, trainer.model), trainer.precision():
                self._stream(command, prompt, trainer)
        except Exception as error:  # whatever goes wrong with a reply, the training goes on
            text = clean_line(f"{error}") or type(error).__name__
        if text:  # only out here the traceback is gone, and with it the memory of the reply
            trainer.after_failed_reply()
            session.emit(events.ReplyFinished(command.id, session.step, reason="error", error=text))
            session.done(command, "failed", text)

    def _prompt(self, command: Generate) -> list[int]:
        from tuitune.data import Message

        system = command.system if command.system is not None else self._system
        messages = [Message("system", system)] if system else []
        messages += [Message(m["role"], m["content"]) for m in command.messages]  # type: ignore[arg-type]
        return self._template.prompt_ids(messages, self._tokenizer, command.tools)

    @contextlib.contextmanager
    def _weights(self, command: Generate, model: Any) -> Iterator[None]:
        if not command.base:
            yield
            return
        if not hasattr(model, "disable_adapter"):
            raise ValueError("this run changes the model itself, so the weights before it are not in memory")
        with original(model):
            yield

    def _stream(self, command: Generate, prompt: list[int], trainer: StepTrainer) -> None:
        session, tokenizer = self._session, self._tokenizer
        path = session.run.reply(command.id)
        form = form_of(self._template, tokenizer) if command.tools else None
        session.emit(events.ReplyStarted(command.id, session.step, len(prompt), form.name if form else ""))
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            path.chmod(0o600)

            def write(text: str) -> None:
                file.write(text)
                file.flush()

            write(opened(prompt, tokenizer))
            done = reply(
                trainer.model, tokenizer, prompt, self._sampling.updated(command.options),
                stop_ids=self._template.stop_ids(tokenizer), on_text=write, stop=self._stopper(command),
                keep_ids=kept_ids(form, tokenizer),
            )  # fmt: skip
        session.emit(events.ReplyFinished(command.id, session.step, done.tokens, done.seconds, done.reason))
        session.done(command)

    def _stopper(self, command: Generate) -> Callable[[], bool]:
        """Look into the inbox after every token: a cancel or a stop ends the reply, everything else waits."""

        def wanted() -> bool:
            end = False
            for other in self._session.commands():
                if isinstance(other, CancelReply) and other.reply == command.id:
                    self._session.done(other)
                    end = True
                else:
                    self._session.later(other)
                    end = end or isinstance(other, Stop | StopNow)
            return end

        return wanted
