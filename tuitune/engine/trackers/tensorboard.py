"""TensorBoard: event files in a folder, written without torch or tensorflow."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tuitune.engine.trackers.base import Opening, Outcome

_FLUSH_SECONDS = 10


class TensorBoard:
    """A folder of event files, one for each attempt; the reader drops what a later attempt takes back."""

    replaces = True

    def __init__(self, opening: Opening) -> None:
        folder = opening.place(opening.recipe.logging_dir)
        if opening.recipe.logging_dir:  # a folder that runs share
            folder = folder / opening.folder.name
        self.id = str(folder)
        self.where = f"tensorboard --logdir {shlex.quote(self.id)}"
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)
        if opening.step or opening.id:
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=opening.step + 1, session_log=start))
        self._write(_text("recipe", opening), 0, time.time())

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Write scalars."""
        self._write([Summary.Value(tag=name, simple_value=value) for name, value in figures.items()], step, t)

    def _write(self, values: list[Summary.Value], step: int, t: float) -> None:
        self._writer.add_event(Event(wall_time=t, step=step, summary=Summary(value=values)))
        self._writer.flush()

    def close(self, outcome: Outcome, message: str) -> None:
        """Close the file."""
        self._writer.close()


def _text(tag: str, opening: Opening) -> list[Summary.Value]:
    """Return the recipe as Markdown for the text tab."""
    lines = "\n".join(f"    {name}: {value}" for name, value in opening.config.items())
    tensor = TensorProto(
        dtype=DT_STRING, string_val=[lines.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )  # fmt: skip
    metadata = create_summary_metadata(display_name=tag, description="")
    return [Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor)]
