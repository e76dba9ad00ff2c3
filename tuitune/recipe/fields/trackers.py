"""Which trackers a run reports to, and what they are told beside the figures."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Text, as_names, words_for, wrong

# name -> its name in pip; the modules are called like the trackers.
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio", "swanlab")
ALL = "all"

_MEANT = When("report_to", other=When("use_swanlab"))
# LLaMA-Factory says cloud where swanlab itself says online.
_Mode = Annotated[Literal["cloud", "local", "offline"], BeforeValidator(words_for({"online": "cloud"}))]


def _trackers(value: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in as_names(value)))
    if names in ((), ("none",)):
        return ()
    if names == (ALL,):
        return names
    for name in names:
        if name not in TRACKERS:
            several = " (alone)" if name in ("none", ALL) else ""
            raise wrong(f"there is no tracker '{name}' here{several}", f"write {', '.join(TRACKERS)}, all or none")
    return names


class TrackerOptions(Options):
    """Trackers beside the journal; secrets come from their environment variables or logins only."""

    GROUP: ClassVar[str] = "trackers"

    report_to: Annotated[Names, BeforeValidator(_trackers)] = option(
        (),
        "Trackers to report to, several with commas between them: tensorboard, wandb, mlflow, trackio, swanlab; all: "
        "those that are installed; none. The journal of the run is always written.",
    )
    project: Text | None = option(
        None,
        "The project (mlflow: experiment) at the trackers. Unset: what their environment variables say, else tuitune; "
        "transformers' default is huggingface.",
        when=_MEANT,
    )
    logging_dir: Text | None = option(
        None, "Where tensorboard's files go. Unset: trackers/tensorboard in the run's folder.", when=When("report_to")
    )
    trackio_space_id: Text | None = option(
        None, "A Space on Hugging Face that trackio logs to. Unset: on this machine only.", when=When("report_to")
    )
    use_swanlab: Flag = option(False, "Report to SwanLab, as report_to: swanlab does.")
    swanlab_project: Text | None = option(
        None, "The project at SwanLab; unset: as project. LLaMA-Factory's own default is llamafactory.", when=_MEANT
    )
    swanlab_workspace: Text | None = option(None, "The workspace at SwanLab; unset: the user's own.", when=_MEANT)
    swanlab_run_name: Text | None = option(None, "The run's name at SwanLab; unset: as run_name.", when=_MEANT)
    swanlab_mode: _Mode = option(
        "cloud",
        "Where SwanLab keeps the figures: its cloud, or on this machine, to be watched there (local) or to be sent "
        "later (offline).",
        when=_MEANT,
    )
    swanlab_logdir: Text | None = option(
        None, "Where SwanLab keeps its files. Unset: trackers/swanlab in the run's folder.", when=_MEANT
    )


RULES: tuple[Rule, ...] = ()
