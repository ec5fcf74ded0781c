"""Commands in a pipe against ``python -c "import typer"``, with 100 workers and 10,000 sectors behind them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from lotus_sched_cli.cli.main import miner_program, worker_program
from tests.farm.farm import Farm
from tests.farm.test_scenes import FAST_CHAIN

from .rows import Row, in_turns, wall

READS = (("miner", "sealing", "jobs"), ("miner", "sealing", "workers"))
WORKERS, SECTORS = 100, 10_000
AIM, MIB, ROWS = 2.0, 40, 20_000
TYPER = [sys.executable, "-c", "import typer"]


def script(argv: tuple[str, ...]) -> list[str]:
    """The installed console script, as an operator's shell finds it."""
    name = f"lotus-{argv[0]}"
    installed = Path(sys.executable).with_name(name)
    return (
        [str(installed), *argv[1:]]
        if installed.exists()
        else [sys.executable, "-m", "lotus_sched_cli", *argv]
    )


def spoken(argv: tuple[str, ...]) -> str:
    return f"`{' '.join(('lotus-' + argv[0], *argv[1:]))}`"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as root:
        farm = Farm(Path(root))
        farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
        farm.miner()
        url, token = farm.endpoint()
        fleet = subprocess.Popen(
            [sys.executable, "-m", "bench.fleet", url, token, str(WORKERS)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert fleet.stdout is not None and fleet.stdout.readline().strip() == "ready"
            env = dict(os.environ) | {"LOTUS_MINER_PATH": str(farm.miner_repo)}
            rows = [started(script(argv), spoken(argv), env) for argv in READS]
            rows += [size_of(script(argv), spoken(argv), env) for argv in READS]
            rows.append(slowest_help(env))
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: farm.call("PledgeSector"), range(SECTORS)))
            farm.wait_for(
                lambda: farm.states().get("PreCommit1", 0) >= SECTORS, 600, "every piece to be added"
            )
            rows.append(listed(env))
        finally:
            fleet.terminate()
            fleet.wait(10)
            farm.stop()
    return rows


def started(argv: list[str], what: str, env: dict[str, str]) -> Row:
    """Start and answer, in turns with the bare import."""
    ours, typer, ratio = in_turns(lambda: wall(argv, env), lambda: wall(TYPER))
    beside = f"`import typer` {typer * 1000:.0f} ms"
    figure = f"{ours * 1000:.0f} ms, {ratio:.2f} ×"
    return Row(f"{what}, {WORKERS} workers", figure, beside, f"≤ {AIM} ×", ratio <= AIM)


#: A process inherits the peak of the one that it was forked from, so a small one stands between.
PEAK = (
    "import os, resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def size_of(argv: list[str], what: str, env: dict[str, str]) -> Row:
    """The most memory that the command ever has."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *argv], env=env, capture_output=True, text=True, check=True
    )
    mib = int(run.stdout) / 1024
    return Row(f"memory of {what}, {WORKERS} workers", f"{mib:.0f} MiB", "", f"≤ {MIB} MiB", mib <= MIB)


def slowest_help(env: dict[str, str]) -> Row:
    """``-h`` of every command once, then the three slowest in turns with the bare import."""
    paths = [
        *((*words, "-h") for words in commands(miner_program(), "miner")),
        *((*words, "-h") for words in commands(worker_program(), "worker")),
    ]
    paths.sort(key=lambda words: wall(script(words), env), reverse=True)
    worst = max((started(script(words), spoken(words), env) for words in paths[:3]), key=ratio_of)
    return Row(
        f"`-h`, slowest of {len(paths)} commands: {worst.what.split(',')[0]}",
        worst.figure,
        worst.beside,
        worst.aim,
        worst.met,
    )


def ratio_of(row: Row) -> float:
    return float(row.figure.split(", ")[1].removesuffix(" ×"))


def commands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command that is listed."""
    yield words
    for name, lazy in getattr(command, "lazy", {}).items():
        if not lazy.hidden:
            yield from commands(lazy.load(name), *words, name)


def listed(env: dict[str, str]) -> Row:
    """Rows a second of a full list, its start taken off (that of its help)."""
    list_, help_ = ("miner", "sectors", "list"), ("miner", "sectors", "list", "-h")
    lines = subprocess.run(script(list_), env=env, capture_output=True, text=True, check=True).stdout
    assert len(lines.splitlines()) == SECTORS + 1
    pairs = [(wall(script(list_), env), wall(script(help_), env)) for _ in range(9)]
    seconds = median(whole - start for whole, start in pairs)
    rate = SECTORS / seconds
    figure = f"{rate:,.0f} rows a second"
    beside = f"{median(whole for whole, _ in pairs) * 1000:.0f} ms in all"
    return Row(
        f"`sectors list`, {SECTORS:,} sectors, after start", figure, beside, f"≥ {ROWS:,}", rate >= ROWS
    )
