"""Many clients at once: no error, nothing left behind, and each gets about as much as the others.

TUITUNE_LOAD="CLIENTS SECONDS" asks for more than the usual 8 clients for 10 seconds; the acceptance is "32 120".
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cli.given import hear_all, start
from tests.engine.given import model_folder
from tests.serve.load import load


@pytest.mark.slow
def test_many_clients_leave_nothing_behind_and_get_about_the_same(tmp_path: Path) -> None:
    clients, seconds = map(int, os.environ.get("TUITUNE_LOAD", "8 10").split())
    model_folder(tmp_path)
    words = ("serve", "tiny", "again=tiny", "--port", "0", "--json", "--quiet")
    process = start(tmp_path, *words, preexec_fn=hear_all)
    try:
        assert process.stdout is not None
        told: dict[str, str] = {}
        while told.get("kind") != "ready":
            told = json.loads(process.stdout.readline())
        url, token = told["url"], Path(told["token_file"]).read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        models = ["tiny", "again"]
        asyncio.run(load(url, token, process.pid, clients=clients, seconds=3, models=models, least=5))  # warm
        _calm(url, headers)
        server = psutil.Process(process.pid)
        before = server.memory_info().rss, server.num_fds(), server.num_threads()
        found = asyncio.run(load(url, token, process.pid, clients=clients, seconds=seconds, models=models, least=20))
        _calm(url, headers)
        after = server.memory_info().rss, *_settled(server, before[1] + 2, before[2] + 2)
        rate = found.tokens / found.seconds
        print(f"{sum(found.answered)} answered, {sum(found.closed)} closed, {rate:.0f} tokens/s, {found.spread:.2f}")
        print(f"resident, descriptors, threads: {before} -> {after}")
        assert found.errors == []
        assert min(found.answered) > 0
        assert found.spread < 2
        assert after[0] < before[0] + (64 << 20)
        assert after[1] <= before[1] + 2
        assert after[2] <= before[2] + 2
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert process.returncode == 0


def _settled(server: psutil.Process, descriptors: int, threads: int) -> tuple[int, int]:
    """Wait until closed connections and idle threads are gone; return how many there are in the end."""
    end = time.monotonic() + 60
    while (server.num_fds() > descriptors or server.num_threads() > threads) and time.monotonic() < end:
        time.sleep(0.1)
    return server.num_fds(), server.num_threads()


def _calm(url: str, headers: dict[str, str]) -> None:
    """Wait until nothing is written and nobody is connected any more."""
    while True:
        health = httpx.get(f"{url}/health", headers=headers, timeout=120).json()
        if (health["answers"], health["waiting"]) == (0, 0):
            time.sleep(0.5)
            return
        time.sleep(0.05)
