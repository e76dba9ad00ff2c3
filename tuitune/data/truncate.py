"""Cut the turns of one row to `cutoff_len` and mask what is not trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Turn = tuple[list[int], list[int]]  # ids of the prompt part, ids of the answer


def shares(source: int, target: int, room: int) -> tuple[int, int]:
    """Return how many source and target tokens fit in `room`: the longer side gives way, else both in proportion.

    This is LLaMA-Factory's rule, kept so that its recipes train on the same tokens.
    """
    if 2 * target < room:
        most = room
    elif 2 * source < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    target = min(most, target)
    return min(max(room - target, 0), source), target


@dataclass(frozen=True)
class Masking:
    """Which tokens are trained and how many fit.

    truncation: what a too long row loses: prompt and answer in proportion, its beginning (`left`) or its end.
    late_end: the token that ends an answer where the template writes it with the next question only; else None.
    """

    cutoff_len: int
    train_on_prompt: bool = False
    mask_history: bool = False
    truncation: str = "proportional"
    late_end: int | None = None

    @property
    def room(self) -> int:
        """How many tokens there are for what the template writes."""
        return self.cutoff_len - (self.late_end is not None)


@dataclass(frozen=True, slots=True)
class Cut:
    """One sequence after the cut; `labelled` holds 0 or 1 per token, `late` the places labelled with the late end."""

    ids: list[int]
    labelled: list[int]
    lost: int = 0
    dropped_turns: int = 0
    late: tuple[int, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether tokens were lost."""
        return self.lost > 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is left of turn `place`."""

    place: int
    source: list[int]
    target: list[int]
    whole: bool  # the answer is


def cut(turns: Sequence[Turn], masking: Masking, trained: Sequence[bool] = ()) -> Cut:
    """Cut the turns of a dialogue; `trained` says which answers are learnt (empty: all), mask_history only the last.

    In proportion: turn by turn, from the last one with mask_history.
    """
    learnt = [
        (not trained or trained[place]) and (not masking.mask_history or place == len(turns) - 1)
        for place in range(len(turns))
    ]
    kept = sorted(_kept(turns, masking), key=lambda turn: turn.place)
    ids: list[int] = []
    labelled: list[int] = []
    late: list[int] = []
    for turn in kept:
        before = turn.place - 1
        if (
            masking.late_end is not None
            and ids
            and learnt[before]
            and not masking.mask_history
            and _whole(kept, before)
        ):
            late.append(len(ids))
        ids += turn.source + turn.target
        labelled += [int(masking.train_on_prompt)] * len(turn.source) + [int(learnt[turn.place])] * len(turn.target)
    for place in late:
        labelled[place] = 1
    lost = sum(len(source) + len(target) for source, target in turns) - len(ids)
    ended = Cut(ids, labelled, lost, len(turns) - len(kept), tuple(late))
    return _ended(ended, masking, learnt[kept[-1].place]) if kept and kept[-1].target else ended


def _kept(turns: Sequence[Turn], masking: Masking) -> Iterator[_Kept]:
    """Yield what fits of the turns, the most important first."""
    backwards = masking.truncation == "left" or (masking.mask_history and masking.truncation == "proportional")
    room = masking.room
    for place in reversed(range(len(turns))) if backwards else range(len(turns)):
        if room <= 0:
            return
        source, target = turns[place]
        left, right = _sides(len(source), len(target), room, masking.truncation)
        room -= left + right
        if masking.truncation == "left":
            yield _Kept(place, source[len(source) - left :], target[len(target) - right :], right == len(target))
        else:
            yield _Kept(place, source[:left], target[:right], right == len(target))


def _sides(source: int, target: int, room: int, truncation: str) -> tuple[int, int]:
    if truncation == "proportional":
        return shares(source, target, room)
    if truncation == "left":
        kept = min(target, room)
        return min(source, room - kept), kept
    kept = min(source, room)
    return kept, min(target, room - kept)


def _whole(kept: Sequence[_Kept], place: int) -> bool:
    return any(turn.place == place and turn.whole for turn in kept)


def _ended(row: Cut, masking: Masking, labelled: bool) -> Cut:
    """Append the end of the answer where the template has not written it."""
    if masking.late_end is None:
        return row
    return replace(row, ids=[*row.ids, masking.late_end], labelled=[*row.labelled, int(labelled)])


def cut_answers(prompt: list[int], answers: Sequence[list[int]], masking: Masking) -> list[Cut]:
    """Return one sequence per answer, all with the same prompt, of which the answer alone is learnt.

    In proportion: the prompt against the longest answer, as LLaMA-Factory does. left: the prompt loses its beginning,
    and only an answer that leaves it no token loses its end. right: what goes beyond is lost.
    """
    longest = max(map(len, answers))
    if masking.truncation == "left":
        target = max(min(longest, masking.room - 1), 0)
        source = min(len(prompt), max(masking.room - target, 0))
        beginning = prompt[len(prompt) - source :]
    else:
        source, target = _sides(len(prompt), longest, masking.room, masking.truncation)
        beginning = prompt[:source]
    found = []
    for answer in answers:
        ids, kept = beginning + answer[:target], min(len(answer), target)
        labelled = [0] * len(beginning) + [1] * kept
        lost = len(prompt) + len(answer) - len(ids)
        found.append(_ended(Cut(ids, labelled, lost), masking, True) if kept > 0 else Cut(ids, [0] * len(ids), lost))
    return found


def cut_prompt(ids: list[int], masking: Masking) -> Cut:
    """Return a prompt that is not learnt; a too long one loses its beginning, whatever `truncation` says.

    The answer that will be written follows the end of it.
    """
    lost = max(len(ids) - masking.cutoff_len, 0)
    return Cut(ids[lost:], [0] * (len(ids) - lost), lost)
