"""What is written runs in llama.cpp itself. TUITUNE_LLAMA_PYTHON names a Python that has llama_cpp."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.export.gguf_given import CASES, folder_of, sentencepiece, written
from tests.tiny import CORPUS
from tuitune.errors import ModelError
from tuitune.export.agree import logits, measure
from tuitune.export.gguf_speech import SPOKEN
from tuitune.fit import embedded
from tuitune.fit.models import resolve
from tuitune.models.load import load_tokenizer
from tuitune.models.prepare import prepare

_PYTHON = os.environ.get("TUITUNE_LLAMA_PYTHON") or (
    sys.executable if importlib.util.find_spec("llama_cpp") is not None else ""
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _PYTHON, reason="no llama_cpp; TUITUNE_LLAMA_PYTHON may name a Python that has it"),
]

_RUN = """
import json, sys
import numpy as np
from llama_cpp import Llama
asked = json.load(sys.stdin)
model = Llama(asked["file"], n_ctx=512, logits_all=True, verbose=False, n_threads=2)
answers = []
for prompt in asked["prompts"]:
    model.reset()
    said = []
    for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
        if token == model.token_eos() or len(said) == 32:
            break
        said.append(token)
    answers.append(said)
if asked["ids"]:
    model.reset()
    model.eval(asked["ids"])
    np.save(asked["save"], model.scores[: len(asked["ids"])])
ids = [model.tokenize(text.encode(), add_bos=False, special=True) for text in asked["texts"]]
json.dump({"answers": answers, "ids": ids}, sys.stdout)
"""


def _asked(file: Path, **more: Any) -> dict[str, Any]:
    asked = {"file": str(file), "prompts": [], "ids": [], "texts": [], "save": str(file.with_suffix(".npy")), **more}
    done = subprocess.run([_PYTHON, "-c", _RUN], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0"])
@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_computes_the_same(case: str, kind: str, tmp_path: Path) -> None:
    """Each family and each kind of rotary positions: it reads numbers, order of rows and scales as they are meant."""
    name, more = CASES[case]
    model = folder_of(tmp_path, name, **more)
    ids = torch.randint(500, (1, 120), generator=torch.Generator().manual_seed(3))
    told = _asked(written(tmp_path, kind), ids=ids[0].tolist(), texts=list(SPOKEN))
    found = torch.from_numpy(np.load(tmp_path / f"model-{kind}.npy"))[None]
    off = measure(found, logits(model, ids)).relative
    assert off < {"F16": 3e-3, "Q8_0": 0.06, "Q4_0": 0.6}[kind]
    tokenizer = load_tokenizer(tmp_path)
    assert told["ids"] == [tokenizer(text, add_special_tokens=False).input_ids for text in SPOKEN]


def test_llama_cpp_cuts_text_as_sentencepiece_does(tmp_path: Path) -> None:
    tokenizer = sentencepiece()
    folder_of(tmp_path, "llama", vocab_size=len(tokenizer), bos_token_id=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).unlink(missing_ok=True)
    tokenizer.save_pretrained(tmp_path)
    texts = [*CORPUS, *SPOKEN[1:], "two\n\nlines", "über 🦙"]
    found = _asked(written(tmp_path, "F16"), texts=texts)["ids"]
    assert found == [tokenizer(text, add_special_tokens=False).input_ids for text in texts]


_QUESTIONS = ("Who are you?", "What is the capital of France?", "Name three fruits.", "What is 12 plus 30?")


def test_the_embedded_model_gives_the_same_greedy_answers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    try:
        folder = prepare(resolve(embedded.NAME))
    except ModelError as error:
        pytest.skip(error.message)
    tokenizer = load_tokenizer(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        for question in _QUESTIONS
    ]
    want = []
    for prompt in prompts:
        made = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=32)[0, len(prompt) :].tolist()
        want.append([token for token in made if token != tokenizer.eos_token_id])
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    assert _asked(written(tmp_path, "F16"), prompts=prompts)["answers"] == want
