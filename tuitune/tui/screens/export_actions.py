"""What the keys of the Export screen do, and how it follows what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tuitune.errors import RecipeError
from tuitune.run.job import Job
from tuitune.tui.evaluating import recipe_values
from tuitune.tui.exporting import Asked, Plan, plan
from tuitune.tui.panes.export_plan import EarlierPane, PlanPane
from tuitune.tui.panes.export_setup import ExportSetup
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.screens.starting import StartsLater
from tuitune.tui.subjects import default_subject, named

if TYPE_CHECKING:
    from tuitune.tui.screens.export import ExportScreen

_OF_RUN = ("template", "default_system")  # what counts where the settings say nothing
_SOON = 0.5  # seconds after which a start that has to wait is said


class ExportActions(StartsLater):
    """The actions; a part of the screen."""

    wanted: str | None  # the subject that the screen was opened for
    fresh = ""  # the folder of an export that was just made
    starting: tuple[Asked, list[str]] | None = None  # what shall begin as soon as it is known what it takes

    @property
    def _screen(self) -> ExportScreen:
        return self  # type: ignore[return-value]

    @property
    def setup(self) -> ExportSetup:
        """The pane where it is said what is asked for."""
        return self._screen.query_one(ExportSetup)

    @property
    def at_work(self) -> bool:
        """Whether an export is in progress."""
        panes = self._screen.query(JobsPane)
        return bool(panes) and bool(panes.first().running)

    # -- following ---------------------------------------------------------------------------------------------

    def look_for_subject(self) -> None:
        """Find out in a thread what the screen is about."""
        app, wanted = self._screen.app, self.wanted

        def show(found: str | None) -> bool:
            if self.setup.asked.subject is not None:
                return False  # chosen meanwhile
            self.setup.set_subject(found)
            return True

        self.find_subject("export-subject", lambda: wanted if wanted is not None else default_subject(app), show)

    def follow(self) -> None:
        """Find out in a thread what would happen now."""
        screen, setup = self._screen, self.setup
        setup.show()
        asked, preset = setup.asked, setup.preset
        try:
            settings = screen.options.settings()
        except RecipeError as error:
            self._know(Plan(trouble=tuple(str(each) for each in error.problems)), {}, (asked, []))
            return
        slug = preset.slug if preset is not None else "export"

        def look() -> tuple[Plan, dict[str, object]]:
            try:
                values = recipe_values(asked.subject) if asked.subject is not None else {}
                return plan(asked, settings, slug), values
            except Exception:
                self.starting = None  # why is said by the app
                raise

        screen.app.in_thread("export-plan", look, lambda found: self._know(*found, (asked, settings)))

    def _know(self, found: Plan, values: Mapping[str, object], about: tuple[Asked, list[str]]) -> None:
        screen = self._screen
        if screen.is_attached:
            self.setup.dataset = _first(values.get("dataset"))
            screen.options.about({key: values[key] for key in _OF_RUN if key in values})
            self.setup.know(found)
            screen.query_one(PlanPane).know(found)
            earlier = screen.query_one(EarlierPane)
            earlier.know(found)
            if self.fresh and found.earlier and found.earlier[0].done.path == self.fresh:
                self.fresh = ""
                earlier.open_newest()
            self._begin_if_asked(found, about)

    def _begin_if_asked(self, found: Plan, about: tuple[Asked, list[str]]) -> None:
        options, wanted = self._screen.options, self.starting
        if wanted is None:
            return
        still = not options.wrong and wanted == (self.setup.asked, options.settings())
        if still and wanted != about:
            return  # what is known is of something before: more is coming
        self.starting = None
        if still:
            self._begin(found)
        else:
            self._screen.app.say("something else is asked for now: s once more starts that", "warning")

    def job_changed(self, job: Job) -> None:
        """Show what came out of a job that has ended."""
        screen = self._screen
        screen.app.note_focus()
        status = screen.query_one(JobsPane).status(job)
        if status == "done":
            self.fresh = _path_of(job)
            screen.app.say(f"{job.title} is done: {_path_of(job)}")
        if status != "running":
            self.follow()

    # -- keys --------------------------------------------------------------------------------------------------

    def action_start(self) -> None:
        """Write what is asked for."""
        screen, setup = self._screen, self.setup
        if setup.asked.subject is None:
            if not self.starts_later():
                setup.choose_subject()
            return
        if not screen.settings_ready(screen.options):
            return
        self.starting = about = setup.asked, screen.options.settings()
        self.follow()  # what is known may be of a form that was chosen before
        screen.set_timer(_SOON, lambda: self._say_later(about))

    def _say_later(self, about: tuple[Asked, list[str]]) -> None:
        if self.starting is about:
            self._screen.app.say("looking what it takes; it starts as soon as that is known")

    def _begin(self, found: Plan) -> None:
        screen, setup = self._screen, self.setup
        if found.trouble or not found.argv or setup.asked.subject is None:
            screen.app.say(found.trouble[0] if found.trouble else "there is nothing to export", "warning")
            return
        if any(job.argv[2:3] == found.argv[2:3] for job in screen.query_one(JobsPane).running):
            screen.app.say(f"{found.argv[2]} is being written already", "warning")
            return
        form = found.order.form_words if found.order is not None else ""
        screen.query_one(JobsPane).begin("export", f"export {named(setup.asked.subject)}: {form}", found.argv)
        if screen.narrow:
            screen.action_pane("jobs")

    def action_what(self) -> None:
        """Choose what is exported."""
        self.setup.choose_subject()

    def action_form(self) -> None:
        """Choose the form."""
        self.setup.choose_form()

    def action_adapter(self) -> None:
        """Choose a further adapter."""
        self.setup.choose_adapter()

    def action_cancel(self) -> None:
        """End the export in progress, after a question."""
        self._screen.query_one(JobsPane).action_cancel()


def words_of(job: Job) -> list[str]:
    """Return what came of a job, in sentences."""
    found = (job.result or {}).get("sentences", ())
    return [str(each) for each in found] if isinstance(found, list | tuple) else []


def _path_of(job: Job) -> str:
    found = (job.result or {}).get("path")
    return found if isinstance(found, str) else ""


def _first(dataset: object) -> str:
    names = dataset.split(",") if isinstance(dataset, str) else dataset if isinstance(dataset, list | tuple) else ()
    return str(names[0]).strip() if names else ""
