"""The user's own editor, for a while in the place of the screen."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tuitune.errors import UsageError
from tuitune.text import clean_line

_HINT = "set VISUAL or EDITOR to a program that edits files"


def editor(environ: Mapping[str, str]) -> list[str]:
    """Return the words of the user's editor. Raises UsageError when they make no sense."""
    name = "VISUAL" if environ.get("VISUAL", "").strip() else "EDITOR"
    given = environ.get(name, "").strip() or "vi"
    try:
        return shlex.split(given)
    except ValueError:
        raise UsageError(f"{name} has a quote that is not closed: {clean_line(given)[:60]}", _HINT) from None


def edited(text: str, name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return what the user makes of a text in the editor, which has the terminal until it ends.

    Raises UsageError in words. An editor that ends with an error takes nothing over; what was written then stays where
    the message says.
    """
    folder = Path(tempfile.mkdtemp(prefix="tuitune-"))  # 0700
    file = folder / (Path(name).name.replace("/", "_") or "recipe.yaml")
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(text.encode())
        code = _run([*editor(environ), str(file)])
        return _result(file, text, code)
    except UnicodeEncodeError:
        raise UsageError("the text holds characters that no file can hold", "remove them here first") from None
    except OSError as error:
        raise UsageError(
            f"the text cannot be handed over: {error.strerror}", "make room for temporary files"
        ) from error
    finally:
        if not file.with_suffix(file.suffix + ".kept").exists():
            _remove(folder)


def _run(argv: list[str]) -> int:
    with _terminal() as fd:
        try:
            return subprocess.run(argv, stdin=fd, stdout=fd, stderr=fd, check=False).returncode
        except FileNotFoundError:
            raise UsageError(f"there is no editor {clean_line(argv[0])!r:.60}", _HINT) from None
        except OSError as error:
            words = f"the editor {clean_line(argv[0])!r:.60} cannot be started: {error.strerror}"
            raise UsageError(words, _HINT) from error


@contextlib.contextmanager
def _terminal() -> Iterator[int | None]:
    # The app's own streams may lead to the log; where there is no terminal, the editor takes what there is.
    try:
        fd = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _result(file: Path, before: str, code: int) -> str:
    try:
        after = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            "the editor took the file away, so nothing was taken over", "save and leave it as usual"
        ) from None
    except UnicodeDecodeError:
        raise _kept(file, "the editor did not write UTF-8") from None
    if code == 0:
        return after
    words = f"the editor ended with {code}" if code > 0 else f"the editor was killed by signal {-code}"
    if after == before:
        raise UsageError(f"{words}, and nothing was changed", "leave it in the usual way to take changes over")
    raise _kept(file, words)


def _kept(file: Path, words: str) -> UsageError:
    stays = file.with_suffix(file.suffix + ".kept")
    file.rename(stays)
    return UsageError(f"{words}, so nothing was taken over", f"what was written is in {stays}")


def _remove(folder: Path) -> None:
    # The editor may have left backups and swap files beside it.
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
