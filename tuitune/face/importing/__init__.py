"""Runs of other trainers, taken in: LLaMA-Factory's output folders, and those of transformers' Trainer.

Their files are read and never changed. No pickle is opened, so `training_args.bin` and `*.bin` weights are not looked
into. (File names and fields: LLaMA-Factory, train/callbacks.py and webui/runner.py; transformers, trainer_callback.py.)
"""

from __future__ import annotations

from tuitune.face.importing.folder import Refused, Taken, outputs, take_each, take_in

__all__ = ["Refused", "Taken", "outputs", "take_each", "take_in"]
