"""Which modules a recipe's names mean: as peft reads them, told from names alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tuitune.fit.layers import EMBEDDING, HEAD, Module
from tuitune.recipe.fields.lora import is_regex

_BOTH = (EMBEDDING, HEAD)


def adapted(
    known: Sequence[Module], targets: tuple[str, ...], further: tuple[str, ...] = (), *, tied: bool = False
) -> list[Module]:
    """Return the modules that get an adapter; those that `further` trains whole get none.

    tied: the head is the embedding, so an adapter of one is one of the other too.
    """
    found = {m.name for m in known if m.kind != "norm" and targeted(m.name, m.kind, targets)}
    found |= set(_BOTH) if tied and found.intersection(_BOTH) else set()
    whole = {m.name for m in copied(known, further)}
    whole |= set(_BOTH) if tied and whole.intersection(_BOTH) else set()
    return [m for m in known if m.name in found - whole]


def copied(known: Sequence[Module], further: tuple[str, ...], *, tied: bool = False) -> list[Module]:
    """Return the modules that `additional_target` has trained whole; of a tied pair one copy is made."""
    found = [m for m in known if is_whole(m.name, further)]
    names = {m.name for m in found}
    if not tied or not names.intersection(_BOTH):
        return found
    return [m for m in known if m.name == EMBEDDING or (m.name in names and m.name != HEAD)]


def targeted(name: str, kind: str, targets: tuple[str, ...]) -> bool:
    """Tell whether the module `name` is one of `lora_target`: names, ends of names, a regular expression, or all."""
    if targets == ("all",):
        return kind == "linear" and name != HEAD
    if is_regex(targets):
        return re.fullmatch(targets[0], name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def is_whole(name: str, further: tuple[str, ...]) -> bool:
    """Tell whether `additional_target` names the module `name`, or one around it."""
    parts = name.split(".")
    around = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(each == target or each.endswith(f".{target}") for target in further for each in around)
