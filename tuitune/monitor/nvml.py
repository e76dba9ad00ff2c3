"""NVML, one question at a time: a driver that refuses one of them still answers the others."""

from __future__ import annotations

from typing import Any

from tuitune.text import clean_line

_MISSING = "the package nvidia-ml-py is not installed"


class CardLost(Exception):
    """The card behind a handle is gone, or NVML has to be started anew."""


class NvmlProblem(Exception):
    """NVML cannot be used; an empty message: there is simply no NVIDIA driver."""


class Nvml:
    """NVML, open; close it when done."""

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise NvmlProblem(_MISSING) from error
        self.lib: Any = pynvml
        # A library that lacks an unversioned function is reported by an error of its own.
        self._refusals = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)
        self._lost = {
            pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND,
            pynvml.NVML_ERROR_UNINITIALIZED,
        }  # fmt: skip
        try:
            pynvml.nvmlInit()
        except self._refusals as error:
            raise NvmlProblem(_why(pynvml, error)) from error

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return the answer of the function `name`, None where it is refused; CardLost where the card is no more."""
        try:
            return self.lib.__dict__[name](*arguments)
        except self._refusals as error:
            if getattr(error, "value", None) in self._lost:
                raise CardLost(said(error)) from error
            return None

    def demand(self, name: str, *arguments: Any) -> Any:
        """Return the answer, CardLost where it is refused."""
        try:
            return self.lib.__dict__[name](*arguments)
        except self._refusals as error:
            raise CardLost(said(error)) from error

    def text(self, name: str, *arguments: Any) -> str | None:
        """Return an answer that is text, cleaned."""
        value = self.ask(name, *arguments)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return None if value is None else clean_line(value)

    def whole(self, name: str, *arguments: Any) -> int | None:
        """Return an answer that is a number; some drivers give all ones for what they do not know."""
        value = self.ask(name, *arguments)
        return None if value is None or value in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) else int(value)

    def close(self) -> None:
        """Let NVML go; what it says to that changes nothing."""
        try:
            self.lib.nvmlShutdown()
        except self._refusals:
            return


def said(error: Exception) -> str:
    """Return what NVML says of an error."""
    return clean_line(str(error)).rstrip(".")


def _why(lib: Any, error: Exception) -> str:
    code = getattr(error, "value", None)
    if code in (lib.NVML_ERROR_LIBRARY_NOT_FOUND, lib.NVML_ERROR_DRIVER_NOT_LOADED):
        return ""
    known = {
        lib.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver on disk is not the one that runs: reboot",
        lib.NVML_ERROR_NO_PERMISSION: "this user may not ask the NVIDIA driver: see the permissions of /dev/nvidia*",
        lib.NVML_ERROR_FUNCTION_NOT_FOUND: "the NVIDIA driver is too old to be asked for its GPUs: update it",
    }
    return known.get(code) or f"NVML does not start: {said(error)}"
