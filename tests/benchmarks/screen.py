"""What the app costs and how fast it answers, in a pseudo-terminal of 120x40 while the embedded model trains.

Run with `python -m tests.benchmarks.screen [--pairs 3]`. It prints the time to the first paint, the delay from a key to
its repaint, the bytes on the wire, and how long a step takes beside one of `tuitune train` without a screen, in turns.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from tuitune.run import JournalReader, events
from tuitune.run.journal import supersede

WIDTH, HEIGHT = 120, 40
# A cursor that moves between these two rows of the form repaints both names and nothing else does.
ROW = b"finetuning_type"
START, QUIT, DOWN, UP = b"\x12", b"\x11", b"j", b"k"


class Screen:
    """A command on a terminal of its own; all it writes is collected with the time it came."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(arguments[0], arguments, environ)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.bytes = 0

    def read(self, seconds: float, until: bytes | None = None) -> bytes:
        """Collect for so long, or until a text has come."""
        found, end = b"", time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    found += os.read(self.fd, 1 << 16)
                except OSError:
                    break
                if until is not None and until in found:
                    break
        self.bytes += len(found)
        return found

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self.fd, keys)

    def end(self) -> None:
        """Kill what still runs."""
        for each in (self.pid, *_children(self.pid)):
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def _children(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _environ(home: Path) -> dict[str, str]:
    gone = ("COLUMNS", "LINES", "TMUX", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    return {**kept, "TUITUNE_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def _recipe(home: Path, steps: int) -> Path:
    from tuitune.resources import preset

    text = preset("quickstart").read_text(encoding="utf-8")
    path = home / "recipe.yaml"
    lines = (f"max_steps: {steps}" if line.startswith("max_steps") else line for line in text.splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _steps(home: Path) -> list[events.StepLogged]:
    runs = [path for path in (home / "runs").glob("*") if (path / "events.jsonl").exists()]
    found = supersede(JournalReader(runs[0] / "events.jsonl").read()) if runs else []
    return [event for event in found if isinstance(event, events.StepLogged)]


def _wait_for_steps(screen: Screen, home: Path, count: int, seconds: float = 300.0) -> None:
    end = time.perf_counter() + seconds
    while len(_steps(home)) < count:
        screen.read(0.5)
        if time.perf_counter() > end:
            raise SystemExit(f"only {len(_steps(home))} of {count} steps in {seconds:.0f} s")


def first_paint(times: int = 5) -> list[float]:
    """Return the seconds from the start of the program to the first line of the app, after a start that counts not.

    That one compiles the modules, as installing does; the bytecode lies in a folder of its own.
    """
    with tempfile.TemporaryDirectory() as compiled:
        return [_one_start(Path(compiled)) for _ in range(times + 1)][1:]


def _one_start(compiled: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        environ = {**_environ(Path(folder)), "PYTHONPYCACHEPREFIX": str(compiled)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        screen = Screen([sys.executable, "-m", "tuitune"], environ)
        screen.read(20.0, until=b"TuiTune")
        seconds = time.perf_counter() - screen.began
        screen.read(1.0)
        screen.end()
        return seconds


def in_app(steps: int, keys: int) -> tuple[list[float], list[float], float]:
    """Train in the app; return seconds per step, seconds per key and bytes per second."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        screen = Screen([sys.executable, "-m", "tuitune", str(_recipe(home, steps + 40))], _environ(home))
        try:
            screen.read(20.0, until=b"TuiTune")
            screen.read(2.0)
            screen.send(START)
            _wait_for_steps(screen, home, 3)
            screen.bytes, begun = 0, time.perf_counter()
            _wait_for_steps(screen, home, 3 + steps)
            rate = screen.bytes / (time.perf_counter() - begun)
            quiet = [event.step_seconds for event in _steps(home)][3 : 3 + steps]
            return quiet, _delays(screen, keys), rate
        finally:
            screen.end()


def _delays(screen: Screen, keys: int) -> list[float]:
    screen.send(b"2")
    screen.read(1.0)
    screen.send(b"\x1b[H")
    screen.read(1.0)
    _to_row(screen)
    found = []
    for number in range(keys):
        screen.read(0.37)  # at every phase of the half-second clock
        begun = time.perf_counter()
        screen.send(DOWN if number % 2 == 0 else UP)
        if ROW in screen.read(5.0, until=ROW):
            found.append(time.perf_counter() - begun)
    return found


def _to_row(screen: Screen) -> None:
    for _ in range(30):
        screen.send(DOWN)
        if ROW in screen.read(0.6):
            return
    raise SystemExit("the form does not show the row that is waited for")


def headless(steps: int) -> list[float]:
    """Train without a screen; return the seconds per step."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        command = [sys.executable, "-m", "tuitune", "train", str(_recipe(home, steps + 4)), "--json"]
        screen = Screen(command, _environ(home))
        try:
            _wait_for_steps(screen, home, 3 + steps)
            return [event.step_seconds for event in _steps(home)][3 : 3 + steps]
        finally:
            screen.end()


def _share(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--keys", type=int, default=60)
    given = parser.parse_args()
    paints = first_paint()
    print(f"first paint: median {statistics.median(paints):.2f} s, least {min(paints):.2f} s", flush=True)
    ratios, delays, rates = [], [], []
    for pair in range(given.pairs):
        # In turns, and not always the same first: what else runs on the machine meets both.
        alone = headless(given.steps) if pair % 2 == 0 else []
        app, keys, rate = in_app(given.steps, given.keys)
        alone = alone or headless(given.steps)
        ratios.append(statistics.median(app) / statistics.median(alone))
        delays += keys
        rates.append(rate)
        print(f"pair {pair + 1}: a step takes {ratios[-1]:.3f} times as long in the app", flush=True)
    median, late = statistics.median(delays), _share(delays, 0.95)
    print(f"key to repaint: median {median * 1000:.0f} ms, p95 {late * 1000:.0f} ms, {len(delays)} keys")
    print(f"on the wire: {statistics.median(rates) / 1000:.1f} kB/s")
    print(f"a step in the app: {statistics.median(ratios):.3f} times as long (median of {len(ratios)} pairs)")


if __name__ == "__main__":
    main()
