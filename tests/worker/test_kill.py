"""kill -9 of a real worker process at random moments: no call is lost, no finished task is done again."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import CallID, SectorID, SectorRef

from .fake_miner import FakeMiner

FINISHED = re.compile(r"finished seal/v0/addpiece of sector (\S+), call (\S+)")
SECTORS = range(1, 9)
KILLS = 6


class Process:
    """``lotus-worker run`` as an operator starts it."""

    def __init__(self, miner: FakeMiner, root: Path) -> None:
        self.root = root
        self.log = root / "worker.log"
        (root / "simulated.toml").write_text('jitter = 0.5\n[durations]\nAP = "300ms"\n')
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("LOTUS_", "GOLOG_"))}
        self.env |= {"MINER_API_INFO": miner.info, "HOME": str(root)}
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        argv = [
            sys.executable,
            "-m",
            "lotus_sched_cli",
            "worker",
            "--worker-repo",
            str(self.root / "repo"),
            "run",
        ]
        argv += [
            "--listen",
            "127.0.0.1:0",
            "--name",
            "w1",
            "--sealer-config",
            str(self.root / "simulated.toml"),
        ]
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(
                [*argv, *flags], env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )

    async def end(self, number: int) -> int:
        assert self.popen is not None
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return await asyncio.to_thread(self.popen.wait, 20)


async def seal(miner: FakeMiner, number: int) -> CallID:
    """What a miner does for one task until it has a result: ask, ask again, take the first Return that is none of 101."""
    asked: CallID | None = None
    while True:
        for returned in miner.returned:
            if returned.call.Sector.Number == number and returned.error is None:
                return returned.call
        lost = asked is not None and any(r.call == asked and r.error for r in miner.returned)
        if asked is None or lost:
            try:
                worker = miner.worker()
                asked = await worker.call(
                    "AddPiece", SectorRef(SectorID(1000, number), 5), [], 2032, {"Type": "null", "Info": "2032"},
                    result=CallID, timeout=2,
                )  # fmt: skip
            except (RpcConnectError, RpcError):
                asked = None
            finally:
                await worker.close()
        await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_six_kills_lose_no_call_and_repeat_no_finished_task(miner: FakeMiner, tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KILL_SEED={seed}")
    dice = random.Random(seed)
    process = Process(miner, tmp_path)
    process.start()
    await miner.until(lambda: len(miner.connected) == 1, "the first registration")
    tasks = [asyncio.create_task(seal(miner, number)) for number in SECTORS]
    try:
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.0, 0.5))
            await process.end(signal.SIGKILL)
            before = len(miner.connected)
            process.start()
            await miner.until(lambda before=before: len(miner.connected) > before, "a registration")  # type: ignore[misc]
        async with asyncio.timeout(30):
            taken = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await process.end(signal.SIGTERM)
    text = process.log.read_text(errors="replace")
    finished = Counter(sector for sector, _ in set(FINISHED.findall(text)))
    assert all(count == 1 for count in finished.values()), f"{finished} (KILL_SEED={seed})"
    succeeded = {r.call.ID: r.call.Sector.Number for r in miner.returned if r.error is None}
    assert Counter(succeeded.values()) == dict.fromkeys(SECTORS, 1), f"KILL_SEED={seed}"
    assert {call.Sector.Number for call in taken} == set(SECTORS)
    assert "Traceback" not in text


async def test_sigterm_ends_a_real_worker_with_exit_0_and_a_bad_start_with_1(
    miner: FakeMiner, tmp_path: Path
) -> None:
    process = Process(miner, tmp_path)
    process.start()
    await miner.until(lambda: len(miner.connected) == 1, "the registration")
    assert await process.end(signal.SIGTERM) == 0
    assert "Graceful shutdown successful" in process.log.read_text()
    process.log.write_text("")
    process.start("--precommit1max", "-1")
    assert await process.end(0) == 1
    assert process.log.read_text().count("ERROR") == 1 and "precommit1max" in process.log.read_text()
