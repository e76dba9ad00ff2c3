"""The rows as people read them: what is asked, and the columns of the file, for tables and for metrics of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuitune.data.conversation import Conversation, Document, UnusableRow
from tuitune.data.sources import open_sources

if TYPE_CHECKING:
    from tuitune.data import Examples
    from tuitune.data.conversation import Message
    from tuitune.data.sources import Source
    from tuitune.evaluate.heldout import Choice, Held
    from tuitune.evaluate.scores import Around

_LONG = 4000  # characters of a text without a question


@dataclass(frozen=True)
class Written:
    """A row: its prompt as text ("" where it has none), and the columns of its file."""

    prompt: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


def written(choice: Choice, held: Held, around: Around) -> dict[str, Written]:
    """Return the rows by their ids; the files are read again, which the tokens do not need."""
    wanted = _places(held.examples, held.ids)
    names = choice.recipe.eval_dataset if choice.split and choice.recipe.eval_dataset else choice.recipe.dataset
    found: dict[str, Written] = {}
    for source in open_sources(names, choice.recipe, around.progress, around.check):
        for row in source.rows:
            for name in wanted.pop((row.file, row.number), ()):
                found[name] = _written(source, row)
            if not wanted:
                return found
    return found


def _places(examples: Examples, ids: Sequence[str]) -> dict[tuple[str, int], list[str]]:
    origins, found = examples.origins, dict[tuple[str, int], list[str]]()
    if origins is None:
        return found
    for name, file, number in zip(ids, origins.file.tolist(), origins.number.tolist(), strict=True):
        found.setdefault((origins.files[file], number), []).append(name)
    return found


def _written(source: Source, row: Any) -> Written:
    columns = row.value if isinstance(row.value, dict) else {}
    try:
        said = source.read(row)
    except UnusableRow:
        return Written("", columns)
    if isinstance(said, Document):
        return Written(said.text[:_LONG], columns)
    return Written(_prompt(said), columns)


def _prompt(talk: Conversation) -> str:
    """Return what is answered: the one message, or the dialogue up to it with its roles."""
    answered = talk.messages[-1].role in ("assistant", "function")
    before: Sequence[Message] = talk.messages[:-1] if answered else talk.messages
    if len(before) == 1:
        return before[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in before)
