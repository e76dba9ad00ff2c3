"""The run of this app: begun, steered, watched, left. Draws nothing; what there is to say goes to `tell`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from tuitune.engine.asked import asked
from tuitune.errors import RecipeError, RunError, UsageError
from tuitune.face.host import ProcessHost, ThreadHost, prepare_for
from tuitune.run import Inbox, RunDir, State, events, liveness
from tuitune.run.imported import refuse_training
from tuitune.run.inbox import Command
from tuitune.run.state import refuse_suspended
from tuitune.tui.runview import RunView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuitune.recipe import Document, Recipe

Level = Literal["information", "warning", "error"]
Tell = Callable[[str, Level], None]

# What CUDA leaves behind after these, no later call in the process can be trusted.
_FATAL = ("CUDA error", "device-side assert", "CUBLAS_STATUS", "unspecified launch failure", "illegal memory access")


class Control:
    """One run under the eyes of the app; at most one engine in its process."""

    def __init__(self, tell: Tell, log_to: Callable[[RunDir | None], None] = lambda run: None) -> None:
        self._tell, self._log_to = tell, log_to
        self.view: RunView | None = None
        self.host: ThreadHost | ProcessHost | None = None
        self._sent: dict[str, str] = {}
        self._told_end = True
        self.tainted = False

    @property
    def run(self) -> RunDir | None:
        """The run that is shown."""
        return self.view.run if self.view is not None else None

    @property
    def live(self) -> bool:
        """Whether an engine trains in the run that is shown, here or elsewhere."""
        return self.working or (self.view is not None and self.view.live)

    @property
    def working(self) -> bool:
        """Whether an engine works in a thread of this process."""
        return isinstance(self.host, ThreadHost) and not self.host.wait(0)

    def pids(self) -> list[int]:
        """Return the processes that are this run's on this machine: the app, and the engine elsewhere."""
        state = self.view.state if self.view is not None and self.view.live else None
        here = state is not None and state.host == socket.gethostname()
        return [os.getpid(), *([state.pid] if state is not None and here else [])]

    def watch(self, view: RunView) -> None:
        """Show a run that was begun elsewhere, or earlier. Raises RunError while a run trains in this process."""
        if self.working and view.run.path != (self.run.path if self.run else None):
            raise RunError("a run trains in this app", "stop it, or detach and attach to the other one")
        self.view, self._told_end = view, not view.live
        if not self.working:
            self.host = None

    def begin(self, document: Document, name: str | None = None) -> RunDir:
        """Start a run of a recipe, called `name` where that is free. Raises TuiTuneError with all that is wrong.

        Reads the disk: for a worker thread.
        """
        from tuitune.face.asking import missing
        from tuitune.face.clone import usable_name
        from tuitune.face.start import open_run

        self._refuse_second()
        if absent := [problem for problem in missing(document) if problem.level == "error"]:
            raise RecipeError(absent, "the recipe")
        name = usable_name(name, document.recipe())
        return open_run(document, name=name, tell=lambda text: self._tell(text, "information"))

    def go(self, run: RunDir) -> None:
        """Start the engine in `run`, from wherever it stands. Raises TuiTuneError."""
        self._refuse_second()
        refuse_training(run)
        recipe, _ = asked(run)
        self.view, self._told_end = RunView(run), False
        self.view.poll()
        if recipe.host == "process" or not self._usable(recipe):
            self.host = ProcessHost.start(run)
            return
        prepare_for(recipe.device, recipe.threads)
        self._log_to(run)
        self.host = ThreadHost(run).start()

    def _refuse_second(self) -> None:
        if self.working:
            raise RunError(f"{self.run.name if self.run else 'a run'} trains in this app already", "stop it first")

    def _usable(self, recipe: Recipe) -> bool:
        """Tell whether this process can train on the device: its first use of torch has chosen one."""
        if self.tainted:
            self._tell("the GPU failed in this process: the run gets a process of its own", "warning")
            return False
        if "torch" not in sys.modules or recipe.device in ("auto", "cpu"):
            return True
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        given = [name for name in os.environ.get("TUITUNE_GIVEN_DEVICES", "").split(",") if name.strip()]
        index = int(recipe.device.removeprefix("cuda:"))
        wanted = given[index].strip() if index < len(given) else str(index)
        if visible == wanted:
            return True
        self._tell(
            f"this app works on another device already: on {recipe.device} the run gets its own process", "warning"
        )
        return False

    def ask(self, command: Command, done: str = "") -> None:
        """Send a command to the engine; `done` is said when it has obeyed. Raises RunError when none listens."""
        if self.working and self.host is not None:
            self._sent[command.id] = done
            self.host.ask(command)
            return
        run = self.run
        state = State.read(run.state) if run is not None else None
        if run is None or state is None or liveness(state) != "live":
            raise RunError("no run is training", "ctrl+r starts one")
        refuse_suspended(state, run.name)
        command = replace(command, attempt=state.attempt)
        self._sent[command.id] = done
        Inbox(run.inbox).send(command)

    def poll(self) -> Sequence[events.Event]:
        """Read what is new and say what somebody waits for."""
        if self.view is None:
            return ()
        found = self.view.poll()
        for event in found:
            match event:
                case events.CommandDone(id=identifier) if identifier in self._sent:
                    self._answered(event, self._sent.pop(identifier))
                case events.RunFinished() | events.RunFailed():
                    self._ended(event)
        self._left_without_a_word()
        return found

    def _answered(self, event: events.CommandDone, done: str) -> None:
        if event.outcome in ("refused", "failed"):
            self._tell(f"{event.command.replace('_', ' ')}: {event.message}", "warning")
        elif event.outcome == "done" and (text := event.message or done):
            self._tell(text, "information")

    def _ended(self, event: events.RunFinished | events.RunFailed) -> None:
        if self._told_end:
            return
        self._told_end = True
        match event:
            case events.RunFailed(message=message, hint=hint):
                self.tainted = self.tainted or any(word in message for word in _FATAL)
                self._tell(f"the run failed: {message}" + (f"\n{hint}" if hint else ""), "error")
            case events.RunFinished(reason="finished", step=step):
                self._tell(f"finished after {step} steps; ask the tuned model in the chat", "information")
            case events.RunFinished(step=step, reason="stopped"):
                self._tell(f"stopped at step {step}; ctrl+r goes on from there", "information")
            case _:
                self._tell("stopped without saving", "information")

    def _left_without_a_word(self) -> None:
        """Say it when the engine's thread ended before it had a session, such as when another holds the directory."""
        if self._told_end or not isinstance(self.host, ThreadHost) or not self.host.wait(0):
            return
        try:
            outcome = self.host.outcome
        except (RunError, UsageError) as error:
            self._told_end = True
            self._tell(f"{error.message}" + (f"\n{error.hint}" if error.hint else ""), "error")
        except BaseException as error:
            self._told_end = True
            self._tell(f"the engine broke off: {type(error).__name__}; console.log has the story", "error")
        else:
            self._told_end = self._told_end or outcome.status != "failed"

    def release(self) -> bool:
        """Take the log back once the engine's thread has ended; its last word may come before that. Return whether."""
        if not isinstance(self.host, ThreadHost) or not self.host.wait(0):
            return False
        self._log_to(None)
        self.host = None
        return True
