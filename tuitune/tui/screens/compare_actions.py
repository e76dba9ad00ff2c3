"""What the keys of the Compare screen do."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from tuitune.chat.base import Options
from tuitune.chat.compare import NAMES, seeded
from tuitune.errors import TuiTuneError
from tuitune.tui.asking import TextAsk
from tuitune.tui.panes.chatforms import EditAsk
from tuitune.tui.panes.job import Job, Loading
from tuitune.tui.panes.spoken import in_words
from tuitune.tui.picking import pick
from tuitune.tui.screens.compare_files import CompareFiles
from tuitune.tui.sides import BASE, SERVER, offered

if TYPE_CHECKING:
    from tuitune.tui.panes.column import Column


class CompareActions(CompareFiles):
    """The actions on columns and turns; a part of the screen."""

    label = "Compare"
    HELP: ClassVar[str | None] = """\
# Compare

Two models answer the same question with the same seed, each with its own history: a run and what it was before
training, two checkpoints, two runs, a run in training and its base, or what a server answers. Where an adapter makes
the difference, the model is in memory once, and the two answer one after the other. Questions stand level left and
right, and both columns scroll as one.

- `enter` asks both; a backslash before it begins a new line. `esc` ends both answers; without one it leaves the prompt.
- `w` chooses who answers in this column, `X` changes the sides, `1` `2` `tab` go to a column.
- **◆** stands where an answer begins to differ from the one beside it. Below an answer: tokens read → written, speed.
- `J` `K` choose a turn, `e` edits it: a question in both columns, an answer in its own. `r` answers it again in both,
  `R` with another seed; `u` brings back what went. `T` unfolds thoughts, `y` copies the chosen turn.
- `s` system message, `p` how answers are drawn, `f` functions from a JSON file, for both.
- `n` begins a new comparison, `o` goes on with an earlier one, `S` saves both as JSON, `x` clears.

Every turn is on disk at once, in `comparisons/` of TuiTune's home. What `tuitune chat --compare` kept is there too, and
`tuitune chat --load FOLDER` goes on with what was said here. While one is open elsewhere, a copy of it is opened.
"""

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, text: str) -> None:
        """Ask both."""
        screen = self._screen
        if not text.strip() or not self._free():
            return
        if screen.sides is None:
            self.say("looking who there is to ask")
            return
        screen.prompt.remember(text)
        screen.prompt.text = ""
        screen.comparison.draw(screen.overrides)
        self.let_answer(screen.comparison.ask(text.strip()))

    def action_send(self) -> None:
        """Ask what is typed."""
        self._screen.prompt.action_send()

    def action_ask(self) -> None:
        """Go to the prompt."""
        self._screen.prompt.focus()

    def let_answer(self, which: Sequence[int], sampling: Options | None = None, *, again: bool = False) -> None:
        """Let these sides answer their last question."""
        screen = self._screen
        sides = screen.sides
        if sides is None or not which:
            return
        screen.app.partners.make_room_for(sides.release)
        drawn = seeded(screen.sampling if sampling is None else sampling)
        jobs = [
            (
                screen.columns[place],
                screen.columns[place].prepared(str(place), sides.signature(place), drawn, again=again),
            )
            for place in which
        ]
        for column in screen.columns:
            column.refresh_turns()
        screen.run_worker(
            lambda: self._work(jobs), thread=True, group="compare", exit_on_error=False, description="answers"
        )  # fmt: skip
        screen.refresh_line()

    def _work(self, jobs: Sequence[tuple[Column, Job]]) -> None:
        """Let them answer, at the same time where they do not share anything; in a thread."""
        sides = self._screen.sides
        assert sides is not None
        threads = [threading.Thread(target=column.work, args=(job, sides), daemon=True) for column, job in jobs]
        apart = len(threads) > 1 and sides.apart()
        for _, job in jobs[1:]:
            job.loading = None if apart else Loading("its turn comes next")
        for thread in threads:
            thread.start()
            if not apart:
                thread.join()
        for thread in threads:
            thread.join()

    def action_back(self) -> None:
        """End the answers, leave the prompt, or leave the screen."""
        screen = self._screen
        if screen.busy:
            for column in screen.columns:
                if column.job is not None:
                    column.job.stop()
        elif screen.prompt.has_focus:
            screen.column.transcript.focus()
        else:
            screen.app.pop_screen()

    # -- columns ---------------------------------------------------------------------------------------------------

    def action_column(self, place: int | None = None) -> None:
        """Go to a column, the other one unless it is said which."""
        screen = self._screen
        screen.tab = 1 - screen.tab if place is None else place
        screen.place_columns()
        screen.call_after_refresh(screen.column.transcript.focus)

    def action_whom(self) -> None:
        """Choose who answers in this column."""
        screen, sides = self._screen, self._screen.sides
        if sides is None:
            self.say("looking who there is to ask")
        elif self._free():
            place = screen.tab
            pick(screen.app, f"Who answers {NAMES[place]}?", partial(offered, sides, place),
                 partial(self._choose, place), group="compare-list", chosen=sides.words[place])  # fmt: skip

    def _ask_server(self, place: int) -> None:
        facts = ["#NAME behind the address says which of its models.",
                 "Its token is in TUITUNE_API_KEY; a server of yours on this machine needs none."]  # fmt: skip
        question = TextAsk("At which address?", "http://127.0.0.1:8000", facts=facts)
        self._screen.app.push_screen(question, lambda word: self._choose(place, word.strip() if word else None))

    def _choose(self, place: int, word: str | None) -> None:
        screen = self._screen
        if not word or screen.sides is None:
            return
        if word == SERVER:
            self._ask_server(place)
            return
        try:
            screen.sides.choose(place, word)
        except TuiTuneError as error:
            self.say(in_words(error))
        else:
            if screen.sides.words[1 - place] == BASE:
                self.say(f"{NAMES[1 - place]} is now {screen.sides.signature(1 - place)}")
        screen.name_columns()

    def action_swap(self) -> None:
        """Let left answer right."""
        screen = self._screen
        if self._free() and screen.sides is not None:
            screen.sides.swap()
            screen.show_talk(screen.comparison.swapped())
            screen.name_columns()

    # -- turns -----------------------------------------------------------------------------------------------------

    def action_turn(self, by: int) -> None:
        """Choose the turn before or after."""
        self._screen.column.choose_turn(by)

    def action_fold(self) -> None:
        """Show thoughts, or hide them."""
        for column in self._screen.columns:
            column.fold()

    def action_edit(self) -> None:
        """Edit the chosen turn, or the last question."""
        screen = self._screen
        turns = screen.column.talk.turns
        asked = [place for place, turn in enumerate(turns) if not turn.is_answer]
        if not self._free():
            return
        if not asked:
            self.say("nothing was asked yet")
            return
        place = screen.column.chosen if screen.column.chosen is not None else asked[-1]
        side, old = screen.tab, turns[place]

        def edited(text: str | None) -> None:
            if text and text.strip() and text != old.content and not screen.busy:
                self._after(screen.comparison.rewrite(side, place, text))

        screen.app.push_screen(EditAsk(old), edited)

    def action_again(self, anew: bool = False) -> None:
        """Have the chosen or last question answered again."""
        screen = self._screen
        if not self._free():
            return
        turns = screen.column.talk.turns
        place = screen.column.chosen if screen.column.chosen is not None else len(turns) - 1
        which = screen.comparison.again(screen.tab, place) if turns else ()
        if not which:
            self.say("nothing was asked yet")
            return
        self._after(which, {**screen.sampling, "seed": secrets.randbelow(2**31)} if anew else None)

    def _after(self, which: Sequence[int], sampling: Options | None = None) -> None:
        for column in self._screen.columns:
            column.refresh_turns()
        self.let_answer(which, sampling, again=True)

    def action_clear(self) -> None:
        """Forget the turns."""
        if self._free():
            self._screen.comparison.clear()
            self._shown("cleared; u brings it back, and the files keep it")

    def action_undo(self) -> None:
        """Bring back what was removed."""
        if self._free():
            self._shown("brought back" if self._screen.comparison.undo() else "nothing was removed")

    def _shown(self, words: str) -> None:
        for column in self._screen.columns:
            column.refresh_turns()
        self.say(words)
