"""What keys do with the turns of a chat: choose, edit, answer again, remove, copy, save and open."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from tuitune.chat.base import Turn
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.asking import TextAsk
from tuitune.tui.filing import ask_open, ask_save
from tuitune.tui.panes.chatforms import EditAsk
from tuitune.tui.panes.judging import Judging
from tuitune.tui.panes.spoken import in_words

if TYPE_CHECKING:
    from tuitune.chat.saved import Saved

_UNANSWERED = "there is no answer yet"


class ChatTurns(Judging):
    """The actions on turns."""

    class Opened(Message):
        """What was read from a file, or why nothing was: a conversation, or tools."""

        def __init__(self, found: Saved | str, problem: str = "") -> None:
            super().__init__()
            self.found, self.problem = found, problem

    def action_turn(self, by: int) -> None:
        """Choose the turn before or after."""
        self.choose_turn(by)

    def action_fold(self) -> None:
        """Show thoughts, or hide them."""
        self.fold()

    def _free(self) -> bool:
        if self.busy:
            self.remark("an answer is being written, esc ends it")
        return not self.busy

    def _can_ask(self) -> bool:
        if not self.who.available:
            self.tell(f"{self.who.kind} cannot be asked: {self.who.why_not}", error=True)
        return self.who.available

    # -- changing ----------------------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Edit the chosen turn, or the last question."""
        if not self._free():
            return
        turns = self.talk.turns
        place = self.chosen if self.chosen is not None else _last(turns, lambda turn: not turn.is_answer)
        if place is None:
            self.tell("nothing was asked yet")
            return
        self.app.push_screen(EditAsk(turns[place]), lambda text: self._edited_turn(place, turns[place], text))

    def _edited_turn(self, place: int, old: Turn, text: str | None) -> None:
        turns = self.talk.turns
        if text is None or text == old.content or place >= len(turns) or turns[place] is not old or self.busy:
            return
        if not text.strip():
            self.tell("a turn cannot be empty; d removes the last ones")
            return
        if not old.is_answer and not self._can_ask():
            return
        self.talk.rewrite(place, text)
        if old.is_answer:
            self.refresh_turns()
            self.remark("changed; u brings the former back")
        else:
            self.begin(self.who, self.sampling, again=True)

    def action_regenerate(self, anew: bool = False) -> None:
        """Have the chosen turn, or the last one, answered again by whoever is chosen now."""
        if not self._free():
            return
        turns = self.talk.turns
        if not any(turn.is_answer for turn in turns):
            self.tell(_UNANSWERED)
        elif self._can_ask() and self.talk.again(self.chosen):
            drawn = {**self.sampling, "seed": secrets.randbelow(2**31)} if anew else self.sampling
            self.begin(self.who, drawn, again=True)

    def action_clear(self) -> None:
        """Forget the turns."""
        if self._free() and self.talk.turns:
            self.talk.clear()
            self.tell("cleared; u brings it back, and the file keeps it")

    def action_drop(self) -> None:
        """Remove the last question with its answer."""
        if self._free() and self.talk.turns:
            turns = self.talk.turns
            pair = turns[-1].is_answer and len(turns) > 1 and not turns[-2].is_answer
            self.talk.drop(2 if pair else 1)
            self.tell("removed; u brings it back")

    def action_undo(self) -> None:
        """Bring back what was cleared, removed, changed or answered again."""
        if self._free():
            if self.talk.undo():
                self._notes.clear()
                self.refresh_turns()
            else:
                self.tell("nothing was removed")

    # -- files -------------------------------------------------------------------------------------------------------

    def action_tools(self) -> None:
        """Offer the functions of a file, or take them away."""
        from tuitune.chat.tools import names, read_file

        there = ", ".join(names(self.talk.tools))
        facts = ['A JSON list: {"name", "description", "parameters"}.', f"Now: {there or 'none'}. Empty: none."]
        self.app.push_screen(
            TextAsk("Which functions may it call?", placeholder="nothing: no functions", facts=facts),
            lambda name: None if name is None else self._take_tools(name.strip(), read_file)
        )  # fmt: skip

    def action_load(self) -> None:
        """Go on with a conversation from a file."""
        if self._free():
            from tuitune.chat.saved import read_file

            facts = ["JSON with messages, also in OpenAI's form; what is said now can be brought back with u."]
            then = partial(self._open, how=read_file)
            ask_open(self.app, "Go on with which conversation?", "chat.json", facts, then)

    def _take_tools(self, name: str, how: Callable[[Path], str]) -> None:
        if name:
            self._open(Path(name).expanduser(), how)
        else:
            self.post_message(self.Opened(""))

    def _open(self, path: Path, how: Callable[[Path], Saved | str]) -> None:
        def read() -> None:
            try:
                self.post_message(self.Opened(how(path)))
            except TuiTuneError as error:
                self.post_message(self.Opened("", in_words(error)))

        self.run_worker(read, thread=True, group="chat-find", exit_on_error=False, description="read a file")

    @on(Opened)
    def _opened_file(self, event: Opened) -> None:
        event.stop()
        if event.problem:
            self.tell(event.problem, error=True)
        elif isinstance(event.found, str):
            self.talk.offer(event.found)
            self.say_no_more()
            self.refresh_line()
            self.remark("the next answer may call them" if event.found else "no tools")
        elif self._free():
            self.talk.replace(event.found.turns, event.found.system, event.found.tools)
            self._notes.clear()
            self.transcript.follow()
            self.refresh_turns()
            self.refresh_line()

    def action_save(self) -> None:
        """Save the conversation."""
        if not self.talk.turns:
            self.tell("nothing was said yet")
            return
        facts = ["As JSON where the name ends in .json, else as text to be read."]
        ask_save(self.app, "Save the conversation as", "chat.json", facts, self._save)

    def _save(self, path: Path, replacing: bool) -> None:
        from tuitune.chat.saved import Saved, save

        try:
            save(path, Saved(tuple(self.talk.turns), self.talk.system, self.talk.tools), replacing=replacing)
        except TuiTuneError as error:
            self.tell(in_words(error), error=True)
        else:
            self.tell(f"saved as {path}")

    # -- copying -----------------------------------------------------------------------------------------------------

    def action_copy_answer(self) -> None:
        """Copy the chosen turn or the last answer, or as much as there is of it."""
        turns = self.talk.turns
        place = self.chosen if self.chosen is not None else _last(turns, lambda turn: turn.is_answer)
        text = clean(turns[place].content) if place is not None else ""
        self._copy(clean(self._job.raw) if self._job is not None and self._job.raw else text)

    def action_copy_all(self) -> None:
        """Copy the conversation as text."""
        head = [f"system: {clean(self.talk.system)}"] if self.talk.system else []
        said = [f"{_name(turn)}: {clean(turn.content)}" for turn in self.talk.turns]
        self._copy("\n\n".join([*head, *said]) if said else "")

    def _copy(self, text: str) -> None:
        if not text:
            self.tell(_UNANSWERED)
            return
        copy = getattr(self.app, "copy", self.app.copy_to_clipboard)
        copy(text)


def _name(turn: Turn) -> str:
    if turn.is_answer:
        return clean_line(turn.by) or "answer"
    return "you" if turn.role == "user" else "tool"


def _last(turns: list[Turn], what: Callable[[Turn], bool]) -> int | None:
    return next((place for place in range(len(turns) - 1, -1, -1) if what(turns[place])), None)
