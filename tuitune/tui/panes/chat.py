"""The chat pane: every action on a conversation, by key, by mouse and from the palette."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message

from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept, earlier
from tuitune.errors import TuiTuneError
from tuitune.text import clean_line
from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.panes.blocks import counted
from tuitune.tui.panes.chatforms import Sampling, SamplingAsk, SystemAsk
from tuitune.tui.panes.chatturns import ChatTurns


class ChatPane(ChatTurns):
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
- `J` `K` choose a turn, with its tokens and their speed. `e` edits it, `r` answers it again, `R` with another seed;
  what followed a question goes, and `u` brings it back. Where none is chosen, they mean the last one.
- `d` removes the last question and its answer, `x` clears. `T` unfolds what a model thought before it answered.
- `s` sets the system message, `p` how answers are drawn: temperature, top_p, top_k, length, repetition, seed.
- `f` offers functions from a JSON file. What the model calls is shown; you type what the function answers.
- A reward model (stage rm) scores every answer. `/answer TEXT` has one of your own scored, again another in its place.
- `y` copies the last answer, `Y` the whole conversation; `n` begins a new one, `o` goes on with an earlier one.
- `S` saves it as JSON or text, `O` goes on with one from a file, also in OpenAI's form.

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
        Binding("K", "turn(-1)", "Turn before", show=False, id="chat.turn_up", tooltip="choose the turn before"),
        Binding("J", "turn(1)", "Turn after", show=False, id="chat.turn_down", tooltip="choose the turn after"),
        Binding(
            "e", "edit", "Edit the turn", show=False, id="chat.edit", tooltip="the chosen one, else the last asked"
        ),
        Binding("T", "fold", "Thoughts", show=False, id="chat.thoughts", tooltip="show what was thought, or hide it"),
        Binding("r", "regenerate", "Answer again", show=False, id="chat.regenerate", tooltip="u brings the old back"),
        Binding("R", "regenerate(True)", "Again, another seed", show=False, id="chat.anew", tooltip="drawn anew"),
        Binding("x", "clear", "Clear", show=False, id="chat.clear", tooltip="forget the turns; u brings them back"),
        Binding("d", "drop", "Remove the last turn", show=False, id="chat.drop", tooltip="question and answer"),
        Binding("u", "undo", "Bring turns back", show=False, id="chat.undo", tooltip="after clear, remove, again"),
        Binding("s", "system", "System message", show=False, id="chat.system", tooltip="how the model shall behave"),
        Binding("f", "tools", "Tools", show=False, id="chat.tools", tooltip="functions that the model may call"),
        Binding("S", "save", "Save it", show=False, id="chat.save", tooltip="as JSON or text"),
        Binding("O", "load", "Open a file", show=False, id="chat.load", tooltip="a conversation in JSON"),
        Binding("p", "sampling", "Sampling", show=False, id="chat.sampling", tooltip="temperature, length, seed"),
        Binding("y", "copy_answer", "Copy the answer", show=False, id="chat.copy", tooltip="the last one"),
        Binding("Y", "copy_all", "Copy all turns", show=False, id="chat.copy_all", tooltip="as plain text"),
        Binding("n", "new", "New conversation", show=False, id="chat.new", tooltip="this one stays on disk"),
        Binding("o", "earlier", "Earlier conversation", show=False, id="chat.earlier", tooltip="go on with it"),
    ]

    _earlier: Picker  # the list of kept conversations, as it was opened last

    class Found(Message):
        """The conversations that were kept."""

        def __init__(self, items: list[PickItem]) -> None:
            super().__init__()
            self.items = items

    class Resumed(Message):
        """A conversation was read, or why not."""

        def __init__(self, talk: Kept | None, problem: str = "") -> None:
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

    # -- the conversation --------------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Begin another conversation; the system message and the tools go with it."""
        if self._free():
            kept, system, tools = self.talk.path, self.talk.system, self.talk.tools
            self.talk.leave()
            self.talk = Kept(Conversation(system=system, tools=tools))
            self.transcript.follow()
            self.refresh_turns()
            if kept is not None:
                self.remark("the former one is kept, o finds it")

    def action_earlier(self) -> None:
        """Choose an earlier conversation to go on with."""
        if self._free():
            here = str(self.talk.path) if self.talk.path else None
            self._earlier = Picker("Go on with a conversation", None, chosen=here)
            self.app.push_screen(self._earlier, self._picked)
            self.run_worker(self._find, thread=True, group="chat-find", exit_on_error=False, description="kept chats")

    def _find(self) -> None:
        items = [item for path in earlier() if (item := _item(path)) is not None]
        self.post_message(self.Found(items))

    @on(Found)
    def _found(self, event: Found) -> None:
        event.stop()
        if event.items:
            self._earlier.fill(event.items)
        elif self._earlier.is_active:
            self._earlier.answer(None)
            self.tell("no conversation has been kept yet")

    def _picked(self, key: str | None) -> None:
        if key is not None and Path(key) != self.talk.path:  # it is here already
            self.resume(Path(key))

    def resume(self, path: Path) -> None:
        """Go on with the conversation in a file, such as one that a crash cut off."""
        self.run_worker(
            lambda: self._read(path), thread=True, group="chat-find", exit_on_error=False, description="read a chat"
        )  # fmt: skip

    def _read(self, path: Path) -> None:
        try:
            self.post_message(self.Resumed(Kept.go_on(path)))
        except (OSError, TuiTuneError) as error:
            self.post_message(self.Resumed(None, f"{path} cannot be read: {error}"))

    @on(Resumed)
    def _resumed(self, event: Resumed) -> None:
        event.stop()
        if event.talk is None:
            self.tell(event.problem, error=True)
        elif self._free():
            self._continue(event.talk)

    def _continue(self, talk: Kept) -> None:
        self.talk.leave()
        self.talk = talk
        self._notes.clear()
        self.chosen = None
        for turn in talk.turns:
            if turn.role == "user":
                self.prompt.remember(turn.content)
        if talk.turns and not talk.turns[-1].is_answer and not self.prompt.text.strip():
            self.prompt.fill(talk.take_back())  # it was asked, and never answered
        self.transcript.follow()
        self.refresh_turns()
        self.refresh_line()
        if talk.is_copy:
            self.tell("it is open elsewhere, so this goes on with a copy")

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


def _item(path: Path) -> PickItem | None:
    try:
        talk = Conversation.load(path)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    except OSError:
        return None
    first = next((turn.content for turn in talk.turns if turn.role == "user"), "")
    if not first:
        return None
    return PickItem(str(path), clean_line(first[:200]), f"{counted(len(talk.turns), 'turns')}, {when}")
