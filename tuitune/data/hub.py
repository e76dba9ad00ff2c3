"""Data sets from hubs: their files are fetched and read as any others; no program of theirs is ever run."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.data.catalog import CATALOG
from tuitune.data.entry import Remote
from tuitune.data.options import Check, Progress
from tuitune.data.repo import CARD, choose
from tuitune.errors import DataError, TuiTuneError
from tuitune.hub import DATA, explain, offline, space_wanting
from tuitune.text import clean_line

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

_LIBRARIES = {"ms": ("modelscope", "ModelScope"), "om": ("openmind_hub", "Modelers")}
# Where Hugging Face keeps what it has made of repositories that hold a program.
_CONVERTED = "refs/convert/parquet"


def fetch(remote: Remote, progress: Progress, check: Check) -> tuple[tuple[Path, ...], str]:
    """Return the files with the rows of `remote`, fetched or from the cache, and a sentence about them.

    Raises DataError. Stage of `progress`: "download" (bytes).
    """
    readable(remote)
    if remote.service != "hf":
        folder = _elsewhere(remote)
        names = choose(_inside(folder), _card(folder), remote)
        paths = tuple(folder / name for name in names)
    elif offline():
        paths = _cached(remote)
    else:
        paths = _fetched(remote, progress, check)
    files = f"{len(paths)} files" if len(paths) > 1 else f"the file {paths[0].name}"
    subset = f" of {remote.subset}" if remote.subset else ""
    asked = ", as it lies in the cache; the hub was not asked" if offline() else ""
    return paths, f"{remote.repo}: {files}, split {remote.split}{subset}{asked}."


def fetch_catalog(repo: str) -> Path:
    """Return a folder with the dataset_info.json of a repository; raises DataError."""
    return fetch_file(repo, CATALOG).parent


def fetch_file(repo: str, name: str) -> Path:
    """Return one file of a repository, fetched or from the cache; raises DataError."""
    from huggingface_hub import errors

    try:
        return _download(repo, name, None, None)
    except errors.LocalEntryNotFoundError as error:
        raise DataError(*explain(error, repo, None, DATA)) from error
    except errors.EntryNotFoundError:
        raise DataError(f"{repo} has no file {name}", "Check dataset_dir: REMOTE: and the file's name.") from None
    except Exception as error:  # the network has too many ways to fail to name; each becomes words
        raise DataError(*explain(error, repo, None, DATA)) from error


def readable(remote: Remote) -> None:
    """Raise DataError if the hub of `remote` needs a library that is not installed."""
    if remote.service in _LIBRARIES:
        module, service = _LIBRARIES[remote.service]
        if importlib.util.find_spec(module) is None:
            raise DataError(
                f"{remote.repo} lies on {service}, and the library {module} is not installed",
                f"Install it (pip install {module}), or name the data set with hf_hub_url or file_name.",
            )


def _fetched(remote: Remote, progress: Progress, check: Check) -> tuple[Path, ...]:
    from huggingface_hub import HfApi

    ended: list[BaseException] = []

    def ending() -> None:
        try:
            check()
        except BaseException as error:
            ended.append(error)  # the caller's own word for the end, not a failure of the network
            raise

    progress(f"look up {remote.repo}", 0, None)
    try:
        api = HfApi(endpoint=_endpoint())
        revision, sizes = None, _sizes(api.dataset_info(remote.repo, files_metadata=True))
        card = _download(remote.repo, CARD, None, None).read_text("utf-8", "replace") if CARD in sizes else ""
        try:
            names = choose(sizes, card, remote)
        except DataError:
            if not any(name.endswith(".py") for name in sizes):
                raise
            converted = _converted(api, remote)
            if converted is None:
                raise
            revision, (sizes, names) = _CONVERTED, converted
        wanting = space_wanting(_cache(), sum(sizes[name] for name in names))
        if wanting:
            raise DataError(*wanting)
        bar = _bar(sum(sizes[name] for name in names), progress, ending)
        return tuple(_download(remote.repo, name, revision, bar) for name in names)
    except TuiTuneError:
        raise
    except Exception as error:  # as above
        if error in ended:
            raise
        raise DataError(*explain(error, remote.repo, None, DATA)) from error


def _converted(api: Any, remote: Remote) -> tuple[dict[str, int], list[str]] | None:
    """Return the parquet files that the hub itself made of a repository with a program; None where there are none."""
    from huggingface_hub import errors

    try:
        sizes = _sizes(api.dataset_info(remote.repo, revision=_CONVERTED, files_metadata=True))
    except errors.RevisionNotFoundError:
        return None
    subsets = sorted({name.split("/")[0] for name in sizes if name.endswith(".parquet")})
    subset = remote.subset or (subsets[0] if len(subsets) == 1 else "default")
    prefixes = tuple(f"{subset}/{part}{remote.split}/" for part in ("", "partial-"))
    names = sorted(name for name in sizes if name.startswith(prefixes))
    if not names:
        splits = sorted({"/".join(name.split("/")[:2]) for name in sizes if name.endswith(".parquet")})
        raise DataError(
            f"{remote.repo} has no {subset}/{remote.split}", f"Set subset and split; it has: {', '.join(splits[:12])}."
        )
    return sizes, names


def _cached(remote: Remote) -> tuple[Path, ...]:
    """Return the files from the hub's cache, without a network."""
    from huggingface_hub import errors, snapshot_download

    for revision in (None, _CONVERTED):
        try:
            folder = Path(
                snapshot_download(
                    remote.repo, repo_type="dataset", revision=revision, cache_dir=_cache(), local_files_only=True
                )
            )
        except errors.HFValidationError as error:
            raise DataError(*explain(error, remote.repo, None, DATA)) from None
        except (errors.LocalEntryNotFoundError, OSError):
            continue
        names = _inside(folder)
        if revision is not None:
            names = [name for name in names if f"{remote.split}/" in name]
        return tuple(folder / name for name in choose(names, _card(folder), remote))
    raise DataError(
        f"{remote.repo} is not on this machine, and HF_HUB_OFFLINE forbids fetching it",
        f"Unset HF_HUB_OFFLINE, or {DATA.here}.",
    )


def _elsewhere(remote: Remote) -> Path:
    """Fetch a repository of ModelScope or Modelers through its own library."""
    try:
        if remote.service == "ms":
            from modelscope.hub.snapshot_download import dataset_snapshot_download

            return Path(dataset_snapshot_download(remote.repo))
        module: Any = importlib.import_module("openmind_hub")
        return Path(module.snapshot_download(remote.repo, repo_type="dataset"))
    except Exception as error:  # their libraries raise what they like
        service = _LIBRARIES[remote.service][1]
        words = clean_line(str(error))[:300]
        raise DataError(
            f"cannot fetch {remote.repo} from {service}: {words}", "Check the name and the network."
        ) from error


def _download(repo: str, name: str, revision: str | None, bar: Any) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(
        hf_hub_download(
            repo, name, repo_type="dataset", revision=revision, cache_dir=_cache(), endpoint=_endpoint(),
            tqdm_class=bar, local_files_only=offline(),
        )
    )  # fmt: skip


def _bar(total: int, progress: Progress, check: Check) -> Callable[..., Any]:
    """Return a class of progress bars that draw nothing: they report bytes, and let `check` end the download."""
    done = 0

    class Silent(importlib.import_module("tqdm.auto").tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            nonlocal done
            done += int(n or 0)
            progress("download", min(done, total), total)
            check()

    progress("download", 0, total)
    return Silent


def _sizes(info: DatasetInfo) -> dict[str, int]:
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _inside(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _card(folder: Path) -> str:
    card = folder / CARD
    return card.read_text("utf-8", "replace") if card.is_file() else ""


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> Path:
    """Return the hub's cache, as the environment says now."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"])
    return Path(os.environ["HF_HOME"]) / "hub" if os.environ.get("HF_HOME") else Path(HF_HUB_CACHE)
