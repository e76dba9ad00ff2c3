"""Tokenised rows are kept and found again, never those of other data, and a broken cache is no harm."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.given import Given, alpaca, folder
from tests.tiny import CHAT_TEMPLATE, tiny_tokenizer
from tuitune.data import Prepared, build
from tuitune.data.cache import prune
from tuitune.data.keep import ABOUT
from tuitune.errors import DataError
from tuitune.run.places import cache

CATALOG = {
    "rows": {"file_name": "rows.json"},
    "pairs": {
        "file_name": "pairs.json",
        "ranking": True,
        "columns": {"prompt": "instruction", "chosen": "a", "rejected": "b"},
    },
    "votes": {"file_name": "votes.json", "columns": {"prompt": "instruction", "response": "a", "kto_tag": "good"}},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    some = [{"instruction": f"{n}?", "a": f"yes {n}", "b": f"no {n}", "good": n % 2 == 0} for n in range(12)]
    bad = [*alpaca(20), {"instruction": ""}, alpaca(1)[0]]
    folder(tmp_path, {"rows.json": bad, "pairs.json": some, "votes.json": some, "texts.txt": "one\n\ntwo\n"}, CATALOG)
    return tmp_path


def built(root: Path, tokenizer: Any = None, **changes: Any) -> Prepared:
    return build(Given(root=root, **changes), tokenizer or tiny_tokenizer())


def kept() -> list[Path]:
    return sorted((cache() / "tokens").iterdir())


def everything(prepared: Prepared) -> Any:
    """Return all that is prepared, as plain values."""
    sets = []
    for examples in (prepared.train, prepared.evaluation):
        if examples is not None:
            origins = examples.origins  # type: ignore[union-attr]
            told = [(origins.words(n), int(origins.lost[n])) for n in range(len(examples))]  # type: ignore[arg-type]
            sets.append((list(examples), told))
    return sets, prepared.report, prepared.digest()


@pytest.mark.parametrize(
    "asked",
    [
        {"dataset": "rows"},
        {"dataset": "rows", "val_size": 0.2, "cutoff_len": 12},
        {"dataset": "rows", "eval_dataset": "data/rows.json", "packing": True},
        {"dataset": "pairs", "stage": "dpo", "val_size": 2},
        {"dataset": "votes", "stage": "kto", "val_size": 2},
        {"dataset": "rows", "stage": "ppo", "val_size": 2},
        {"dataset": "data/texts.txt", "stage": "pt", "cutoff_len": 2},
    ],
    ids=str,
)
def test_what_was_kept_is_what_was_made(asked: dict[str, Any], root: Path) -> None:
    made, found = built(root, **asked), built(root, **asked)
    assert (made.cached, found.cached) == (False, True)
    assert everything(found) == everything(made)
    assert len(kept()) == 1


def test_a_kept_set_is_not_tokenised_again(root: Path) -> None:
    built(root)

    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return getattr(plain, name)

        def __call__(self, *given: Any, **more: Any) -> Any:
            raise AssertionError("it was tokenised")

    plain = tiny_tokenizer()
    Deaf.__name__ = type(plain).__name__
    assert built(root, Deaf()).cached


@pytest.mark.parametrize(
    "change",
    [
        {"cutoff_len": 12}, {"train_on_prompt": True}, {"mask_history": True}, {"template": "alpaca"},
        {"default_system": "Be brief."}, {"truncation": "left"}, {"max_samples": 5}, {"val_size": 3}, {"stage": "ppo"},
        {"packing": True}, {"eval_dataset": "data/rows.json"}, {"enable_thinking": False},
        {"overwrite_cache": True},
    ],
    ids=str,
)  # fmt: skip
def test_another_recipe_is_tokenised_anew(change: dict[str, Any], root: Path) -> None:
    built(root)
    assert not built(root, **change).cached


@pytest.mark.parametrize("change", [{}, {"seed": 7}, {"buffer_size": 9}, {"disable_shuffling": True}, {"name": "Eve"}])
def test_what_changes_no_token_changes_nothing(change: dict[str, Any], root: Path) -> None:
    built(root)
    assert built(root, **change).cached


def test_another_split_needs_its_own_seed(root: Path) -> None:
    built(root, val_size=3)
    assert not built(root, val_size=3, seed=7).cached


def test_other_content_of_the_same_size_and_time_is_seen(root: Path) -> None:
    built(root)
    path = root / "data" / "rows.json"
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"It is 3.", b"It is 4."))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert not built(root).cached


def test_another_tokenizer_is_seen(root: Path) -> None:
    built(root)
    assert not built(root, tiny_tokenizer(CHAT_TEMPLATE.replace("<|im_start|>", "<|im_start|> "))).cached
    other = tiny_tokenizer()
    other.add_tokens(["It is"])
    assert not built(root, other).cached
    words = tiny_tokenizer()
    words.split_special_tokens = True
    assert not built(root, words).cached


def damage_about(place: Path) -> None:
    (place / ABOUT).write_text("{")


def damage_version(place: Path) -> None:
    content = json.loads((place / ABOUT).read_text())
    (place / ABOUT).write_text(json.dumps(content | {"format": -1}))


def damage_ids(place: Path) -> None:
    path = next(place.glob("*ids.npy"))
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")


def shorten(place: Path) -> None:
    path = next(place.glob("*offsets.npy"))
    path.write_bytes(path.read_bytes()[:-9])


def remove(place: Path) -> None:
    next(place.glob("*labelled.npy")).unlink()


def pickle_it(place: Path) -> None:
    path = next(place.glob("*starts.npy"))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    content = json.loads((place / ABOUT).read_text())
    from tuitune.data.keep import sampled_checksum

    content["files"][path.name] = [path.stat().st_size, sampled_checksum(path)]
    (place / ABOUT).write_text(json.dumps(content))


def lead_away(place: Path) -> None:
    content = json.loads((place / ABOUT).read_text())
    content["sets"]["train"]["arrays"]["ids"] = "../../elsewhere.npy"
    (place / ABOUT).write_text(json.dumps(content))


DAMAGES = [damage_about, damage_version, damage_ids, shorten, remove, pickle_it, lead_away]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_anew_with_a_word(damage: Any, root: Path) -> None:
    made = built(root)
    damage(kept()[0])
    again = built(root)
    assert not again.cached
    assert "cannot be used and are made anew" in again.report.notes[-1]
    assert list(again.train) == list(made.train)
    assert built(root).cached
    assert built(root).report.notes == made.report.notes


def test_only_the_user_may_read_it(root: Path) -> None:
    built(root)
    assert [path.stat().st_mode & 0o777 for path in (kept()[0], kept()[0].parent)] == [0o700, 0o700]


def test_a_cancelled_run_leaves_nothing(root: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel(stage: str, done: int, total: int | None) -> None:
        if stage == "tokenise":
            raise Cancelled

    with pytest.raises(Cancelled):
        build(Given(root=root), tiny_tokenizer(), progress=cancel)
    assert kept() == []


def test_a_cache_that_cannot_be_written_is_only_a_word(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_text("")
    monkeypatch.setenv("TUITUNE_CACHE", str(root / "file"))
    prepared = built(root)
    assert len(prepared.train) == 21  # type: ignore[arg-type]
    assert "are not kept" in prepared.report.notes[-1]
    assert everything(prepared)[0]


def test_a_full_disk_is_said_in_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from tuitune.data import keep

    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keep, "write_atomic", full)
    with pytest.raises(DataError, match="No space left") as error:
        built(root)
    assert "TUITUNE_CACHE" in error.value.hint
    assert kept() == []


def test_the_longest_unused_goes_first(root: Path) -> None:
    for number, cutoff_len in enumerate((20, 30, 40)):
        built(root, cutoff_len=cutoff_len)
        for place in kept():
            if (place / ABOUT).stat().st_mtime > 1_000_000:
                os.utime(place / ABOUT, (1000 * number, 1000 * number))
    assert built(root, cutoff_len=20).cached  # used now
    size = max(sum(file.stat().st_size for file in place.iterdir()) for place in kept())
    dropped = (cache() / "tokens") / ".abandoned.tmp"
    dropped.mkdir()
    os.utime(dropped, (0, 0))
    (fresh := cache() / "tokens" / ".fresh.tmp").mkdir()
    prune(cache() / "tokens", keep_last=Path(), limit=2 * size + size // 2)
    assert not dropped.exists()
    assert fresh.exists()
    fresh.rmdir()
    assert [built(root, cutoff_len=n).cached for n in (20, 40, 30)] == [True, True, False]


# tokenized_path


def test_a_named_folder_is_written_then_read(root: Path) -> None:
    made = built(root, tokenized_path="kept/rows")
    assert not made.cached
    assert (root / "kept" / "rows" / ABOUT).is_file()
    assert not (cache() / "tokens").exists()
    found = built(root, tokenized_path="kept/rows")
    assert found.cached
    assert everything(found) == everything(made)


def test_a_named_folder_of_other_data_is_refused_in_words(root: Path) -> None:
    built(root, tokenized_path="kept")
    with pytest.raises(DataError, match="cutoff_len was 256 and is 99") as error:
        built(root, tokenized_path="kept", cutoff_len=99)
    assert "overwrite_cache" in error.value.hint
    with pytest.raises(DataError, match="the tokenizer changed"):
        built(root, tiny_tokenizer(CHAT_TEMPLATE + " "), tokenized_path="kept")
    (root / "data" / "rows.json").write_text(json.dumps(alpaca(5)))
    with pytest.raises(DataError, match="the data sets changed"):
        built(root, tokenized_path="kept")
    assert len(built(root, tokenized_path="kept", overwrite_cache=True).train) == 5  # type: ignore[arg-type]
    assert built(root, tokenized_path="kept").cached


def test_a_folder_of_something_else_is_left_alone(root: Path) -> None:
    (root / "mine").mkdir()
    (root / "mine" / "dataset_dict.json").write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="holds something else"):
            built(root, tokenized_path="mine", overwrite_cache=overwrite)
    assert (root / "mine" / "dataset_dict.json").read_text() == "{}"
    (root / "empty").mkdir()
    assert not built(root, tokenized_path="empty").cached
    assert built(root, tokenized_path="empty").cached


@pytest.mark.parametrize("damage", [damage_ids, damage_about])
def test_a_damaged_named_folder_is_refused_until_it_may_be_made_anew(damage: Any, root: Path) -> None:
    built(root, tokenized_path="kept")
    damage(root / "kept")
    with pytest.raises(DataError, match="cannot be used") as error:
        built(root, tokenized_path="kept")
    assert "overwrite_cache: true" in error.value.hint
    assert not built(root, tokenized_path="kept", overwrite_cache=True).cached
    assert built(root, tokenized_path="kept").cached


def test_rows_stay_readable_when_their_folder_is_removed(root: Path) -> None:
    big = [{"instruction": f"Say {n}.", "output": "long words " * 40} for n in range(400)]
    folder(root, {"rows.json": big}, CATALOG)
    built(root)
    prepared = built(root)
    assert prepared.cached
    before = prepared.digest()
    shutil.rmtree(kept()[0])
    assert prepared.digest() == before
