"""Start and answer of the commands, in a pipe, against ``python -c "import typer"``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.farm.farm import Farm
from tests.farm.test_scenes import FAST_CHAIN

from .rows import Row, in_turns, wall

COMMANDS = (
    ("miner", "sealing", "jobs"),
    ("miner", "sealing", "workers"),
    ("miner", "sectors", "list"),
    ("miner", "sectors", "list", "-h"),
    ("worker", "run", "-h"),
)
AIM = 2.0


def script(argv: tuple[str, ...]) -> list[str]:
    """The installed console script, as an operator's shell finds it."""
    name = f"lotus-{argv[0]}"
    installed = Path(sys.executable).with_name(name)
    return (
        [str(installed), *argv[1:]]
        if installed.exists()
        else [sys.executable, "-m", "lotus_sched_cli", *argv]
    )


def run() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as root:
        farm = Farm(Path(root))
        farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
        farm.miner()
        try:
            env = dict(os.environ) | {"LOTUS_MINER_PATH": str(farm.miner_repo)}
            for argv in COMMANDS:
                ours, typer, ratio = in_turns(
                    lambda argv=argv: wall(script(argv), env),  # type: ignore[misc]
                    lambda: wall([sys.executable, "-c", "import typer"]),
                )
                what = f"`{' '.join(('lotus-' + argv[0], *argv[1:]))}`"
                beside = f"`import typer` {typer * 1000:.0f} ms"
                aim = f"≤ {AIM} ×"
                rows.append(Row(what, f"{ours * 1000:.0f} ms, {ratio:.2f} ×", beside, aim, ratio <= AIM))
        finally:
            farm.stop()
    return rows
