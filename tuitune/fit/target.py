"""Where a run would go, and how much memory is free there: from plain numbers that others measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from tuitune.fit.precision import DeviceKind


@dataclass(frozen=True)
class Card:
    """One GPU as a monitor sees it; None where its driver tells nothing."""

    index: int
    total: int | None
    free: int | None
    uuid: str = ""


@dataclass(frozen=True)
class Target:
    """The device of a run and its memory in bytes; `where` is its short name, `problem` why it cannot be used."""

    kind: DeviceKind
    index: int | None
    free: int | None
    total: int | None
    where: str
    problem: str = ""


def choose_target(
    device: str,
    *,
    ram_free: int | None,
    ram_total: int | None,
    cards: Sequence[Card] = (),
    visible: str = "",
    cuda: bool = True,
) -> Target:
    """Return where `device` (auto, cpu, cuda:N) leads, as the engine decides it.

    visible: CUDA_VISIBLE_DEVICES as a scheduler gave it. cuda: whether torch was built for GPUs.
    """
    ours = _ours(cards, visible)
    if device == "cpu" or (device == "auto" and not (ours and cuda)):
        return Target("cpu", None, ram_free, ram_total, "RAM")
    if device == "auto":
        # A scheduler's first card; without one the card with most free memory.
        card = ours[0] if visible.strip() else max(ours, key=lambda each: each.free or 0)
        return _on(card)
    number = int(device.partition(":")[2] or 0)
    if not cuda:
        return Target("cuda", number, None, None, f"GPU {number}", "the installed torch is built without CUDA")
    if number >= len(ours):
        seen = "no GPU is seen here" if not ours else f"there are {len(ours)} GPUs, counted from 0"
        return Target("cuda", number, None, None, f"GPU {number}", seen)
    return _on(ours[number])


def _on(card: Card) -> Target:
    return Target("cuda", card.index, card.free, card.total, f"GPU {card.index}")


def _ours(cards: Sequence[Card], visible: str) -> list[Card]:
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if not names:
        return list(cards)
    found = [card for name in names for card in cards if _is(card, name)]
    return list(dict.fromkeys(found))


def _is(card: Card, name: str) -> bool:
    return card.index == int(name) if name.isdecimal() else bool(card.uuid) and card.uuid.startswith(name)


@cache
def torch_has_cuda() -> bool:
    """Tell, without importing torch, whether the installed one is built for NVIDIA GPUs."""
    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
