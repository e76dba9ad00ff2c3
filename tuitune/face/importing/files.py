"""The files that another trainer leaves in its output folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import DataError, RecipeError
from tuitune.recipe import Document
from tuitune.run.directory import CHECKPOINT
from tuitune.run.imported import has_weights

Values = Mapping[str, object]
TRAINER_LOG, TRAINER_STATE = "trainer_log.jsonl", "trainer_state.json"
_MOST = 512 << 20  # bytes of a file that is read


@dataclass(frozen=True)
class Output:
    """An output folder."""

    path: Path

    @property
    def is_one(self) -> bool:
        """Whether a training left its log here."""
        return any((self.path / name).is_file() for name in (TRAINER_LOG, TRAINER_STATE)) or bool(self._states)

    @property
    def trainer(self) -> str:
        """Who made it."""
        own = (TRAINER_LOG, "training_args.yaml", "llamaboard_config.yaml")
        return "LLaMA-Factory" if any((self.path / name).is_file() for name in own) else "transformers"

    @property
    def checkpoints(self) -> list[tuple[int, Path]]:
        """The checkpoints by step."""
        found = [(int(match[1]), path) for path in self.path.iterdir() if (match := CHECKPOINT.fullmatch(path.name))]
        return sorted((step, path) for step, path in found if path.is_dir())

    @property
    def _states(self) -> list[Path]:
        return [path for _, folder in self.checkpoints if (path := folder / TRAINER_STATE).is_file()]

    @property
    def logs(self) -> list[Path]:
        """The files that hold the figures: LLaMA-Factory's own log, and the newest state of the Trainer."""
        root = [path for name in (TRAINER_LOG, TRAINER_STATE) if (path := self.path / name).is_file()]
        return root if self.path / TRAINER_STATE in root else [*root, *self._states[-1:]]

    def rows(self) -> list[Values]:
        """Return the lines of LLaMA-Factory's log; one that is cut or broken is passed over."""
        path = self.path / TRAINER_LOG
        if not path.is_file():
            return []
        lines = (_loaded(line) for line in _text(path).splitlines() if line.strip())
        return [row for row in lines if isinstance(row, dict)]

    def state(self) -> Values:
        """Return the newest state that the Trainer wrote, empty without one."""
        for path in reversed(self.logs):
            if path.name == TRAINER_STATE:
                found = _loaded(_text(path))
                return found if isinstance(found, dict) else {}
        return {}

    def results(self) -> dict[str, float]:
        """Return the figures of the end: all_results.json, or what there is of its parts."""
        found: dict[str, float] = {}
        for name in ("all_results.json", "train_results.json", "eval_results.json", "predict_results.json"):
            found = {**numbers(self.json(name)), **found}
        return found

    def json(self, name: str) -> Values:
        """Return what a JSON file holds, empty when there is none or it is broken."""
        path = self.path / name
        found = _loaded(_text(path)) if path.is_file() else None
        return found if isinstance(found, dict) else {}

    def yaml(self, name: str) -> dict[str, object]:
        """Return what a flat YAML file holds, empty when there is none. Raises RecipeError for a broken one."""
        path = self.path / name
        return Document.read(path).values() if path.is_file() else {}

    def weights(self) -> tuple[Path, bool] | None:
        """Return the folder of the result, or of the newest checkpoint with weights, and whether it is an adapter."""
        for folder in (self.path, *(path for _, path in reversed(self.checkpoints))):
            if has_weights(folder):
                if (folder / "adapter_config.json").is_file():
                    return folder, True
                if (folder / "config.json").is_file():
                    return folder, False
        return None


def numbers(values: Values) -> dict[str, float]:
    """Return those of the values that are numbers."""
    return {
        str(key): float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def outputs(folder: Path, depth: int = 5) -> Iterator[Path]:
    """Yield the output folders at or below `folder`, such as those of LLaMA-Factory's `saves`."""
    if Output(folder).is_one:
        yield folder
        return
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    for path in below if depth > 0 else []:
        if not path.name.startswith("."):
            try:
                yield from outputs(path, depth - 1)
            except OSError:
                yield path  # taking it in says why it cannot be read


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST:
            raise DataError(f"{path} has more than {_MOST >> 20} MiB", "such a log is none that a trainer writes")
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "look at its permissions") from error


def _loaded(text: str) -> object:
    # The standard library's reader: other trainers write NaN, which JSON does not know.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_CARD = re.compile(r"^- ([a-z_0-9]+): (.+)$", re.MULTILINE)
_CARD_KEYS = {
    "learning_rate": "learning_rate", "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size", "seed": "seed",
    "gradient_accumulation_steps": "gradient_accumulation_steps", "lr_scheduler_type": "lr_scheduler_type",
    "lr_scheduler_warmup_steps": "warmup_steps", "lr_scheduler_warmup_ratio": "warmup_ratio",
    "num_epochs": "num_train_epochs",
}  # fmt: skip
_ON_DATA = re.compile(r"is a fine-tuned version of .{1,400}? on the (.{1,300}?) datasets?\.")


def card(output: Output) -> dict[str, object]:
    """Return what the model card that transformers writes tells of the recipe."""
    path = output.path / "README.md"
    text = _text(path) if path.is_file() else ""
    found: dict[str, object] = {}
    for match in _CARD.finditer(text):
        if match[1] in _CARD_KEYS:
            try:
                values = Document.parse(f"value: {match[2].strip()}\n").values()
            except RecipeError:
                continue
            found[_CARD_KEYS[match[1]]] = values["value"]
    if (data := _ON_DATA.search(text)) is not None and "None" not in data[1]:
        names = [name.strip() for name in re.split(r",| and the | and ", data[1])]
        found["dataset"] = ",".join(name for name in names if name)
    return found
