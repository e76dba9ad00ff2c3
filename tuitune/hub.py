"""What models and data sets of a hub have in common: the words for what goes wrong, file names, disk space."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tuitune import amounts
from tuitune.text import clean_line

_RESERVE_BYTES = 256 << 20
Words = tuple[str, str]


@dataclass(frozen=True)
class Thing:
    """What is fetched: its name in sentences, the key of its revision, and what to do without a network."""

    name: str
    revision_key: str
    here: str


MODEL = Thing("model", "model_revision", "use a model that is on this machine (tuitune models)")
DATA = Thing("data set", "the revision", "fetch it once with a network; afterwards it is read from the disk")


def explain(error: Exception, repo: str, revision: str | None, thing: Thing) -> Words:
    """Say in words what went wrong with the hub, and what helps."""
    from huggingface_hub import errors

    where = endpoint()
    if isinstance(error, errors.GatedRepoError):
        hint = "Accept its terms on its page, then set HF_TOKEN to a token of that account."
        return f"{repo} is gated: its owner wants you to accept terms first", hint
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}", f"Correct or remove {thing.revision_key}."
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = (
            f"Check the spelling; a private {thing.name} needs HF_TOKEN. A local folder is named by its path on this "
            "machine."
        )
        return f"there is no {thing.name} {repo!r} on {where} that you may see, and no folder of that name here", hint
    if isinstance(error, errors.HFValidationError):
        return f"{repo!r} cannot be the name of a {thing.name} on the hub", "It must look like organisation/name."
    if isinstance(error, errors.OfflineModeIsEnabled) or offline():
        return (
            f"{repo} is not on this machine, and HF_HUB_OFFLINE forbids fetching it",
            f"Unset HF_HUB_OFFLINE, or {thing.here}.",
        )
    if isinstance(error, OSError) and error.errno == 28:
        return f"the disk is full: {repo} could not be stored", "Point HF_HOME at a larger disk."
    hint = (
        "Check the network, or set HF_ENDPOINT to a mirror; what was already fetched is kept and used by the next try."
    )
    return f"cannot fetch {repo} from {where}: {type(error).__name__}: {_short(error)}", hint


def endpoint() -> str:
    """Return the hub's address for people."""
    # A mirror's address may carry a password.
    return re.sub(r"//[^/@]*@", "//", os.environ.get("HF_ENDPOINT", "")) or "the hub"


def offline() -> bool:
    """Return whether the user forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "on", "yes")


def literal(name: str) -> str:
    """Return the pattern that means exactly this file; the library reads patterns."""
    return re.sub(r"([\[*?])", r"[\1]", name)


def space_wanting(folder: Path, needed: int) -> Words | None:
    """Return why `needed` bytes do not fit on the disk of `folder`; None if they do."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= needed + _RESERVE_BYTES:
        return None
    return (
        f"the download takes {amounts.size(needed)}, and {folder} has {amounts.size(free)} free",
        "Free some space, or point HF_HOME (or cache_dir) at a larger disk.",
    )


def _short(error: Exception) -> str:
    return clean_line(str(error))[:300]
