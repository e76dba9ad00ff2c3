"""Which weights, which tokenizer, and how attention is computed."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Rule, option
from tuitune.recipe.shapes import Flag, Names, Text

_FLASH = ("auto", "is read as auto: torch's own flash attention is used on CUDA, not the flash-attn package")


class ModelOptions(Options):
    """The base model and what is loaded on it."""

    GROUP: ClassVar[str] = "model"

    model_name_or_path: Text = option(
        "",
        "The model to train: a local folder, a GGUF file, or a name on a model hub. `smollm2-135m` is the small model "
        "that TuiTune brings itself.",
        required=True,
        essential=True,
        fixed=True,
    )
    adapter_name_or_path: Names = option(
        (),
        "Adapter folders to start from, with commas between several. All but the last are merged into the model; "
        "training goes on with the last one.",
        fixed=True,
    )
    model_revision: Text = option("main", "Branch, tag or commit of a model that comes from a hub.")
    cache_dir: Text | None = option(
        None, "Folder for models downloaded from a hub. Unset, the hub's usual cache is used."
    )
    trust_remote_code: Flag = option(
        False, "Run Python code that the model's folder brings along. Only for models whose code you have read."
    )
    use_fast_tokenizer: Flag = option(
        True,
        "Use the fast tokenizer, the only kind that TuiTune works with.",
        planned={False: "remove the key; the fast tokenizer gives the same ids"},
    )
    split_special_tokens: Flag = option(
        False,
        "Cut the names of special tokens found in your texts into pieces instead of reading them as control marks.",
    )
    flash_attn: Literal["auto", "sdpa"] = option(
        "auto",
        "How attention is computed. `auto` takes the best for the device: torch's variable-length flash attention on "
        "CUDA, SDPA per sequence elsewhere; `sdpa` takes SDPA everywhere.",
        planned={
            "fa3": "use auto: on CUDA it runs the flash attention that torch contains",
            "disabled": "use sdpa, which computes the same numbers",
        },
        read_as={"fa2": _FLASH, True: _FLASH},  # older LLaMA-Factory recipes wrote a boolean
    )


RULES = (
    Rule(
        ("model_name_or_path",),
        lambda r: not r.model_name_or_path.strip(),
        "is missing: a recipe must name the model",
        "a local folder, a hub name, or smollm2-135m, which TuiTune brings itself",
    ),
    Rule(
        ("trust_remote_code",),
        lambda r: r.trust_remote_code,
        "Python code from the model's folder runs with your permissions",
        "remove the key unless the model needs it",
        level="warning",
    ),
)
