"""Our worker under a stock miner written in Go: it must find nothing that a stock worker would not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.storage.meta import init_path
from lotus_sched_cli.worker import run as run_module
from lotus_sched_cli.worker.options import RunOptions
from lotus_sched_cli.worker.run import run

from .peers import StockMiner

P1 = "seal/v0/precommit/1"


@pytest.fixture
def miner() -> Iterator[StockMiner]:
    miner = StockMiner.start()
    yield miner
    miner.stop()


class Worker:
    """``lotus-worker run`` as a task of this process; the rehearsal sealer plays a real one."""

    def __init__(self, miner: StockMiner, root: Path) -> None:
        self.miner = miner
        self.root = root
        self.tasks: list[asyncio.Task[None]] = []
        (root / "quick.toml").write_text("speed = 1e9\n")

    def start(self, **flags: Any) -> asyncio.Task[None]:
        options = {
            "worker_repo": self.root / "worker",
            "miner_repo": self.root / "no-miner",
            "name": "w1",
            "listen": "127.0.0.1:0",
            "sealer_config": self.root / "quick.toml",
            "environ": {"MINER_API_INFO": self.miner.info},
            "heartbeat": 0.1,
            "return_retry": 0.1,
        }
        task = asyncio.create_task(run(RunOptions(**options | flags)))
        self.tasks.append(task)
        return task

    async def tell(self, line: str) -> Any:
        return await asyncio.to_thread(self.miner.tell, line)

    async def connected(self, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while await self.tell("connects") < times:
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)


@pytest.fixture
async def worker(miner: StockMiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    choose = run_module.choose_sealer

    def pretend(options: RunOptions, version: str, *rest: Any) -> Any:
        return choose(options, version + "+simulated", *rest)

    monkeypatch.setattr(run_module, "choose_sealer", pretend)
    monkeypatch.setattr(run_module, "LINGER", 0.2)
    worker = Worker(miner, tmp_path)
    yield worker
    for task in worker.tasks:
        task.cancel()
    await asyncio.gather(*worker.tasks, return_exceptions=True)


async def test_our_worker_starts_with_lotuss_calls_and_no_others(worker: Worker) -> None:
    worker.start()
    await worker.connected()
    calls = [name for name in await worker.tell("calls") if name not in ("AuthVerify", "StorageReportHealth")]
    assert calls[:8] == [
        "Version", "Version", "ActorAddress", "ActorSectorSize", "StorageAttach", "Session", "Session", "WorkerConnect",
    ]  # fmt: skip
    told = list((await worker.tell("workers")).values())
    assert [w["Info"]["Hostname"] for w in told] == ["w1"]


async def test_a_stock_miner_drives_our_worker_through_every_task_of_a_sector(worker: Worker) -> None:
    worker.start()
    await worker.connected()
    for number in range(3):
        sealed = await worker.tell(f"seal {number}")
        assert sealed["proof"] == 192 and sealed["sealed"].startswith("bagboea4b5abc")
        kept = {entry["URLs"][0].split("/")[-2] for entry in await worker.tell(f"files {number}")}
        assert kept == {"sealed", "cache"}
    assert await worker.tell("session") is True


async def test_a_stock_miner_stores_a_sector_and_unseals_it_again(worker: Worker, tmp_path: Path) -> None:
    worker.start()
    await worker.connected()
    init_path(tmp_path / "long", seal=False, store=True)
    await worker.tell(f"attach {tmp_path / 'long'}")
    await worker.tell("seal 5")
    await worker.tell("store 5")

    def kept() -> list[str]:
        return sorted(p.parent.name for p in (tmp_path / "long").glob("*/s-t01000-5"))

    assert kept() == ["cache", "sealed"]
    found = await worker.tell("files 5")
    assert all(entry["Primary"] and entry["CanStore"] for entry in found)
    assert "storage call error 0:" in await worker.tell("unseal 5")
    assert kept() == ["cache", "sealed", "unsealed"]
    assert not list((tmp_path / "worker").glob("*/s-t01000-5")), "no copy is left on the path for sealing"


async def test_a_stock_miner_has_data_hashed_from_every_kind_of_reader(worker: Worker) -> None:
    worker.start()
    await worker.connected()
    zeros = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy 2048"
    announced, fetched, pushed = await worker.tell("datacid")
    assert announced == zeros
    assert fetched == pushed and fetched.endswith(" 2048") and fetched != zeros


async def test_a_full_hold_takes_p1_out_of_what_our_worker_offers(worker: Worker) -> None:
    worker.start(precommit1holdmax=1)
    await worker.connected()
    assert P1 in await worker.tell("tasks")
    await worker.tell("pc1 7")
    assert P1 not in await worker.tell("tasks")


async def test_a_miner_that_comes_back_is_told_everything_again(worker: Worker) -> None:
    worker.start()
    await worker.connected()
    await worker.tell("pc1 4")
    await worker.tell("down")
    await worker.tell("up")
    await worker.connected(2)
    found = await worker.tell("files 4")
    assert {entry["URLs"][0].split("/")[-2] for entry in found} == {"unsealed", "sealed", "cache"}
    assert not any(entry["Primary"] for entry in found)
    calls = [name for name in await worker.tell("calls") if name in ("StorageAttach", "WorkerConnect")]
    assert calls == ["StorageAttach", "WorkerConnect"] * 2


async def test_a_miner_of_another_api_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = StockMiner.start("-api", str(15 << 8))
    try:
        with pytest.raises(UserError, match=r"API version doesn't match.*0\.15\.0"):
            await Worker(old, tmp_path).start()
    finally:
        old.stop()
