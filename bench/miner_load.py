"""Memory and answers of a miner that 100 workers and 10,000 sectors keep busy, with one storage path that hangs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.farm.farm import Farm
from tests.farm.test_scenes import FAST_CHAIN

from .rows import Row

WORKERS, SECTORS = 100, 10_000
MAX_MIB = 120


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as root:
        farm = Farm(Path(root))
        farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
        miner = farm.miner()
        url, token = farm.endpoint()
        fleet = subprocess.Popen(
            [sys.executable, "-m", "bench.fleet", url, token, str(WORKERS)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert fleet.stdout is not None and fleet.stdout.readline().strip() == "ready"
            began = time.perf_counter()
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: farm.call("PledgeSector"), range(SECTORS)))
            pledged = time.perf_counter() - began
            farm.wait_for(
                lambda: farm.states().get("PreCommit1", 0) >= SECTORS, 300, "every piece to be added"
            )
            settled = time.perf_counter() - began
            assert miner.popen is not None
            resident = psutil.Process(miner.popen.pid).memory_info().rss / (1 << 20)
            jobs = timed(url, token, "WorkerJobs")
            stats = timed(url, token, "WorkerStats")
        finally:
            fleet.terminate()
            fleet.wait(10)
            farm.stop()
    return [
        Row(
            "resident memory",
            f"{resident:.0f} MiB",
            "Lotus idle 132 MiB",
            f"≤ {MAX_MIB} MiB",
            resident <= MAX_MIB,
        ),
        Row(f"{SECTORS:,} pledges accepted and stored", f"{SECTORS / pledged:.0f} a second"),
        Row("all pieces added, P1 running or waiting", f"{settled:.0f} s after the first pledge"),
        Row("`WorkerJobs` with 700 running", f"median {jobs * 1000:.1f} ms"),
        Row("`WorkerStats` of 100 workers", f"median {stats * 1000:.1f} ms"),
    ]


def timed(url: str, token: str, method: str, rounds: int = 21) -> float:
    """Median seconds of a call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"Filecoin.{method}", "params": []}).encode()
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        request = urllib.request.Request(
            url, body, {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        took.append(time.perf_counter() - start)
    return sorted(took)[rounds // 2]
