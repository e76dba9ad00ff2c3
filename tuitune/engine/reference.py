"""The model that losses hold on to: the trained one without its adapter or as it began, a frozen copy, or another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.fit.models import resolve
from tuitune.methods.adapters import adapter_folder, load_adapter, merge
from tuitune.methods.original import Beginning, original
from tuitune.models import paths, probe
from tuitune.models.head import Head, HeadTap
from tuitune.models.load import load_tokenizer
from tuitune.models.prepare import prepare
from tuitune.models.reference import FrozenCopy, Itself, Later
from tuitune.models.shaping import Shaping, load_any_attention, load_shaped
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.engine.plan import Plan
    from tuitune.engine.session import Session
    from tuitune.models.reference import Precision, Reference
    from tuitune.recipe import Recipe

_NAMED = ("dpo", "kto", "ppo", "grpo", "rloo")  # stages whose reference can be another model
_ASKED_BEFORE = ("dpo", "kto")  # those that can ask it for everything before training


@dataclass(frozen=True)
class Trained:
    """The model that is trained, before its first step, and what a reference beside it must agree with.

    folder: the model that the run began with, also when it is resumed. longest: tokens of the longest sequence.
    precision: opens that of training.
    """

    model: Any
    folder: Path
    recipe: Recipe
    plan: Plan
    tokenizer: PreTrainedTokenizerBase
    longest: int
    precision: Precision
    session: Session


def reference_of(trained: Trained) -> Reference:
    """Return the recipe's reference; the path of the trained model must be settled. Raises ModelError."""
    recipe, precision = trained.recipe, trained.precision
    if recipe.ref_model is not None and recipe.stage in _NAMED:
        return _named(trained)
    facts = (Shaping.of(recipe), recipe.method_name, recipe.seed, trained.plan.dtype, trained.plan.autocast)
    digest = digest_of([trained.folder, *_adapters(recipe, recipe.adapter_name_or_path)], facts)
    if hasattr(trained.model, "disable_adapter"):
        if recipe.adapter_name_or_path and not recipe.create_new_adapter:
            trained.session.note("the reference is the model with its adapter as it is now, at the begin of the run")
            return Itself(Beginning(trained.model), precision, digest)
        return Itself(original, precision, digest)
    if recipe.precompute_ref_log_probs and recipe.stage in _ASKED_BEFORE:
        return Itself(nullcontext, precision, digest)  # it is asked before it learns anything
    # Inserted blocks and routers are not part of the original; blocks begin as the identity, routers at random.
    shaping = replace(Shaping.of(recipe), expand_blocks=None, mixture_of_depths=None)
    copy = load_shaped(
        trained.folder, shaping, dtype=trained.plan.torch_dtype, device=trained.plan.device,
        trust_remote_code=recipe.trust_remote_code, attention=probe.attention_of(trained.model),
    )  # fmt: skip
    _settle(copy, trained, "the original model")
    return FrozenCopy(copy, Head(HeadTap.on(copy), trained.plan.autocast_dtype), precision, digest=digest)


def _settle(copy: Any, trained: Trained, what: str) -> None:
    """Freeze a second model; each weight gets the format of the trained one's, so that both compute the same."""
    formats = {name: p.dtype for name, p in trained.model.named_parameters() if p.is_floating_point()}
    for name, parameter in copy.named_parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(formats.get(name, parameter.dtype))
    copy.requires_grad_(False).eval()
    size = sum(p.numel() * p.element_size() for p in copy.parameters())
    trained.session.note(f"{what} is in memory beside the trained one, for the loss: {size / 2**30:.2f} GiB")


# Another model


def _named(trained: Trained) -> Reference:
    recipe, session = trained.recipe, trained.session
    name = clean_line(str(recipe.ref_model))
    near = [recipe.source.parent] if recipe.source else []
    folder = prepare(
        resolve(str(recipe.ref_model), search=near, cache_dir=recipe.cache_dir), check=session.check,
        trust_remote_code=recipe.trust_remote_code, cache_dir=recipe.cache_dir,
        progress=lambda what, done, total: session.progress("prepare", done, total),
    )  # fmt: skip
    adapters = _adapters(recipe, recipe.ref_model_adapters)
    shaping = replace(
        Shaping.of(recipe), quantization_bit=recipe.ref_model_quantization_bit, expand_blocks=None,
        mixture_of_depths=None,
    )  # fmt: skip
    _refuse_other_vocabulary(trained, folder, name)
    digest = digest_of([folder, *adapters], (shaping, trained.plan.dtype, trained.plan.autocast))

    def load() -> FrozenCopy:
        return _loaded(trained, folder, shaping, adapters, digest)

    if recipe.precompute_ref_log_probs and recipe.stage in _ASKED_BEFORE:
        return Later(load, digest)
    return load()


def _loaded(trained: Trained, folder: Path, shaping: Shaping, adapters: list[Path], digest: str) -> FrozenCopy:
    recipe, plan, session = trained.recipe, trained.plan, trained.session
    base = load_any_attention(
        folder, shaping, dtype=plan.torch_dtype, device=plan.device, trust_remote_code=recipe.trust_remote_code,
        note=session.warn,
    )  # fmt: skip
    table: Any = base.get_input_embeddings()
    rows = len(table.weight)
    if rows < len(trained.tokenizer):
        raise ModelError(
            f"the reference model knows {rows} tokens, the trained one {len(trained.tokenizer)}", _SAME_TOKENIZER
        )
    with trained.precision():
        path, why = paths.choose(
            base, longest=trained.longest, pad=trained.tokenizer.pad_token_id or 0, dropout=False,
            autocast=plan.autocast_dtype, kernel=recipe.flash_attn == "auto",
        )  # fmt: skip
    if why:
        session.warn(f"rows are padded for the reference model: {why}", "same numbers, more work")
    copy = _with_adapters(base, adapters)
    _settle(copy, trained, f"the reference model {folder.name}")
    return FrozenCopy(copy, path.head, trained.precision, path=path, digest=digest)


def _with_adapters(model: Any, folders: list[Path]) -> Any:
    """Return the model with all but the last of the adapters merged, and the last beside it. Raises ModelError."""
    for folder in folders[:-1]:
        model = merge(model, folder)
    for folder in folders[-1:]:
        model = load_adapter(model, folder)
        if model.active_peft_config.is_prompt_learning:
            raise ModelError(
                f"the adapter in {folder} stands before the text and cannot be part of a reference",
                "name another adapter as ref_model_adapters, or none",
            )
    return model


def _adapters(recipe: Recipe, names: Iterable[str]) -> list[Path]:
    return [adapter_folder(recipe, name) for name in names]


_SAME_TOKENIZER = "take a reference with the tokenizer of the trained model: the one that training begins with, or kin"


def _refuse_other_vocabulary(trained: Trained, folder: Path, name: str) -> None:
    """Raise ModelError unless every token of the trained model's tokenizer is the same one for the other model."""
    theirs = load_tokenizer(folder, trust_remote_code=trained.recipe.trust_remote_code).get_vocab()
    mine = trained.tokenizer.get_vocab()
    for token, number in sorted(mine.items(), key=lambda item: item[1]):
        if theirs.get(token) != number:
            raise ModelError(
                f"ref_model {name} has another vocabulary: it does not know token {number}, "
                f"{clean_line(repr(token))[:40]}, under that number",
                _SAME_TOKENIZER,
            )


def digest_of(folders: Iterable[Path], facts: object) -> str:
    """Return a short hash of weight files (names, sizes, times of change) and of whatever else decides."""
    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    seen = [(file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    return hashlib.sha256(repr((seen, facts)).encode()).hexdigest()[:16]
