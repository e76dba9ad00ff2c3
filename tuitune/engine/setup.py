"""What must be settled before torch is imported: threads, busy waiting, the C allocator, the visible device, silence.

Imports nothing heavy. The one thread policy of the product (DESIGN, section 5) is here, for the app, headless runs
and benchmarks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

from tuitune.errors import UsageError
from tuitune.fit.machine import gpus, usable_cores
from tuitune.models.quantise import quiet

# malloc.h; blocks that go back to the kernel come back as page faults, which cost a flat step a third of its time.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "BITSANDBYTES_NOWELCOME": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


_VISIBLE, _GIVEN = "CUDA_VISIBLE_DEVICES", "TUITUNE_GIVEN_DEVICES"


def prepare_process(*, device: str = "auto", threads: int | None = None) -> None:
    """Set up this process for torch; call it before torch is imported, calling it again changes nothing that matters.

    device: "auto" (the GPU with most free memory), "cpu" or "cuda:N" as nvidia-smi counts; exactly one becomes visible.
    """
    count = str(threads or usable_cores())
    # A thread that spins on a core which another one needs made a small model 30 times slower (terminal.md, 3.3).
    os.environ.update(OMP_NUM_THREADS=count, OMP_WAIT_POLICY="PASSIVE", KMP_BLOCKTIME="0")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    quiet()
    if "torch" not in sys.modules:
        _show_one_device(device)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Tell glibc's malloc to keep what was freed for the next step; does nothing with another C library."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # One arena: other threads' arenas cannot hold large blocks at all and would map and unmap each of them.
        for option, value in (
            (_M_ARENA_MAX, 1),
            (_M_MMAP_MAX, 0),
            (_M_TRIM_THRESHOLD, 2**31 - 1),
            (_M_TOP_PAD, 64 << 20),
        ):
            mallopt(option, value)


def _show_one_device(device: str) -> None:
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    # What a scheduler has given us; kept for processes that we start, which must not count twice.
    given = os.environ.setdefault(_GIVEN, os.environ.get(_VISIBLE, ""))
    ours = [name.strip() for name in given.split(",") if name.strip()]
    if device == "cpu":
        os.environ[_VISIBLE] = ""
    elif device.startswith("cuda:"):
        index = int(device.removeprefix("cuda:"))
        if ours and index >= len(ours):
            raise UsageError(
                f"device: {device} is asked for, but {_VISIBLE} shows {len(ours)} of the GPUs here",
                "devices count from 0 among those that are shown",
            )
        os.environ[_VISIBLE] = ours[index] if ours else str(index)
    else:
        # Exactly one in every case: several would be taken for data parallelism in one process.
        os.environ[_VISIBLE] = ours[0] if ours else str(_freest_gpu() or 0)


def _freest_gpu() -> int | None:
    known = [gpu for gpu in gpus().devices if gpu.free is not None]
    return max(known, key=lambda gpu: gpu.free or 0).index if known else None
