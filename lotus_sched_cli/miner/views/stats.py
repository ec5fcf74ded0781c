"""``WorkerStats``: each worker, what its running tasks use, and how the scheduler sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.extras import Rest, WireCaps, WorkerSched
from lotus_sched_cli.lotus.types import Resources, WorkerInfo, WorkerStats
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.dispatch import Flight
from lotus_sched_cli.miner.known_workers import Worker
from lotus_sched_cli.miner.records import Phase
from lotus_sched_cli.worker import resources


def worker_stats(miner: Miner) -> dict[str, WorkerStats]:
    """By session. Asks nobody."""
    by_worker = miner.dispatch.desk.by_worker
    return {w.session: _one(miner, w, by_worker.get(w.id, set())) for w in miner.workers.live()}


def _one(miner: Miner, worker: Worker, flights: Iterable[Flight]) -> WorkerStats:
    every = list(flights)
    flights = [f for f in every if not f.ahead]
    running = [f for f in flights if f.row.phase is Phase.RUNNING]
    used = _used(worker.info, running)
    counts = dict.fromkeys(sorted(worker.counted), 0)
    fetched = (f for f in every if f.ahead and f.row.fetched_at is None)
    counts |= Counter(f"{f.row.proof}:{f.shown.value}" for f in (*flights, *fetched))
    return WorkerStats(
        Info=worker.info,
        Tasks=sorted(t.value for t in worker.tasks),
        Enabled=worker.online,
        MemUsedMin=used.memory_min,
        MemUsedMax=used.memory_max,
        GpuUsed=used.gpus,
        CpuUse=used.threads,
        TaskCounts=counts,
        Sched=_sched(miner, worker, flights, running),
    )


def _sched(miner: Miner, worker: Worker, flights: list[Flight], running: list[Flight]) -> WorkerSched:
    ledger = miner.dispatch.scheduler.ledger(worker.id)
    caps = worker.caps
    preparing = [f for f in flights if f.row.phase is Phase.PREPARING]
    return WorkerSched(
        ID=worker.id,
        Number=worker.number,
        URL=worker.url,
        BuiltIn=worker.builtin,
        Stock=worker.stock,
        Carried=_count(flights),
        Preparing=_count(preparing),
        Running=_count(running),
        Prefetching=len(ledger.promised) if ledger is not None else 0,
        Held=ledger.held if ledger is not None else 0,
        HeldFailed=_failed(miner, ledger.held_sectors) if ledger is not None else 0,
        Caps=WireCaps(
            caps.precommit1_max,
            caps.precommit1_hold_max,
            caps.precommit2_max,
            caps.commit2_max,
            caps.force_p2_from_local_p1,
            worker.caps_source,
            caps.prefetches,
        ),
        Rests=[Rest(r.task.value, units.go_time(r.until), r.error) for r in (ledger.rests if ledger else ())],
        Drain=bool(worker.kept.drain),
        DrainLevel=worker.kept.drain,
        Online=worker.online,
        LastSeen=units.go_time(worker.last_seen),
    )


def _failed(miner: Miner, held: Iterable[SectorId]) -> int:
    return sum(miner.sectors.failed_for_good(sector.number) for sector in held)


def _count(flights: Iterable[Flight]) -> dict[str, int]:
    return dict(Counter(f.row.type.value for f in flights))


# -- what running tasks use (lotus-cli.md §6.4) ----------------------------------------------------------------------


@dataclass(slots=True)
class Used:
    memory_min: int = 0
    memory_max: int = 0
    gpus: float = 0
    threads: int = 0


def _used(info: WorkerInfo, running: Iterable[Flight]) -> Used:
    used = Used()
    cpus, gpus = info.Resources.CPUs, len(info.Resources.GPUs or ())
    for flight in running:
        needs = _needs(info, flight.row.type, flight.row.proof)
        used.memory_min += needs.MinMemory
        used.memory_max += needs.MaxMemory
        if gpus:
            used.gpus += needs.GPUUtilization
        used.threads += _threads(needs, cpus, gpus)
    return used


def _threads(needs: Resources, cpus: int, gpus: int) -> int:
    """Threads of a task: all but a few where it takes what there is (Lotus ``storiface.Resources.Threads``)."""
    wanted = needs.MaxParallelism
    if gpus and needs.GPUUtilization and needs.MaxParallelismGPU:
        wanted = needs.MaxParallelismGPU
    if wanted != -1:
        return wanted
    return cpus * 92 // 100 or cpus


def _needs(info: WorkerInfo, task: TaskType, proof: int) -> Resources:
    table = info.Resources.Resources or {}
    stated = table.get(task.value, {}).get(str(proof))
    return stated if stated is not None else _default(task, proof)


@cache
def _default(task: TaskType, proof: int) -> Resources:
    """What Lotus's own table says, for a worker that states nothing."""
    needs = resources.table({}).get(task, {}).get(proof)
    if needs is None:
        return Resources()
    return Resources(
        needs.min_memory,
        needs.max_memory,
        needs.gpu_utilization,
        needs.max_parallelism,
        needs.max_parallelism_gpu,
        needs.base_min_memory,
    )
