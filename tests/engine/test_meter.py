"""Figures that are not finite numbers are warned of once, until they are again."""

from __future__ import annotations

from tuitune.engine.meter import Watch


def test_what_is_not_finite_is_warned_of_once_until_it_is_again() -> None:
    told: list[str] = []
    watch = Watch(lambda message, hint: told.append(message))
    nan, infinite = float("nan"), float("inf")
    seen = [(1.0, 2.0), (nan, 1.0), (nan, infinite), (1.0, 1.0), (1.0, -infinite), (2.0, nan)]
    for step, (loss, norm) in enumerate(seen, 1):
        watch.look(step, {"loss": loss, "grad_norm": norm})
    watch.look(7, {"loss": 1.0})
    assert told == ["loss is not a finite number since step 2", "grad_norm is not a finite number since step 5"]
