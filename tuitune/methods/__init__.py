"""Tuning methods, found by name; a method is one module and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.methods.base import Method

_METHODS = {
    "full": ("tuitune.methods.full", "Full"),
    "lora": ("tuitune.methods.lora", "Lora"),
}


def method(name: str) -> Method:
    """Return the method called `name`; its module is imported only now."""
    module, attribute = _METHODS[name]
    made: Method = getattr(import_module(module), attribute)()
    return made
