"""The recipe itself: every key of every group, typed, with its value in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ConfigDict, PrivateAttr

from tuitune.recipe.fields.apollo import ApolloOptions
from tuitune.recipe.fields.badam import BadamOptions
from tuitune.recipe.fields.batch import BatchOptions
from tuitune.recipe.fields.benchmark import BenchmarkOptions
from tuitune.recipe.fields.data import DataOptions
from tuitune.recipe.fields.evaluation import EvaluationOptions
from tuitune.recipe.fields.export import ExportOptions
from tuitune.recipe.fields.freeze import FreezeOptions
from tuitune.recipe.fields.galore import GaloreOptions
from tuitune.recipe.fields.generation import GenerationOptions
from tuitune.recipe.fields.kin import KinOptions
from tuitune.recipe.fields.logging import LoggingOptions
from tuitune.recipe.fields.lora import LoraOptions
from tuitune.recipe.fields.losses import LossOptions
from tuitune.recipe.fields.matrix import MatrixOptions, own_optimizer
from tuitune.recipe.fields.method import WHOLE, MethodOptions
from tuitune.recipe.fields.model import ModelOptions
from tuitune.recipe.fields.oft import OftOptions
from tuitune.recipe.fields.online import OnlineOptions
from tuitune.recipe.fields.optimizer import OptimizerOptions
from tuitune.recipe.fields.precision import PrecisionOptions
from tuitune.recipe.fields.preference import PreferenceOptions
from tuitune.recipe.fields.quantization import QuantizationOptions
from tuitune.recipe.fields.run import RunOptions
from tuitune.recipe.fields.saving import SavingOptions
from tuitune.recipe.fields.schedule import ScheduleOptions
from tuitune.recipe.fields.serving import ServingOptions
from tuitune.recipe.fields.structure import StructureOptions
from tuitune.recipe.fields.trackers import TrackerOptions
from tuitune.recipe.option import Purpose
from tuitune.recipe.problems import Problem


class Recipe(
    ModelOptions,
    MethodOptions,
    LoraOptions,
    OftOptions,
    FreezeOptions,
    KinOptions,
    QuantizationOptions,
    StructureOptions,
    DataOptions,
    BatchOptions,
    LossOptions,
    PreferenceOptions,
    OnlineOptions,
    OptimizerOptions,
    GaloreOptions,
    ApolloOptions,
    BadamOptions,
    MatrixOptions,
    ScheduleOptions,
    PrecisionOptions,
    LoggingOptions,
    TrackerOptions,
    SavingOptions,
    EvaluationOptions,
    GenerationOptions,
    RunOptions,
    ExportOptions,
    BenchmarkOptions,
    ServingOptions,
):
    """All that a run is asked for. Lists of names are tuples; None means that TuiTune chooses.

    `load`, `Document.recipe` and `Recipe.of` check everything and complain in words; the constructor checks types and
    ranges only and raises pydantic's error.
    """

    model_config = ConfigDict(defer_build=False)

    GROUP: ClassVar[str] = ""
    PURPOSE: ClassVar[Purpose] = "train"

    _source: Path | None = PrivateAttr(default=None)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @classmethod
    def of(cls, values: Mapping[str, object], source: Path | None = None) -> Recipe:
        """Return the recipe with these raw values. Raises RecipeError with all problems."""
        from tuitune.recipe.check import checked

        return checked(values, source=source)

    @property
    def source(self) -> Path | None:
        """The file that the recipe was read from."""
        return self._source

    @property
    def asked(self) -> frozenset[str]:
        """The keys that were given a value, rather than left at their default."""
        return frozenset(self.model_fields_set)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be said about this recipe, though it can run."""
        return self._warnings

    @property
    def alpha(self) -> int:
        """LoRA's alpha in force: twice the rank unless given."""
        return 2 * self.lora_rank if self.lora_alpha is None else self.lora_alpha

    @property
    def method_name(self) -> str:
        """The method in a word, as lists of runs show it: `galore`, `qlora`, `dora`, `freeze`."""
        kind = "dora" if self.use_dora else self.finetuning_type
        quantised = "q" if self.quantization_bit and kind in ("lora", "dora", "oft") else ""
        return own_optimizer(self).removeprefix("use_") or f"{quantised}{kind}"

    @property
    def whole(self) -> bool:
        """Whether the result is a whole model; otherwise it is an adapter on one."""
        return self.finetuning_type in WHOLE

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def recompute(self) -> bool | None:
        """Whether activations are computed again: always, never, or None for only when memory needs it."""
        # Layers that are computed again forget the keys and values that prefix tuning laid before them.
        never = self.disable_gradient_checkpointing or self.finetuning_type == "prefix_tuning"
        return False if never else self.gradient_checkpointing

    def locate(self, value: str) -> Path:
        """Return where a path of this recipe lies.

        Relative paths are taken from the current directory; if nothing is there but the recipe's own folder has it,
        from there. The caller says so when the two differ.
        """
        here = Path(value).expanduser()
        if self._source is None or here.is_absolute() or here.exists():
            return here
        beside = self._source.parent / here
        return beside if beside.exists() else here

    def _with_origin(self, source: Path | None, warnings: tuple[Problem, ...]) -> Self:
        self._source, self._warnings = source, warnings
        return self
