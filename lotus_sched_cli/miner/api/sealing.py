"""Workers and jobs: registration, what runs where, aborts (Lotus ``api/api_storage.go``). Reads are snapshots."""

from __future__ import annotations

from lotus_sched_cli.lotus.extras import (
    AbsentWorker,
    Forgotten,
    QueuedJob,
    TaskUsage,
    WorkerCapRows,
    WorkerLoad,
)
from lotus_sched_cli.lotus.farm_record import FarmRecord
from lotus_sched_cli.lotus.types import CallID, SchedDiag, WorkerJob, WorkerStats
from lotus_sched_cli.miner import forget, upkeep
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.views import diag, jobs, record, stats


class SealingAPI:
    _miner: Miner

    async def SealingCapsList(self, worker: str) -> list[WorkerCapRows]:
        return await upkeep.caps_list(self._miner, worker)

    async def SealingCapsSet(self, worker: str, values: dict[str, str]) -> WorkerCapRows:
        return await upkeep.caps_set(self._miner, worker, values)

    async def SealingCapsReset(self, worker: str, which: list[str] | None) -> WorkerCapRows:
        return await upkeep.caps_reset(self._miner, worker, which or [])

    async def SealingDrain(self, worker: str, level: str, until_restart: bool) -> WorkerLoad:
        return await upkeep.drain(self._miner, worker, level, until_restart)

    async def SealingForget(self, worker: str, force: bool) -> Forgotten:
        return await forget.forget(self._miner, worker, force)

    async def WorkersAbsent(self) -> list[AbsentWorker]:
        return upkeep.absent(self._miner)

    async def SealingAssign(self, task_id: str, worker: str, force: bool) -> WorkerLoad:
        return await upkeep.assign(self._miner, task_id, worker, force)

    async def SealingLoad(self, worker: str) -> WorkerLoad:
        return upkeep.load(self._miner, upkeep.find(self._miner.workers, worker))

    async def WorkerChanged(self, session: str) -> None:
        worker = self._miner.workers.by_session.get(session)
        if worker is not None and worker.registered:
            await upkeep.refresh(self._miner, worker)

    async def WorkerConnect(self, url: str) -> None:
        await self._miner.workers.connect(url)

    async def WorkerKnown(self, session: str) -> bool:
        worker = self._miner.workers.by_session.get(session)
        return worker is not None and worker.registered

    async def TaskUsed(self, call: CallID, usage: TaskUsage) -> None:
        found = self._miner.dispatch.desk.calls.get(call.ID)
        if found is not None and found[1] == "main":
            found[0].usage = usage

    async def WorkerStats(self) -> dict[str, WorkerStats]:
        return stats.worker_stats(self._miner)

    async def WorkerJobs(self) -> dict[str, list[WorkerJob]]:
        return jobs.worker_jobs(self._miner)

    async def SealingQueue(self) -> list[QueuedJob]:
        return jobs.queue(self._miner)

    async def SealingRecord(self) -> FarmRecord:
        return record.farm_record(self._miner)

    async def SealingSchedDiag(self, force: bool) -> SchedDiag:
        return diag.sched_diag(self._miner)

    async def SealingAbort(self, call: CallID) -> None:
        await self._miner.dispatch.abort(call)

    async def SealingAbortForce(self, call: CallID) -> None:
        await self._miner.dispatch.give_up(call)

    async def SealingRemoveRequest(self, task_id: str) -> None:
        await self._miner.dispatch.remove_request(task_id)
