"""What the Evaluate screen says where there is no evaluation to show."""

from __future__ import annotations

from collections.abc import Sequence

from tuitune.run.job import Job
from tuitune.tui.subjects import named

Said = tuple[str, str]
"""A role and a line."""

_TRAIN = "Train something on the Workbench (esc), or choose a model or an adapter with w."
_START = (
    "s measures it and its base on the same rows: loss and perplexity, then answers by BLEU, ROUGE and exact match, "
    "each with an interval of 95 %. Where the settings (2) name a benchmark, that is asked instead."
)


def what_to_do(subject: str | None, running: Sequence[Job], *, followed: bool) -> list[Said]:
    """Return what to say of a subject; running: the jobs at work. followed: one of them is this subject's."""
    if followed:
        return [("quiet", "at work: figures show here as they become final")]
    if subject is None:
        return [("ink", "Nothing has been trained yet."), ("quiet", ""), ("quiet", _TRAIN)]
    said = [("ink", f"{named(subject)} was not evaluated yet."), ("quiet", "")]
    for job in running:
        said += [("quiet", f"{job.title} is at work (6): w chooses that model."), ("quiet", "")]
    return [*said, ("quiet", _START)]
