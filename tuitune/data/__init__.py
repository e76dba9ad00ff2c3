"""Rows become conversations, conversations become token ids and labels.

A name of this page is imported when it is first asked for: templates, tools and options do without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.data.conversation import Conversation, Document, Message
    from tuitune.data.examples import Example, Examples, Origins
    from tuitune.data.options import DataOptions
    from tuitune.data.prepared import Prepared, build
    from tuitune.data.report import BadRow, DataReport, Duplicate
    from tuitune.data.rows import IGNORED, Row, TokenRows
    from tuitune.data.streaming import Stream

__all__ = [
    "IGNORED",
    "BadRow",
    "Conversation",
    "DataOptions",
    "DataReport",
    "Document",
    "Duplicate",
    "Example",
    "Examples",
    "Message",
    "Origins",
    "Prepared",
    "Row",
    "Stream",
    "TokenRows",
    "build",
]

_NAMES = {
    "conversation": ("Conversation", "Document", "Message"),
    "examples": ("Example", "Examples", "Origins"),
    "options": ("DataOptions",),
    "prepared": ("Prepared", "build"),
    "report": ("BadRow", "DataReport", "Duplicate"),
    "rows": ("IGNORED", "Row", "TokenRows"),
    "streaming": ("Stream",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
