"""The hubs that an export is pushed to: what a repository holds, and how files get there.

Tokens are read from the environment or the hub's own login by the hubs' libraries; none passes through here but to be
struck out of what is said.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tuitune.errors import ModelError, UsageError
from tuitune.hub import endpoint, offline
from tuitune.text import clean_line

Progress = Callable[[str, int, int | None], None]
State = Literal["new", "changed", "same"]
_TOKENS = re.compile(r"\b(?:hf|ms)_[A-Za-z0-9-]{8,}|(?<=[Bb]earer )\S+")
_LOGIN = "set HF_TOKEN to a token with the right to write, or log in once with: hf auth login"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """A file in a repository. sha256: of its content, where the hub knows it; blob: its git hash."""

    size: int
    sha256: str | None = None
    blob: str | None = None


@dataclass(frozen=True)
class Held:
    """A repository that exists."""

    private: bool
    files: Mapping[str, Stored] = field(default_factory=dict)


class Hub(Protocol):
    """What is asked of a hub. All raise whatever its library raises; `words` says it."""

    name: str

    def look(self, repo: str) -> Held | None: ...
    def send(self, repo: str, folder: Path, names: Sequence[str], private: bool, progress: Progress) -> str: ...
    def words(self, error: Exception, repo: str) -> tuple[str, str]: ...


def chosen() -> Hub:
    """Return the hub that the environment means: ModelScope with USE_MODELSCOPE_HUB. Raises ModelError."""
    if os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "y"):
        return ModelScope()
    return HuggingFace()


def ready() -> None:
    """Raise where nothing can be pushed from here: no token, or no network allowed. Nobody is asked."""
    if isinstance(chosen(), HuggingFace):
        _need_token()


class HuggingFace:
    """The Hugging Face hub, or what HF_ENDPOINT names."""

    def __init__(self) -> None:
        from huggingface_hub import HfApi

        if offline():
            raise UsageError("HF_HUB_OFFLINE forbids the network", "unset it, or leave the push out")
        self._api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        self.name = endpoint()

    def look(self, repo: str) -> Held | None:
        """Return what a repository holds; None where there is none that this user may see."""
        from huggingface_hub import errors
        from huggingface_hub.hf_api import RepoFile

        _need_token()
        self._api.whoami()  # else a wrong token looks like a repository that is not there
        try:
            info = self._api.repo_info(repo)
            tree = [each for each in self._api.list_repo_tree(repo, recursive=True) if isinstance(each, RepoFile)]
        except errors.RepositoryNotFoundError:
            return None
        files = {each.path: Stored(each.size, each.lfs.sha256 if each.lfs else None, each.blob_id) for each in tree}
        return Held(bool(info.private), files)

    def send(self, repo: str, folder: Path, names: Sequence[str], private: bool, progress: Progress) -> str:
        """Make the repository where there is none, send the files and make them one commit; return its address.

        Large files go one by one, and those that the hub has already are not sent again: a push that broke off goes on.
        """
        from huggingface_hub import CommitOperationAdd

        self._api.create_repo(repo, private=private, exist_ok=True)
        adds = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
        sizes = [(folder / name).stat().st_size for name in names]
        for place, add in enumerate(adds):
            progress("push", sum(sizes[:place]), sum(sizes))
            self._api.preupload_lfs_files(repo, [add], free_memory=False)
        self._api.create_commit(repo, adds, commit_message="Export by TuiTune")
        progress("push", sum(sizes), sum(sizes))
        return f"{self._api.endpoint}/{repo}"

    def words(self, error: Exception, repo: str) -> tuple[str, str]:
        """Say in words what went wrong, and what helps."""
        from huggingface_hub import errors

        status = _status(error)
        if isinstance(error, errors.HFValidationError):
            return f"{repo!r} cannot be a name on the hub", "it must look like organisation/name"
        if status == 401:
            return f"{self.name} does not know the token", _LOGIN
        if status == 403:
            return f"the token may not write to {repo}", _LOGIN
        if status == 404:
            return f"{self.name} does not let this token see or make {repo}", _LOGIN
        if status == 413:
            return f"{self.name} refuses files so large", "write smaller files: export_size"
        if "xet" in str(error).lower():
            return f"{self.name} does not take files by Xet: {said(error)}", "set HF_HUB_DISABLE_XET=1 for this hub"
        return f"cannot push to {self.name}: {type(error).__name__}: {said(error)}", "check the network"


class ModelScope:
    """ModelScope, by its own library."""

    name = "ModelScope"
    _PRIVATE, _PUBLIC = 1, 5  # modelscope.hub.constants.ModelVisibility

    def __init__(self) -> None:
        try:
            from modelscope.hub.api import HubApi
        except ImportError as error:
            raise ModelError(
                "USE_MODELSCOPE_HUB is set, and the library modelscope is not installed",
                "pip install modelscope; or unset USE_MODELSCOPE_HUB to push to the Hugging Face hub",
            ) from error
        token = os.environ.get("MODELSCOPE_API_TOKEN")
        if not token:
            raise ModelError("there is no token for ModelScope", "set MODELSCOPE_API_TOKEN to one that may write")
        self._api: Any = HubApi(token=token)

    def look(self, repo: str) -> Held | None:
        """Return what a repository holds; None where there is none."""
        if not self._api.repo_exists(repo):
            return None
        told = self._api.get_model(repo)
        files = {
            str(each["Path"]): Stored(int(each.get("Size") or 0), each.get("Sha256") or None)
            for each in self._api.get_model_files(repo, recursive=True)
            if each.get("Type") != "tree"
        }
        return Held(told.get("Visibility") != self._PUBLIC, files)

    def send(self, repo: str, folder: Path, names: Sequence[str], private: bool, progress: Progress) -> str:
        """Make the repository where there is none and send the files; return its address."""
        if not self._api.repo_exists(repo):
            self._api.create_model(repo, visibility=self._PRIVATE if private else self._PUBLIC)
        progress("push", 0, None)
        self._api.upload_folder(
            repo_id=repo, folder_path=str(folder), allow_patterns=list(names), commit_message="Export by TuiTune"
        )
        return f"https://modelscope.cn/models/{repo}"

    def words(self, error: Exception, repo: str) -> tuple[str, str]:
        """Say in words what went wrong, and what helps."""
        return (
            f"cannot push {repo} to ModelScope: {type(error).__name__}: {said(error)}",
            "check the network, the name and MODELSCOPE_API_TOKEN",
        )


def state(path: Path, stored: Stored | None) -> State:
    """Return how a file compares with the one of its name in a repository."""
    if stored is None:
        return "new"
    if stored.size != path.stat().st_size:
        return "changed"
    if stored.sha256 is not None:
        same = _digest(path, hashlib.sha256()) == stored.sha256
    else:
        same = _digest(path, hashlib.sha1(b"blob %d\0" % stored.size)) == stored.blob  # git's own hash of a file
    return "same" if same else "changed"


def said(error: Exception) -> str:
    """Return what an error says, without a token that may stand in it."""
    return _TOKENS.sub("***", clean_line(str(error)))[:300]


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error is about, or the one that led to it."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        error = error.__cause__
    return None


def _digest(path: Path, made: Any) -> str:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            made.update(chunk)
    return str(made.hexdigest())


def _need_token() -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise ModelError("there is no token for the hub", _LOGIN)
