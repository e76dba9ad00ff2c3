"""How like answers are to those of the data: exact match, BLEU-4, ROUGE-1, -2 and -L.

BLEU is sacrebleu's (Post, arXiv 1804.08771) over all answers together, ROUGE the F-measure of Google's rouge-score,
the mean over the answers; both in percent. Both packages are the extra `metrics`; without them their figures are left
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

_NEEDED = {"sacrebleu": "BLEU", "rouge_score": "ROUGE"}
_IDEOGRAPH = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]"
_WORD = re.compile(rf"{_IDEOGRAPH}|(?:(?!{_IDEOGRAPH})[^\W_])+")
_ROUGE = {"rouge1": "rouge-1", "rouge2": "rouge-2", "rougeL": "rouge-l"}


def missing() -> list[str]:
    """Return in words which figures cannot be computed here."""
    return [
        f"{figure} is not computed: {package} is not installed"
        for package, figure in _NEEDED.items()
        if find_spec(package) is None
    ]


def likeness(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Return the share of exact matches (outer whitespace apart), and the figures whose package is there."""
    said, wanted = [text.strip() for text in said], [text.strip() for text in wanted]
    found = {"exact_match": sum(a == b for a, b in zip(said, wanted, strict=True)) / len(wanted)}
    if find_spec("sacrebleu"):
        found["bleu-4"] = bleu(said, wanted)
    if find_spec("rouge_score"):
        found |= rouge(said, wanted)
    return found


def bleu(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Return BLEU-4 of all texts together; Chinese, Japanese and Korean go by characters."""
    import sacrebleu

    tokenize = "zh" if any(re.search(_IDEOGRAPH, text) for text in wanted) else "13a"
    return float(sacrebleu.corpus_bleu(list(said), [list(wanted)], tokenize=tokenize).score)


def rouge(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Return the mean ROUGE F-measures."""
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped, unused-ignore]

    scorer = RougeScorer(list(_ROUGE), tokenizer=_Words())
    scores = [scorer.score(reference, text) for reference, text in zip(wanted, said, strict=True)]
    return {ours: 100 * sum(s[theirs].fmeasure for s in scores) / len(scores) for theirs, ours in _ROUGE.items()}


class _Words:
    """rouge-score's own tokenizer knows the letters a to z only."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words in lower case; ideographs one by one."""
        return _WORD.findall(text.lower())
