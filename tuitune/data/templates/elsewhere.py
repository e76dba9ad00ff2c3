"""Template names of LLaMA-Factory that are not built in; models of these families carry their own in the tokenizer."""

from __future__ import annotations

KNOWN_ELSEWHERE = frozenset({"chatglm2", "cpm", "cpm3", "custom", "dbrx", "gemma4", "gemma4n", "moss_vl", "phi_small"})
