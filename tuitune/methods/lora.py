"""LoRA through peft: new adapters, adapters that are trained further, LoRA+, rsLoRA, DoRA, PiSSA, LoftQ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.methods.adapters import Adapter
from tuitune.methods.targets import find, touches_tied, trained_whole
from tuitune.methods.tying import learn_once
from tuitune.models.blocks import inserted

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.recipe import Recipe


class Lora(Adapter):
    """Low-rank adapters (Hu et al., arXiv 2106.09685) in fp32 on a frozen model."""

    name = "lora"
    kind = "LORA"
    _plain = False

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the recipe's LoRA, rsLoRA or DoRA."""
        from peft import LoraConfig, TaskType

        chosen = find(model, recipe.lora_target, inserted(model, recipe))
        whole = trained_whole(model, recipe, ties=True)
        _refuse_for_bare(chosen.parameters, recipe)
        return LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=recipe.lora_rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=list(chosen.modules),
            target_parameters=list(chosen.parameters) or None,
            modules_to_save=whole,
            # An embedding that is the head too stays so: one copy is trained, saved and merged.
            ensure_weight_tying=touches_tied(model, (*chosen.modules, *(whole or ()))),
            use_rslora=recipe.use_rslora,
            use_dora=recipe.use_dora,
        )

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Put the adapter on the model; with PiSSA and LoftQ it begins with a part of the weights."""
        from tuitune.methods import decompose, original

        made = super().prepare(model, recipe)
        learn_once(made)
        if recipe.pissa_init or recipe.loftq_init:
            decompose.begin(made, recipe, self.attempt)
        self._plain = original.only_plain(made, recipe, self.attempt.say)
        return made

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the adapter; one that began with a part of the weights with its start, or as a plain LoRA."""
        from tuitune.methods import original, startpoint

        if self._plain and not exact:
            original.save_plain(model, folder)
            return
        super().save(model, folder, exact=exact)
        start = startpoint.of(model)
        if start is not None:
            start.save(Path(folder))

    def optimizer(self, model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
        """Return LoRA+'s optimizer (Hayou et al., arXiv 2402.12354) when asked for: matrix B learns faster than A."""
        if recipe.loraplus_lr_ratio is None:
            return None
        from peft.optimizers import create_loraplus_optimizer
        from transformers import Trainer

        kind, settings = Trainer.get_optimizer_cls_and_kwargs(args, model)  # type: ignore[arg-type]
        made: torch.optim.Optimizer = create_loraplus_optimizer(
            model,
            kind,
            loraplus_lr_ratio=recipe.loraplus_lr_ratio,
            loraplus_lr_embedding=recipe.loraplus_lr_embedding,
            loraplus_weight_decay=recipe.weight_decay,
            **settings,
        )
        return made

    def noise(self, recipe: Recipe) -> bool:
        """Whether adapters drop inputs."""
        return recipe.lora_dropout > 0


def _refuse_for_bare(parameters: tuple[str, ...], recipe: Recipe) -> None:
    """Raise ModelError where a wish needs a layer, and the adapter stands beside bare tensors too (experts)."""
    wishes = {
        "lora_dropout": ("no input of theirs can be dropped", recipe.lora_dropout > 0),
        "use_dora": ("DoRA needs layers", recipe.use_dora),
        "pissa_init": ("PiSSA needs layers", recipe.pissa_init),
        "loftq_init": ("LoftQ needs layers", recipe.loftq_init),
    }
    for key, (reason, wanted) in wishes.items():
        if parameters and wanted:
            raise ModelError(
                f"{key}: {reason}, and this model keeps {', '.join(parameters)} as bare tensors",
                f"remove {key}, or name layers in lora_target, such as q_proj,k_proj,v_proj,o_proj",
            )
