"""What a tool format is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuitune.data.templates.tools.calls import Call, JsonObject


@dataclass(frozen=True)
class ToolFormat:
    """Three functions: `describe` adds tools to the system text, `say` writes calls, `extract` reads them again.

    `extract` returns the text itself where it holds no call, or none that can be read. The texts are facts of the
    models' own chat templates, as LLaMA-Factory's data/tool_utils.py has them too.
    """

    name: str
    describe: Callable[[Sequence[JsonObject]], str]
    say: Callable[[Sequence[Call]], str]
    extract: Callable[[str], list[Call] | str]
