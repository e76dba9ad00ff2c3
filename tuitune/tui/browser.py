"""Textual's driver for a browser, made to survive the loss of it: that is to the app what a lost terminal is."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

from textual.drivers.web_driver import WebDriver

if TYPE_CHECKING:
    from textual.app import App


class BrowserDriver(WebDriver):
    """Speaks textual-serve's packets on standard input and output."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._gone = False
        self._write = self._write_all  # type: ignore[assignment]

    def _write_all(self, data: bytes) -> int:
        """Write all of a packet; what cannot be written any more is dropped, so that nothing waits for it."""
        left = memoryview(data)
        while left and not self._gone:
            try:
                left = left[os.write(self.fileno, left) :]
            except OSError:
                self._gone = True
        return len(data)

    def run_input_thread(self) -> None:
        """Read keys until the end; an end that the app did not ask for is a tab that was closed."""
        with contextlib.suppress(OSError):
            super().run_input_thread()
        if not self.exit_event.is_set():
            self._gone = True
            os.kill(os.getpid(), signal.SIGHUP)
