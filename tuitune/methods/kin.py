"""The kin of LoRA through peft: rotations (OFT), shared random matrices (VeRA), scales (IA3), products (LoHa, LoKr)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from peft import IA3Config, LoHaConfig, LoKrConfig, OFTConfig, TaskType, VeraConfig, set_peft_model_state_dict
from safetensors.torch import load_file

from tuitune.errors import ModelError
from tuitune.methods.adapters import WEIGHTS, Adapter, linear_names, linears
from tuitune.methods.targets import find, trained_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peft import PeftConfig
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe


class Oft(Adapter):
    """Rotations of the inputs of layers, in blocks (Qiu et al., arXiv 2306.07280; on inputs: arXiv 2506.19847)."""

    name = "oft"
    kind = "OFT"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the rotations: so many blocks, or blocks of a size."""
        return OFTConfig(
            task_type=TaskType.CAUSAL_LM,
            r=recipe.oft_rank,
            oft_block_size=recipe.oft_block_size,
            module_dropout=recipe.module_dropout,
            target_modules=targets(model, recipe.oft_target, "oft_target"),
            modules_to_save=trained_whole(model, recipe),
        )

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Put the rotations on the model, and the dropout of whole blocks into them."""
        made = super().prepare(model, recipe)
        if recipe.module_dropout > 0:
            for _, rotation in _rotations(made):
                _drop_blocks(rotation, recipe.module_dropout)
        return made

    def begin(self, model: Any, recipe: Recipe, steps: int, say: Callable[[str], None]) -> None:
        """Say which layers have other blocks than asked for: those whose width the number does not divide."""
        config = model.active_peft_config
        asked = config.oft_block_size or config.r
        other: dict[int, set[str]] = defaultdict(set)
        for name, rotation in _rotations(model):
            size = rotation.block_size if config.oft_block_size else rotation.r
            if size != asked:
                other[size].add(name.rpartition(".")[2])
        key = "oft_block_size" if config.oft_block_size else "oft_rank"
        for size, names in other.items():
            say(f"{key} {asked} does not divide the width of {', '.join(sorted(names))}: {size} is taken there")

    def noise(self, recipe: Recipe) -> bool:
        """Whether blocks are switched off."""
        return recipe.module_dropout > 0


class Vera(Adapter):
    """Two trained vectors per layer around random matrices shared by all (Kopiczko et al., arXiv 2310.11454)."""

    name = "vera"
    kind = "VERA"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the vectors; the random matrices come from the recipe's seed and are saved with them."""
        return VeraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=recipe.lora_rank,
            target_modules=targets(model, recipe.lora_target),
            vera_dropout=recipe.lora_dropout,
            d_initial=recipe.vera_d_initial,
            projection_prng_key=recipe.seed,
            save_projection=True,
            modules_to_save=trained_whole(model, recipe),
        )

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Put the vectors on the model; the random matrices get their format, which peft does not see to."""
        made: Any = super().prepare(model, recipe)
        for shared in (made.base_model.vera_A, made.base_model.vera_B):
            for name in shared:
                shared[name] = shared[name].to(torch.bfloat16 if recipe.pure_bf16 else torch.float32)
        return made  # type: ignore[no-any-return]

    def restore(self, model: Any, folder: Path) -> bool:
        """Load a checkpoint without peft's cast to fp32."""
        set_peft_model_state_dict(model, load_file(str(folder / WEIGHTS)))
        return True

    def noise(self, recipe: Recipe) -> bool:
        """Whether adapters drop inputs."""
        return recipe.lora_dropout > 0


class Ia3(Adapter):
    """One trained scale per output of a layer, per input where it ends an MLP (Liu et al., arXiv 2205.05638)."""

    name = "ia3"
    kind = "IA3"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the scales; what lies inside an MLP is scaled where it goes into the MLP's last layer."""
        wanted = targets(model, recipe.lora_target)
        return IA3Config(
            task_type=TaskType.CAUSAL_LM,
            target_modules=wanted,
            # As an expression: peft compares lists of names with those of the targets.
            feedforward_modules="|".join(name.replace(".", r"\.") for name in mlp_ends(model)) or [],
            modules_to_save=trained_whole(model, recipe),
        )


class Loha(Adapter):
    """Hadamard products of two low-rank matrices (FedPara; Hyeon-Woo et al., arXiv 2108.06098)."""

    name = "loha"
    kind = "LOHA"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the products."""
        return LoHaConfig(task_type=TaskType.CAUSAL_LM, alpha=recipe.alpha, **_ranked(model, recipe))


class Lokr(Adapter):
    """Kronecker products (Yeh et al., arXiv 2309.14859)."""

    name = "lokr"
    kind = "LOKR"

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return the products, with the size of their first factor."""
        return LoKrConfig(
            task_type=TaskType.CAUSAL_LM,
            alpha=recipe.alpha,
            decompose_factor=recipe.lokr_factor,
            **_ranked(model, recipe),
        )


def _ranked(model: Any, recipe: Recipe) -> dict[str, Any]:
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError(
            f"{recipe.finetuning_type} adds a product as large as each weight, and these weights are quantised",
            "set finetuning_type: lora (QLoRA) or oft (QOFT), or name a model that is not quantised",
        )
    return {
        "r": recipe.lora_rank,
        "target_modules": targets(model, recipe.lora_target),
        "modules_to_save": trained_whole(model, recipe),
    }


def targets(model: Any, names: tuple[str, ...], key: str = "lora_target") -> list[str]:
    """Return the names of the layers that `names` mean, as peft matches them. Raises ModelError.

    key: the recipe's, for the words. Matrices that a model keeps without a layer (experts) are for LoRA alone; `all`
    leaves them out here.
    """
    found = find(model, names, key=key)
    if not found.modules or (found.parameters and names != ("all",)):
        bare = f"; {', '.join(found.parameters)} is no layer, which only LoRA can adapt" if found.parameters else ""
        raise ModelError(
            f"{key}: {', '.join(names)} is not made of layers{bare}",
            f"its linear layers are {', '.join(linear_names(model))}",
        )
    return list(found.modules)


def mlp_ends(model: Any) -> list[str]:
    """Return the names of the layers that end an MLP: the last of several linear ones in a module, back to its width.

    Found by structure, since every family has another name for it; attention ends in such a layer too and is left out.
    """
    by_parent = defaultdict(list)
    for name, layer in linears(model):
        by_parent[name.rpartition(".")[0]].append((name, layer))
    ends = []
    for parent, inside in by_parent.items():
        (_, first), (name, last) = inside[0], inside[-1]
        if len(inside) > 1 and "att" not in parent.rpartition(".")[2].lower() and _width(first)[0] == _width(last)[1]:
            ends.append(name)
    return ends


def _width(layer: Any) -> tuple[int, int]:
    """Return inputs and outputs of a linear layer; Conv1D has its weight the other way round."""
    return (layer.nx, layer.nf) if hasattr(layer, "nf") else (layer.in_features, layer.out_features)


def _rotations(model: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.oft.layer import OFTRotationModule

    for name, module in model.named_modules():
        if isinstance(module, OFTRotationModule):
            yield name.partition(".oft_")[0].removeprefix("base_model.model."), module


def _drop_blocks(rotation: Any, share: float) -> None:
    """Let each block of a rotation be no rotation with this probability while it trains.

    peft keeps `module_dropout` and never uses it (0.21: `oft_dropout` is made and not called).
    """
    plain = rotation._cayley_batch

    def dropped(*args: Any, **kwargs: Any) -> Tensor:
        blocks: Tensor = plain(*args, **kwargs)  # (blocks, size, size)
        if not rotation.training:
            return blocks
        off = torch.rand(len(blocks), 1, 1, device=blocks.device) < share
        return torch.where(off, torch.eye(blocks.shape[-1], device=blocks.device, dtype=blocks.dtype), blocks)

    rotation._cayley_batch = dropped
