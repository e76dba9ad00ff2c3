"""How like answers are to those of the data: exact match, BLEU-4, ROUGE-1, -2 and -L.

BLEU is sacrebleu's (Post, arXiv 1804.08771) over all answers together, ROUGE the F-measure of Google's rouge-score,
the mean over the answers; both in percent. Both packages are the extra `metrics`; without them their figures are left
out. Each answer is cut into words as the language of the data's answer asks, so that Chinese and English rows may stand
side by side: what is counted for BLEU is added up over all of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

_NEEDED = {"sacrebleu": "BLEU", "rouge_score": "ROUGE"}
_IDEOGRAPH = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]"
_HAN, _KANA = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]"), re.compile(r"[\u3040-\u30ff]")
_WORD = re.compile(rf"{_IDEOGRAPH}|(?:(?!{_IDEOGRAPH})[^\W_])+")
_ROUGE = {"rouge1": "rouge-1", "rouge2": "rouge-2", "rougeL": "rouge-l"}
EXACT, BLEU, ROUGES = "exact_match", "bleu-4", tuple(_ROUGE.values())
ORDER = 4  # longest run of words that BLEU looks at


def missing() -> list[str]:
    """Return in words which figures cannot be computed here."""
    return [
        f"{figure} is not computed: {package} is not installed"
        for package, figure in _NEEDED.items()
        if find_spec(package) is None
    ]


def likeness(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Return the share of exact matches (outer whitespace apart), and the figures whose package is there."""
    found = {EXACT: sum(same(a, b) for a, b in zip(said, wanted, strict=True)) / len(wanted)}
    if find_spec("sacrebleu"):
        found[BLEU] = bleu(said, wanted)
    if find_spec("rouge_score"):
        found |= rouge(said, wanted)
    return found


def same(said: str, wanted: str) -> bool:
    """Whether an answer is the data's, outer whitespace apart."""
    return said.strip() == wanted.strip()


def one(said: str, wanted: str) -> dict[str, float]:
    """Return how like a single answer is (exact match: 1 or 0); BLEU of a sentence is smoothed (`exp`)."""
    found = {EXACT: float(same(said, wanted))}
    if find_spec("sacrebleu"):
        from sacrebleu.metrics.bleu import BLEU as Bleu

        counted = bleu_counts(said, wanted)
        correct, total = counted[:ORDER], counted[ORDER : 2 * ORDER]
        found[BLEU] = float(Bleu.compute_bleu(correct, total, *counted[2 * ORDER :], smooth_method="exp",
                                              effective_order=True).score)  # fmt: skip
    if find_spec("rouge_score"):
        found |= rouge([said], [wanted])
    return found


# BLEU


def bleu(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Return BLEU-4 of all texts together."""
    from sacrebleu.metrics.bleu import BLEU as Bleu

    counted = [bleu_counts(a, b) for a, b in zip(said, wanted, strict=True)]
    sums = [sum(column) for column in zip(*counted, strict=True)]
    made = Bleu.compute_bleu(sums[:ORDER], sums[ORDER : 2 * ORDER], *sums[2 * ORDER :], smooth_method="exp")
    return float(made.score)


def bleu_counts(said: str, wanted: str) -> list[int]:
    """Return what corpus BLEU adds up: right runs of 1 to 4 words, all runs, words of the answer and of the data's."""
    made = _bleu(tokenizer_of(wanted)).sentence_score(said.strip(), [wanted.strip()])
    return [*made.counts, *made.totals, made.sys_len, made.ref_len]


def tokenizer_of(text: str) -> str:
    """Return sacrebleu's tokenizer for the language of a text: Japanese has no words that could be told apart without
    a dictionary and goes by characters, Chinese goes by ideographs, all others by words.
    """
    if _KANA.search(text):
        return "char"
    return "zh" if _HAN.search(text) else "13a"


@functools.cache
def _bleu(tokenize: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU as Bleu

    return Bleu(tokenize=tokenize, effective_order=True)


# ROUGE


def rouge(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Return the mean ROUGE F-measures."""
    scores = [_rouge().score(b.strip(), a.strip()) for a, b in zip(said, wanted, strict=True)]
    return {ours: 100 * sum(s[theirs].fmeasure for s in scores) / len(scores) for theirs, ours in _ROUGE.items()}


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped, unused-ignore]

    return RougeScorer(list(_ROUGE), tokenizer=_Words())


class _Words:
    """rouge-score's own tokenizer knows the letters a to z only."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words in lower case; ideographs one by one."""
        return _WORD.findall(text.lower())
