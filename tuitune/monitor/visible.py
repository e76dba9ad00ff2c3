"""The recipe's names for cards: cuda:N counts the cards that `CUDA_VISIBLE_DEVICES` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def device_names(
    cards: Sequence[tuple[int, str | None]], instances: Mapping[str, int], environ: Mapping[str, str]
) -> dict[int, str]:
    """Return index -> cuda:N for cards of (index, uuid); `instances` are MIG uuids and the index of their card."""
    # The engine narrows CUDA_VISIBLE_DEVICES to one card and keeps what it was given under the other name.
    given = environ.get("TUITUNE_GIVEN_DEVICES", environ.get("CUDA_VISIBLE_DEVICES", ""))
    ours = [name.strip() for name in given.split(",") if name.strip()]
    if not ours:
        return {index: f"cuda:{index}" for index, _ in cards}
    names: dict[int, str] = {}
    for order, name in enumerate(ours):
        index = _index_of(name, cards, instances)
        if index is None:
            break  # CUDA itself stops at the first name that it does not know
        names.setdefault(index, f"cuda:{order}")
    return names


def _index_of(name: str, cards: Sequence[tuple[int, str | None]], instances: Mapping[str, int]) -> int | None:
    if name.isdigit():
        return next((index for index, _ in cards if index == int(name)), None)
    found = [index for index, uuid in cards if uuid and uuid.startswith(name)]
    found += [index for uuid, index in instances.items() if uuid.startswith(name)]
    return found[0] if found else None
