"""What `tuitune data --json` prints: what the data come to, every row left out, and examples token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.data.look import Look, Side, View
    from tuitune.data.look_view import Strand

_BINS = 20


def records(look: Look, side: Side, chosen: Sequence[int]) -> Iterator[dict[str, object]]:
    """Yield one record for the data, one for each row left out, one for each chosen example."""
    yield _whole(look, side)
    for bad in look.report.bad:
        yield {"kind": "bad", "file": bad.file, "row": bad.row, "reason": bad.reason}
    for place in chosen:
        yield _example(look, side, side.view(place))


def _whole(look: Look, side: Side) -> dict[str, object]:
    report, setting = look.report, look.setting
    packs = None if side.packs is None else asdict(side.packs)
    return {
        "kind": "data", "template": look.template, "end_token": look.stop_text, "stop_ids": list(setting.stop),
        "split": "train" if side is look.train else "evaluation", "examples": len(side),
        "evaluation_examples": None if look.evaluation is None else len(look.evaluation),
        "tokens": side.tokens, "trained": side.trained_tokens, "longest": side.longest,
        "median": side.quantiles[0], "p95": side.quantiles[1], "cutoff_len": setting.cutoff_len,
        "cut": len(side.places("cut")), "lost": side.lost, "duplicates": len(side.places("twice")),
        "bad": report.bad_count, "empty": report.empty, "untrained": len(side.places("untrained")),
        "answers": int(side.answers.sum()), "answers_ended": int(side.ended.sum()),
        "answers_end_trained": int(side.closed.sum()), "rows_answered": side.rows_answered,
        "rows_end_trained": side.rows_closed, "packs": packs, "steps_per_epoch": side.steps_per_epoch,
        "steps": side.steps, "padded_tokens": side.padded, "computed_tokens": side.computed,
        "histogram": [asdict(each) for each in side.histogram(_BINS)], "sampled": setting.sampled,
        "notes": list(report.notes), "facts": list(report.facts),
    }  # fmt: skip


def _example(look: Look, side: Side, view: View) -> dict[str, object]:
    origins = side.examples.origins
    return {
        "kind": "example", "number": view.place + 1, "index": int(side.examples.indices[view.place]),
        "file": None if origins is None else origins.files[int(origins.file[view.place])],
        "row": None if origins is None else int(origins.number[view.place]), "lost": view.lost,
        "same_as": None if view.like is None else view.like + 1, "end_trained": view.ended,
        "desirable": view.desirable, "shared": view.shared, "columns": dict(view.columns),
        "sequences": [_sequence(strand) for strand in view.strands],
    }  # fmt: skip


def _sequence(strand: Strand) -> dict[str, object]:
    tokens = strand.tokens()
    return {
        "tokens": len(strand), "trained": strand.trained, "turns": [asdict(turn) for turn in strand.turns],
        "ids": [token.id for token in tokens],
        "labels": [token.target if token.trained else -100 for token in tokens],
        "special": [token.special for token in tokens],
        "text": [token.text for token in tokens],
    }  # fmt: skip
