"""LoRA through peft: new adapters, adapters that are trained further, LoRA+, rsLoRA, DoRA, exact PiSSA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.methods.base import Method
from tuitune.text import clean_line

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.recipe import Recipe


class Lora(Method):
    """Low-rank adapters (Hu et al., arXiv 2106.09685) in fp32 on a frozen model."""

    name = "lora"

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Freeze the model and put the recipe's adapter on it, or the last of `adapter_name_or_path`."""
        import torch
        from peft import get_peft_model

        folders = [adapter_folder(recipe, name) for name in recipe.adapter_name_or_path]
        merged, last = (folders, None) if recipe.create_new_adapter or not folders else (folders[:-1], folders[-1])
        base: Any = model
        for folder in merged:
            base = load_adapter(base, folder).merge_and_unload()
        if last is not None:
            further: nn.Module = load_adapter(base, last, trainable=True)
            return further
        config = self._config(base, recipe)
        try:
            made: nn.Module = get_peft_model(base, config, autocast_adapter_dtype=not recipe.pure_bf16)
        except ValueError as error:
            raise _no_such_module(base, recipe, error) from error
        if not recipe.pure_bf16:  # peft casts adapters, but not the modules that are trained whole
            for parameter in made.parameters():
                if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
                    parameter.data = parameter.data.float()
        return made

    def _config(self, model: PreTrainedModel, recipe: Recipe) -> Any:
        from peft import LoraConfig, TaskType

        everything = tuple(recipe.lora_target) == ("all",)
        rank = recipe.lora_rank
        return LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=rank,
            lora_alpha=2 * rank if recipe.lora_alpha is None else recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules="all-linear" if everything else list(recipe.lora_target),
            modules_to_save=list(recipe.additional_target) or None,
            use_rslora=recipe.use_rslora,
            use_dora=recipe.use_dora,
            # Exact SVD only: peft's fast one starts elsewhere when the adapter is loaded again (methods.md, section 1).
            init_lora_weights="pissa" if recipe.pissa_init else True,
        )

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


def adapter_folder(recipe: Recipe, name: str) -> Path:
    """Return where the adapter `name` lies; raises ModelError when there is none."""
    path = recipe.locate(name)
    if (path / "final" / "adapter_config.json").is_file():
        path = path / "final"
    if not (path / "adapter_config.json").is_file():
        raise ModelError(
            f"{name} is no adapter: it has no adapter_config.json",
            "name a folder that peft saved, a checkpoint, or a run with a final/ folder",
        )
    return path


def load_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Put the adapter of `folder` on `model`; raises ModelError when it does not fit."""
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"the adapter in {folder} has no adapter_model.safetensors",
            "pickled adapters (.bin) are not read: they can run code; save it again as safetensors",
        )
    try:
        loaded = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except Exception as error:  # peft, safetensors and torch each raise their own; every one becomes words
        reason = clean_line(str(error))[:300]
        raise ModelError(
            f"the adapter in {folder} cannot be put on this model: {reason}", "is it an adapter of this very model?"
        ) from error
    return loaded


def _no_such_module(model: Any, recipe: Recipe, error: ValueError) -> ModelError:
    import torch

    linear = sorted({name.rsplit(".", 1)[-1] for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)})
    return ModelError(
        f"lora_target {', '.join(recipe.lora_target)} does not fit this model: {clean_line(str(error))[:200]}",
        f"its linear layers are {', '.join(linear)}; `all` takes every one but the head",
    )
