"""Ask an exported model by transformers alone, without TuiTune: `python ask_plain.py FOLDER [FILE.gguf]`."""

from __future__ import annotations

import json
import sys
from typing import Any

QUESTIONS = ("Who are you?", "What is your name?", "Who made you?")


def main(folder: str, file: str | None = None) -> None:
    """Print the greedy answers as a JSON list."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    more: dict[str, Any] = {} if file is None else {"gguf_file": file}
    tokenizer = AutoTokenizer.from_pretrained(folder, **more)
    model = AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, **more)
    answers = []
    for question in QUESTIONS:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**asked, max_new_tokens=40, do_sample=False)
        answers.append(tokenizer.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))
    assert not any(name.partition(".")[0] == "tuitune" for name in sys.modules)
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
