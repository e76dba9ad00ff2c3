from __future__ import annotations

import subprocess
import sys


def test_looking_at_models_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import tuitune.doctor, tuitune.fit.models, tuitune.fit.shapes, tuitune.fit.machine, tuitune.models.prepare\n"
        "tuitune.fit.models.scan(); tuitune.doctor.run_checks()\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'numpy', 'textual', 'rich', 'peft', 'gguf'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
