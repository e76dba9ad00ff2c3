"""Content hashes of large files, remembered as long as the file has not changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import IO

from tuitune.fit.files import read_json
from tuitune.models.child import Check, Progress
from tuitune.run.files import write_atomic
from tuitune.run.places import cache

_BLOCK = 1 << 22


def file_sha256(path: Path, *, progress: Progress, check: Check) -> str:
    """Return the SHA-256 of a file in hex; a second call for the same size, time and inode reads nothing."""
    real = path.resolve()
    stat = real.stat()
    identity = [str(real), stat.st_size, stat.st_mtime_ns, stat.st_ino]
    note = cache() / "hashes" / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:24]}.json"
    known = read_json(note)
    if isinstance(known, dict) and known.get("file") == identity and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    with real.open("rb") as stream:
        digest = stream_sha256(stream, stat.st_size, progress=progress, check=check)
    # A file changed within the clock's grain of the reading could change again unseen; such a hash is not remembered.
    if time.time_ns() - stat.st_mtime_ns > 2_000_000_000:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, json.dumps({"file": identity, "sha256": digest}).encode())
    return digest


def stream_sha256(
    stream: IO[bytes], size: int, *, progress: Progress, check: Check, copy: IO[bytes] | None = None
) -> str:
    """Return the SHA-256 of an open stream of `size` bytes; write what was read into `copy` when there is one."""
    digest, done = hashlib.sha256(), 0
    while block := stream.read(_BLOCK):
        check()
        digest.update(block)
        if copy is not None:
            copy.write(block)
        done += len(block)
        progress("verify the file", done, size)
    return digest.hexdigest()
