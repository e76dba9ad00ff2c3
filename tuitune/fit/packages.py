"""The installed packages against what TuiTune asks for, without importing any of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement


def requirements() -> list[str] | None:
    """Return what the installed TuiTune requires, None when it is not installed as a package."""
    try:
        return metadata.requires("tuitune") or []
    except metadata.PackageNotFoundError:
        return None


def compare(wanted: Iterable[str]) -> tuple[int, list[str]]:
    """Return how many requirements are met, and words for each one that is not."""
    met, problems = 0, []
    for line in wanted:
        requirement = _applying(line)
        if requirement is None:
            continue
        problem = _problem(requirement)
        met += problem is None
        problems += [problem] if problem else []
    return met, problems


def _applying(line: str) -> Requirement | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    # Extras are asked for by name; none is here.
    wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return requirement if wanted else None


def _problem(requirement: Requirement) -> str | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} is {version}, not {requirement.specifier}"
