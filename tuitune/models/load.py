"""Load a tokenizer or a model from a local folder, and say in words what is wrong when that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.fit.embedded import NOTES
from tuitune.fit.files import read_object
from tuitune.fit.folders import folder_problem
from tuitune.text import clean_line

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Note = Callable[[str], None]


def _silent(note: str) -> None:
    """Drop a note."""


def load_tokenizer(
    path: str | Path,
    *,
    trust_remote_code: bool = False,
    use_fast: bool = True,
    split_special_tokens: bool = False,
    note: Note = _silent,
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a local folder, with a padding token; tell through `note` what had to be chosen for it."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(path),
            trust_remote_code=trust_remote_code,
            use_fast=use_fast,
            split_special_tokens=split_special_tokens,
            local_files_only=True,
        )
    except Exception as error:  # tokenizers raise plain Exception for a damaged file
        raise _tokenizer_error(Path(path), error) from error
    if len(tokenizer) == 0:
        raise ModelError(f"the tokenizer in {path} has no vocabulary", _TOKENIZER_HINT)
    _settle_padding(tokenizer, path, note)
    _repeat_notes(Path(path), note)
    return tokenizer


_TOKENIZER_HINT = (
    "The folder needs tokenizer.json (or the slow tokenizer's files) and tokenizer_config.json; "
    "copy them from the model it comes from."
)


def _settle_padding(tokenizer: PreTrainedTokenizerBase, path: str | Path, note: Note) -> None:
    # No token is added: that would resize the embeddings. Padding is masked out, so any existing token does.
    if tokenizer.pad_token_id is not None:
        return
    for name in ("eos_token", "unk_token", "bos_token"):
        token = getattr(tokenizer, name)
        if token is not None:
            tokenizer.pad_token = token
            note(f"the tokenizer has no padding token; its {name} {token!r} is used for padding")
            return
    raise ModelError(
        f"the tokenizer in {path} has neither a padding nor an end token", "Add eos_token to its tokenizer_config.json."
    )


def _repeat_notes(path: Path, note: Note) -> None:
    # What was noticed when the folder was made from a GGUF file holds whenever it is used.
    told = read_object(path / NOTES).get("notes")
    for text in told if isinstance(told, list) else []:
        note(clean_line(str(text)))


def _tokenizer_error(path: Path, error: Exception) -> ModelError:
    if _wants_remote_code(error):
        return _remote_code(path)
    if isinstance(error, ImportError):
        return ModelError(f"the tokenizer in {path} needs another package: {_short(error)}")
    if not any(
        (path / name).exists()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
    ):
        return ModelError(f"{path} has no tokenizer files", _TOKENIZER_HINT)
    return ModelError(
        f"the tokenizer in {path} cannot be loaded: {type(error).__name__}: {_short(error)}", _TOKENIZER_HINT
    )


def load_model(
    path: str | Path,
    *,
    dtype: torch.dtype | str,
    device: torch.device | str,
    attention: str = "tuitune",
    trust_remote_code: bool = False,
    note: Note = _silent,
    **more: Any,
) -> PreTrainedModel:
    """Load a causal language model from the safetensors of a local folder onto one device.

    more: further arguments of transformers' `from_pretrained`, such as another config or a quantisation.

    Raises ModelError where weights are missing or do not fit the configuration: random numbers would stand in for them.
    """
    path = Path(path)
    problem = folder_problem(path)
    if problem is not None:
        raise ModelError(*problem)
    _know_attention(attention)
    from transformers import AutoModelForCausalLM

    from tuitune.models.depths import is_routed_folder, routed_config, routed_model_class

    try:
        loader: Any = AutoModelForCausalLM
        if is_routed_folder(path):
            more.setdefault("config", routed_config(path))
            loader = routed_model_class(more["config"])
        loaded: Any = loader.from_pretrained(
            str(path),
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            **_placement(device) | more,
        )
    except ModelError:
        raise
    except Exception as error:  # config classes, safetensors and torch each raise their own; every one becomes words
        raise _model_error(path, error) from error
    model: PreTrainedModel = loaded[0]
    _refuse_gaps(path, loaded[1], note)
    return model


def _placement(device: torch.device | str) -> dict[str, Any]:
    # A CPU model needs no map; on a GPU the map spares a whole copy in host memory.
    return {} if str(device) == "cpu" else {"device_map": {"": str(device)}}


def _know_attention(attention: str) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if attention == "tuitune":
        from tuitune.models.attention import register

        register()
    known = {"eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}
    # A name with a slash would make transformers fetch and run a binary from the hub.
    if "/" in attention or attention not in known:
        raise ModelError(
            f"there is no attention {attention!r}", f"Known are {', '.join(sorted(n for n in known if '|' not in n))}."
        )


def _refuse_gaps(path: Path, info: dict[str, Any], note: Note) -> None:
    missing, unexpected = sorted(info.get("missing_keys") or ()), sorted(info.get("unexpected_keys") or ())
    mismatched = sorted(str(item[0] if isinstance(item, tuple) else item) for item in info.get("mismatched_keys") or ())
    if missing or mismatched:
        what = f"{len(missing)} tensors are missing" if missing else f"{len(mismatched)} tensors have another shape"
        raise ModelError(
            f"the weights in {path} do not fit its config.json: {what} ({_few(missing or mismatched)})",
            "The folder is incomplete or belongs to another model: download or export it again.",
        )
    if unexpected:
        note(
            f"{len(unexpected)} tensors in {path.name} are not part of this architecture and are left out: "
            f"{_few(unexpected)}"
        )


def _model_error(path: Path, error: Exception) -> ModelError:
    words = _short(error)
    if _wants_remote_code(error):
        return _remote_code(path)
    if "ignore_mismatched_sizes" in str(error) or "size mismatch" in str(error):
        return ModelError(
            f"the weights in {path} do not fit its config.json: {words}",
            "They belong to another model or vocabulary size.",
        )
    if type(error).__name__ == "SafetensorError":
        return ModelError(
            f"a weight file in {path} is damaged: {words}",
            "Download it again; a download that was cut off looks like this.",
        )
    if "model type" in str(error) or isinstance(error, KeyError):
        hint = "The installed transformers does not know this architecture; a newer release may."
        return ModelError(f"the model in {path} cannot be built: {words}", hint)
    if isinstance(error, ImportError):
        return ModelError(
            f"the model in {path} needs another package: {words}", "Install it, or use the model in another format."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ModelError(
            f"there is not enough memory to load {path.name}", "Use a smaller model, a smaller dtype, or quantisation."
        )
    return ModelError(f"the model in {path} cannot be loaded: {type(error).__name__}: {words}")


def refuses_attention(error: ModelError) -> bool:
    """Whether a model could not be loaded because its architecture has no attention but its own."""
    cause = error.__cause__
    if isinstance(cause, KeyError):  # a table of classes by the attention's name, as Falcon has one
        return cause.args[:1] in (("tuitune",), ("sdpa",))
    return isinstance(cause, ValueError | TypeError) and "attention" in str(cause)


def _wants_remote_code(error: Exception) -> bool:
    return "trust_remote_code" in str(error)


def _remote_code(path: Path) -> ModelError:
    return ModelError(
        f"{path} brings its own Python code, which would have to run on this machine",
        "Read that code; if you trust it, set trust_remote_code: true.",
    )


def strip_quantisation_marks(model: PreTrainedModel) -> PreTrainedModel:
    """Make a de-quantised model an ordinary one again; return it.

    transformers keeps a model that came from GGUF marked as quantised even when its weights are plain floats, and then
    refuses to train or to save it.
    """
    marked: Any = model
    marked.hf_quantizer = None
    marked.is_quantized = False
    for holder, name in ((model.config, "quantization_config"), (model, "quantization_method")):
        if hasattr(holder, name):
            delattr(holder, name)
    return model


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
