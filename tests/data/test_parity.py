"""The same ids and labels as LLaMA-Factory, where its figures lie on this machine.

TUITUNE_REFERENCE names a folder with `alpaca200_ids.jsonl`, TUITUNE_REFERENCE_DATA one with `alpaca_en_demo.json` and
its dataset_info.json, TUITUNE_REFERENCE_TOKENIZER the embedded model's tokenizer. The figures are from a tokenizer that
transformers made of the GGUF file: it cuts as GPT-2 does, so "\\n\\n1" is three tokens where the model's own has two.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.data.given import Given
from tuitune.data import build

PLACES = [os.environ.get(f"TUITUNE_REFERENCE{part}") for part in ("", "_DATA", "_TOKENIZER")]


@pytest.mark.skipif(not all(PLACES), reason="no reference figures: set TUITUNE_REFERENCE, _DATA and _TOKENIZER")
def test_the_first_200_rows_are_the_same_tokens() -> None:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    reference, data, folder = map(str, PLACES)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    options = Given(
        dataset="alpaca_en_demo", dataset_dir=data, template="smollm2", cutoff_len=512, max_samples=200, root=Path("/")
    )
    rows = build(options, tokenizer).train.rows
    expected = [json.loads(line) for line in (Path(reference) / "alpaca200_ids.jsonl").read_text().splitlines()]
    assert len(expected) == 200
    assert list(rows) == [{key: row[key] for key in ("input_ids", "labels")} for row in expected]
