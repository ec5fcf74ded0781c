"""Our server beside Go's bare ``net/http`` under the same load, and a miner with 1,000 stock workers of one Go process."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from farm.farm import Farm
from interop.peers import build

from .rows import Row
from .rpc_server import TOKEN_SECRET, load, serve

WORKERS = 1000
#: Seconds that the fleet is watched.
WATCHED = 300.0
ROUNDS = 3
SECONDS = 2.0
CONNECTIONS = 16
CONFIG = """
[API]
ListenAddress = "/ip4/127.0.0.1/tcp/0/http"
[Storage]
AllowAddPiece = false
AllowPreCommit1 = false
AllowPreCommit2 = false
AllowCommit = false
AllowUnseal = false
"""


def run() -> list[Row]:
    """For ``make bench``."""
    return [*beside_go(), *fleet()]


def beside_go(rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Row]:
    """Turn by turn, each server in its own process, the load from this one."""
    from lotus_sched_cli.lotus import auth

    token = auth.sign(TOKEN_SECRET, auth.ALL)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    ours = context.Process(target=serve, args=(there, True), daemon=True)
    ours.start()
    go = subprocess.Popen([build("bare")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert go.stdout is not None and go.stdin is not None
    ports = {"ours": here.recv(), "go": int(go.stdout.readline())}
    got: dict[str, list[tuple[float, float]]] = {"ours": [], "go": []}
    try:
        for _ in range(rounds):
            for name, port in ports.items():
                got[name].append(asyncio.run(load(port, token, seconds, CONNECTIONS)))
    finally:
        here.send(None)
        ours.join(5)
        go.stdin.close()
        go.wait(5)
    rate = {name: statistics.median(r for r, _ in found) for name, found in got.items()}
    slow = {name: statistics.median(p for _, p in found) for name, found in got.items()}
    return [
        Row(
            f"calls per second, StorageFindSector, {CONNECTIONS} connections",
            f"{rate['ours']:,.0f}",
            f"bare Go net/http {rate['go']:,.0f}, ratio {rate['ours'] / rate['go']:.2f} (the load takes most of a core)",
        ),
        Row("99th percentile of a call", f"{slow['ours']:.1f} ms", f"bare Go net/http {slow['go']:.1f} ms"),
    ]


def fleet(workers: int = WORKERS, watched: float = WATCHED) -> list[Row]:
    """A miner of its own process; its processor time and the heartbeats while nothing else happens."""
    with tempfile.TemporaryDirectory() as folder:
        farm = Farm(Path(folder))
        farm.init("--sector-size", "2KiB", config=CONFIG)
        proc = farm.miner()
        assert proc.popen is not None
        url, token = farm.endpoint()
        program = [build("fleet"), "-miner", url, "-token", token, "-count", str(workers)]
        go = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert go.stdout is not None
        try:
            began = time.perf_counter()
            assert go.stdout.readline() == "ready\n"
            joined = time.perf_counter() - began
            miner = psutil.Process(proc.popen.pid)
            before, start = miner.cpu_times(), time.perf_counter()
            time.sleep(watched)
            after, end = miner.cpu_times(), time.perf_counter()
            known = len(farm.call("WorkerStats"))
            told = json.loads(go.communicate(timeout=30)[0])
            memory = miner.memory_info().rss
        finally:
            go.kill()
            go.wait(10)
            farm.stop()
    cores = (after.user + after.system - before.user - before.system) / (end - start)
    return [
        Row(
            f"processor time of a miner with {workers:,} stock workers, {watched:.0f} s",
            f"{cores:.2f} cores",
            f"{told['calls'] / watched:,.0f} calls a second; all registered in {joined:.0f} s; {memory >> 20} MiB",
            "≤ 1 core",
            cores <= 1.0,
        ),
        Row(
            "heartbeats missed meanwhile",
            f"{told['failures']} calls failed, longest time without a session check {told['longest_unasked_seconds']:.1f} s",
            f"{known - 1} of {workers:,} workers known at the end",
            "none: 0 failed, < 20 s",
            told["failures"] == 0 and told["longest_unasked_seconds"] < 20 and known == workers + 1,
        ),
    ]
