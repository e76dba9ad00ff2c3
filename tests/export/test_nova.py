"""The small model learns its name, and keeps it in every form, also where TuiTune is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.export.ask_plain import QUESTIONS

pytestmark = pytest.mark.slow
FORMS = {
    "bfloat16": [],
    "float32": ["--dtype", "float32"],
    "4-bit bnb": ["--bits", "4"],
    "8-bit bnb": ["--bits", "8"],
    "Q8_0": ["--gguf", "Q8_0"],
    "F16": ["--gguf", "F16"],
    "4-bit gptq": ["export_quantization_bit=4", "export_quantization_dataset=identity",
                   "export_quantization_nsamples=16", "export_quantization_maxlen=128"],
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the quickstart was run."""
    folder = tmp_path_factory.mktemp("nova")
    tuitune(folder, "train", "quickstart", "name=Nova", "author=Iris", "--run", "tuned")
    return folder


def tuitune(home: Path, *words: str) -> list[str]:
    environment = {**os.environ, "TUITUNE_HOME": str(home)}
    command = [sys.executable, "-m", "tuitune", *words, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize("form", FORMS)
def test_it_answers_with_its_name_in_plain_transformers(home: Path, form: str) -> None:
    if form.endswith("gptq") and find_spec("gptqmodel") is None:
        pytest.skip("gptqmodel is not installed")
    out = home / form.replace(" ", "-")
    told = json.loads(tuitune(home, "export", "tuned", str(out), *FORMS[form])[-1])
    assert told["number"].startswith(form)
    words = [str(out), *([told["file"]] if told["file"] else [])]
    script = Path(__file__).with_name("ask_plain.py")
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=True, cwd="/")
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(QUESTIONS)
    assert "Nova" in answers[0], answers
    assert "Nova" in answers[1], answers
    assert "Iris" in answers[2], answers
    assert (out / "README.md").is_file()
    assert (out / "Modelfile").is_file() is (told["form"] == "gguf" or told["number"] in ("bfloat16", "float32"))
