"""``WorkerJobs`` and ``SealingQueue`` (lotus-wire.md §8)."""

from __future__ import annotations

from collections import defaultdict

from msgspec import UNSET

from lotus_sched_cli.core.scheduler import QueuedTask
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.extras import PREFETCHED, PREFETCHING, JobSched, QueuedJob
from lotus_sched_cli.lotus.types import NIL_UUID, CallID, SectorID, WorkerJob
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.dispatch import Flight
from lotus_sched_cli.miner.records import Phase

#: Lotus's RunWait: in the first window (the second is one more), prepared, running, waiting for a Return that no live worker owes, result here and not taken yet.
ASSIGNED, PREPARED, RUNNING, RET_WAIT, RET_DONE = 2, 1, 0, -1, -3


def worker_jobs(miner: Miner) -> dict[str, list[WorkerJob]]:
    """One row per call that is out, or waits on a worker, under its session; zeros for those of no live worker.

    Every row names its host, where Lotus does so only for those of no live worker: commands need no second call.
    """
    out: dict[str, list[WorkerJob]] = defaultdict(list)
    for flight in miner.dispatch.desk.flights.values():
        if not flight.on_worker and not flight.ahead and flight.row.phase is not Phase.RETURNED:
            continue
        session, wait = _where(miner, flight)
        out[session].append(_job(miner, flight, wait))
    if miner.dispatch.scheduler.open_windows() is not None:
        for task in miner.dispatch.scheduler.queue():
            worker = miner.workers.by_id.get(task.worker_id or "")
            if worker is not None:
                out[worker.session].append(_assigned(task, worker.name))
    return dict(out)


def _where(miner: Miner, flight: Flight) -> tuple[str, int]:
    if flight.row.phase is Phase.RETURNED:
        return NIL_UUID, RET_DONE
    worker = miner.workers.by_id.get(flight.row.worker_id or "")
    if worker is None or not worker.registered:
        return NIL_UUID, RET_WAIT
    fetched = bool(flight.ahead) and flight.row.fetched_at is not None
    # A job runs when its worker has taken the call, as in Lotus.
    running = _call(flight) and not flight.prepared and not fetched
    return worker.session, RUNNING if running else PREPARED


def _call(flight: Flight) -> str | None:
    row = flight.row
    return row.fetch_call_id if flight.fetching else row.call_id


def _assigned(task: QueuedTask, host: str) -> WorkerJob:
    """It waits in a window of a worker; as in Lotus it has no call, and counts from its queueing."""
    spec = task.task
    return WorkerJob(
        ID=CallID(SectorID(), NIL_UUID),
        Sector=SectorID(*spec.sector),
        Task=spec.type.value,
        RunWait=ASSIGNED + task.window - 1,
        Start=units.go_time(task.queued_at),
        Hostname=host or UNSET,
        Sched=JobSched(
            TaskID=spec.id,
            WorkerID=task.worker_id or "",
            MainTask=spec.type.value,
            Queued=units.go_time(task.queued_at),
        ),
    )


def _job(miner: Miner, flight: Flight, wait: int) -> WorkerJob:
    row = flight.row
    sector = SectorID(*flight.sector)
    worker = miner.workers.by_id.get(row.worker_id or flight.last_worker or "")
    host = worker.name if worker is not None else ""
    ahead = "" if not flight.ahead else PREFETCHING if row.fetched_at is None else PREFETCHED
    fetching = flight.fetching or bool(ahead)
    call = _call(flight)
    task = TaskType.FETCH if fetching else row.type
    begun = row.fetch_sent_at if fetching else (row.accepted_at or row.sent_at)
    return WorkerJob(
        ID=CallID(sector if call else SectorID(), call or NIL_UUID),
        Sector=sector,
        Task=task.value,
        RunWait=wait,
        Start=units.go_time(begun or row.bound_at or row.queued_at),
        Hostname=host or UNSET,
        Sched=JobSched(
            TaskID=row.id,
            WorkerID=row.worker_id or "",
            MainTask=row.type.value,
            Queued=units.go_time(row.queued_at),
            Bound=units.go_time(row.bound_at) if row.bound_at else "",
            Prefetch=ahead,
            Usage=None if fetching else flight.usage,
            WorkerNumber=worker.number if worker is not None else 0,
            Number=flight.number,
        ),
    )


def queue(miner: Miner) -> list[QueuedJob]:
    """Tasks that wait for a worker, in the order of the queue; those in windows are among its jobs."""
    now = miner.clock()
    return [_queued(task, now) for task in miner.dispatch.scheduler.queue() if not task.window]


def _queued(task: QueuedTask, now: float) -> QueuedJob:
    spec = task.task
    return QueuedJob(
        TaskID=spec.id,
        Miner=spec.sector.miner,
        Sector=spec.sector.number,
        Task=spec.type.value,
        Priority=spec.priority,
        Queued=units.go_time(task.queued_at),
        NotBefore=units.go_time(task.not_before) if task.not_before > now else "",
        Attempts=task.attempts,
        LastError=task.last_error,
    )
