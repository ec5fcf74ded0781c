"""Our commands, as processes of their own, at a stock miner written in Go that has one of our workers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .peers import StockMiner
from .test_stock_miner import Worker, miner, worker  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow

STOCK = "v1.36.2-dev+2k+git.00000000"
#: Command → words that its plain output must have, at a miner with a sealed sector 0 and one that is on its way, 1.
READ = {
    "sealing jobs": ["ID", "Sector", "Worker", "Hostname", "Task", "State"],
    "sealing jobs --queued": [],
    "sealing workers": ["Worker ", ", host w1", "VMEM: "],
    "sealing sched-diag": ['"SchedInfo"'],
    "sectors list": ["0   Proving", "1   PreCommit1"],
    "sectors list --states Proving": ["0   Proving"],
    "sectors list --fast --events --seal-time": ["0   Proving"],
    "sectors status 0": ["SectorID:\t0", "Status:\t\tProving", "CIDcommR:\tbagboea4b5abc"],
    "sectors status --log 1": ["PreCommit1", "Event Log:"],
    "sectors status --on-chain-info 0": ["Sector On Chain Info"],
    "sectors numbers info": ["Next free: 3"],
    "sectors numbers reservations": ["reservations: 0"],
    "storage list": ["Weight: 10", "Seal"],
    "storage list sectors": ["sealed", "Proving", "s-t01000-0"],
    "storage find 0": ["Sealing: true", "s-t01000-0"],
    "storage locks": [],
    "log list": ["advmgr"],
    "log alerts": ["active   process:fd-limit"],
    "info": ["Miner: ", "Proving: 1", "Sealing"],
    "version": [STOCK],
    "wait-api": [],
    "proving workers": [],
}
#: What only our miner can do; at a stock one each says so in a line that names it.
OURS = (
    "sealing caps list",
    "sealing caps set w1 precommit1max=3",
    "sealing caps reset w1",
    "sealing explain 0",
    "sealing end-rest w1",
    "sealing drain w1",
    "sealing undrain w1",
    "sealing forget w1",
    "sealing assign 00 w1",
    "sealing record {tmp}/farm.toml",
    "sectors mypledge",
    "sectors mypledgeonce",
    "config reload",
)


@dataclass(frozen=True)
class Commands:
    """Run as processes, with the stock miner's address in the environment."""

    miner: StockMiner
    home: Path

    async def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LOTUS_", "GOLOG_", "NO_COLOR"))}
        env |= {"MINER_API_INFO": self.miner.info, "HOME": str(self.home), "TZ": "UTC"}
        argv = [str(Path(sys.executable).with_name("lotus-miner")), *words]
        return await asyncio.to_thread(
            subprocess.run,
            argv,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
async def commands(miner: StockMiner, worker: Worker, tmp_path: Path) -> AsyncIterator[Commands]:  # noqa: F811
    worker.start()
    await worker.connected()
    await worker.tell("seal 0")
    await worker.tell("pc1 1")
    yield Commands(miner, tmp_path / "home")


async def test_what_reads_works_at_a_stock_miner(commands: Commands) -> None:
    wrong = []
    for command, words in READ.items():
        done = await commands.run(*command.split())
        missing = [word for word in words if word not in done.stdout]
        if done.returncode or done.stderr or missing:
            wrong.append(f"{command}: exit {done.returncode}, lacks {missing}\n{done.stdout}{done.stderr}")
    assert not wrong, "\n".join(wrong)


async def test_every_read_gives_data_too(commands: Commands) -> None:
    for command in (
        "sealing workers",
        "sealing jobs",
        "sectors list",
        "storage list",
        "info",
        "sectors status 0",
    ):
        done = await commands.run(*command.split(), "--format", "json")
        assert done.returncode == 0, done.stderr
        told: Any = json.loads(done.stdout)
        assert told or command == "sealing jobs"


async def test_what_only_ours_can_do_names_the_stock_miner_it_found(
    commands: Commands, tmp_path: Path
) -> None:
    wrong = []
    for command in OURS:
        done = await commands.run(*command.format(tmp=tmp_path).split())
        lines = done.stderr.splitlines()
        good = done.returncode == 1 and len(lines) == 1 and lines[0].startswith("ERROR: ")
        if not (good and "stock one" in lines[0] and STOCK in lines[0]):
            wrong.append(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    assert not wrong, "\n".join(wrong)
    assert not (tmp_path / "farm.toml").exists()
