"""A miner without workers and wire: store, chain and pipeline are real, the test plays dispatch and the clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lotus_sched_cli.core.pipeline import PipelineSettings, State
from lotus_sched_cli.core.proofs import proof_bytes, sector_size
from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import CallError, Cid, PieceInfo, SectorCids
from lotus_sched_cli.miner import chain as chains
from lotus_sched_cli.miner.chain import Chain, ChainSettings
from lotus_sched_cli.miner.records import Phase, TaskRow
from lotus_sched_cli.miner.sectors import Sectors
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.miner.timers import Timers
from lotus_sched_cli.sealers.verify import StandInVerifier

PROOF = 5
START = 1_600_000_000.0


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeDispatch:
    """Remembers what it was asked for."""

    store: Store
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    submitted: list[TaskRow] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    held: dict[int, bool] = field(default_factory=dict)
    removed: list[SectorId] = field(default_factory=list)
    removal_error: str = ""

    def submit(self, row: TaskRow) -> None:
        self.tasks[row.id] = row
        self.submitted.append(row)

    async def cancel(self, task_id: str) -> None:
        self.tasks.pop(task_id, None)
        self.cancelled.append(task_id)
        writes = self.store.writes()
        writes.delete_task(task_id)
        await writes.commit()

    def sector_held(self, sector: SectorId, held: bool) -> None:
        self.held[sector.number] = held

    async def remove_files(self, sector: SectorId) -> None:
        if self.removal_error:
            raise RuntimeError(self.removal_error)
        self.removed.append(sector)


def good_result(row: TaskRow) -> bytes:
    """What a worker returns for a task, as JSON."""
    size = sector_size(row.proof)
    encode = msgspec.json.encode
    match row.type:
        case TaskType.ADD_PIECE:
            return encode(PieceInfo(size, Cid(cids.zero_piece_cid(size))))
        case TaskType.PRECOMMIT1:
            return encode(b"pc1 output")
        case TaskType.PRECOMMIT2:
            comm_r = cids.sealed_cid(bytes([row.sector.number % 32]) * 32)
            return encode(SectorCids(Cid(cids.zero_piece_cid(size)), Cid(comm_r)))
        case TaskType.COMMIT1:
            return encode(b"c1 output")
        case TaskType.COMMIT2:
            return encode(bytes(proof_bytes(row.proof)))
    return b"null"


class Stage:
    """``open`` and ``crash`` may be called again and again on the same folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "miner.db"
        self.clock = Clock()
        self.chain_settings = ChainSettings(block_delay=1.0, challenge_delay=10, message_confidence=5)
        self.settings = settings
        self.store: Store
        self.sectors: Sectors
        self.dispatch: FakeDispatch
        self.timers: Timers
        self.chain: Chain
        self.verifier: Any = StandInVerifier()

    async def open(self) -> Stage:
        self.store = await Store.open(self.path)
        if await self.store.meta("chain.seed") is None:
            await chains.found(
                self.store, seed=b"seed", proofs="stand-in", now=self.clock.now, settings=self.chain_settings
            )
        self.chain = await Chain.open(self.store, self.chain_settings, self.verifier, self.clock)
        self.timers = Timers(self.clock)
        self.dispatch = FakeDispatch(self.store)
        self.sectors = Sectors(
            self.store,
            self.chain,
            self.dispatch,
            PipelineSettings(),
            miner=1000,
            proof=PROOF,
            clock=self.clock,
            timers=self.timers,
            **self.settings,
        )
        await self.sectors.load()
        for row in await self.store.tasks():
            if row.phase is not Phase.CANCELLED:
                self.dispatch.tasks[row.id] = row
        await self.sectors.start()
        await self.settle()
        return self

    async def crash(self) -> Stage:
        """Everything in memory is gone."""
        await self.sectors.stop()
        await self.store.close()
        return await self.open()

    async def close(self) -> None:
        await self.sectors.stop()
        await self.store.close()

    async def settle(self) -> None:
        await self.sectors.settled()

    async def finish(self, row: TaskRow, error: CallError | str | None = None) -> None:
        """A worker returns."""
        self.dispatch.tasks.pop(row.id, None)
        await self.sectors.task_done(row, None if error else good_result(row), error)
        await self.settle()

    async def jump(self) -> None:
        """The clock goes to the next timer."""
        due = self.timers.next
        assert due is not None, f"no timer is set; {self.sectors.summary()}"
        self.clock.now = max(self.clock.now, due)
        self.timers.run_due()
        await self.settle()

    async def work(self) -> None:
        """One round: every task that is out succeeds; without any, time passes."""
        await self.settle()
        if rows := list(self.dispatch.tasks.values()):
            await asyncio.gather(*(self.finish(row) for row in rows))
        else:
            await self.jump()

    async def until(self, state: State, number: int, most: int = 80) -> None:
        for _ in range(most):
            if self.sectors.state(number) is state:
                return
            await self.work()
        raise AssertionError(f"{state} was not reached: {self.sectors.summary()}")

    async def until_task(self, task: TaskType, number: int = 0) -> TaskRow:
        for _ in range(80):
            for row in self.dispatch.tasks.values():
                if row.sector.number == number and row.type is task:
                    return row
            await self.work()
        raise AssertionError(f"{task} never came: {self.sectors.summary()}")
