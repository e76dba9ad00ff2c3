"""Which rows, how they are put into words, and which tokens are learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuitune.recipe.fields.streaming import STREAMING
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Share, Text, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_SFT = When("stage", ("sft",))
IDENTITY = frozenset({"identity", "identity_en", "identity_zh", "identity_pairs", "identity_votes"})


class DataOptions(Options):
    """Datasets, template and labels."""

    GROUP: ClassVar[str] = "data"

    dataset: Names = option(
        (),
        "Datasets to train on, with commas: names from dataset_info.json, files (json, jsonl, csv, parquet, arrow, "
        "txt), folders of them, or with dataset_dir: ONLINE names on a hub. `identity` and `sums` are small sets that "
        "TuiTune brings itself.",
        required=True,
        essential=True,
    )
    eval_dataset: Names = option((), "Datasets to evaluate on, named like those of `dataset`.")
    dataset_dir: Text = option(
        "data",
        "Folder with dataset_info.json and the files it names; `ONLINE`: the names are those of a hub; "
        "`REMOTE:org/name`: dataset_info.json lies in that repository.",
    )
    template: Text | None = option(
        None,
        "Chat template that turns rows into text. Unset, the tokenizer's own is used; LLaMA-Factory's names keep its "
        "wording.",
        essential=True,
    )
    default_system: Text | None = option(
        None, "System message for rows that have none. Unset, the template's own is used."
    )
    cutoff_len: Whole = option(2048, "Longest row; what goes beyond is cut off.", unit="tokens", ge=1, essential=True)
    max_samples: Whole | None = option(None, "Take only the first so many rows of each dataset.", unit="rows", ge=1)
    val_size: Share = option(
        0.0,
        "Rows held back for evaluation: a share below 1 or a number of rows.",
        unit="share or rows",
        ge=0,
        essential=True,
    )
    train_on_prompt: Flag = option(False, "Learn the prompts too, not only the answers.", when=_SFT)
    mask_history: Flag = option(False, "In conversations of several turns, learn the last answer only.", when=_SFT)
    ignore_pad_token_for_loss: Flag = option(
        True,
        "Leave padding out of the loss. TuiTune computes no padding, so nothing else is possible.",
        planned={False: "remove the key: there is no padding that could be learnt"},
    )
    truncation: Literal["proportional", "left", "right"] = option(
        "proportional",
        "What a row loses that is longer than cutoff_len: prompt and answer in proportion, as LLaMA-Factory does, its "
        "beginning, or its end.",
    )
    packing: Flag | None = option(
        None,
        "Put several rows into one of cutoff_len tokens; they never see each other. Unset, for stage pt only, where "
        "the texts follow one another.",
        when=When("stage", ("sft", "pt")),
    )
    neat_packing: Flag = option(
        False, "Of LLaMA-Factory: packing without rows seeing each other, as packing is here.", when=_SFT
    )  # fmt: skip
    mix_strategy: Literal["concat", "interleave_under", "interleave_over", "interleave_once"] = option(
        "concat",
        "How several datasets become one: one after another, or drawn in turn until the first is used up (`under`), "
        "until all are (`over`, short ones repeat) or until every row was there once (`once`).",
    )
    interleave_probs: Text | None = option(
        None, "Probability of each dataset when they are drawn in turn, with commas; unset, in strict turn."
    )
    streaming: Flag = option(
        False, "Read and tokenise rows while training, for data too large to prepare first. Needs max_steps."
    )
    buffer_size: Whole = option(
        16384, "Rows that a streamed dataset is shuffled among.", unit="rows", ge=1, when=When("streaming", (True,))
    )
    tool_format: Text | None = option(
        None, "How tools and their calls are written, such as qwen or llama3. Unset, as the template has it."
    )
    enable_thinking: Flag | None = option(
        True,
        "For templates of reasoning models: answers without thoughts begin with empty ones that are learnt (true), or "
        "that belong to the prompt (false).",
    )
    preserve_thinking: Flag = option(False, "Keep the thoughts of earlier answers in the conversation.")
    media_dir: Text | None = option(None, "Folder of the images that rows name. Unset, dataset_dir.")
    tokenized_path: Text | None = option(
        None, "Folder that keeps the tokenised data: written when it is not there, read when it is."
    )
    disable_shuffling: Flag = option(False, "Take the rows in the order of the files instead of shuffling each epoch.")
    overwrite_cache: Flag = option(False, "Tokenise anew instead of taking what was kept of the same data.")
    preprocessing_batch_size: Whole = option(
        1000,
        "Of LLaMA-Factory: rows tokenised at once.",
        ge=1,
        inert="rows are tokenised in pieces whose size TuiTune chooses",
    )
    preprocessing_num_workers: Whole | None = option(
        None,
        "Of LLaMA-Factory: processes that tokenise.",
        ge=1,
        inert="tokenisation runs in the tokenizer's own threads, without further processes",
    )
    dataloader_num_workers: Whole = option(
        0,
        "Of transformers: processes that fetch rows.",
        ge=0,
        inert="rows lie in memory as token ids, so there is nothing to fetch in other processes",
    )
    name: Text = option("Tui", "The assistant's name in the packaged identity data.")
    author: Text = option("the TuiTune team", "Who made the assistant, in the packaged identity data.")


def probabilities(recipe: Recipe) -> tuple[float, ...] | None:
    """Return the numbers of `interleave_probs`, () for what is none, None where it is unset."""
    if recipe.interleave_probs is None:
        return None
    try:
        return tuple(float(part) for part in recipe.interleave_probs.split(","))
    except ValueError:
        return ()


def _unfit_probabilities(recipe: Recipe) -> bool:
    found = probabilities(recipe)
    return found is not None and (
        len(found) != len(recipe.dataset) or not all(0 <= p < 1.0001 for p in found) or abs(sum(found) - 1) > 1e-3
    )


def _twice(key: str) -> Rule:
    return Rule(
        (key,),
        lambda r: len(set(getattr(r, key))) < len(getattr(r, key)),
        "names a data set twice",
        "name every data set once",
    )


RULES = (
    *STREAMING,
    Rule(
        ("dataset",),
        lambda r: not r.dataset,
        "is missing: a recipe must name the data",
        "a name from dataset_info.json, a file, or identity, which TuiTune brings itself",
        training=True,
    ),
    _twice("dataset"),
    _twice("eval_dataset"),
    Rule(
        ("train_on_prompt", "mask_history"),
        lambda r: r.train_on_prompt and r.mask_history,
        "train_on_prompt learns every turn, mask_history only the last: they exclude each other",
        "keep one of them",
    ),
    Rule(
        ("val_size", "eval_dataset"),
        lambda r: r.val_size > 0 and bool(r.eval_dataset),
        "val_size holds back rows for evaluation, but eval_dataset names some already",
        "keep one of them",
    ),
    Rule(
        ("interleave_probs", "dataset"),
        _unfit_probabilities,
        "must be one probability for each data set, together 1",
        "such as 0.7, 0.3 for two",
    ),
    Rule(
        ("interleave_probs", "mix_strategy"),
        lambda r: r.interleave_probs is not None and r.mix_strategy == "concat",
        "says how often to draw from each data set, but mix_strategy: concat takes one after another",
        "set mix_strategy: interleave_over, or interleave_under",
    ),
    Rule(
        ("neat_packing", "packing"),
        lambda r: r.neat_packing and r.packing is False,
        "neat_packing packs, packing: false does not",
        "keep one of them",
    ),
    Rule(
        ("dataset", "name", "author"),
        lambda r: bool(IDENTITY & set(r.dataset)) and not {"name", "author"} <= r.asked,
        "the identity data will use the built-in name 'Tui' and author 'the TuiTune team' where the recipe sets none",
        "set name and author",
        level="warning",
    ),
)
