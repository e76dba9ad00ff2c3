from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "textual", "transformers", "peft", "trl", "datasets", "accelerate"}
PROGRAM = """
import sys
from tuitune.cli.main import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("check", "recipe.yaml"), ("runs",), ("models",), ("schema",), ("data", "--help")],
)
def test_light_commands_load_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "recipe.yaml").write_text("model_name_or_path: smollm2-135m\ndataset: identity\nname: A\nauthor: B\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not HEAVY & {name.partition(".")[0] for name in done.stderr.split()}
