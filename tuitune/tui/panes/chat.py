"""The chat pane: every action on a conversation, by key, by mouse and from the palette."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message

from tuitune.chat.conversation import Conversation
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.panes.chatforms import Sampling, SamplingAsk, SystemAsk
from tuitune.tui.panes.judging import Judging
from tuitune.tui.panes.talk import Talk, earlier

_UNANSWERED = "there is no answer yet"


class ChatPane(Judging):
    """Talk to the model: before training, while it trains, and as it was saved."""

    label = "Chat"
    digit = "4"
    HELP = """\
# Chat

Ask the model before, during and after training. **base** is the model without what was trained, **live** the weights of
the run as they are at this step, **tuned** what the run has saved last. A model stays loaded between questions.

- `enter` asks; a backslash before it begins a new line. `up` in an empty prompt brings former questions back.
- `esc` ends the answer, and what was written stays. Without an answer, `esc` leaves the prompt: then single keys work.
- `ctrl+l` goes to the next one who can be asked; `b`, `l`, `t`, `m` choose one, `m` what was picked in Models or Runs.
- `r` answers again, `R` with another seed; `d` removes the last question and its answer, `x` clears, `u` takes it back.
- `s` sets the system message, `p` how answers are drawn: temperature, top_p, top_k, length, repetition, seed.
- A reward model (stage rm) scores every answer. `/answer TEXT` has one of your own scored, again another in its place.
- `y` copies the last answer, `Y` the whole conversation; `n` begins a new one, `o` goes on with an earlier one.

Every turn is on disk at once, in `chats/` of TuiTune's home; an answer cut off by a crash is there as far as it came.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop the answer", show=False, id="chat.stop", tooltip="what was written stays"),
        Binding(
            "ctrl+l", "next_partner(1)", "Ask another one", show=False, id="chat.next", tooltip="also while typing"
        ),
        Binding("right", "next_partner(1)", "Next partner", show=False, id="chat.right", tooltip="ask the next one"),
        Binding("left", "next_partner(-1)", "Partner before", show=False, id="chat.left", tooltip="ask the one before"),
        Binding("b", "choose('base')", "Ask base", show=False, id="chat.base", tooltip="the model before training"),
        Binding("l", "choose('live')", "Ask live", show=False, id="chat.live", tooltip="the weights as they train"),
        Binding("t", "choose('tuned')", "Ask tuned", show=False, id="chat.tuned", tooltip="what the run has saved"),
        Binding("m", "choose('other')", "Ask the picked one", show=False, id="chat.other", tooltip="from Models, Runs"),
        Binding("enter,i", "ask", "Type a question", show=False, id="chat.ask", tooltip="go to the prompt"),
        Binding("r", "regenerate", "Answer again", show=False, id="chat.regenerate", tooltip="u brings the old back"),
        Binding("R", "regenerate(True)", "Again, another seed", show=False, id="chat.anew", tooltip="drawn anew"),
        Binding("x", "clear", "Clear", show=False, id="chat.clear", tooltip="forget the turns; u brings them back"),
        Binding("d", "drop", "Remove the last turn", show=False, id="chat.drop", tooltip="question and answer"),
        Binding("u", "undo", "Bring turns back", show=False, id="chat.undo", tooltip="after clear, remove, again"),
        Binding("s", "system", "System message", show=False, id="chat.system", tooltip="how the model shall behave"),
        Binding("p", "sampling", "Sampling", show=False, id="chat.sampling", tooltip="temperature, length, seed"),
        Binding("y", "copy_answer", "Copy the answer", show=False, id="chat.copy", tooltip="the last one"),
        Binding("Y", "copy_all", "Copy all turns", show=False, id="chat.copy_all", tooltip="as plain text"),
        Binding("n", "new", "New conversation", show=False, id="chat.new", tooltip="this one stays on disk"),
        Binding("o", "earlier", "Earlier conversation", show=False, id="chat.earlier", tooltip="go on with it"),
    ]

    class Found(Message):
        """The conversations that were kept."""

        def __init__(self, items: list[PickItem]) -> None:
            super().__init__()
            self.items = items

    class Resumed(Message):
        """A conversation was read, or why not."""

        def __init__(self, talk: Talk | None, problem: str = "") -> None:
            super().__init__()
            self.talk, self.problem = talk, problem

    # -- asking ------------------------------------------------------------------------------------------------------

    def action_ask(self) -> None:
        """Go to the prompt."""
        self.prompt.focus()

    def action_send(self) -> None:
        """Ask what is typed."""
        self.prompt.action_send()

    def action_stop(self) -> None:
        """End the answer, or leave the prompt; else the key is somebody else's."""
        if self._job is not None:
            self._job.stop()
            self._beat()
        elif self.prompt.has_focus:
            self.transcript.focus()
        else:
            raise SkipAction

    def action_choose(self, kind: str) -> None:
        """Ask this one from now on."""
        self.pick(kind)

    def action_next_partner(self, by: int) -> None:
        """Ask the next one who can be asked."""
        there = [who.kind for who in self.people if who.available]
        if not there:
            self.tell(self.people[0].why_not)
            return
        at = there.index(self.who.kind) if self.who.kind in there else -1
        self.pick(there[(at + by) % len(there)])

    def action_regenerate(self, anew: bool = False) -> None:
        """Have the last question answered again by whoever is chosen now."""
        if self._free():
            turns = self.talk.turns
            if not turns or turns[-1].role != "assistant":
                self.tell(_UNANSWERED)
                return
            if not self.who.available:
                self.tell(f"{self.who.kind} cannot be asked: {self.who.why_not}", error=True)
                return
            self.talk.drop()
            drawn = {**self.sampling, "seed": secrets.randbelow(2**31)} if anew else self.sampling
            self.begin(self.who, drawn, again=True)

    def _free(self) -> bool:
        if self.busy:
            self.remark("an answer is being written, esc ends it")
        return not self.busy

    # -- the conversation --------------------------------------------------------------------------------------------

    def action_clear(self) -> None:
        """Forget the turns."""
        if self._free() and self.talk.turns:
            self.talk.clear()
            self.tell("cleared; u brings it back, and the file keeps it")

    def action_drop(self) -> None:
        """Remove the last question with its answer."""
        if self._free() and self.talk.turns:
            turns = self.talk.turns
            pair = turns[-1].role == "assistant" and len(turns) > 1 and turns[-2].role == "user"
            self.talk.drop(2 if pair else 1)
            self.tell("removed; u brings it back")

    def action_undo(self) -> None:
        """Bring back what was cleared, removed or answered again."""
        if self._free():
            if self.talk.undo():
                self._notes.clear()
                self.refresh_turns()
            else:
                self.tell("nothing was removed")

    def action_new(self) -> None:
        """Begin another conversation; the system message goes with it."""
        if self._free():
            kept, system = self.talk.path, self.talk.system
            self.talk = Talk(Conversation(system=system))
            self.transcript.follow()
            self.refresh_turns()
            if kept is not None:
                self.remark("the former one is kept, o finds it")

    def action_earlier(self) -> None:
        """Choose an earlier conversation to go on with."""
        if self._free():
            self.run_worker(self._find, thread=True, group="chat-find", exit_on_error=False, description="kept chats")

    def _find(self) -> None:
        items = [item for path in earlier() if (item := _item(path)) is not None]
        self.post_message(self.Found(items))

    @on(Found)
    def _found(self, event: Found) -> None:
        event.stop()
        if not event.items:
            self.tell("no conversation has been kept yet")
            return
        here = str(self.talk.path) if self.talk.path else None
        self.app.push_screen(Picker("Go on with a conversation", event.items, chosen=here), self._picked)

    def _picked(self, key: str | None) -> None:
        if key is not None:
            self.resume(Path(key))

    def resume(self, path: Path) -> None:
        """Go on with the conversation in a file, such as one that a crash cut off."""
        self.run_worker(
            lambda: self._read(path), thread=True, group="chat-find", exit_on_error=False, description="read a chat"
        )  # fmt: skip

    def _read(self, path: Path) -> None:
        try:
            self.post_message(self.Resumed(Talk.load(path)))
        except (OSError, TuiTuneError) as error:
            self.post_message(self.Resumed(None, f"{path} cannot be read: {error}"))

    @on(Resumed)
    def _resumed(self, event: Resumed) -> None:
        event.stop()
        if event.talk is None:
            self.tell(event.problem, error=True)
        elif self._free():
            self._continue(event.talk)

    def _continue(self, talk: Talk) -> None:
        self.talk = talk
        self._notes.clear()
        for turn in talk.turns:
            if turn.role == "user":
                self.prompt.remember(turn.content)
        if talk.turns and talk.turns[-1].role == "user" and not self.prompt.text.strip():
            self.prompt.fill(talk.take_back())  # it was asked, and never answered
        self.transcript.follow()
        self.refresh_turns()
        self.refresh_line()

    # -- how it is asked ---------------------------------------------------------------------------------------------

    def action_system(self) -> None:
        """Set the system message."""
        self.app.push_screen(SystemAsk(self.talk.system), self._instruct)

    def _instruct(self, text: str | None) -> None:
        if text is not None and (text or None) != self.talk.system:
            self.talk.instruct(text or None)
            self.remark("the next answer follows it" if text else "the model's own system message")

    def action_sampling(self) -> None:
        """Set how answers are drawn."""
        self.app.push_screen(SamplingAsk(self.overrides, self.partners.sampling()), self._draw)

    def _draw(self, found: Sampling | None) -> None:
        if found is not None:
            self.overrides = found
            self._remark = ""
            self.refresh_line()

    # -- copying -----------------------------------------------------------------------------------------------------

    def action_copy_answer(self) -> None:
        """Copy the last answer, or as much as there is of it."""
        answers = [turn.content for turn in self.talk.turns if turn.role == "assistant"]
        text = (
            clean(self._job.raw) if self._job is not None and self._job.raw else clean(answers[-1]) if answers else ""
        )
        self._copy(text)

    def action_copy_all(self) -> None:
        """Copy the conversation as text."""
        head = [f"system: {clean(self.talk.system)}"] if self.talk.system else []
        said = [f"{'you' if turn.role == 'user' else clean_line(turn.by) or 'answer'}: {clean(turn.content)}"
                for turn in self.talk.turns]  # fmt: skip
        self._copy("\n\n".join([*head, *said]) if said else "")

    def _copy(self, text: str) -> None:
        if not text:
            self.tell(_UNANSWERED)
            return
        copy = getattr(self.app, "copy", self.app.copy_to_clipboard)
        copy(text)


def _item(path: Path) -> PickItem | None:
    try:
        talk = Conversation.load(path)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    except OSError:
        return None
    first = next((turn.content for turn in talk.turns if turn.role == "user"), "")
    if not first:
        return None
    return PickItem(str(path), clean_line(first[:200]), f"{len(talk.turns)} turns, {when}")
