"""What the keys of the Serve screen do, and how it follows the servers that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.errors import RecipeError
from tuitune.face import served
from tuitune.run.job import Job
from tuitune.text import clean_line
from tuitune.tui import serving
from tuitune.tui.asking import Ask, Choice
from tuitune.tui.panes.blocks import counted
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.panes.serve_live import ServerPane, UsePane
from tuitune.tui.panes.serve_setup import ServeSetup
from tuitune.tui.screens.starting import StartsLater
from tuitune.tui.serving import Named
from tuitune.tui.subjects import default_subject, named

if TYPE_CHECKING:
    from tuitune.serve.live import Seen
    from tuitune.tui.screens.serve import ServeScreen


class ServeActions(StartsLater):
    """The actions; a part of the screen."""

    wanted: str | None  # the subject that the screen was opened for
    servers: tuple[Seen, ...] = ()
    _at: int | None = None  # the process of the server that is shown
    _looking = False

    @property
    def _screen(self) -> ServeScreen:
        return self  # type: ignore[return-value]

    @property
    def setup(self) -> ServeSetup:
        """The pane where it is said what is asked for."""
        return self._screen.query_one(ServeSetup)

    @property
    def server(self) -> Seen | None:
        """The server that is shown: the one that was chosen, else the newest."""
        return next((each for each in self.servers if each.pid == self._at), next(iter(self.servers), None))

    def settings(self) -> list[str]:
        """Return the settings as words of the command; none while one of them is wrong."""
        try:
            return self._screen.options.settings()
        except RecipeError:
            return []

    # -- following ---------------------------------------------------------------------------------------------

    def look_for_subject(self) -> None:
        """Find out in a thread which of the models are still there; where none is, propose one."""
        app, kept = self._screen.app, self.setup.asked.models

        def look() -> tuple[Named, ...]:
            if found := serving.still_there(kept):
                return found
            proposed = default_subject(app)
            return (Named(proposed),) if proposed is not None else ()

        def show(found: tuple[Named, ...]) -> bool:
            if self.setup.asked.models != kept or found == kept:
                return self.setup.asked.models == kept
            self.setup.propose(found)
            if gone := [named(each.word) for each in kept if each not in found]:
                app.say(f"{', '.join(gone)}: not there any more, so not served either", "warning")
            return not gone

        self.find_subject("serve-subject", look, show)

    def doing(self, job: Job) -> list[str]:
        """Return what a server at work is doing, in sentences."""
        return serving.doing(job, next((each for each in self.servers if each.pid == job.pid), None))

    def look(self) -> None:
        """Find out in a thread which servers run, and what they do."""
        if self._looking:
            return
        self._looking = True
        self._screen.app.in_thread("servers", served.servers, self._know)

    def _know(self, found: list[Seen]) -> None:
        self._looking = False
        screen = self._screen
        if not screen.is_attached:
            return
        before, self.servers = self.server, tuple(found)
        self._show()
        if (before is None) != (self.server is None):
            screen.app.note_focus()

    def _show(self) -> None:
        pane = self._screen.query_one(ServerPane)
        pane.know(self.server, len(self.servers))
        self._screen.query_one(UsePane).know(self.server, shown=pane.shown)

    def job_changed(self, job: Job) -> None:
        """Say what has become of a server."""
        screen = self._screen
        screen.app.note_focus()
        status = screen.query_one(JobsPane).status(job)
        if status == "failed":
            screen.app.say(clean_line(str((job.error or {}).get("message", f"{job.title} failed"))), "error")
            screen.action_pane("jobs")
        elif status == "running":
            self._at = job.pid

    # -- keys --------------------------------------------------------------------------------------------------

    def action_start(self) -> None:
        """Serve what is asked for."""
        screen, asked = self._screen, self.setup.asked
        if self.starts_later():
            return
        if not asked.models:
            self.setup.choose_first()
            return
        if not screen.settings_ready(screen.options):
            return
        if any(asked.meets(each) for each in self.servers):
            screen.app.say("the port is taken by a server that runs: choose another, or stop that one with x", "error")
            screen.action_pane("setup")
            self.setup.go_to("port")
            return
        title = f"serve {', '.join(each.name or named(each.word) for each in asked.models)}"
        self.setup.begun()
        screen.query_one(JobsPane).begin("serve", title, asked.argv(self.settings()))
        if screen.narrow:
            screen.action_pane("jobs")

    def action_what(self) -> None:
        """Choose the first model."""
        self.setup.choose_first()

    def action_more(self) -> None:
        """Serve one more model."""
        self.setup.choose_more()

    def action_reveal(self) -> None:
        """Show the token, or hide it."""
        screen, pane = self._screen, self._screen.query_one(ServerPane)
        if self.server is None:
            screen.app.say("no server runs")
            return
        pane.shown = not pane.shown
        self._show()

    def action_token(self) -> None:
        """Copy the token."""
        server, app = self.server, self._screen.app
        if server is None or server.token is None:
            app.say(f"the token is the one in {server.source}" if server and server.source else "no server runs")
        else:
            app.copy(server.token)

    def action_next(self) -> None:
        """Show the next server."""
        if len(self.servers) < 2:
            self._screen.app.say("there is no other server")
            return
        pids = [each.pid for each in self.servers]
        now = self.server.pid if self.server is not None else pids[-1]
        self._at = pids[(pids.index(now) + 1) % len(pids)]
        self._show()

    def action_stop(self) -> None:
        """Ask whether to stop the server that is shown, or the one that is being started."""
        screen, server = self._screen, self.server
        jobs = screen.query_one(JobsPane)
        if server is None:
            jobs.action_cancel()
            return
        job = next((each for each in jobs.running if each.pid == server.pid), None)

        def answered(yes: bool | None) -> None:
            if yes:
                end = job.cancel if job is not None else lambda: serving.stop(server.pid)
                screen.app.in_thread("serve-stop", end, lambda _: self.look())

        facts = [f"{clean_line(server.url)}, {counted(len(server.models), 'models')}.", _busy(server)]
        choices: list[Choice[bool]] = [
            Choice("esc", "Let it run", "", None),
            Choice("x", "Stop it", "a second time stops it at once", True),
        ]
        screen.app.push_screen(Ask("Stop the server?", facts, choices), answered)


def _busy(server: Seen) -> str:
    match server.work.get("answers"):
        case 1:
            return "1 answer is being written; it is finished first."
        case int() as count if count:
            return f"{count:,} answers are being written; they are finished first."
    return "Nobody is asking it now."


def words_of(job: Job) -> list[str]:
    """Return what came of a server, in sentences."""
    told = job.result or {}
    counts = {key: told.get(key, 0) for key in ("requests", "answered", "failed", "refused", "tokens")}
    return [f"{counted(counts['requests'], 'requests')}, {counts['answered']} answered, {counts['failed']} failed, "
            f"{counts['refused']} refused; {counted(counts['tokens'], 'tokens')} written"]  # fmt: skip
