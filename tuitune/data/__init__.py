"""Rows become conversations, conversations become token ids and labels."""

from __future__ import annotations

from tuitune.data.build import Prepared, build
from tuitune.data.conversation import Conversation, Document, Message
from tuitune.data.examples import Example, Examples, Origins
from tuitune.data.options import DataOptions
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
