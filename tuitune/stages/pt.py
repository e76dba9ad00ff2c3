"""Pre-training: every token of plain text is learnt."""

from __future__ import annotations

from typing import ClassVar

from tuitune.stages.sft import Sft


class Pt(Sft):
    """Next-token prediction on all tokens: the data says so, the loss is that of supervised fine-tuning."""

    name: ClassVar[str] = "pt"
