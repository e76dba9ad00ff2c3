"""One data set of a catalog: where it lies, and which column and which tag means what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Formatting = Literal["alpaca", "sharegpt", "openai"]
Service = Literal["hf", "ms", "om"]

DEFAULT_COLUMNS: dict[str, dict[str, str]] = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
    "openai": {"messages": "messages", "tools": "tools"},
}
PAIR = {"chosen": "chosen", "rejected": "rejected"}
DEFAULT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
OPENAI_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function",
    "system_tag": "system",
}


@dataclass(frozen=True)
class Remote:
    """A data set on a hub: Hugging Face's, ModelScope's or Modelers'."""

    service: Service
    repo: str
    subset: str | None = None
    split: str = "train"
    folder: str | None = None


@dataclass(frozen=True)
class Entry:
    """One data set of the catalog; a column or tag that is absent is not read. `file_name` is "" with `remote`."""

    name: str
    file_name: str
    formatting: Formatting
    columns: Mapping[str, str]
    tags: Mapping[str, str]
    num_samples: int | None = None
    named_columns: bool = False
    ranking: bool = False
    remote: Remote | None = None

    @property
    def pairs(self) -> bool:
        """Whether the rows hold a better and a worse answer."""
        return "chosen" in self.columns and "rejected" in self.columns
