"""A run on disk: its directory, journal, inbox, state, checkpoints and the index that finds it again."""

from __future__ import annotations

from tuitune.run import events, index, manifest
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Inbox
from tuitune.run.journal import Journal, JournalReader
from tuitune.run.overview import RunSummary, summary
from tuitune.run.state import Heartbeat, State, liveness

__all__ = [
    "Heartbeat",
    "Inbox",
    "Journal",
    "JournalReader",
    "RunDir",
    "RunSummary",
    "State",
    "events",
    "index",
    "liveness",
    "manifest",
    "summary",
]
